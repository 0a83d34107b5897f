"""Compares databases: reads every side at once, then lets the pure halves find what differs.

Each side is read in one repeatable read transaction, which stays open until its rows have been
compared in the same snapshot: schema, counts and rows speak of one instant.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from cowdb.controller.diff import renames
from cowdb.controller.diff.catalog.reader import read_schema
from cowdb.controller.diff.catalog.unmodelled import read_notes
from cowdb.controller.diff.counting.count import count_sides
from cowdb.controller.diff.counting.host import Host
from cowdb.controller.diff.counts import Counted, compare_counts
from cowdb.controller.diff.model import (
    Changes,
    Method,
    Progress,
    Renamed,
    Report,
    Schema,
    Side,
    Wanted,
)
from cowdb.controller.diff.rows.compare import Compared, compare_rows
from cowdb.controller.diff.rows.lanes import Instant
from cowdb.controller.diff.rows.physical import Files, read_files
from cowdb.controller.diff.schema import compare_sides
from cowdb.controller.diff.scope import chosen_part, is_chosen
from cowdb.controller.diff.session import Connections, connected, redacted, translated
from cowdb.errors import InvalidError

_CLUSTER = "roles, their settings and memberships, and tablespaces: they belong to the whole server"
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
    conn: psycopg.Connection[Any]


def compare(
    sides: Sequence[Side], what: Wanted, progress: Progress | None = None,
    changes: Changes | None = None, host: Host | None = None,
) -> Report:  # fmt: skip
    """Every other side against the first; no side is written to.

    :param host: where the branches are, so that a snapshot's numbers of rows serve all of them.
    :param changes: asks the host where two branches can differ, so that only that is read.
    :param progress: called from several threads, but never from two at once.
    :raises InvalidError: fewer than two sides, two of one name, or an impossible connection string.
    :raises ServerError: a side cannot be reached or read; the message names it.
    :raises NotPermittedError: a side refuses to show its catalogs.
    """
    started = time.perf_counter()
    sides = [replace(side, label=redacted(side.label)) for side in sides]
    _check(sides)
    meter = _Meter(progress, len(sides), what)
    connections = Connections()
    with ExitStack() as stack:
        reads = _read_all(sides, what, connections, meter, stack)
        reads = _count_all(reads, what, connections, meter, host)
        reads, renamed = _known_by_first_names(reads, what, changes)
        began = time.perf_counter()
        rows = _compare_rows(reads, what, connections, meter, changes)
        row_ms = _since(began)
    report = _report([side.label for side in sides], what, reads, rows, renamed)
    if what.rows:
        report["timings_ms"]["rows"] = row_ms
    report["timings_ms"]["total"] = _since(started)
    return report


def _check(sides: Sequence[Side]) -> None:
    if len(sides) < 2:
        raise InvalidError("a comparison needs two sides at least")
    labels = [side.label for side in sides]
    for label in labels:
        if labels.count(label) > 1:
            raise InvalidError(f"side '{label}' is given twice", hint="name each side once")


class _Meter:
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
                self._progress(text, self._done, self._total)


def _read_all(
    sides: Sequence[Side], what: Wanted, connections: Connections, meter: _Meter, stack: ExitStack
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
    side: Side, what: Wanted, connections: Connections, meter: _Meter, stack: ExitStack
) -> Read:
    timings: dict[str, float] = {}
    schema: Schema = {}
    notes: list[str] = []
    started = time.perf_counter()
    conn = stack.enter_context(connected(side, connections))
    timings["connect"] = _since(started)
    with translated(side):
        if what.schema:
            started = time.perf_counter()
            schema, unread = _catalog(conn)
            notes += unread
            timings["schema"] = _since(started)
            meter.step(f"schema of {side.label}")
        notes += read_notes(conn)
        snapshot = ""
        files: Files = {}
        standby = False
        if what.rows:
            query = "SELECT pg_export_snapshot(), pg_is_in_recovery()"
            ((snapshot, standby),) = conn.execute(query).fetchall()
            files = read_files(conn)
    major = conn.info.server_version // 10000
    instant = Instant(side, snapshot, conn, files, standby)
    return Read(schema, Counted({}, {}, {}), notes, major, timings, instant, conn)


def _count_all(
    reads: list[Read], what: Wanted, connections: Connections, meter: _Meter, host: Host | None
) -> list[Read]:
    """Only now: every side has its snapshot, so what it sees is flushed when the host is asked."""
    if not what.counts:
        return reads
    started = time.perf_counter()
    sides = [(read.instant.side, read.conn) for read in reads]
    counted = count_sides(
        sides, what.tables, connections, host,
        lambda side: meter.step(f"counts of {side.label}"), asked=what.rows,
    )  # fmt: skip
    took = {"counts": _since(started)}
    return [
        replace(read, counted=each, timings_ms=read.timings_ms | took)
        for read, each in zip(reads, counted, strict=True)
    ]


def _compare_rows(
    reads: Sequence[Read], what: Wanted, connections: Connections, meter: _Meter,
    changes: Changes | None,
) -> list[Compared]:  # fmt: skip
    """Every other side's rows against the first's. The host is asked for the changed blocks only
    now: the snapshots are taken, so everything that they see is flushed and reported."""
    if not what.rows:
        return []
    done = []
    first = reads[0].instant
    for read in reads[1:]:
        side = read.instant.side
        where, why = _where(first, read.instant, changes)
        with translated(side):
            compared = compare_rows(first, read.instant, what.tables, connections, where)
        if why:
            compared.partly.append(f"changed blocks: everything was read, since {why}")
        done.append(compared)
        meter.step(f"rows of {side.label}")
    return done


def _known_by_first_names(
    reads: Sequence[Read], what: Wanted, changes: Changes | None
) -> tuple[list[Read], list[Renamed]]:
    """What was read, with tables that a side has renamed under the first side's names."""
    first = reads[0].instant
    done, found = [reads[0]], []
    for read in reads[1:]:
        instant = read.instant
        with translated(instant.side):
            names = renames.find((first.side, first.conn), (instant.side, instant.conn), changes)
        names = {after: before for after, before in names.items()
                 if is_chosen(after, what.tables) or is_chosen(before, what.tables)}  # fmt: skip
        found.append(names)
        done.append(replace(
            read, schema=renames.renamed_schema(read.schema, names),
            counted=renames.renamed_counts(read.counted, names),
            instant=replace(instant, renamed=names),
        ))  # fmt: skip
    return done, renames.listed([read.instant.side.label for read in reads[1:]], found)


