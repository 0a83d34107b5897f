"""cowdb diff."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from cowdb.cli.output import Progress, client, colored, epilog, json_option, print_json

if TYPE_CHECKING:
    from cowdb.cli.pagefile import PageFile


@click.command(
    epilog=epilog(
        "cowdb diff main@before-v2 try-a\n"
        "cowdb diff try-a try-b try-c --counts\n"
        "cowdb diff try-a try-b --ancestor --rows      who changed what, and where they collide\n"
        "cowdb diff postgresql://one/app postgresql://two/app --base postgresql://old/app\n"
        "cowdb diff try-a postgresql://localhost/app --schema --json\n"
        "cowdb diff main@before-v2 try-a --all --html diff.html\n"
        "cowdb diff try-a try-b --all --sample 1000 --details\n"
        "cowdb diff main try-a --sql > migration.sql",
        "0 no difference, 3 differences found, 1 failure, 2 usage, 4 not found, 6 no agent",
    )
)
@click.argument("sides", nargs=-1, required=True)
@click.option("--all", "-a", "everything", is_flag=True, help="Schema, counts and row contents.")
@click.option("--schema", is_flag=True, help="Only the schema (with --counts: both).")
@click.option("--counts", is_flag=True, help="Only exact row counts.")
@click.option("--rows", is_flag=True, help="Only row contents, to the row and column.")
@click.option(
    "--sample",
    type=int,
    metavar="N",
    help="With --rows or --all: how many differing rows of each table the report keeps, 0 to 10,000"
    " (it is held in memory); 20 unless given. All are compared and counted.",
)
@click.option("--table", "tables", multiple=True, metavar="GLOB", help="Only these tables.")
@click.option(
    "--ancestor/--no-ancestor",
    default=None,
    help="Who changed what since the nearest snapshot that all sides come from, and where two sides"
    " collide. By itself with three sides and more.",
)
@click.option("--base", metavar="SIDE", help="The same, since another state: named like a side.")
@click.option("--details", "-v", is_flag=True, help="Print everything, not only the first of it.")
@click.option("--html", metavar="FILE", help="Write it as a page to look at, too.")
@click.option("--sql", is_flag=True, help="The statements that make A's schema that of B.")
@click.option(
    "--exact",
    is_flag=True,
    help="With --sql: also rewrite tables for the order of columns, move sequences back.",
)
@json_option
@click.pass_context
def diff(
    ctx: click.Context, sides: tuple[str, ...], everything: bool, schema: bool, counts: bool,
    rows: bool, sample: int | None, tables: tuple[str, ...], ancestor: bool | None,
    base: str | None, details: bool, html: str | None, sql: bool, exact: bool, as_json: bool,
) -> None:  # fmt: skip
    """Say what differs: each side is a branch, a snapshot, a source, or a postgresql:// URL."""
    from cowdb.controller.diff.branchhost import BranchHost
    from cowdb.controller.diff.compare import compare
    from cowdb.controller.diff.model import SAMPLE, Wanted
    from cowdb.controller.diff.sides import resolve
    from cowdb.controller.diff.ways.ancestor import find_origin

    if base is not None and ancestor is False:
        raise click.UsageError("--base and --no-ancestor exclude each other")
    rows = rows or everything
    counts = counts or everything
    if sample is not None and not rows:
        raise click.UsageError("--sample says how many rows are kept: it needs --rows or --all")
    _check_sql(sql, exact, counts or rows, as_json or html is not None)
    usual = not (schema or counts or rows or sql)
    wanted = Wanted(
        schema=schema or sql or everything or usual, counts=counts or usual, rows=rows,
        tables=tables, sql=sql, exact=exact, sample=SAMPLE if sample is None else sample,
    )  # fmt: skip
    pagefile = _pagefile(html)
    with (
        Progress(shown=not as_json) as report,
        resolve(client, sides, report) as resolved,
        find_origin(client, sides, resolved, base, ancestor, report) as origin,
    ):
        host = BranchHost(client)
        found = compare(
            resolved, wanted, progress=report, changes=host.changes, origin=origin, host=host
        )
    try:
        if pagefile is not None:
            from cowdb.controller.diff.page.render import page

            pagefile.write(page(found, datetime.now(UTC)))
    finally:  # a full disk takes nobody's answer away
        if as_json:
            print_json(found)
        elif sql:
            from cowdb.controller.diff.migration.script import render as script

            click.echo(script(found["sql"], *found["sides"]), nl=False)
        else:
            from cowdb.cli.diffview import render

            click.echo(render(found, color=colored(sys.stdout), details=details), nl=False)
    if not found["identical"]:
        ctx.exit(3)


def _pagefile(name: str | None) -> PageFile | None:
    if name is None:
        return None
    from cowdb.cli.pagefile import PageFile

    return PageFile(name)


def _check_sql(sql: bool, exact: bool, more: bool, shown: bool) -> None:
    """:param more: other things than the schema were asked for as well.
    :param shown: where they can be seen, which is not where the script goes."""
    if exact and not sql:
        raise click.UsageError("--exact says how --sql writes the statements: use them together")
    if sql and more and not shown:
        raise click.UsageError(
            "--sql prints only SQL: with --counts, --rows or --all it needs --json or --html FILE"
        )
