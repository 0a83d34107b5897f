"""Compares databases: reads every side at once, then lets the pure halves find what differs.

Each side is read in one repeatable read transaction, which stays open until its rows have been
compared in the same snapshot: schema, counts and rows speak of one instant.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from cowdb.controller.diff import renames
from cowdb.controller.diff.catalog.quarantined import alike
from cowdb.controller.diff.counting.count import count_sides
from cowdb.controller.diff.counting.host import Host
from cowdb.controller.diff.migration import between
from cowdb.controller.diff.model import (
    NO_ORIGIN,
    Changes,
    Origin,
    Progress,
    Renamed,
    Report,
    Side,
    Wanted,
)
from cowdb.controller.diff.reading import Meter, Read, milliseconds_since, read_all
from cowdb.controller.diff.reporting import comparable_schemas, report_of
from cowdb.controller.diff.rows import shape
from cowdb.controller.diff.rows.compare import Compared, Watch, compare_rows
from cowdb.controller.diff.rows.lanes import Instant
from cowdb.controller.diff.scope import chosen_part, is_chosen
from cowdb.controller.diff.session import Connections, redacted, translated
from cowdb.controller.diff.ways.objects import steps_since
from cowdb.controller.diff.ways.pairs import AllRows, Ways, compare_all
from cowdb.errors import InvalidError


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
    meter = Meter(progress, len(everyone), reading)
    connections = Connections()
    with ExitStack() as stack:
        reads = read_all(everyone, reading, connections, meter, stack)
        reads = _count_all(reads, what, connections, meter, host)
        reads, renamed = _known_by_first_names(reads, what, changes)
        ways = _ways(labels, ancestor, reads, what)
        began = time.perf_counter()
        rows = _compare_rows(reads, ways, what, connections, meter, changes)
        row_ms = milliseconds_since(began)
    report = report_of(ways, what, reads, rows, renamed)
    if facts := [read.facts for read in reads[:2] if read.facts]:
        whole = alike(sides, [one.schema for one in facts])
        report["sql"] = between.statements(facts, whole, what.exact)
    report["ancestor"] = {
        "ref": everyone[ancestor].label if ancestor is not None else None, "reason": origin.reason
    }  # fmt: skip
    if what.rows:
        report["timings_ms"]["rows"] = row_ms
    report["timings_ms"]["total"] = milliseconds_since(started)
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
    schemas = [chosen_part(schema, what.tables) for schema in comparable_schemas(reads)]
    return Ways(labels, ancestor, steps_since(schemas[ancestor], schemas[: len(labels)]))


def _count_all(
    reads: list[Read], what: Wanted, connections: Connections, meter: Meter, host: Host | None
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
    took = {"counts": milliseconds_since(started)}
    return [
        replace(read, counted=each, timings_ms=read.timings_ms | took)
        for read, each in zip(reads, counted, strict=True)
    ]


def _compare_rows(
    reads: Sequence[Read], ways: Ways, what: Wanted, connections: Connections, meter: Meter,
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
            compared = compare_rows(first, other, what.tables, connections, where, watch,
                                    what.sample, whether=what.whether)  # fmt: skip
        if why:
            compared.partly.append(f"changed blocks: everything was read, since {why}")
        meter.step(f"rows of {other.side.label}")
        return compared

    shapes = [shape.renamed(read.shapes, read.instant.renamed) for read in reads]
    return compare_all(ways, shapes, what.tables, pair, what.sample)


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