def _where(
    first: Instant, other: Instant, changes: Changes | None
) -> tuple[Mapping[str, Sequence[Sequence[int]]] | None, str]:
    if changes is None or first.side.branch is None or other.side.branch is None:
        return None, ""
    for instant in (first, other):
        if instant.standby:  # its CHECKPOINT does nothing until its primary has made one
            return None, f"{instant.side.label} is a standby"
    return changes(first.side.branch, other.side.branch)


def _catalog(conn: psycopg.Connection[Any]) -> tuple[Schema, list[str]]:
    """The schema; read again where an object was dropped under the reading.

    pg_get_indexdef and its like read the newest catalogs and not the transaction's snapshot: they
    end with an internal error ("cache lookup failed") for what has just been dropped.
    """
    for _ in range(_CATALOG_TRIES - 1):
        try:
            return read_schema(conn)
        except (psycopg.errors.InternalError_, psycopg.errors.UndefinedTable):
            conn.rollback()
    return read_schema(conn)


def _report(
    labels: Sequence[str], what: Wanted, reads: Sequence[Read], rows: Sequence[Compared],
    renamed: Sequence[Renamed],
) -> Report:  # fmt: skip
    changes = compare_sides([chosen_part(read.schema, what.tables) for read in reads], labels)
    changes = renames.with_names(changes, renamed)
    counts = compare_counts([read.counted for read in reads])
    unread = any(read.counted.failed for read in reads) or any(item.failed for item in rows)
    same = all(len(set(line["counts"])) == 1 for line in counts)
    lines = [line for item in rows for line in item.rows]
    method: dict[str, Method] = {line["table"]: line["method"] for line in counts}
    for item in rows:
        method |= item.method
    return {
        "sides": list(labels),
        "identical": not changes and same and not unread and not lines,
        "schema": changes,
        "counts": counts,
        "rows": lines,
        "method": method,
        "why_full_scan": {name: why for item in rows for name, why in sorted(item.whole.items())},
        "renamed": list(renamed),
        "not_compared": _not_compared(labels, what, reads, rows),
        "timings_ms": _slowest(reads),
    }


def _not_compared(
    labels: Sequence[str], what: Wanted, reads: Sequence[Read], rows: Sequence[Compared]
) -> list[str]:
    lines = ["schema: not asked for"] if not what.schema else []
    lines += ["numbers of rows: not asked for"] if not what.counts else []
    lines += ["row contents: not asked for"] if not what.rows else []
    for label, item in zip(labels[1:], rows, strict=False):
        lines += [f"{label}: rows of {name}: {why}" for name, why in sorted(item.failed.items())]
        lines += [f"{label}: {note}" for note in item.partly]
    if what.tables:
        lines.append(f"whatever does not belong to a table that matches {', '.join(what.tables)}")
    majors = sorted({read.major for read in reads})
    if what.schema and len(majors) > 1:
        lines.append(
            f"wording: PostgreSQL {' and '.join(map(str, majors))} print some definitions"
            " differently, which shows as changes"
        )
    lines += _merged(labels, [_side_notes(read) for read in reads])
    return [*lines, _CLUSTER]


def _side_notes(read: Read) -> list[str]:
    counted = read.counted
    return [
        *(f"table {name}: not counted: {why}" for name, why in sorted(counted.failed.items())),
        *(f"rows of {name}: {why}" for name, why in sorted(counted.left_out.items())),
        *read.notes,
    ]


def _merged(labels: Sequence[str], notes: Sequence[Sequence[str]]) -> list[str]:
    """What is true of every side once, the rest with the side's label."""
    everywhere = set(notes[0]).intersection(*notes[1:])
    lines = [note for note in notes[0] if note in everywhere]
    for label, own in zip(labels, notes, strict=True):
        lines += [f"{label}: {note}" for note in own if note not in everywhere]
    return lines


def _slowest(reads: Sequence[Read]) -> dict[str, float]:
    """The sides are read side by side: a phase lasts as long as its slowest side."""
    names = dict.fromkeys(name for read in reads for name in read.timings_ms)
    return {name: max(read.timings_ms.get(name, 0.0) for read in reads) for name in names}


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
