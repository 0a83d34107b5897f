"""cowdb lab run."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from cowdb.cli.lab.keeping import Keeping, keep_options
from cowdb.cli.lab.outputs import Outputs, output_options
from cowdb.cli.output import Progress, client, epilog

if TYPE_CHECKING:
    from cowdb.controller.lab.run import Outcome
    from cowdb.controller.lab.steps.command import Stop
    from cowdb.controller.transport import Report

_CODES = (
    "0 every strategy passes (or only warns), 3 a verdict failed, 1 failure or ended by a signal, "
    "2 usage or a mistake in the file, 4 no such file, checkpoint or database, 6 no agent"
)


@click.command(
    epilog=epilog(
        "cowdb lab run lab.yaml\n"
        "cowdb lab run lab.yaml --html report.html --junit report.xml\n"
        "cowdb lab run lab.yaml --json > report.json",
        _CODES,
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@keep_options
@output_options
@click.pass_context
def run(
    ctx: click.Context, file: Path, keep_runs: int | None, keep_days: int | None, as_json: bool,
    html: str | None, junit: str | None, markdown: str | None,
) -> None:  # fmt: skip
    """Try each strategy of a lab file on fresh branches of its checkpoint: how long it takes, whom
    it blocks, what it changes."""
    outputs = Outputs(as_json, html, junit, markdown)
    keeping = Keeping(keep_runs, keep_days)
    outcome = outcome_of(file, quiet=as_json)
    keeping.save(outcome, file)
    outputs.write(outcome.report)
    if outcome.report["verdict"] == "fail":
        ctx.exit(3)


def outcome_of(file: Path, *, quiet: bool) -> Outcome:
    """:raises CowdbError: as `controller.lab.run.run` does."""
    from cowdb.config import load
    from cowdb.controller.lab import spec
    from cowdb.controller.lab.run import Asked
    from cowdb.controller.lab.run import run as run_lab
    from cowdb.controller.lab.steps.command import Stop

    lab, stop = spec.read(file), Stop()
    with _ended_by_signals(stop), Progress(shown=not quiet) as progress:
        report = _Lines(progress, shown=not quiet)
        outcome = run_lab(client, Asked(lab, file, load().bindirs, stop, report))
    for line in outcome.left:
        click.echo(line, err=True)
    return outcome


class _Lines:
    """Progress on a terminal; elsewhere a line for each run of a strategy, so that the log of a CI
    job shows where it is."""

    def __init__(self, progress: Report, *, shown: bool) -> None:
        self._progress, self._shown = progress, shown
        self._lock = threading.Lock()

    def __call__(self, what: str, done: int | None = None, total: int | None = None) -> None:
        with self._lock:
            self._progress(what, None, None)
            if self._shown and total is not None and not sys.stderr.isatty() and ": run " in what:
                click.echo(f"[{done}/{total}] {what}", err=True)


@contextlib.contextmanager
def _ended_by_signals(stop: Stop) -> Iterator[None]:
    """The first signal ends the lab in order; a second one is not waited for."""
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) > 1:
            raise KeyboardInterrupt
        stop.now(signal.Signals(number).name)

    before = {number: signal.signal(number, handle)
              for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}  # fmt: skip
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
