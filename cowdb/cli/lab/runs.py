"""cowdb lab list, show and compare: the runs that were kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cowdb.cli.lab.outputs import Outputs, output_options
from cowdb.cli.output import epilog, json_option, print_json, table

if TYPE_CHECKING:
    from cowdb.controller.lab.kept import Kept


def kept() -> Kept:
    from cowdb.controller.lab.kept import Kept, directory

    return Kept(directory())


@click.command("list", epilog=epilog("cowdb lab list\ncowdb lab list --json",
                                     "0 success, 1 failure, 2 usage"))  # fmt: skip
@json_option
def list_(as_json: bool) -> None:
    """The runs that were kept, the newest first."""
    from cowdb.controller.diff.page.text import plain
    from cowdb.controller.lab import words

    entries = kept().entries()
    if as_json:
        print_json(entries)
        return
    rows = [
        {
            "run": item["id"],
            "name": plain(item["name"]),
            "started": item["started_at"][:16].replace("T", " "),
            "verdict": item["verdict"],
            "strategies": len(item["strategies"]),
            "recommended": plain(item["recommended"] or "none"),
            "took": words.span(item["total_ms"]),
        }
        for item in entries
    ]
    columns = ("run", "name", "started", "verdict", "strategies", "recommended", "took")
    table(rows, columns, "no lab run has been kept")


@click.command(epilog=epilog("cowdb lab show last\n"
                             "cowdb lab show 3f2a --html report.html\n"
                             "cowdb lab show 3f2a --markdown - | gh pr comment 12 --body-file -",
                             "0 success, 1 failure, 2 usage, 4 there is no such run"))  # fmt: skip
@click.argument("run")
@output_options
def show(
    run: str, as_json: bool, html: str | None, junit: str | None, markdown: str | None
) -> None:
    """The report of a run: its id, the beginning of it, or `last`."""
    outputs = Outputs(as_json, html, junit, markdown)
    outputs.write(kept().read(run))


@click.command(epilog=epilog("cowdb lab compare 3f2a 9c01\ncowdb lab compare 3f2a last --json",
                             "0 nothing got worse, 3 something did, 1 failure, 2 usage, "
                             "4 there is no such run"))  # fmt: skip
@click.argument("run1")
@click.argument("run2")
@json_option
@click.pass_context
def compare(ctx: click.Context, run1: str, run2: str, as_json: bool) -> None:
    """Did it get slower from RUN1 to RUN2? Worse is what differs by more than the runs of one
    strategy do among themselves."""
    from cowdb.controller.diff.page.text import plain
    from cowdb.controller.lab.trend import lines, trend

    runs = kept()
    found = trend(runs.read(run1), runs.read(run2))
    if as_json:
        print_json(found)
    else:
        for line in lines(found):
            click.echo(plain(line))
        if not found["strategies"]:
            click.echo("these runs have no strategy in common")
    if found["worse"]:
        ctx.exit(3)
