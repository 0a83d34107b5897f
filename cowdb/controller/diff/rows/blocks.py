"""Compare one table only where blocks have changed: both sides, by ranges of tuple ids.

The host says which blocks can differ (docs/diff.md proves that all others hold the same rows).
Rows in those blocks are read on both sides, matched by key and compared; what lies in other blocks
is never read. That an unchanged block also *prints* the same on both sides is for the catalogs to
say: `Physical` holds what the meaning of its bytes depends on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from cowdb.controller.diff.rows.merge import Found, Names, merge
from cowdb.controller.diff.rows.shape import Common
from cowdb.controller.diff.rows.spill import Sorter

Pair = tuple[psycopg.Connection[Any], psycopg.Connection[Any]]
Ranges = Sequence[Sequence[int]]

_PIPELINED = 100  # queries on their way at once
_WIDEST = 512  # blocks that one query reads, so that its rows fit into memory
_WORTH_IT = 0.3  # of a table's blocks; beyond that, one pass over all of it is faster

# What a tuple's bytes mean: where they lie, by which access method, and for each column its place,
# type and the value of rows that are older than the column. `settled` is false where the printed
# form depends on more (virtual generated columns, object identifiers that print as names).
_PHYSICAL = b"""
SELECT format('%I.%I', n.nspname, c.relname), pg_relation_filepath(c.oid), c.relam = 2 AS heap,
    greatest(c.relpages, 1),
    (SELECT json_object_agg(a.attname, json_build_array(a.attnum, a.atttypid, a.atttypmod,
            a.attmissingval::text, a.attlen, a.attalign, a.attstorage))
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND (a.attgenerated = 'v' OR y.typname LIKE 'reg%' OR y.typname LIKE '%aclitem')),
    EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
        AND NOT a.attisdropped AND a.atttypid >= 16384)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'm')
"""
# All that the text of a user-defined type's value depends on.
_TYPES = b"""
SELECT md5(coalesce(string_agg(line, ';' ORDER BY line), '')) FROM (
    SELECT concat_ws(',', 'e', e.oid, e.enumtypid, e.enumlabel) FROM pg_enum e
    UNION ALL SELECT concat_ws(',', 't', t.oid, t.typtype, t.typbasetype, t.typelem, t.typoutput,
        t.typmodout) FROM pg_type t WHERE t.oid >= 16384
    UNION ALL SELECT concat_ws(',', 'a', a.attrelid, a.attnum, a.atttypid, a.atttypmod,
        a.attisdropped) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relkind = 'c'
    UNION ALL SELECT concat_ws(',', 'p', p.oid, p.prosrc, p.probin) FROM pg_proc p
        WHERE p.oid IN (SELECT typoutput::oid FROM pg_type WHERE oid >= 16384)
) AS everything (line)
"""


@dataclass(frozen=True)
class Physical:
    """One side's table on disk.

    :param file: `base/DATABASE/FILENODE`.
    :param columns: by name, what their bytes mean.
    """

    file: str | None
    heap: bool
    pages: int
    columns: Mapping[str, Sequence[object]]
    settled: bool
    own_types: bool


@dataclass(frozen=True)
class Catalog:
    """:param types: a digest of all user-defined types."""

    tables: Mapping[str, Physical]
    types: str


def read_catalog(conn: psycopg.Connection[Any]) -> Catalog:
    tables = {}
    for name, *rest in conn.execute(_PHYSICAL):
        file, heap, pages, columns, settled, own = rest
        tables[name] = Physical(file, heap, pages, columns or {}, settled, own)
    ((types,),) = conn.execute(_TYPES).fetchall()
    return Catalog(tables, types)


def obstacle(table: Common, first: Catalog, other: Catalog) -> str:
    """Why blocks do not tell the rows of this table apart; empty when they do. Pure."""
    one, two = first.tables[table.table], other.tables[table.table]
    if not (one.heap and two.heap):
        return "it is not kept by the heap access method"
    if one.file is None or one.file != two.file:
        return "one side has rewritten it"
    if not (one.settled and two.settled):
        return "it has columns whose text depends on the catalogs"
    if (one.own_types or two.own_types) and first.types != other.types:
        return "a user-defined type was changed"
    for name in table.columns:
        if one.columns.get(name) != two.columns.get(name):
            return f"column {name} is stored differently"
    return ""


def few_enough(ranges: Ranges, pages: int) -> bool:
    return sum(high - low for low, high in ranges) <= max(64, _WORTH_IT * pages)


def compare_blocks(pair: Pair, table: Common, ranges: Ranges, most: int) -> Found:
    """:param ranges: half-open, in order, without overlap.
    :param most: how many differences the sample holds."""
    with Sorter() as one, Sorter() as two:
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(_read, conn, table, ranges, sorter)
                    for conn, sorter in zip(pair, (one, two), strict=True)]  # fmt: skip
            for job in jobs:
                job.result()
        return merge(one.sorted(), two.sorted(), Names(table.columns, table.key, table.told), most)


def _read(conn: psycopg.Connection[Any], table: Common, ranges: Ranges, sorter: Sorter) -> None:
    """Every visible row of these blocks; a TID range scan reads nothing else."""
    query = sql.SQL("SELECT {}, {} FROM {} t WHERE t.ctid >= %s::tid AND t.ctid < %s::tid").format(
        table.key_text(), table.row_text(), table.relation()
    )
    text = query.as_string(conn)
    pieces = list(_pieces(ranges))
    for start in range(0, len(pieces), _PIPELINED):
        with conn.pipeline():
            cursors = []
            for low, high in pieces[start : start + _PIPELINED]:
                cursor = conn.cursor()
                cursor.execute(text.encode(), (f"({low},0)", f"({high},0)"), prepare=True)
                cursors.append(cursor)
            for cursor in cursors:
                for key, row in cursor:
                    sorter.add((key.encode(), row.encode()))
                cursor.close()


def _pieces(ranges: Ranges) -> Iterator[tuple[int, int]]:
    for low, high in ranges:
        for start in range(low, high, _WIDEST):
            yield start, min(start + _WIDEST, high)
