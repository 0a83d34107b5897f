"""cowdb diff."""

from __future__ import annotations

import sys

import click

from cowdb.cli.output import Progress, client, epilog, json_option, print_json


@click.command(
    epilog=epilog(
        "cowdb diff main@before-v2 try-a\n"
        "cowdb diff try-a try-b try-c --counts\n"
        "cowdb diff try-a postgresql://localhost/app --schema --json",
        "0 no difference, 3 differences found, 1 failure, 2 usage, 4 not found, 6 no agent",
    )
)
@click.argument("sides", nargs=-1, required=True)
@click.option("--schema", is_flag=True, help="Only the schema (with --counts: both).")
@click.option("--counts", is_flag=True, help="Only exact row counts.")
@click.option("--rows", is_flag=True, help="Row contents, to the row and column.")
@click.option("--table", "tables", multiple=True, metavar="GLOB", help="Only these tables.")
@json_option
@click.pass_context
def diff(
    ctx: click.Context, sides: tuple[str, ...], schema: bool, counts: bool, rows: bool,
    tables: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Say what differs: each side is a branch, a snapshot, a source, or a postgresql:// URL."""
    from cowdb.controller.diff.branchhost import BranchHost
    from cowdb.controller.diff.compare import compare
    from cowdb.controller.diff.model import Wanted
    from cowdb.controller.diff.sides import resolve

    everything = not (schema or counts or rows)
    wanted = Wanted(
        schema=schema or everything, counts=counts or everything, rows=rows, tables=tables
    )
    with Progress(shown=not as_json) as report, resolve(client, sides, report) as resolved:
        host = BranchHost(client)
        found = compare(resolved, wanted, progress=report, changes=host.changes, host=host)
    if as_json:
        print_json(found)
    else:
        from cowdb.cli.diffview import render

        click.echo(render(found, color=sys.stdout.isatty()), nl=False)
    if not found["identical"]:
        ctx.exit(3)
