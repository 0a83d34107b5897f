"""What every command shares: its options, its progress on stderr, its answer on stdout."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

if TYPE_CHECKING:
    from cowdb.controller.client import Client
    from cowdb.controller.transport import Report
    from cowdb.wire import RemovedInfo

F = TypeVar("F", bound=Callable[..., Any])
dry_option = click.option("--dry-run", is_flag=True, help="Print the plan, and do nothing.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def epilog(example: str, codes: str = "0 success, 1 failure, 2 usage, 6 no agent") -> str:
    """Examples and exit codes, as every help ends."""
    lines = "\n".join(f"  {line}" for line in example.strip().splitlines())
    return f"\b\nExamples:\n{lines}\n\n\b\nExit codes: {codes}."


@contextlib.contextmanager
def client() -> Iterator[Client]:
    """The agent of this host; imported here, so that --help need not wait for it."""
    from cowdb.config import load
    from cowdb.controller.connect import connect

    with connect(load()) as found:
        yield found


def colored(stream: TextIO) -> bool:
    """Colours are for terminals, and not for who asks for none (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def print_plan(steps: Sequence[str], as_json: bool) -> None:
    if as_json:
        print_json({"plan": list(steps)})
    else:
        for number, step in enumerate(steps, 1):
            click.echo(f"{number:>3}. {step}")


def print_removed(
    names: Sequence[str], done: Sequence[RemovedInfo], promote: bool, as_json: bool
) -> None:
    """:param promote: say what else changed by it, also where that is nothing."""
    moved = [item for each in done for item in each["snapshots"]]
    left = [name for each in done for name in each["branches"]]
    if as_json:
        more = {"snapshots": moved, "branches": left} if promote else {}
        print_json({"removed": list(names), **more})
        return
    click.echo(f"removed {', '.join(names)}")
    for item in moved:
        click.echo(f"snapshot {item['was']} is now {item['ref']}")
    for name in left:
        click.echo(f"branch {name} has no snapshot any more: it cannot be reset")


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str], empty: str) -> None:
    """Print rows for people; `empty` is said when there are none.

    Not by tabulate: importing it and laying out 1,000 branches takes longer than the agent needs
    to find them."""
    if not rows:
        click.echo(empty)
        return
    heads = [name.replace("_", " ") for name in columns]
    lines = [heads, *([_cell(row.get(name)) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    form = "  ".join(f"{{:<{width}}}" for width in widths)
    click.echo("\n".join(form.format(*line).rstrip() for line in lines))


def card(values: Mapping[str, object], names: Sequence[str]) -> None:
    """Print one object for people, a line each."""
    width = max(len(name) for name in names)
    for name in names:
        value = values.get(name)
        if value not in (None, [], {}, ""):
            click.echo(f"{name.replace('_', ' '):<{width}}  {_cell(value)}")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)


class Progress:
    """Steps on stderr: a line that is rewritten on a terminal, nothing elsewhere. A context
    manager that gives a report to pass on, which is `quiet` where nobody looks; the line is cleared
    on the way out, also by an error."""

    def __init__(self, *, shown: bool = True) -> None:
        self._live = shown and sys.stderr.isatty()
        self._drawn = 0.0

    def __enter__(self) -> Report:
        from cowdb.controller.transport import quiet

        return self if self._live else quiet

    def __call__(self, what: str, done: int | None = None, total: int | None = None) -> None:
        now = time.monotonic()
        if not self._live or (done is not None and now - self._drawn < 0.1):
            return
        self._drawn = now
        share = f" {done * 100 // total} %" if done is not None and total else ""
        mark = click.style("…", fg="cyan") if colored(sys.stderr) else "…"
        click.echo(f"\r\033[K{mark} {what}{share}"[:140], nl=False, err=True)

    def clear(self) -> None:
        """Make room for a line that stays."""
        if self._live:
            click.echo("\r\033[K", nl=False, err=True)

    def __exit__(self, *_: object) -> None:
        self.clear()
