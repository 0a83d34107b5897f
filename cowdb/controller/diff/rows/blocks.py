"""Compare one table only where blocks have changed: both sides, by ranges of tuple ids.

The host says which blocks can differ (docs/diff.md proves that all others hold the same rows).
Digests of the rows in those blocks are compared, and rows whose digests differ are read and matched
by key; what lies in other blocks is never read. That an unchanged block also *prints* the same on
both sides is for the catalogs to say: `Physical` holds what the meaning of its bytes depends on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from cowdb.controller.diff.rows.digest import Digesting, Places, Ranges, compare_digests, parts_for
from cowdb.controller.diff.rows.hashing import Hashing
from cowdb.controller.diff.rows.lanes import Lanes
from cowdb.controller.diff.rows.merge import Found
from cowdb.controller.diff.rows.shape import Common

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


def compare_blocks(
    lanes: Lanes, table: Common, places: tuple[Places, Places], rows: int, hashing: Hashing,
    most: int,
) -> Found:  # fmt: skip
    """:param places: the blocks of each side that can differ.
    :param rows: about how many lie in them.
    :param most: how many differences the sample holds."""
    digesting = Digesting(table, hashing, parts_for(rows))
    return compare_digests(lanes, digesting, places, most)
