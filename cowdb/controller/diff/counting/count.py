"""Counts all sides of a comparison: what blocks can tell by blocks, the rest in full.

Every side has its transaction, and so its snapshot, before the host is asked what was written:
what those snapshots see is flushed then, and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from cowdb.controller.diff.counting.blocks import measured, read_places, rows_in
from cowdb.controller.diff.counting.host import Host
from cowdb.controller.diff.counting.plan import BASE, Place, Plan, Reading, plan
from cowdb.controller.diff.counts import Counted, Counting, Survey, Tally
from cowdb.controller.diff.model import Method, Side
from cowdb.controller.diff.session import Connections, connected, translated
from cowdb.errors import CowdbError
from cowdb.wire import WrittenInfo

HOST_WORTH = 8192  # blocks that are counted while the host flushes and searches
_KEPT_AT_ONCE = 10_000  # numbers in one request

Conn = psycopg.Connection[Any]


@dataclass
class _Counter:
    """One side while it is counted.

    :param places: its tables by file, as far as blocks tell of them.
    :param rows: numbers so far, by table."""

    side: Side
    conn: Conn
    counting: Counting
    survey: Survey
    places: Mapping[str, Place] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    method: dict[str, Method] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def count(self, names: set[str]) -> None:
        """In full; those that were counted before are left alone."""
        with translated(self.side):
            todo = [table for table in self.survey.tables
                    if table.name in names and table.name not in self.rows]  # fmt: skip
            tally: Tally = self.counting.count(self.conn, todo)
        self.rows |= tally.rows
        self.failed |= tally.failed
        self.method |= dict.fromkeys(tally.rows, "full-scan")

    def counted(self) -> Counted:
        return self.survey.counted(self.rows, self.failed, self.method)


def count_sides(
    sides: Sequence[tuple[Side, Conn]], globs: Sequence[str], connections: Connections,
    host: Host | None, done: Callable[[Side], None], *, asked: bool = False,
) -> list[Counted]:  # fmt: skip
    """:param sides: each with a connection in a repeatable read transaction.
    :param host: where the sides that are branches are.
    :param asked: the host will be asked anyway, so that there is no point in sparing it.
    :param done: told of each side when it is counted.
    :raises ServerError: a side went away."""
    counters = [_surveyed(side, conn, globs, connections) for side, conn in sides]
    branches = [item for item in counters if item.side.branch is not None]
    with ThreadPoolExecutor(len(counters) + 1, thread_name_prefix="cowdb-count") as pool:
        try:
            if host is not None and branches and (asked or _is_worth_it(branches)):
                _by_blocks(branches, connections, host, pool)
            jobs = [pool.submit(_rest, item, done) for item in counters]
            for job in jobs:
                job.result()
        except BaseException:
            # Leaving the pool waits for its threads: what they wait for must end first.
            connections.stop()
            raise
    return [item.counted() for item in counters]


def _surveyed(side: Side, conn: Conn, globs: Sequence[str], connections: Connections) -> _Counter:
    counting = Counting(side, connections, globs)
    with translated(side):
        return _Counter(side, conn, counting, counting.survey(conn))


def _is_worth_it(items: Sequence[_Counter]) -> bool:
    """Whether asking the host takes less time than counting everything."""
    pages = [sum(table.pages for table in item.survey.tables if table.name in item.survey.needed)
             for item in items]  # fmt: skip
    return sum(pages) >= HOST_WORTH


def _rest(item: _Counter, done: Callable[[Side], None]) -> None:
    item.count(item.survey.needed)
    done(item.side)


def _by_blocks(
    items: Sequence[_Counter], connections: Connections, host: Host, pool: ThreadPoolExecutor
) -> None:
    """Everything that the snapshot's numbers and the changed blocks tell; the rest is left."""
    for item in items:
        with translated(item.side):
            places = read_places(item.conn)
        wanted = item.survey.needed
        item.places = {file: place for file, place in places.items() if place.table in wanted}
    info = host.written([item.side.branch or "" for item in items])
    if info["reason"]:
        return
    written = [{file: [(low, high) for low, high in ranges] for file, ranges in each.items()}
               for each in info["relations"]]  # fmt: skip
    for item, ranges in zip(items, written, strict=True):
        with translated(item.side):
            item.places = measured(item.conn, _still(item, read_places(item.conn)), ranges)
    known = {file: info["counts"][file] for item in items for file in item.places
             if file in info["counts"]}  # fmt: skip
    todo = plan([item.places for item in items], written, known, base=bool(info["snapshot"]))
    with ExitStack() as stack:
        base = _base(info, items, host, connections, stack) if todo.needs_base else None
        changes = _read(todo, items, base, pool)
    fresh = _told(todo, items, known, changes)
    for start in range(0, len(fresh), _KEPT_AT_ONCE):
        # They only save time the next time; the snapshot may have gone meanwhile.
        with suppress(CowdbError):
            host.keep_counts(info["ancestor"], dict(fresh[start : start + _KEPT_AT_ONCE]))


