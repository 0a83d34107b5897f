"""What of a table can be compared between two sides: the columns that both have, and the key that
tells which row of one side is which of the other.

A key is a primary key, or a unique index without predicate and expressions whose columns are all
NOT NULL, checked at once (not deferrable). Where the two sides have none in common, rows are
compared as a multiset: then a changed row shows as one removed and one added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from cowdb.controller.diff.rows.merge import Told
from cowdb.controller.diff.scope import name_parts

_SHAPES = b"""
SELECT format('%I.%I', n.nspname, c.relname), c.relkind::text,
    (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    (SELECT json_agg(ARRAY(SELECT a.attname::text
                FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                WHERE k.place <= i.indnkeyatts ORDER BY k.place)
            ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid)
        FROM pg_index i
        WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
            AND i.indpred IS NULL AND i.indexprs IS NULL
            AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                WHERE k.place <= i.indnkeyatts AND NOT a.attnotnull)),
    greatest(c.reltuples, 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND (c.relkind = 'r' OR (c.relkind = 'm' AND c.relispopulated))
"""


@dataclass(frozen=True)
class Shape:
    """One side's table.

    :param columns: in their order.
    :param keys: lists of columns that tell its rows apart, the best first.
    :param estimate: about how many rows it has.
    """

    kind: str
    columns: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]
    estimate: int


@dataclass(frozen=True)
class Common:
    """What both sides have of one table.

    :param columns: sorted, so that another order of the columns is no difference.
    :param key: empty where the rows can only be compared as a multiset.
    :param told: hears of each difference.
    """

    table: str
    only: bool
    columns: tuple[str, ...]
    key: tuple[str, ...]
    told: Told | None = None

    def relation(self) -> sql.Composed:
        """The table in a FROM clause; without its children, which are tables of their own."""
        only = sql.SQL("ONLY ") if self.only else sql.SQL("")
        return only + sql.Identifier(*name_parts(self.table))

    def row_text(self) -> sql.Composed:
        """Every compared column, by its own output function."""
        return _record(self.columns)

    def key_text(self) -> sql.Composed:
        return _record(self.key or self.columns)


def _record(columns: Sequence[str]) -> sql.Composed:
    """record_out's text, byte by byte comparable: the session pins what output depends on."""
    names = sql.SQL(", ").join(sql.SQL("t.") + sql.Identifier(name) for name in columns)
    return sql.SQL("ROW({})::text").format(names)


def read_shapes(conn: psycopg.Connection[Any]) -> dict[str, Shape]:
    """Every table and populated materialised view, by its quoted name."""
    shapes = {}
    for name, kind, columns, keys, estimate in conn.execute(_SHAPES):
        listed = tuple(tuple(key) for key in keys or ())
        shapes[name] = Shape(kind, tuple(columns or ()), listed, estimate)
    return shapes


def common(table: str, first: Shape, other: Shape) -> Common:
    """What can be compared; the key is one that both sides enforce."""
    columns = tuple(sorted(set(first.columns) & set(other.columns)))
    theirs = {frozenset(key) for key in other.keys}
    key = next((item for item in first.keys if item and frozenset(item) in theirs), ())
    only = "m" not in (first.kind, other.kind)
    return Common(table, only, columns, tuple(sorted(key)))


def one_sided(first: Mapping[str, Shape], other: Mapping[str, Shape], table: str) -> list[str]:
    """Columns that only one side has."""
    return sorted(set(first[table].columns) ^ set(other[table].columns))
