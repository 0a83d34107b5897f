"""Row contents of two sides: every table that both have, several at a time."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg

from cowdb.controller.diff.model import Method, RowChanges
from cowdb.controller.diff.rows import shape
from cowdb.controller.diff.rows.blocks import (
    Catalog,
    compare_blocks,
    few_enough,
    obstacle,
    read_catalog,
)
from cowdb.controller.diff.rows.digest import MovedError, Ranges
from cowdb.controller.diff.rows.hashing import Hashing, agreed, probe
from cowdb.controller.diff.rows.lanes import Instant, Lanes
from cowdb.controller.diff.rows.merge import Found
from cowdb.controller.diff.rows.scan import compare_table
from cowdb.controller.diff.rows.shape import Shape
from cowdb.controller.diff.scope import is_chosen
from cowdb.controller.diff.session import Connections, reason

Where = Mapping[str, Ranges]
"""For each relation file that can differ, half-open ranges of its blocks."""

SAMPLE = 20  # differences of each table that the report shows
_AT_ONCE = 3  # tables; the lanes decide how many connections work for them


@dataclass(frozen=True)
class Blocks:
    """What is needed to compare by blocks: where they differ, and both sides' catalogs."""

    where: Where
    first: Catalog
    other: Catalog


@dataclass
class Compared:
    """:param rows: for each table that differs.
    :param method: how each table was read.
    :param failed: why a table could not be compared; `partly` what of one was not."""

    rows: list[RowChanges] = field(default_factory=list)
    method: dict[str, Method] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    partly: list[str] = field(default_factory=list)


def compare_rows(
    first: Instant, other: Instant, globs: Sequence[str], connections: Connections,
    where: Where | None = None,
) -> Compared:  # fmt: skip
    """:param where: which blocks can differ, where the host can tell; None reads everything.
    :raises ServerError: a side went away."""
    with Lanes(first, other, connections) as lanes:
        shapes = lanes.both(shape.read_shapes)
        blocks = Blocks(where, *lanes.both(read_catalog)) if where is not None else None
        hashing = agreed(lanes.both(probe))
        names = [name for name in shapes[0] if name in shapes[1] and is_chosen(name, globs)]
        tables = shape.sequence(names, shapes[0])
        work = _Work(lanes, shapes, hashing, blocks, other.side.label)
        for name in tables:
            work.note_lone_columns(name)
        with ThreadPoolExecutor(_AT_ONCE, "cowdb-tables") as pool:
            jobs = [pool.submit(work.table, name) for name in tables]
            try:
                for job in jobs:
                    job.result()
            except BaseException:
                # Leaving the pool waits for its threads: what they wait for must end first.
                connections.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    done = work.done
    done.rows.sort(key=lambda item: item["table"])
    done.partly.sort()
    return done


@dataclass(frozen=True)
class _Work:
    """What the threads of one comparison share."""

    lanes: Lanes
    shapes: tuple[dict[str, Shape], dict[str, Shape]]
    hashing: Hashing
    blocks: Blocks | None
    side: str
    done: Compared = field(default_factory=Compared)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note_lone_columns(self, name: str) -> None:
        lone = shape.one_sided(self.shapes[0][name], self.shapes[1][name])
        if lone:
            self.done.partly.append(
                f"values of {name}.{', '.join(lone)}: only one side has the column"
            )

    def table(self, name: str) -> None:
        one, two = self.shapes[0][name], self.shapes[1][name]
        table = shape.common(name, one, two)
        if not table.columns and (one.columns or two.columns):
            with self.lock:
                self.done.failed[name] = "the sides have no column in common"
            return
        try:
            method, found = self._found(table, one, two)
        except (psycopg.Error, MovedError) as error:
            why = reason(error) if isinstance(error, psycopg.Error) else error.message
            with self.lock:
                self.done.failed[name] = why
            return
        with self.lock:
            self.done.method[name] = method
            if found.added or found.removed or found.changed:
                self.done.rows.append(_line(name, self.side, table.key, found))

    def _found(self, table: shape.Common, one: Shape, two: Shape) -> tuple[Method, Found]:
        """By the blocks that have changed, where they tell; else by reading all of the table."""
        blocks = self.blocks
        if blocks is not None and not obstacle(table, blocks.first, blocks.other):
            physical = blocks.first.tables[table.table]
            ranges = blocks.where.get(physical.file or "", ())
            if not ranges:
                return "unchanged-blocks", Found()
            if few_enough(ranges, physical.pages):
                inside = sum(high - low for low, high in ranges)
                rows = inside * max(100, one.rows // max(1, one.pages))
                return "changed-blocks", compare_blocks(
                    self.lanes, table, ranges, rows, self.hashing, SAMPLE
                )
        sizes = ((one.rows, one.pages), (two.rows, two.pages))
        return "full-scan", compare_table(self.lanes, table, sizes, self.hashing, SAMPLE)


def _line(name: str, side: str, key: Sequence[str], found: Found) -> RowChanges:
    return {
        "table": name,
        "side": side,
        "key": list(key),
        "added": found.added,
        "removed": found.removed,
        "changed": found.changed,
        "columns": dict(sorted(found.columns.items())),
        "sample": found.sample,
    }
