"""The load's clients: a thread and a connection each, that goes on after errors."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import psycopg

from cowdb.controller.lab.load.queries import Prepared, choose
from cowdb.controller.lab.load.recorder import Recorder
from cowdb.errors import CommandError, InvalidError

APPLICATION = "cowdb load"
_CONNECT = 5  # seconds
_PAUSE = 0.05  # seconds before another attempt to connect
_PATIENCE = 3.0  # seconds for a query to end once it has been cancelled


class Clients:
    """:param rate: transactions a second of all together; None: as fast as they are answered."""

    def __init__(
        self, dsn: str, queries: Sequence[Prepared], number: int, rate: float | None,
        recorder: Recorder,
    ) -> None:  # fmt: skip
        self._dsn, self._queries, self._recorder = dsn, queries, recorder
        self._tickets = _Tickets(rate)
        self._stop, self._started = threading.Event(), False
        self._lock = threading.Lock()
        self._connections: set[psycopg.Connection] = set()
        self._threads = [
            threading.Thread(target=self._client, name=f"load-{n}", daemon=True)
            for n in range(number)
        ]

    def start(self) -> None:
        """:raises InvalidError: a query fails as it stands. CommandError: nobody can connect."""
        _try_out(self._dsn, self._queries)
        self._tickets.start()
        for thread in self._threads:
            thread.start()
        self._started = True

    def stop(self) -> None:
        """What is under way is cancelled; returns when every client has gone."""
        self._stop.set()
        if not self._started:
            return
        until = time.monotonic() + _PATIENCE
        while self._alive() and time.monotonic() < until:
            for connection in self._open():
                with contextlib.suppress(psycopg.Error):
                    connection.cancel_safe(timeout=1)
            for thread in self._threads:
                thread.join(0.02)
        for connection in self._open():  # the server does not answer: so nobody waits for it
            with contextlib.suppress(OSError, psycopg.Error):
                other = socket.socket(fileno=os.dup(connection.fileno()))
                with other:
                    other.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _alive(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _open(self) -> list[psycopg.Connection]:
        with self._lock:
            return list(self._connections)

    def _client(self) -> None:
        chance = random.Random()  # noqa: S311  # picks rows, guards nothing
        while not self._stop.is_set():
            try:
                with self._connection() as connection:
                    while not connection.broken and self._one(connection, chance):
                        pass
            except psycopg.Error as error:
                self._recorder.failed(time.monotonic(), message(error), begun=False)
                self._stop.wait(_PAUSE)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        connection = connect(self._dsn)
        with self._lock:
            self._connections.add(connection)
        try:
            yield connection
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()

    def _one(self, connection: psycopg.Connection, chance: random.Random) -> bool:
        """One query; False when told to end."""
        scheduled = self._tickets.take()
        if self._stop.wait(max(0.0, scheduled - time.monotonic())) or self._stop.is_set():
            return False
        query = choose(self._queries, chance)
        # With a rate, time counts from when the query was due: who comes while nobody answers
        # waits as well.
        began = min(scheduled, time.monotonic())
        self._recorder.begun(time.monotonic())
        try:
            connection.execute(query.sql.encode(), query.values(chance))
        except psycopg.Error as error:
            if self._stop.is_set():
                self._recorder.stopped()
                return False
            self._recorder.failed(time.monotonic(), message(error))
            self._stop.wait(_PAUSE if connection.broken else 0)
        else:
            now = time.monotonic()
            self._recorder.answered(now, (now - began) * 1000)
        return True


class _Tickets:
    """When the next query is due."""

    def __init__(self, rate: float | None) -> None:
        self._rate, self._start = rate, 0.0
        self._numbers = itertools.count()

    def start(self) -> None:
        self._start = time.monotonic()

    def take(self) -> float:
        if self._rate is None:
            return time.monotonic()
        return self._start + next(self._numbers) / self._rate


def connect(dsn: str) -> psycopg.Connection:
    """Without prepared statements: DDL would fail those, which says nothing of the strategy."""
    connection = psycopg.connect(
        dsn, autocommit=True, application_name=APPLICATION, connect_timeout=_CONNECT,
        prepare_threshold=None,
    )  # fmt: skip
    connection.add_notice_handler(lambda _: None)
    return connection


def message(error: psycopg.Error) -> str:
    """What errors are counted by: one line, without the values of a row."""
    if error.diag.message_primary:
        return error.diag.message_primary
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _try_out(dsn: str, queries: Sequence[Prepared]) -> None:
    """Each once, and taken back: a query that never works tells nothing."""
    chance = random.Random(1)  # noqa: S311
    try:
        with contextlib.closing(connect(dsn)) as connection:
            for query in queries:
                with connection.transaction(force_rollback=True):
                    try:
                        connection.execute(query.sql.encode(), query.values(chance))
                    except psycopg.Error as error:
                        raise InvalidError(
                            f"query {query.name!r} of the load fails: {message(error)}",
                            hint="it is tried once before the strategy begins",
                        ) from error
    except psycopg.OperationalError as error:
        raise CommandError(f"the load cannot connect: {message(error)}") from error
