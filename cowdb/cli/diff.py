"""cowdb diff."""

from __future__ import annotations

import sys

import click

from cowdb.cli.output import Progress, client, epilog, json_option, print_json


@click.command(
    epilog=epilog(
        "cowdb diff main@before-v2 try-a\n"
        "cowdb diff try-a try-b try-c --counts\n"
        "cowdb diff try-a postgresql://localhost/app --schema --json\n"
        "cowdb diff main try-a --sql > migration.sql",
        "0 no difference, 3 differences found, 1 failure, 2 usage, 4 not found, 6 no agent",
    )
)
@click.argument("sides", nargs=-1, required=True)
@click.option("--schema", is_flag=True, help="Only the schema (with --counts: both).")
@click.option("--counts", is_flag=True, help="Only exact row counts.")
@click.option("--rows", is_flag=True, help="Row contents, to the row and column.")
@click.option("--table", "tables", multiple=True, metavar="GLOB", help="Only these tables.")
@click.option("--sql", is_flag=True, help="The statements that make A's schema that of B.")
@click.option(
    "--exact",
    is_flag=True,
    help="With --sql: also rewrite tables for the order of columns, move sequences back.",
)
@json_option
@click.pass_context
def diff(
    ctx: click.Context, sides: tuple[str, ...], schema: bool, counts: bool, rows: bool,
    tables: tuple[str, ...], sql: bool, exact: bool, as_json: bool,
) -> None:  # fmt: skip
    """Say what differs: each side is a branch, a snapshot, a source, or a postgresql:// URL."""
    from cowdb.controller.diff.compare import compare
    from cowdb.controller.diff.model import Wanted
    from cowdb.controller.diff.sides import resolve

    _check(sql, exact, counts or rows, as_json)
    everything = not (schema or counts or rows or sql)
    wanted = Wanted(
        schema=schema or sql or everything, counts=counts or everything, rows=rows, tables=tables,
        sql=sql, exact=exact,
    )  # fmt: skip
    with Progress(shown=not as_json) as report, resolve(client, sides, report) as resolved:
        found = compare(resolved, wanted, progress=report, changes=_changes)
    if as_json:
        print_json(found)
    elif sql:
        from cowdb.controller.diff.migration.script import render as render_sql

        click.echo(render_sql(found["sql"], *found["sides"]), nl=False)
    else:
        from cowdb.cli.diffview import render

        click.echo(render(found, color=sys.stdout.isatty()), nl=False)
    if not found["identical"]:
        ctx.exit(3)


def _check(sql: bool, exact: bool, more: bool, as_json: bool) -> None:
    """:param more: other things than the schema were asked for as well."""
    if exact and not sql:
        raise click.UsageError("--exact says how --sql writes the statements: use them together")
    if sql and more and not as_json:
        raise click.UsageError("--sql prints only SQL: with --counts or --rows it needs --json")


def _changes(first: str, other: str) -> tuple[dict[str, list[list[int]]] | None, str]:
    """Where two branches can differ, as the host knows it."""
    with client() as agent:
        found = agent.host.changes(first, other)
    return found["relations"], found["reason"]
