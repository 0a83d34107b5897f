"""Row contents of two sides: every table that both have, several at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import psycopg

from cowdb.controller.diff.model import SAMPLE, Method, RowChanges
from cowdb.controller.diff.rows import shape
from cowdb.controller.diff.rows.blocks import compare_blocks, few_enough
from cowdb.controller.diff.rows.digest import MovedError, Place, Ranges, whole
from cowdb.controller.diff.rows.hashing import Hashing, agreed, probe
from cowdb.controller.diff.rows.lanes import Instant, Lanes
from cowdb.controller.diff.rows.merge import Found, Told
from cowdb.controller.diff.rows.physical import (
    Catalog,
    Files,
    locked_file,
    obstacle,
    read_catalog,
)
from cowdb.controller.diff.rows.scan import compare_table
from cowdb.controller.diff.rows.shape import Shape
from cowdb.controller.diff.scope import is_chosen
from cowdb.controller.diff.session import Connections, reason

Where = Mapping[str, Ranges]
"""For each relation file that can differ, half-open ranges of its blocks."""

T = TypeVar("T")

_COSTS: Sequence[Method] = ("unchanged-blocks", "changed-blocks", "full-scan")
_NOTHING: Mapping[str, Ranges] = {}
_AT_ONCE = 3  # tables; the lanes decide how many connections work for them


@dataclass(frozen=True)
class Blocks:
    """What is needed to compare by blocks: where they differ, and both sides' catalogs.

    :param files: of both sides, from before the host was asked."""

    where: Where
    first: Catalog
    other: Catalog
    files: tuple[Files, Files]


@dataclass(frozen=True)
class Watch:
    """:param tables: none but these; None for all.
    :param told: for some tables, what hears of each difference, from any thread."""

    tables: Collection[str] | None = None
    told: Mapping[str, Told] = field(default_factory=dict)


_ALL = Watch()


@dataclass
class Compared:
    """:param rows: for each table that differs.
    :param method: how each table was read.
    :param failed: why a table could not be compared; `partly` what of one was not.
    :param whole: why a table was read whole, where the host told of changed blocks."""

    rows: list[RowChanges] = field(default_factory=list)
    method: dict[str, Method] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    partly: list[str] = field(default_factory=list)
    whole: dict[str, str] = field(default_factory=dict)


def compare_rows(
    first: Instant, other: Instant, globs: Sequence[str], connections: Connections,
    where: Where | None = None, watch: Watch = _ALL, most: int = SAMPLE, *, whether: bool = False,
) -> Compared:  # fmt: skip
    """:param most: how many differing rows of each table to keep.
    :param whether: of a large table that is read whole, do not find the rows that differ.
    :param where: which blocks can differ, where the host can tell; None reads everything.
    :raises ServerError: a side went away."""
    with Lanes(first, other, connections) as lanes:
        one, two = lanes.both(shape.read_shapes)
        shapes = shape.renamed(one, first.renamed), shape.renamed(two, other.renamed)
        blocks = None
        if where is not None:
            ours, theirs = lanes.both(read_catalog)
            files = _by_first_names(first.files, first), _by_first_names(other.files, other)
            blocks = Blocks(where, _known(ours, first), _known(theirs, other), files)
        hashing = agreed(lanes.both(probe))
        names = [
            name
            for name in shapes[0]
            if name in shapes[1]
            and is_chosen(name, globs)
            and (watch.tables is None or name in watch.tables)
        ]
        work = _Work(lanes, shapes, hashing, blocks, other.side.label, watch, most, whether)
        plain = [name for name in shape.sequence(names, shapes[0]) if not work.parted(name)]
        for name in plain:
            work.note_lone_columns(name)
        _each(connections, work.table, plain)
        _each(connections, work.partitioned, [name for name in names if work.parted(name)])
    done = work.done
    done.rows.sort(key=lambda item: item["table"])
    done.partly.sort()
    return done


def _known(catalog: Catalog, instant: Instant) -> Catalog:
    return replace(catalog, tables=_by_first_names(catalog.tables, instant))


def _by_first_names(tables: Mapping[str, T], instant: Instant) -> dict[str, T]:
    return {instant.renamed.get(name, name): item for name, item in tables.items()}


def _each(connections: Connections, work: Callable[[str], None], names: Sequence[str]) -> None:
    with ThreadPoolExecutor(_AT_ONCE, "cowdb-tables") as pool:
        jobs = [pool.submit(work, name) for name in names]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            # Leaving the pool waits for its threads: what they wait for must end first.
            connections.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@dataclass(frozen=True)
class _Work:
    """What the threads of one comparison share."""

    lanes: Lanes
    shapes: tuple[dict[str, Shape], dict[str, Shape]]
    hashing: Hashing
    blocks: Blocks | None
    side: str
    watch: Watch
    most: int
    whether: bool
    done: Compared = field(default_factory=Compared)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note_lone_columns(self, name: str) -> None:
        lone = shape.one_sided(self.shapes[0][name], self.shapes[1][name])
        if lone:
            self.done.partly.append(
                f"values of {name}.{', '.join(lone)}: only one side has the column"
            )

    def parted(self, name: str) -> bool:
        return any(side[name].leaves is not None for side in self.shapes)

    def table(self, name: str) -> None:
        self._compare(name, self._found)

    def partitioned(self, name: str) -> None:
        """A partitioned table, or one that is so on one side only: the rows of all its
        partitions together, so that one that moved between them is no change. Partitions that
        are on both sides and do not differ are not read again."""
        leaves = [_leaves(name, side[name]) for side in self.shapes]
        why = self._unreadable(leaves)
        if why:
            with self.lock:
                self.done.failed[name] = why
            return
        both = set(leaves[0]) & set(leaves[1])
        other = {line["table"] for line in self.done.rows}
        same = {leaf for leaf in both if leaf in self.done.method and leaf not in other}
        rest = [[leaf for leaf in side if leaf not in same] for side in leaves]
        if any(rest):
            self._compare(name, lambda table: self._found_in_parts(table, rest))
        else:
            methods = [self.done.method[leaf] for leaf in same]
            with self.lock:
                self.done.method[name] = max(methods, key=_COSTS.index, default="full-scan")

    def _unreadable(self, leaves: Sequence[Sequence[str]]) -> str:
        for side, names in zip(self.shapes, leaves, strict=True):
            for leaf in names:
                if leaf not in side:
                    return f"partition {leaf} is a foreign table"
                if leaf in self.done.failed:
                    return f"partition {leaf}: {self.done.failed[leaf]}"
        return ""

    def _compare(self, name: str, find: Callable[[shape.Common], tuple[Method, Found]]) -> None:
        one, two = self.shapes[0][name], self.shapes[1][name]
        table = replace(self._common(name), told=self.watch.told.get(name))
        if not table.columns and (one.columns or two.columns):
            with self.lock:
                self.done.failed[name] = "the sides have no column in common"
            return
        try:
            method, found = find(table)
        except (psycopg.Error, MovedError) as error:
            why = reason(error) if isinstance(error, psycopg.Error) else error.message
            with self.lock:
                self.done.failed[name] = why
            return
        with self.lock:
            self.done.method[name] = method
            if found.added or found.removed or found.changed:
                self.done.rows.append(_line(name, self.side, table.key, found))

    def _found(self, table: shape.Common) -> tuple[Method, Found]:
        """By the blocks that have changed, where they tell; else by reading all of the table."""
        name = table.table
        ranges = self._ranges(table)
        if ranges is None:
            return "full-scan", self._scan(table, ([name], [name]))
        if not ranges:
            return "unchanged-blocks", Found()
        shapes = [side[name] for side in self.shapes]
        places = [[Place(item.name, ranges)] for item in shapes]
        inside = sum(high - low for low, high in ranges)
        rows = inside * max(100, *(item.rows // max(1, item.pages) for item in shapes))
        return "changed-blocks", compare_blocks(
            self.lanes, table, (places[0], places[1]), rows, self.hashing, self.most
        )

    def _found_in_parts(
        self, table: shape.Common, leaves: Sequence[Sequence[str]]
    ) -> tuple[Method, Found]:
        both = set(leaves[0]) & set(leaves[1])
        by_blocks = {leaf: self._ranges(self._common(leaf)) for leaf in both}
        known = {leaf: ranges for leaf, ranges in by_blocks.items() if ranges is not None}
        whole_ones = [leaf for side in leaves for leaf in side if leaf not in known]
        found = self._scan(table, (leaves[0], leaves[1]), known)
        return "full-scan" if whole_ones else "changed-blocks", found

    def _scan(
        self, table: shape.Common, relations: tuple[Sequence[str], Sequence[str]],
        known: Mapping[str, Ranges] = _NOTHING,
    ) -> Found:  # fmt: skip
        """:param known: of some relations, the only blocks in which they can differ."""
        places: list[list[Place]] = []
        rows = []
        for side, names in zip(self.shapes, relations, strict=True):
            places.append([
                Place(side[name].name, known[name] if name in known else whole(side[name].pages))
                for name in names
            ])  # fmt: skip
            rows.append(sum(side[name].rows for name in names))
        return compare_table(self.lanes, table, (places[0], places[1]), max(rows), self.hashing,
                             self.most, whether=self.whether)  # fmt: skip

    def _common(self, name: str) -> shape.Common:
        return shape.common(name, self.shapes[0][name], self.shapes[1][name])

    def _ranges(self, table: shape.Common) -> Ranges | None:
        """The blocks that can differ; None where blocks do not tell, and `whole` says why."""
        if self.blocks is None:
            return None
        why = obstacle(table, self.blocks.first, self.blocks.other)
        if not why:
            physical = self.blocks.first.tables[table.table]
            file = physical.file or ""
            ranges = self.blocks.where.get(file, ())
            if {files.get(table.table) for files in self.blocks.files} != {file}:
                why = "it was rewritten while the sides were compared"
            elif not few_enough(ranges, physical.pages):
                why = "most of its blocks have changed"
            elif ranges and not self._still_there(table, file):
                why = "it was rewritten while the sides were compared"
            else:
                return ranges
        with self.lock:
            self.done.whole[table.table] = why
        return None

    def _still_there(self, table: shape.Common, file: str) -> bool:
        """Nobody can rewrite it from now on, and nobody has since the host was asked."""
        names = [side[table.table].name for side in self.shapes]
        found = [
            self.lanes.submit(side, partial(locked_file, table=table, name=name))
            for side, name in enumerate(names)
        ]
        return all(future.result() == file for future in found)


def _leaves(name: str, table: Shape) -> tuple[str, ...]:
    return (name,) if table.leaves is None else table.leaves


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
