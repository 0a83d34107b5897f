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
from cowdb.controller.diff.catalog.quarantined import NOTE, apart, without_own
from cowdb.controller.diff.catalog.reader import read_schema
from cowdb.controller.diff.catalog.unmodelled import read_notes
from cowdb.controller.diff.counting.count import count_sides
from cowdb.controller.diff.counting.host import Host
from cowdb.controller.diff.counts import Counted, compare_counts
from cowdb.controller.diff.members import unequal_extensions
from cowdb.controller.diff.migration import between
from cowdb.controller.diff.migration.facts import Facts, read_facts
from cowdb.controller.diff.model import (
    NO_ORIGIN,
    Changes,
    Method,
    Origin,
    Progress,
    Renamed,
    Report,
    Schema,
    Side,
    Wanted,
)
from cowdb.controller.diff.rows import shape
from cowdb.controller.diff.rows.compare import Compared, Watch, compare_rows
from cowdb.controller.diff.rows.lanes import Instant
from cowdb.controller.diff.rows.physical import Files, read_files
from cowdb.controller.diff.rows.shape import Shape, read_shapes
from cowdb.controller.diff.schema import compare_sides
from cowdb.controller.diff.scope import chosen_part, is_chosen
from cowdb.controller.diff.session import Connections, connected, redacted, translated
from cowdb.controller.diff.ways import report as ways_report
from cowdb.controller.diff.ways.objects import steps_since
from cowdb.controller.diff.ways.pairs import AllRows, Ways, compare_all
from cowdb.errors import InvalidError

_SERVER = (
    "what belongs to the running server and not to a schema: its configuration files, replication"
    " slots, gathered statistics, and which passwords roles have"
)
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


def compare(
    sides: Sequence[Side], what: Wanted, progress: Progress | None = None,
    changes: Changes | None = None, origin: Origin = NO_ORIGIN, host: Host | None = None,
) -> Report:  # fmt: skip
    """Every other side against the first, and all of them with their common ancestor if there is
    one; no side is written to.

    :param host: where the branches are, so that a snapshot's numbers of rows serve all of them.
    :param changes: asks the host where two branches can differ, so that only that is read.
    :param origin: the ancestor, which may be one of the sides.
    :param progress: called from several threads, but never from two at once.
    :raises InvalidError: fewer than two sides, two of one name, or an impossible connection string.
    :raises ServerError: a side cannot be reached or read; the message names it.
    :raises NotPermittedError: a side refuses to show its catalogs.
    """
    started = time.perf_counter()
    sides = [replace(side, label=redacted(side.label)) for side in sides]
    _check(sides)
    between.check(len(sides), what)
    labels = [side.label for side in sides]
    everyone, ancestor = _with_ancestor(sides, origin)
    reading = replace(what, schema=what.schema or (what.rows and ancestor is not None))
    meter = _Meter(progress, len(everyone), reading)
    connections = Connections()
    with ExitStack() as stack:
        reads = _read_all(everyone, reading, connections, meter, stack)
        reads = _count_all(reads, what, connections, meter, host)
        reads, renamed = _known_by_first_names(reads, what, changes)
        ways = _ways(labels, ancestor, reads, what)
        began = time.perf_counter()
        rows = _compare_rows(reads, ways, what, connections, meter, changes)
        row_ms = _since(began)
    report = _report(ways, what, reads, rows, renamed)
    if facts := [read.facts for read in reads[:2] if read.facts]:
        whole = [without_own(one.schema) if apart(sides) else one.schema for one in facts]
        report["sql"] = between.statements(facts, whole, what.exact)
    report["ancestor"] = {
        "ref": everyone[ancestor].label if ancestor is not None else None, "reason": origin.reason
    }  # fmt: skip
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


def _with_ancestor(sides: list[Side], origin: Origin) -> tuple[list[Side], int | None]:
    """(all that has to be read, the ancestor's place in it)."""
    if origin.side is None:
        return sides, None
    side = replace(origin.side, label=redacted(origin.side.label))
    if side in sides:
        return sides, sides.index(side)
    return [*sides, side], len(sides)


def _ways(labels: Sequence[str], ancestor: int | None, reads: Sequence[Read], what: Wanted) -> Ways:
    if ancestor is None:
        return Ways(labels, None, {})
    schemas = [chosen_part(schema, what.tables) for schema in _schemas(reads)]
    return Ways(labels, ancestor, steps_since(schemas[ancestor], schemas[: len(labels)]))


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
                self._progress(text, min(self._done, self._total), self._total)


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
    facts = None
    notes: list[str] = []
    started = time.perf_counter()
    conn = stack.enter_context(connected(side, connections))
    timings["connect"] = _since(started)
    with translated(side):
        if what.schema:
            started = time.perf_counter()
            schema, unread, facts = _catalog(conn, what.sql)
            notes += unread
            timings["schema"] = _since(started)
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


