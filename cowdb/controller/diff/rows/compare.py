"""Row contents of two sides: every table that both have, several at a time.

A connection of each side works in the very snapshot that the schema and the counts were read in
(`SET TRANSACTION SNAPSHOT`), so that all three speak of one instant.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg import sql

from cowdb.controller.diff.model import Method, RowChanges, Side
from cowdb.controller.diff.rows import shape
from cowdb.controller.diff.rows.blocks import (
    Catalog,
    Ranges,
    compare_blocks,
    few_enough,
    obstacle,
    read_catalog,
)
from cowdb.controller.diff.rows.merge import Found, Told
from cowdb.controller.diff.rows.scan import Hashing, compare_table
from cowdb.controller.diff.rows.shape import Shape
from cowdb.controller.diff.scope import is_chosen
from cowdb.controller.diff.session import Connections, connected, reason

Where = Mapping[str, Ranges]
"""For each relation file that can differ, half-open ranges of its blocks."""

SAMPLE = 20  # differences of each table that the report shows
_PAIRS = 2  # of connections; each keeps one processor of each server busy


@dataclass(frozen=True)
class Instant:
    """A side, and the snapshot that its transaction exported."""

    side: Side
    snapshot: str


@dataclass(frozen=True)
class Blocks:
    """What is needed to compare by blocks: where they differ, and both sides' catalogs."""

    where: Where
    first: Catalog
    other: Catalog


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
    :param failed: why a table could not be compared; `partly` what of one was not."""

    rows: list[RowChanges] = field(default_factory=list)
    method: dict[str, Method] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    partly: list[str] = field(default_factory=list)


def compare_rows(
    first: Instant, other: Instant, globs: Sequence[str], connections: Connections,
    where: Where | None = None, watch: Watch = _ALL,
) -> Compared:  # fmt: skip
    """:param where: which blocks can differ, where the host can tell; None reads everything.
    :raises ServerError: a side went away."""
    done = Compared()
    lock = threading.Lock()
    with _pair(first, other, connections) as pair:
        shapes = shape.read_shapes(pair[0]), shape.read_shapes(pair[1])
        blocks = Blocks(where, *map(read_catalog, pair)) if where is not None else None
        hashing = _hashing(pair)
    tables = _tables(shapes, globs)
    if watch.tables is not None:
        tables = [name for name in tables if name in watch.tables]
    for name in tables:
        lone = shape.one_sided(*shapes, name)
        if lone:
            done.partly.append(f"values of {name}.{', '.join(lone)}: only one side has the column")
    todo = iter(tables)

    def work() -> None:
        with _pair(first, other, connections) as own:
            while not connections.stopped:
                with lock:
                    name = next(todo, None)
                if name is None:
                    return
                _one(own, name, shapes, hashing, done, lock, other.side.label, blocks, watch)

    with ThreadPoolExecutor(_PAIRS, thread_name_prefix="cowdb-rows") as pool:
        futures = [pool.submit(work) for _ in range(min(_PAIRS, len(tables)))]
        for future in futures:
            future.result()
    done.rows.sort(key=lambda item: item["table"])
    done.partly.sort()
    return done


def _hashing(pair: tuple[psycopg.Connection[Any], psycopg.Connection[Any]]) -> Hashing:
    one, two = (conn.info.server_version // 10000 for conn in pair)
    return Hashing(same_major=one == two)


def _tables(shapes: tuple[dict[str, Shape], dict[str, Shape]], globs: Sequence[str]) -> list[str]:
    """Of both sides and asked for, the largest first, so that the end is not one thread's."""
    names = [name for name in shapes[0] if name in shapes[1] and is_chosen(name, globs)]
    return sorted(names, key=lambda name: -shapes[0][name].estimate)


def _one(
    pair: tuple[psycopg.Connection[Any], psycopg.Connection[Any]], name: str,
    shapes: tuple[dict[str, Shape], dict[str, Shape]], hashing: Hashing, done: Compared,
    lock: threading.Lock, side: str, blocks: Blocks | None, watch: Watch,
) -> None:  # fmt: skip
    table = shape.common(name, shapes[0][name], shapes[1][name])
    table = replace(table, told=watch.told.get(name))
    if not table.columns:
        with lock:
            done.failed[name] = "the sides have no column in common"
        return
    estimate = max(shapes[0][name].estimate, shapes[1][name].estimate)
    try:
        # Savepoints, so that one unreadable table does not end the transactions.
        with pair[0].transaction(), pair[1].transaction():
            method, found = _found(pair, table, estimate, hashing, blocks)
    except psycopg.Error as error:
        if pair[0].broken or pair[1].broken:
            raise
        with lock:
            done.failed[name] = reason(error)
        return
    with lock:
        done.method[name] = method
        if found.added or found.removed or found.changed:
            done.rows.append(_line(name, side, table.key, found))


def _found(
    pair: tuple[psycopg.Connection[Any], psycopg.Connection[Any]], table: shape.Common,
    estimate: int, hashing: Hashing, blocks: Blocks | None,
) -> tuple[Method, Found]:  # fmt: skip
    """By the blocks that have changed, where they tell; else by reading all of the table."""
    if blocks is not None and not obstacle(table, blocks.first, blocks.other):
        physical = blocks.first.tables[table.table]
        ranges = blocks.where.get(physical.file or "", ())
        if not ranges:
            return "unchanged-blocks", Found()
        if few_enough(ranges, physical.pages):
            return "changed-blocks", compare_blocks(pair, table, ranges, SAMPLE)
    return "full-scan", compare_table(pair, table, estimate, hashing, SAMPLE)


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


@contextmanager
def _pair(
    first: Instant, other: Instant, connections: Connections
) -> Iterator[tuple[psycopg.Connection[Any], psycopg.Connection[Any]]]:
    with ExitStack() as stack:
        found = []
        for instant in (first, other):
            conn = stack.enter_context(connected(instant.side, connections))
            conn.execute(
                sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(instant.snapshot))
            )
            found.append(conn)
        yield found[0], found[1]
