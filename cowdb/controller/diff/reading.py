"""Reads one side or all of them: its schema, in a transaction that stays open, so that counts and
rows can be read in the same snapshot later."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg

from cowdb.controller.diff.catalog.reader import read_schema
from cowdb.controller.diff.catalog.unmodelled import read_notes
from cowdb.controller.diff.counts import Counted
from cowdb.controller.diff.migration.facts import Facts, read_facts
from cowdb.controller.diff.model import Progress, Schema, Side, Wanted
from cowdb.controller.diff.rows.lanes import Instant
from cowdb.controller.diff.rows.physical import Files, read_files
from cowdb.controller.diff.rows.shape import Shape, read_shapes
from cowdb.controller.diff.session import Connections, connected, translated

_CATALOG_TRIES = 3


@dataclass(frozen=True)
class Read:
    """What was read of one side."""

    schema: Schema
    counted: Counted
    notes: Sequence[str]
    major: int
    timings_ms: dict[str, float]
    instant: Instant
    shapes: dict[str, Shape]
    facts: Facts | None = None


class Meter:
    """Tells the progress of all sides together, one step at a time."""

    def __init__(self, progress: Progress | None, sides: int, what: Wanted) -> None:
        self._lock = threading.Lock()
        self._progress = progress
        self._done = 0
        self._total = sides * (what.schema + what.counts) + (sides - 1) * what.rows

    def step(self, text: str) -> None:
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress(text, min(self._done, self._total), self._total)


def read_all(
    sides: Sequence[Side], what: Wanted, connections: Connections, meter: Meter, stack: ExitStack
) -> list[Read]:
    """:param stack: keeps the connections, and so the snapshots."""
    with ThreadPoolExecutor(len(sides), thread_name_prefix="cowdb-diff") as pool:
        futures = [pool.submit(_read, side, what, connections, meter, stack) for side in sides]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            _raise_first(futures)
        except BaseException:
            # Leaving the pool waits for its threads: what they wait for must end first.
            connections.stop()
            raise
    return [future.result() for future in futures]


def _raise_first(futures: Sequence[Future[Read]]) -> None:
    for future in futures:
        if future.done() and (error := future.exception()) is not None:
            raise error


def _read(
    side: Side, what: Wanted, connections: Connections, meter: Meter, stack: ExitStack
) -> Read:
    timings: dict[str, float] = {}
    schema: Schema = {}
    facts = None
    notes: list[str] = []
    started = time.perf_counter()
    conn = stack.enter_context(connected(side, connections))
    timings["connect"] = milliseconds_since(started)
    with translated(side):
        if what.schema:
            started = time.perf_counter()
            schema, unread, facts = _catalog(conn, what.sql)
            notes += unread
            timings["schema"] = milliseconds_since(started)
            meter.step(f"schema of {side.label}")
        notes += read_notes(conn)
        snapshot, shapes, standby = "", {}, False
        files: Files = {}
        if what.rows:
            shapes = read_shapes(conn)
            query = "SELECT pg_export_snapshot(), pg_is_in_recovery()"
            ((snapshot, standby),) = conn.execute(query).fetchall()
            files = read_files(conn)
    major = conn.info.server_version // 10000
    instant = Instant(side, snapshot, conn, files, standby)
    return Read(schema, Counted({}, {}, {}), notes, major, timings, instant, shapes, facts)


def _catalog(conn: psycopg.Connection[Any], sql: bool) -> tuple[Schema, list[str], Facts | None]:
    """The schema; read again where an object was dropped under the reading.

    pg_get_indexdef and its like read the newest catalogs and not the transaction's snapshot: they
    end with an internal error ("cache lookup failed") for what has just been dropped.
    """
    for again in reversed(range(_CATALOG_TRIES)):
        try:
            schema, unread = read_schema(conn)
            return schema, unread, read_facts(conn, schema) if sql else None
        except (psycopg.errors.InternalError_, psycopg.errors.UndefinedTable):
            if not again:
                raise
            conn.rollback()
    raise AssertionError("unreachable")


def milliseconds_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
