"""One session that runs statements, each by itself, and ends them when their time is over.

A statement travels by the extended protocol, which takes one and no more: what the lexer took for
one statement cannot be two. Rows come one by one, so that their number does not matter here.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import generators, pq
from psycopg.conninfo import make_conninfo

from cowdb.controller.diff.session import reason, redacted
from cowdb.controller.lab.steps.command import Stop
from cowdb.controller.lab.steps.lexer import Piece, pieces, plain, tokens
from cowdb.errors import InvalidError, ServerError

_CONNECT_SECONDS = "10"
_AGAIN = 1.0  # seconds between two cancels: one that comes between statements hits nothing
_LOOK = 0.1  # seconds between looks at whether the caller has given up
_MOST_NOTICES = 20
_LONGEST_NOTICE = 500  # characters
_COPY_IN = re.compile(r"copy .* from stdin\b", re.DOTALL)
_NO_COPY = "COPY from or to the client cannot be run here"
_ROWS = (pq.ExecStatus.SINGLE_TUPLE, pq.ExecStatus.TUPLES_OK)
_COPIES = (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH)


@dataclass(frozen=True)
class Column:
    name: str
    type: str


Row = Sequence[str | None]
"""Values as PostgreSQL prints them; None for null."""
TakeRows = Callable[[Sequence[Column]], Callable[[Row], None]]
"""Told the columns of a statement, gives what takes its rows."""


@dataclass(frozen=True)
class Ran:
    """One statement. :param status: the server's words, such as "UPDATE 3".
    :param rows: how many came; None for a statement that has none."""

    number: int
    line: int
    status: str
    duration_ms: float
    columns: tuple[Column, ...] | None
    rows: int | None


@dataclass(frozen=True)
class Done:
    """:param rolled_back: a transaction was left open, and what it did is gone."""

    statements: list[Ran]
    notices: list[str]
    rolled_back: bool


class StatementError(ServerError):
    """The server refused a statement, or it was ended."""


@dataclass(frozen=True)
class How:
    """:param timeout: seconds for all statements together.
    :param read_only: each statement in a read-only transaction of its own, rolled back.
    :param rolled_back: all in one transaction that is rolled back.
    :param application: what the server calls the session."""

    timeout: float
    read_only: bool = False
    rolled_back: bool = False
    database: str | None = None
    application: str = "cowdb"


def statements_of(text: str) -> list[Piece]:
    """:raises InvalidError: there is none, or something that only psql knows."""
    if any(token.kind == "backslash" for token in tokens(text)):
        raise InvalidError("commands of psql, which begin with a backslash, cannot be run here",
                           hint="write plain SQL")  # fmt: skip
    found = pieces(text)
    if any(_COPY_IN.match(plain(piece.text).lower()) for piece in found):
        raise InvalidError(_NO_COPY, hint="use INSERT")
    if not found:
        raise InvalidError("there is no statement in the SQL")
    return found


def run(dsn: str, text: str, how: How, take: TakeRows, stop: Stop) -> Done:
    """Every statement in order, up to the first that fails.

    :raises InvalidError: the text cannot be run here.
    :raises StatementError: a statement failed; the message tells which, and what became of those
        before it.
    :raises ServerError: the server cannot be reached."""
    found = statements_of(text)
    with connected(dsn, how) as conn, _Deadline(conn, how.timeout, stop) as deadline:
        notices: list[str] = []
        conn.add_notice_handler(lambda item: _note(notices, item))
        if how.rolled_back:
            conn.execute("BEGIN")
        done: list[Ran] = []
        for number, piece in enumerate(found, 1):
            deadline.check(number - 1)
            try:
                done.append(_one(conn, number, piece, how, take))
            except psycopg.Error as error:
                raise _failed(error, number, len(found), piece, conn, deadline, how) from error
        left = conn.info.transaction_status in (
            pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR
        )  # fmt: skip
        return Done(done, notices, left and not how.rolled_back)


@contextlib.contextmanager
def connected(dsn: str, how: How) -> Iterator[psycopg.Connection[Any]]:
    """:raises ServerError: the server cannot be reached."""
    given = {"application_name": how.application, "connect_timeout": _CONNECT_SECONDS}
    if how.database is not None:
        given["dbname"] = how.database
    try:
        conn = psycopg.connect(make_conninfo(dsn, **given), autocommit=True, prepare_threshold=None)
        conn.execute("SET client_encoding = 'UTF8'")
    except psycopg.Error as error:
        raise ServerError(f"no connection: {reason(error)}") from None
    try:
        yield conn
    finally:
        conn.close()


def _one(conn: psycopg.Connection[Any], number: int, piece: Piece, how: How, take: TakeRows) -> Ran:
    started = time.perf_counter()
    if how.read_only:
        conn.execute("BEGIN READ ONLY")
        conn.execute("SELECT 1")  # with a first snapshot it cannot be made read-write any more
    status, columns, rows = _send(conn, piece.text, take)
    took = round((time.perf_counter() - started) * 1000, 3)
    if how.read_only and conn.info.transaction_status != pq.TransactionStatus.IDLE:
        conn.execute("ROLLBACK")
    return Ran(number, piece.line, status, took, columns, rows)


def _send(
    conn: psycopg.Connection[Any], statement: str, take: TakeRows
) -> tuple[str, tuple[Column, ...] | None, int | None]:
    """(the server's words, columns, rows)."""
    pgconn = conn.pgconn
    pgconn.send_query_params(statement.encode(), [])
    pgconn.set_single_row_mode()
    conn.wait(generators.send(pgconn))
    columns: tuple[Column, ...] | None = None
    give: Callable[[Row], None] | None = None
    status, rows = "", 0
    while (result := conn.wait(generators.fetch(pgconn))) is not None:
        if result.status in _COPIES:
            raise InvalidError(_NO_COPY, hint="use SELECT")
        if result.status not in (*_ROWS, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.EMPTY_QUERY):
            raise psycopg.errors.error_from_result(result, "utf-8")
        status = (result.command_status or b"").decode() or status
        if result.status not in _ROWS:
            continue
        if give is None:
            columns = _columns(conn, result)
            give = take(columns)
        for number in range(result.ntuples):
            give([_text(result.get_value(number, place)) for place in range(result.nfields)])
        rows += result.ntuples
    return status, columns, rows if columns is not None else None


def _columns(conn: psycopg.Connection[Any], result: Any) -> tuple[Column, ...]:  # noqa: ANN401
    known = conn.adapters.types
    found = []
    for place in range(result.nfields):
        info = known.get(oid := result.ftype(place))
        array = info is not None and info.array_oid == oid
        name = f"{info.name}{'[]' if array else ''}" if info is not None else f"type {oid}"
        found.append(Column((result.fname(place) or b"").decode(errors="replace"), name))
    return tuple(found)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


def _note(notices: list[str], item: psycopg.errors.Diagnostic) -> None:
    if len(notices) < _MOST_NOTICES:
        notices.append(redacted(f"{item.severity}: {item.message_primary}")[:_LONGEST_NOTICE])


def _failed(
    error: psycopg.Error, number: int, total: int, piece: Piece, conn: psycopg.Connection[Any],
    deadline: _Deadline, how: How,
) -> StatementError:  # fmt: skip
    state = conn.info.transaction_status
    undone = how.read_only or how.rolled_back or state == pq.TransactionStatus.INERROR
    place = f"statement {number} of {total} (line {piece.line})"
    what = deadline.why or f"{reason(error)} ({error.sqlstate or 'no SQLSTATE'})"
    before = ""
    if number > 1:
        before = ("; what the statements before it did is undone" if undone
                  else f"; the {number - 1} before it took effect")  # fmt: skip
    detail = [error.diag.message_detail, error.diag.message_hint]
    return StatementError(f"{place}: {what}{before}",
                          hint=redacted("; ".join(filter(None, detail))))  # fmt: skip


class _Deadline:
    """Cancels what runs when its time is over or the caller has given up, until it has ended."""

    def __init__(self, conn: psycopg.Connection[Any], timeout: float, stop: Stop) -> None:
        self._conn, self._timeout, self._stop = conn, timeout, stop
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="cowdb-deadline")
        self.why = ""

    def __enter__(self) -> _Deadline:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def check(self, done: int) -> None:
        """:param done: statements that have ended well."""
        if self.why:
            raise StatementError(f"{self.why}; {done} statements had ended")

    def _watch(self) -> None:
        end = time.monotonic() + self._timeout
        while not self._done.wait(_LOOK):
            if self._stop.said:
                self.why = f"it was ended: {self._stop.reason}"
            elif time.monotonic() > end:
                self.why = f"it was ended after {self._timeout:g} s"
            if self.why:
                with contextlib.suppress(psycopg.Error):
                    self._conn.cancel_safe(timeout=5)
                self._done.wait(_AGAIN)
