"""Connections to both sides, all of them in the snapshots that schema and counts were read in.

Work is handed to a side and runs on whichever of its connections is free, so that several tables,
and several ranges of one large table, are read at once. There are never more connections than
`WIDTH` for a side, and never more than half of what the server has left: it has other users.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
from psycopg import sql

from cowdb.controller.diff.counts import room_for
from cowdb.controller.diff.model import Side
from cowdb.controller.diff.rows.physical import Files
from cowdb.controller.diff.session import Connections, connected, translated

WIDTH = 3

T = TypeVar("T")

# Sums by bucket are hashed in memory, and never sorted: a sort of a large table would fill the
# server's disk with temporary files. One backend for each connection, whatever the table's size.
_SETTINGS = b"""
SELECT set_config('enable_sort', 'off', true), set_config('work_mem', '48MB', true),
    set_config('max_parallel_workers_per_gather', '0', true)
"""


@dataclass(frozen=True)
class Instant:
    """A side, the snapshot that its transaction exported, and the connection that holds it.

    :param files: where its tables lay before the host was asked for changed blocks.
    :param standby: its server follows another.
    :param renamed: for the name of a table here, that on the first side.
    :param free: held while somebody works with the connection."""

    side: Side
    snapshot: str
    conn: psycopg.Connection[Any]
    files: Files = field(default_factory=dict)
    standby: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)
    free: threading.Lock = field(default_factory=threading.Lock, compare=False)


@dataclass
class _Lane:
    instant: Instant
    width: int = 1
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    idle: list[psycopg.Connection[Any]] = field(default_factory=list)
    holds: bool = False


class Lanes:
    """A context manager; leaving it by an error cancels what still runs."""

    def __init__(self, first: Instant, other: Instant, connections: Connections) -> None:
        self._connections = connections
        self._lock = threading.Lock()
        self._stack = ExitStack()
        try:
            self._lanes = [self._lane(instant) for instant in (first, other)]
        except BaseException:
            self._stack.close()
            raise
        self.width = max(lane.width for lane in self._lanes)

    def _lane(self, instant: Instant) -> _Lane:
        """Of the connection that holds the snapshot, if no other comparison works with it, and
        further ones as they are wanted."""
        lane = _Lane(instant)
        lane.holds = instant.free.acquire(blocking=False)
        self._stack.callback(lambda: instant.free.release() if lane.holds else None)
        with translated(instant.side):
            if lane.holds:
                instant.conn.execute(_SETTINGS)
                lane.idle.append(instant.conn)
            else:
                lane.idle.append(self._another(lane))
            lane.width = max(1, min(WIDTH, 1 + room_for(lane.idle[0]) // 2))
        lane.pool = ThreadPoolExecutor(lane.width, "cowdb-rows")
        return lane

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if kind is not None:
            self._connections.stop()
        for lane in self._lanes:
            lane.pool.shutdown(wait=True, cancel_futures=True)
        self._stack.close()

    def submit(self, side: int, work: Callable[[psycopg.Connection[Any]], T]) -> Future[T]:
        """Has `work` done with one of a side's connections, in a savepoint: one unreadable table
        does not end the transaction.

        :param side: 0 or 1.
        The future raises ServerError where the connection is lost, else what `work` raises.
        """
        return self._lanes[side].pool.submit(self._run, self._lanes[side], work)

    def both(self, work: Callable[[psycopg.Connection[Any]], T]) -> tuple[T, T]:
        one, two = self.submit(0, work), self.submit(1, work)
        return one.result(), two.result()

    def _run(self, lane: _Lane, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        conn = self._borrow(lane)
        try:
            with conn.transaction():
                return work(conn)
        except psycopg.Error:
            if conn.broken:
                with translated(lane.instant.side):
                    raise
            raise
        finally:
            with self._lock:
                lane.idle.append(conn)

    def _borrow(self, lane: _Lane) -> psycopg.Connection[Any]:
        with self._lock:
            if lane.idle:
                return lane.idle.pop()
        return self._another(lane)

    def _another(self, lane: _Lane) -> psycopg.Connection[Any]:
        stack = ExitStack()
        conn = stack.enter_context(connected(lane.instant.side, self._connections))
        with self._lock:
            self._stack.push(stack)
        with translated(lane.instant.side):
            conn.execute(
                sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(lane.instant.snapshot))
            )
            conn.execute(_SETTINGS)
        return conn
