"""Connections that run a programme step by step, in its order, whatever fails.

One thread drives all connections of a server, so that a seed gives the same interleaving; what
would wait for another's lock fails soon instead.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from tests.host.diff.workload.plan import CRASH, KILL, RESET, RESTART, Step

Connection = psycopg.Connection[tuple[object, ...]]

_SETTINGS = (
    "-c lock_timeout=40 -c statement_timeout=30000 -c synchronous_commit=off"
    " -c client_min_messages=error"
)
# Who keeps others from reading a table: open sessions; no pid is a prepared transaction, which
# pg_locks does not name.
_EXCLUSIVE = b"""
SELECT DISTINCT pid FROM pg_locks
WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND granted
"""


@dataclass
class Tally:
    """What statements came to, over a whole run: a run in which most fail would prove nothing."""

    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    why: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Host:
    """What a programme can do to its own server; each may end all connections.

    :param dsn: asked again after each event. :param datadir: of the server."""

    dsn: Callable[[], str]
    datadir: Callable[[], Path]
    start: Callable[[], None]
    restart: Callable[[], None]
    reset: Callable[[], None]


class Sessions:
    def __init__(self, host: Host, tally: Tally) -> None:
        self._host, self._tally = host, tally
        self._open: dict[int, Connection] = {}

    def run(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if step.text.startswith("!"):
                self._event(step.text)
            else:
                self._statement(step)

    def _statement(self, step: Step) -> None:
        word = step.text.split()[0].upper()
        try:
            conn = self._connection(step.session)
            if step.data:
                with conn.cursor() as cursor, cursor.copy(step.text.encode()) as copy:
                    copy.write(step.data)
            else:
                conn.execute(step.text.encode())
            self._tally.done[word] += 1
        except psycopg.Error as error:
            state = error.sqlstate or type(error).__name__
            self._tally.failed[f"{word} {state}"] += 1
            self._tally.why[f"{word} {state}"] = f"{step.text[:200]}: {str(error)[:200]}"

    def _connection(self, session: int) -> Connection:
        conn = self._open.get(session)
        if conn is None or conn.closed:
            conn = self._open[session] = connected(self._host.dsn)
        return conn

    def _event(self, event: str) -> None:
        if event == CRASH:
            self._flush_aborts()
            with contextlib.suppress(psycopg.Error):
                os.kill(self._connection(0).info.backend_pid, signal.SIGKILL)
                self._connection(0).execute("SELECT 1")
            self.close()
            try:
                connected(self._host.dsn).close()
            except psycopg.OperationalError:
                self._host.start()  # says why it could not recover
            return
        self.close()
        if event == KILL:
            self._flush_aborts()
            kill(self._host.datadir())
            self._host.start()
        elif event == RESTART:
            self._host.restart()
        elif event == RESET:
            self._host.reset()

    def _flush_aborts(self) -> None:
        """Postgres cannot recover when it dies soon after a rewrite of an unlogged table was
        rolled back ("could not create file ...: File exists"), unless that abort is in its WAL:
        aborts are not flushed, but a commit flushes all before it."""
        with connected(self._host.dsn) as db:
            db.execute("SET synchronous_commit = on")
            db.execute("SELECT pg_logical_emit_message(true, 'test', 'flushed')")

    def settle(self, *, leave_open: bool) -> None:
        """Nothing that is not over yet may lock others out of a table; with `leave_open` the
        rest stays open, unseen by others."""
        if not leave_open:
            self.close()
        with connected(self._host.dsn) as db:
            holders = {pid for (pid,) in db.execute(_EXCLUSIVE).fetchall()}
            if not leave_open or None in holders:
                for (gid,) in db.execute("SELECT gid FROM pg_prepared_xacts").fetchall():
                    db.execute(f"ROLLBACK PREPARED '{gid}'".encode())
        for conn in self._open.values():
            if not conn.closed and conn.info.backend_pid in holders:
                conn.execute("ROLLBACK")

    def close(self) -> None:
        for conn in self._open.values():
            conn.close()
        self._open.clear()


def connected(dsn: Callable[[], str], options: str = _SETTINGS) -> Connection:
    """Waits for a server that recovers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return psycopg.connect(
                dsn(), autocommit=True, prepare_threshold=None, connect_timeout=10,
                options=options,
            )  # fmt: skip
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def kill(datadir: Path) -> None:
    """The whole server, at once, as when its host's memory runs out."""
    pid = int((datadir / "postmaster.pid").read_text().split()[0])
    server = psutil.Process(pid)
    for process in [server, *server.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + 30
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the server did not die"
        time.sleep(0.01)
