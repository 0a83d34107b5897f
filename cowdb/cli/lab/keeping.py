"""Keeps a run that was just made, and says which older ones may go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cowdb.errors import CowdbError

if TYPE_CHECKING:
    from cowdb.controller.lab.run import Outcome

F = TypeVar("F", bound=Callable[..., Any])


def keep_options(command: F) -> F:
    """--keep-runs and --keep-days."""
    runs = click.option("--keep-runs", type=click.IntRange(1), metavar="N",
                        help="Of the runs that are kept, remove all but the newest N afterwards "
                        "(COWDB_LAB_KEEP_RUNS; 50).")  # fmt: skip
    days = click.option("--keep-days", type=click.IntRange(1), metavar="N",
                        help="And those older than N days (COWDB_LAB_KEEP_DAYS; 90).")  # fmt: skip
    return runs(days(command))


class Keeping:
    """:raises InvalidError: a variable of the environment is no number."""

    def __init__(self, runs: int | None, days: int | None) -> None:
        from cowdb.controller.lab.kept import Kept, directory, retention

        self._retention = retention(runs, days)
        self._kept = Kept(directory())

    def save(self, outcome: Outcome, file: Path) -> None:
        """With the lab file and what else is kept of each branch. Where that cannot be written,
        the answer is there all the same, and it is said that the run is not kept."""
        artifacts = dict(outcome.artifacts)
        try:
            artifacts["lab.yaml"] = file.read_text(encoding="utf-8", errors="replace")
            self._kept.save(outcome.report, artifacts, self._retention)
        except (CowdbError, OSError) as error:
            click.echo(f"warning: this run is not kept: {error}", err=True)
