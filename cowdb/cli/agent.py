"""cowdb agent serve."""

from __future__ import annotations

import click

from cowdb.cli.output import epilog


@click.group()
def agent() -> None:
    """The privileged side."""


@agent.command(epilog=epilog("cowdb agent serve", "0 ended by a signal, 5 one is running already, "
                             "7 not root"))  # fmt: skip
@click.option("--verbose", is_flag=True, help="Log every step.")
def serve(verbose: bool) -> None:
    """Serve in the foreground; the log goes to stderr, one JSON object a line. The servers go on
    when it ends."""
    import logging

    from cowdb.agent.compose import serve as serve_agent
    from cowdb.config import load

    serve_agent(load(), logging.DEBUG if verbose else logging.INFO)
