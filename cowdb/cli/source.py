"""cowdb source ..."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cowdb.cli.output import (
    Progress,
    card,
    client,
    dry_option,
    epilog,
    json_option,
    print_json,
    print_plan,
    table,
)
from cowdb.errors import InvalidError
from cowdb.wire import SourceInfo

_CODES = "0 success, 1 failure, 2 usage, 4 not found, 5 conflict, 6 no agent, 7 not permitted"
_CARD = ("name", "kind", "state", "dsn", "port", "database", "datadir", "pg_version", "owner",
         "created_at")  # fmt: skip


@click.group()
def source() -> None:
    """Sources: Postgres data directories that branches come from."""


@source.command(
    epilog=epilog(
        "cowdb source add main --attach /srv/pg/15/main\n"
        "cowdb source add copy --dsn postgresql://backup@db.example/app\n"
        "cowdb source add app --dump nightly.dump --no-owner\n"
        "cowdb source add app --sql schema.sql --sql seed.sql",
        _CODES,
    )
)
@click.argument("name")
@click.option("--attach", metavar="DIR", help="A data directory that somebody else runs (root).")
@click.option("--dsn", metavar="URL",
              help="pg_basebackup of another server (password: URL or PGPASSWORD).")  # fmt: skip
@click.option("--dump", type=click.Path(exists=True, path_type=Path),
              help="Restore a dump: custom, directory, tar or plain.")  # fmt: skip
@click.option("--sql", multiple=True, type=click.Path(exists=True, path_type=Path),
              help="Run SQL files with psql, in order, before --dump.")  # fmt: skip
@click.option("--empty", is_flag=True, help="An empty database.")
@click.option("--database", help="The database that DSNs name; the source's name by default.")
@click.option("--superuser", help="With --attach: the role of the OS user, when not its own name.")
@click.option("--pg-version", help="The major to use where several are installed.")
@click.option("--port", type=int, help="This port instead of a free one.")
@click.option("--no-owner", is_flag=True, help="With --dump: without owners and privileges.")
@json_option
def add(
    name: str, attach: str | None, dsn: str | None, dump: Path | None, sql: tuple[Path, ...],
    empty: bool, database: str | None, superuser: str | None, pg_version: str | None,
    port: int | None, no_owner: bool, as_json: bool,
) -> None:  # fmt: skip
    """Add a source: attach a directory, or let cowdb hold and run one of its own."""
    kinds = [attach is not None, dsn is not None, bool(dump or sql), empty]
    if sum(kinds) != 1:
        raise InvalidError(
            "a source comes from exactly one of --attach, --dsn, --dump or --sql, --empty",
            hint="cowdb source add --help",
        )
    with client() as agent, Progress(shown=not as_json) as report:
        if dump or sql:
            from cowdb.config import load as load_config
            from cowdb.controller.load import Load, add_source

            load = Load(sql=sql, dump=dump, own=not no_owner)
            made = add_source(
                agent, name, load, load_config().bindirs,
                database=database, version=pg_version, port=port, report=report,
            )  # fmt: skip
        else:
            made = agent.sources.add(
                name, dsn=_with_password(dsn), database=database,
                attach=os.path.abspath(attach) if attach else None,  # noqa: PTH100 (not resolved)
                superuser=superuser, version=pg_version, port=port, report=report,
            )  # fmt: skip
    _print(made, as_json)


def _with_password(dsn: str | None) -> str | None:
    """PGPASSWORD joins the DSN on the socket, so that it need not stand on a command line."""
    password = os.environ.get("PGPASSWORD")
    if dsn is None or not password:
        return dsn
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        has = "password" in conninfo_to_dict(dsn)
        return dsn if has else make_conninfo(dsn, password=password)
    except ProgrammingError:
        return dsn  # the agent says what is wrong with it


@source.command("list", epilog=epilog("cowdb source list"))
@json_option
def list_(as_json: bool) -> None:
    """All sources."""
    with client() as agent:
        found = agent.sources.list()
    if as_json:
        print_json(found)
    else:
        columns = ("name", "kind", "state", "port", "pg_version", "database", "datadir")
        table(found, columns, "no sources")


@source.command(epilog=epilog("cowdb source show main", _CODES))
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """One source."""
    with client() as agent:
        found = agent.sources.show(name)
    _print(found, as_json)


@source.command(epilog=epilog("cowdb source start app", _CODES))
@click.argument("name")
@json_option
def start(name: str, as_json: bool) -> None:
    """Start a managed source."""
    with client() as agent:
        found = agent.sources.start(name)
    _print(found, as_json)


@source.command(epilog=epilog("cowdb source stop app", _CODES))
@click.argument("name")
@json_option
def stop(name: str, as_json: bool) -> None:
    """Stop a managed source."""
    with client() as agent:
        found = agent.sources.stop(name)
    _print(found, as_json)


@source.command(epilog=epilog("cowdb source rm app", _CODES))
@click.argument("names", nargs=-1, required=True)
@dry_option
@json_option
def rm(names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Remove sources. A managed one goes with its data; an attached one is only forgotten."""
    if dry_run:
        with client() as agent:
            steps = [step for name in names for step in agent.plans.remove("sources", name)]
        print_plan(steps, as_json)
        return
    with client() as agent, Progress(shown=not as_json) as report:
        for name in names:
            agent.sources.remove(name, report)
    if as_json:
        print_json({"removed": list(names)})
    else:
        click.echo(f"removed {', '.join(names)}")


def _print(found: SourceInfo, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        card(found, _CARD)