def _still(item: _Counter, now: Mapping[str, Place]) -> dict[str, Place]:
    """Its tables that lie where they lay before the host was asked: it has looked at the files
    that have their rows. (A table that was rewritten meanwhile may have left no file at all.)"""
    return {file: place for file, place in item.places.items()
            if file in now and now[file].table == place.table}  # fmt: skip


def _base(
    info: WrittenInfo, items: Sequence[_Counter], host: Host, connections: Connections,
    stack: ExitStack,
) -> _Counter | None:  # fmt: skip
    """A clone of the snapshot; None where it turns out to be one of another volume."""
    assert info["snapshot"] is not None
    side = stack.enter_context(host.clone(info["snapshot"]))
    names = [side.branch or "", items[0].side.branch or ""]
    if host.written(names, search=False)["ancestor"] != info["ancestor"]:
        return None
    conn = stack.enter_context(connected(side, connections))
    counting = Counting(side, connections)
    with translated(side):
        return _Counter(side, conn, counting, counting.survey(conn), read_places(conn))


def _read(
    todo: Plan, items: Sequence[_Counter], base: _Counter | None, pool: ThreadPoolExecutor
) -> dict[tuple[int, str], int | None]:
    """For each (side, file) how many rows more than the snapshot it has, None where that could not
    be told; meanwhile the sides count in full what they have to."""
    readers = {**dict(enumerate(items)), BASE: base}

    def work(number: int) -> list[tuple[Reading, int | None]]:
        reader = readers[number]
        readings = [reading for reading in todo.readings if reading.reader == number]
        if reader is None:
            return [(reading, None) for reading in readings]
        with translated(reader.side):
            found = [(reading, _rows(reader, reading)) for reading in readings]
        if number != BASE:
            reader.count({reader.places[file].table for file in todo.full[number]})
        return found

    jobs = [pool.submit(work, number) for number in readers if number != BASE or todo.needs_base]
    changes: dict[tuple[int, str], int | None] = {}
    for reading, rows in (found for job in jobs for found in job.result()):
        key = reading.side, reading.file
        before = changes.get(key, 0)
        changes[key] = None if rows is None or before is None else before + reading.sign * rows
    return changes


def _rows(reader: _Counter, reading: Reading) -> int | None:
    place = reader.places.get(reading.file)
    return None if place is None else rows_in(reader.conn, place, reading.file, reading.ranges)


def _told(
    todo: Plan, items: Sequence[_Counter], known: Mapping[str, int],
    changes: Mapping[tuple[int, str], int | None],
) -> list[tuple[str, int]]:  # fmt: skip
    """Note the numbers that follow; the snapshot's numbers that are new."""
    numbers = dict(known)
    fresh = []
    for file, side in todo.leader.items():
        change = changes.get((side, file), 0)
        whole = items[side].rows.get(items[side].places[file].table)
        if whole is not None and change is not None:
            numbers[file] = whole - change
            fresh.append((file, whole - change))
    for side, file in todo.derived:
        change = changes.get((side, file), 0)
        if file in numbers and change is not None:
            item, table = items[side], items[side].places[file].table
            item.rows[table] = numbers[file] + change
            item.method[table] = "changed-blocks" if (side, file) in changes else "unchanged-blocks"
    return fresh
