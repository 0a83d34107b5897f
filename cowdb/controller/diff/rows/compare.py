"""Row contents of two sides: every table that both have, several at a time.

A connection of each side works in the very snapshot that the schema and the counts were read in
(`SET TRANSACTION SNAPSHOT`), so that all three speak of one instant.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from cowdb.controller.diff.model import Method, RowChanges, Side
from cowdb.controller.diff.rows import shape
from cowdb.controller.diff.rows.blocks import Ranges, compare_blocks, few_enough, still_there
from cowdb.controller.diff.rows.merge import Found
from cowdb.controller.diff.rows.physical import Catalog, Files, obstacle, read_catalog
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
    """A side, and the snapshot that its transaction exported.

    :param files: where its tables lay before the host was asked for changed blocks.
    :param standby: its server follows another."""

    side: Side
    snapshot: str
    files: Files = field(default_factory=dict)
    standby: bool = False


@dataclass(frozen=True)
class Blocks:
    """What is needed to compare by blocks: where they differ, and both sides' catalogs.

    :param files: of both sides, from before the host was asked."""

    where: Where
    first: Catalog
    other: Catalog
    files: tuple[Files, Files]


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
    where: Where | None = None,
) -> Compared:  # fmt: skip
    """:param where: which blocks can differ, where the host can tell; None reads everything.
    :raises ServerError: a side went away."""
    done = Compared()
    lock = threading.Lock()
    with _pair(first, other, connections) as pair:
        shapes = shape.read_shapes(pair[0]), shape.read_shapes(pair[1])
        blocks = None
        if where is not None:
            files = first.files, other.files
            blocks = Blocks(where, read_catalog(pair[0]), read_catalog(pair[1]), files)
        hashing = _hashing(pair)
    tables = _tables(shapes, globs)
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
                _one(own, name, shapes, hashing, done, lock, other.side.label, blocks)

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
    lock: threading.Lock, side: str, blocks: Blocks | None,
) -> None:  # fmt: skip
    table = shape.common(name, shapes[0][name], shapes[1][name])
    if not table.columns:
        with lock:
            done.failed[name] = "the sides have no column in common"
        return
    estimate = max(shapes[0][name].estimate, shapes[1][name].estimate)
    try:
        # Savepoints, so that one unreadable table does not end the transactions.
        with pair[0].transaction(), pair[1].transaction():
            method, found, why = _found(pair, table, estimate, hashing, blocks)
    except psycopg.Error as error:
        if pair[0].broken or pair[1].broken:
            raise
        with lock:
            done.failed[name] = reason(error)
        return
    with lock:
        done.method[name] = method
        if why:
            done.whole[name] = why
        if found.added or found.removed or found.changed:
            done.rows.append(_line(name, side, table.key, found))


def _found(
    pair: tuple[psycopg.Connection[Any], psycopg.Connection[Any]], table: shape.Common,
    estimate: int, hashing: Hashing, blocks: Blocks | None,
) -> tuple[Method, Found, str]:  # fmt: skip
    """By the blocks that have changed, where they tell; else by reading all of the table, and
    why."""
    why = ""
    if blocks is not None:
        physical = blocks.first.tables[table.table]
        file = physical.file or ""
        why = obstacle(table, blocks.first, blocks.other)
        if not why and {item.get(table.table) for item in blocks.files} != {file}:
            why = "it was rewritten while the sides were compared"
        if not why:
            ranges = blocks.where.get(file, ())
            if not ranges:
                return "unchanged-blocks", Found(), ""
            if not few_enough(ranges, physical.pages):
                why = "most of its blocks have changed"
            elif not still_there(pair, table, file):
                why = "it was rewritten while the sides were compared"
            else:
                return "changed-blocks", compare_blocks(pair, table, ranges, SAMPLE), ""
    return "full-scan", compare_table(pair, table, estimate, hashing, SAMPLE), why


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
