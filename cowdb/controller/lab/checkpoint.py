"""The snapshot that a lab starts from, and how its branches' servers are set up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from cowdb.controller.branching import Connect
from cowdb.controller.lab.probe.instruments import connected
from cowdb.errors import InvalidError, NotFoundError
from cowdb.wire import BranchInfo, SnapshotInfo

_RESTART = "postmaster"


def choose(snapshots: Sequence[SnapshotInfo], name: str) -> str:
    """The reference of a snapshot that was named with its source or without it.

    :raises NotFoundError: there is none. InvalidError: the name alone means several."""
    refs = [item["ref"] for item in snapshots]
    if name in refs:
        return name
    if "@" in name:
        raise NotFoundError(
            f"there is no snapshot {name!r}", hint=f"cowdb snapshot create {name}"
        )  # fmt: skip
    found = [ref for ref in refs if ref.partition("@")[2] == name]
    if not found:
        raise NotFoundError(
            f"no source has a snapshot named {name!r}",
            hint=f"cowdb snapshot create SOURCE@{name}; cowdb snapshot list has those there are",
        )
    if len(found) > 1:
        raise InvalidError(
            f"{len(found)} snapshots are named {name!r}: {', '.join(sorted(found))}",
            hint=f"write the source as well: checkpoint: {sorted(found)[0]}",
        )
    return found[0]


def database_dsn(branch: BranchInfo, databases: Sequence[str]) -> str:
    """The DSN of the first database asked for, or of the branch's own.

    :raises NotFoundError: the branch does not have one of them."""
    if not databases:
        return branch["dsn"]
    with connected(branch["dsn"]) as db:
        there = [row[0] for row in db.execute(
            "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1"
        ).fetchall()]  # fmt: skip
    for name in databases:
        if name not in there:
            raise NotFoundError(
                f"the checkpoint has no database {name!r}, which services.postgres.config.databases"
                " names", hint=f"it has: {', '.join(there)}",
            )  # fmt: skip
    return urlunsplit(urlsplit(branch["dsn"])._replace(path="/" + quote(databases[0], safe="")))


def configure(connect: Connect, branch: BranchInfo, settings: Mapping[str, object]) -> None:
    """Give the branch's server its settings; restarts it where one of them needs that.

    :raises InvalidError: there is no such setting, or not with that value, or cowdb holds it."""
    if not settings:
        return
    with connected(branch["dsn"]) as db:
        known = {name.lower(): (name, context) for name, context in db.execute(
            "SELECT name, context FROM pg_settings").fetchall()}  # fmt: skip
        for name, value in settings.items():
            if name.lower() not in known and "." not in name:
                raise _wrong(name, "PostgreSQL has no such setting")
            text = str(value).lower() if isinstance(value, bool) else str(value)
            statement = sql.SQL("ALTER SYSTEM SET {} = {}").format(
                sql.SQL(".").join(map(sql.Identifier, name.split("."))), sql.Literal(text)
            )
            try:
                db.execute(statement)
            except psycopg.Error as error:
                raise _wrong(name, error.diag.message_primary or str(error)) from error
        db.execute("SELECT pg_reload_conf()")
    if any(known.get(name.lower(), ("", ""))[1] == _RESTART for name in settings):
        with connect() as client:
            client.branches.stop(branch["name"])
            client.branches.start(branch["name"])
    with connected(branch["dsn"]) as db:
        held = [row[0] for row in db.execute(
            "SELECT name FROM pg_settings WHERE lower(name) = ANY(%s) AND source = 'command line'",
            [[name.lower() for name in settings]]).fetchall()]  # fmt: skip
    if held:
        raise _wrong(held[0], "cowdb holds it on the command line of every branch")


def _wrong(name: str, why: str) -> InvalidError:
    return InvalidError(f"services.postgres.config.settings.{name}: {why}",
                        hint="as in postgresql.conf, such as work_mem: 64MB")  # fmt: skip
