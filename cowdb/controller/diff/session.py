"""Connections for reading one side: the same settings everywhere, and errors without secrets."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cowdb.controller.diff.model import Side
from cowdb.errors import CowdbError, InvalidError, NotPermittedError, ServerError

# What the text of a default, a view or a constraint depends on, and what could end a long count.
# row_security off makes a hidden row an error, where on would leave it out in silence.
SETTINGS = {
    "search_path": "",
    "row_security": "off",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "quote_all_identifiers": "off",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
    "lock_timeout": "10s",
    "jit": "off",
}

_CONNECT_SECONDS = "10"
_APPLY = """
SELECT set_config(s.name, wanted.value, false) FROM pg_settings s
JOIN unnest(%s::text[], %s::text[]) AS wanted (name, value) ON lower(s.name) = wanted.name
"""
_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):[^@/\s]*@")


class Connections:
    """The open connections of one comparison, so that all of them can be stopped from outside.

    Threads that wait for a server cannot be interrupted; their statements can be cancelled.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[psycopg.Connection[Any]] = set()
        self._stopped = False

    def add(self, conn: psycopg.Connection[Any]) -> None:
        with self._lock:
            if self._stopped:
                raise CowdbError("the comparison was stopped")
            self._open.add(conn)

    def discard(self, conn: psycopg.Connection[Any]) -> None:
        with self._lock:
            self._open.discard(conn)

    @property
    def stopped(self) -> bool:
        return self._stopped

    def stop(self) -> None:
        """Cancels what runs, and lets nothing new begin."""
        with self._lock:
            self._stopped = True
            conns = list(self._open)
        for conn in conns:
            # A connection that is gone already has nothing left to cancel.
            with suppress(psycopg.Error):
                conn.cancel_safe(timeout=5)


@contextmanager
def connected(side: Side, connections: Connections) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose transactions are repeatable read and read only.

    :raises InvalidError: the connection string is not one.
    :raises ServerError: the server does not answer, or goes away meanwhile.
    """
    with translated(side):
        conn = _connect(side)
        try:
            connections.add(conn)
            yield conn
        finally:
            connections.discard(conn)
            conn.close()


def _connect(side: Side) -> psycopg.Connection[Any]:
    try:
        given: dict[str, Any] = conninfo_to_dict(side.dsn)
    except psycopg.ProgrammingError:
        # libpq's message, and so the chained error, would repeat the string with its password.
        raise InvalidError(
            f"the connection string of side '{side.label}' is not valid",
            hint="such as postgresql://user@host:5432/dbname",
        ) from None
    given.setdefault("connect_timeout", _CONNECT_SECONDS)
    given.setdefault("application_name", "cowdb diff")
    given["client_encoding"] = "UTF8"
    # Without prepared statements it also works through a connection pooler.
    conn = psycopg.connect(make_conninfo(**given), autocommit=True, prepare_threshold=None)
    try:
        settle(conn)
        conn.autocommit = False
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.read_only = True
    except BaseException:
        conn.close()
        raise
    return conn


def settle(conn: psycopg.Connection[Any]) -> None:
    """Gives the session its settings: those of them that this version of Postgres has."""
    conn.execute(_APPLY, [list(SETTINGS), list(SETTINGS.values())])


@contextmanager
def translated(side: Side) -> Iterator[None]:
    """Errors of the driver as cowdb's own, naming the side."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise NotPermittedError(f"side '{side.label}': {reason(error)}") from error
    except psycopg.Error as error:
        raise ServerError(
            f"side '{side.label}': {reason(error)}",
            hint="check that the server runs and that the connection string is right"
            if isinstance(error, psycopg.OperationalError)
            else "",
        ) from error


def reason(error: psycopg.Error) -> str:
    """The first line of what the server said, without passwords."""
    text = error.diag.message_primary or str(error).strip() or type(error).__name__
    return redacted(text.splitlines()[0])


def redacted(text: str) -> str:
    """The text with the password taken out of each URL in it."""
    return _PASSWORD.sub(r"\1:***@", text)
