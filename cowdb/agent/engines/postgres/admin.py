"""What the agent asks of a server that cowdb runs, in SQL over its private socket.

The socket lies in a directory that the server's OS user owns, so a branch's superuser could put
another socket in its place: `session` checks that the process at the other end is the one meant.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from cowdb.errors import ServerError
from cowdb.model import Process

_CONNECT_TIMEOUT = 10
# Nothing that the agent says belongs in the log of a server that a user reads.
_OPTIONS = (
    "-c log_statement=none -c log_min_duration_statement=-1 -c log_min_error_statement=panic "
    "-c search_path=pg_catalog "
    "-c statement_timeout=0 -c lock_timeout=0 -c default_transaction_read_only=off "
    "-c session_replication_role=origin -c client_min_messages=warning -c role=none "
    # A branch runs without; a crash right after its start must not take its password back.
    "-c synchronous_commit=local"
)
# From 17 on a user's program may run at each login, and keep the agent out.
_SINCE = {17: " -c event_triggers=off"}
# A conninfo that cannot lead anywhere, also not to a default socket of this host.
_NOWHERE = "host=/nonexistent/cowdb-quarantine port=1 dbname=none"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server's private socket is, and as whom the agent goes there.

    :param major: of the server's version, where the role is superuser for certain.
    :param database: tried before `postgres` and `template1`."""

    sockets: Path
    port: int
    superuser: str
    major: int = 0
    database: str = ""


Session = contextlib.AbstractContextManager[psycopg.Connection[Any]]


@contextlib.contextmanager
def session(
    place: Place, process: Process | None = None, dbname: str = ""
) -> Iterator[psycopg.Connection[Any]]:
    """A superuser session in autocommit, in `postgres` or `template1` unless told otherwise.

    :raises ServerError: another process than `process` answered.
    :raises psycopg.OperationalError: nobody answered.
    """
    with opened(place, process, dbname) as connection:
        yield connection


def opened(
    place: Place, process: Process | None = None, dbname: str = ""
) -> psycopg.Connection[Any]:
    """The same, for the caller to close."""
    connection = connect(place, dbname)
    if process is not None and _peer(connection) != process.pid:
        connection.close()
        raise ServerError(f"the socket in {place.sockets} does not lead to the server it should")
    return connection


def connect(place: Place, dbname: str = "") -> psycopg.Connection[Any]:
    more = "".join(text for major, text in _SINCE.items() if place.major >= major)
    candidates = (dbname,) if dbname else tuple(
        dict.fromkeys((place.database or "postgres", "postgres", "template1"))
    )  # fmt: skip
    for candidate in candidates:
        try:
            return psycopg.connect(
                host=str(place.sockets),
                port=place.port,
                user=place.superuser,
                dbname=candidate,
                options=_OPTIONS + more,
                connect_timeout=_CONNECT_TIMEOUT,
                autocommit=True,
            )
        except psycopg.OperationalError as error:
            # Whatever keeps the agent out of a user's database need not keep it out of this one.
            missing = "does not exist" in str(error) or candidate == place.database
            if not missing or candidate == candidates[-1]:
                raise
    raise AssertionError("unreachable")  # pragma: no cover


def _peer(connection: psycopg.Connection[Any]) -> int:
    """The pid that listened on the socket, which for Postgres is the postmaster."""
    with socket.socket(fileno=connection.fileno()) as borrowed:
        raw = borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        borrowed.detach()
    pid: int = struct.unpack("3i", raw)[0]
    return pid


def sever_subscriptions(connection: psycopg.Connection[Any]) -> list[str]:
    """Make every subscription unable to connect, and safe to drop: without a slot name, DROP
    SUBSCRIPTION does not ask the publisher to drop the parent's slot. Returns their names.

    A direct update of the catalog, since ALTER SUBSCRIPTION works only from inside each
    subscription's own database. Apply workers cannot exist: the server runs with
    max_logical_replication_workers=0.
    """
    rows = connection.execute(
        "update pg_subscription set subenabled = false, subslotname = null, subconninfo = %s "
        "where subconninfo <> %s returning subname",
        (_NOWHERE, _NOWHERE),
    ).fetchall()
    return [f"subscription {name} (it would take its publisher's changes)" for (name,) in rows]


def set_password(connection: psycopg.Connection[Any], superuser: str, verifier: str) -> None:
    """Give the bootstrap superuser the branch's own password, whatever production's was.

    :param verifier: see secrets.py."""
    connection.execute(
        sql.SQL("alter role {} login valid until 'infinity' password {}").format(
            sql.Identifier(superuser), sql.Literal(verifier)
        )
    )


def checkpoint(connection: psycopg.Connection[Any]) -> None:
    connection.execute("checkpoint")


def create_database(connection: psycopg.Connection[Any], name: str) -> None:
    """Create an empty database; harmless when it is there."""
    found = connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone()
    if found is None:
        connection.execute(
            sql.SQL("create database {} template template0").format(sql.Identifier(name))
        )


def facts(connection: psycopg.Connection[Any]) -> tuple[str, str]:
    """The bootstrap superuser's name and the default database: the only one of the user's, or
    `postgres` when there are none or several."""
    row = connection.execute("select rolname from pg_roles where oid = 10").fetchone()
    names = [
        name
        for (name,) in connection.execute(
            "select datname from pg_database where datallowconn and not datistemplate "
            "and datname <> 'postgres' order by datname limit 2"
        )
    ]
    return (row[0] if row else "postgres"), (names[0] if len(names) == 1 else "postgres")