def _count_all(
    reads: list[Read], what: Wanted, connections: Connections, meter: _Meter, host: Host | None
) -> list[Read]:
    """Only now: every side has its snapshot, so what it sees is flushed when the host is asked."""
    if not what.counts:
        return reads
    started = time.perf_counter()
    sides = [(read.instant.side, read.instant.conn) for read in reads]
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
    reads: Sequence[Read], ways: Ways, what: Wanted, connections: Connections, meter: _Meter,
    changes: Changes | None,
) -> AllRows:  # fmt: skip
    """Every other side's rows against the first's, and what the ancestor asks for. The host is
    asked for the changed blocks only now: the snapshots are taken, so everything that they see is
    flushed and reported."""
    if not what.rows:
        return AllRows()

    def pair(one: int, two: int, watch: Watch) -> Compared:
        first, other = reads[one].instant, reads[two].instant
        where, why = _where(first, other, changes)
        with translated(other.side):
            compared = compare_rows(first, other, what.tables, connections, where, watch)
        if why:
            compared.partly.append(f"changed blocks: everything was read, since {why}")
        meter.step(f"rows of {other.side.label}")
        return compared

    shapes = [shape.renamed(read.shapes, read.instant.renamed) for read in reads]
    return compare_all(ways, shapes, what.tables, pair)


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


def _schemas(reads: Sequence[Read]) -> list[Schema]:
    """Comparable with each other: without what cowdb sets on a branch where not all are one."""
    branches = apart([read.instant.side for read in reads])
    return [without_own(read.schema) if branches else read.schema for read in reads]


def _report(
    ways: Ways, what: Wanted, reads: Sequence[Read], rows: AllRows, renamed: Sequence[Renamed]
) -> Report:
    labels = ways.labels
    renamed = [item for item in renamed if item["side"] in labels]
    sides = reads[: len(labels)]
    schemas = [chosen_part(schema, what.tables) if what.schema else {}
               for schema in _schemas(sides)]  # fmt: skip
    changes = renames.with_names(compare_sides(schemas, labels), renamed)
    counts = compare_counts([read.counted for read in sides])
    unread = any(read.counted.failed for read in sides) or any(item.failed for item in rows.direct)
    same = all(len(set(line["counts"])) == 1 for line in counts)
    lines = [line for item in rows.direct for line in item.rows]
    method: dict[str, Method] = {line["table"]: line["method"] for line in counts}
    method |= rows.method()
    counted = [read.counted for read in reads]
    timings = _slowest(reads)
    if not what.schema:  # read for the ancestor's sake
        timings.pop("schema", None)
    return {
        "sides": list(labels),
        "identical": not changes and same and not unread and not lines,
        "schema": changes,
        "counts": counts,
        "rows": lines,
        "method": method,
        "why_full_scan": rows.why_full_scan(),
        "renamed": list(renamed),
        "not_compared": _not_compared(what, reads, rows, len(labels)),
        "timings_ms": timings,
        "matrix": ways_report.matrix(ways, schemas, counts, rows),
        "ancestor": {"ref": None, "reason": ""},
        "since": ways_report.since(ways, counted, rows, schema=what.schema),
    }


def _not_compared(what: Wanted, reads: Sequence[Read], rows: AllRows, sides: int) -> list[str]:
    lines = ["schema: not asked for"] if not what.schema else []
    lines += ["numbers of rows: not asked for"] if not what.counts else []
    lines += ["row contents: not asked for"] if not what.rows else []
    labels = [read.instant.side.label for read in reads]
    pairs = [(labels[rank], item) for rank, item in enumerate(rows.direct, 1)]
    pairs += [(f"{labels[two]} since {labels[one]}", item) for one, two, item in rows.further]
    for label, item in pairs:
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
    if what.schema:
        lines += _of_schemas(labels, reads)
    lines += _merged(labels, [_side_notes(read) for read in reads])
    return [*lines, _SERVER]


def _of_schemas(labels: Sequence[str], reads: Sequence[Read]) -> list[str]:
    """What two sides have so unlike that parts of it were not compared."""
    lines = [NOTE] if apart([read.instant.side for read in reads]) else []
    for label, read in zip(labels[1:], reads[1:], strict=True):
        lines += [
            f"{label}: members of extension {name}: versions or schemas differ"
            for name in unequal_extensions(reads[0].schema, read.schema)
        ]
    return lines


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
