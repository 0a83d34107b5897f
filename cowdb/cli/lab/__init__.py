"""cowdb lab ..."""

from __future__ import annotations

import click

from cowdb.cli.lab.run import run


@click.group()
def lab() -> None:
    """Try migrations on branches of real data, and say which way is safe."""


lab.add_command(run)
