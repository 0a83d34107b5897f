"""What of a table can be compared between two sides: the columns that both have, and the key that
tells which row of one side is which of the other.

A key is a primary key, or a unique index without predicate and expressions whose columns are all
NOT NULL (or whose nulls are not distinct). Where the two sides have none in common, rows are
compared as a multiset: then a changed row shows as one removed and one added.

Rows are compared by their text, keys by what their index holds for equal: 1.0 and 1.00 are one
numeric key, spelled differently. `Shape.spelled` says how a key column's text is made the same
for values that are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg import sql

from cowdb.controller.diff.rows.merge import Told
from cowdb.controller.diff.scope import name_parts

# Types with several texts for one value, and collations that hold different strings for equal; of
# a collation its definition and version, since the hash by it is only the same for the same ones.
_SHAPES = b"""
WITH RECURSIVE loose (oid, way) AS (
    VALUES ('numeric'::regtype::oid, 'trim'), ('real'::regtype, 'zero4'),
        ('double precision'::regtype, 'zero8'), ('character'::regtype, 'text'),
        ('interval'::regtype, 'hash'), ('jsonb'::regtype, 'hash')
    UNION ALL SELECT t.oid, l.way FROM pg_type t JOIN loose l ON t.typbasetype = l.oid
        WHERE t.typtype = 'd')
SELECT format('%I.%I', n.nspname, c.relname), c.relkind::text,
    (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    (SELECT json_agg((SELECT json_agg(json_build_array(a.attname, CASE
                    WHEN o.oid IS NULL OR o.collisdeterministic THEN l.way
                    WHEN o.oid = a.attcollation THEN 'collation ' || md5(concat(to_jsonb(o)
                        - '{oid,collname,collnamespace,collowner,collversion}'::text[],
                        pg_collation_actual_version(o.oid))) END) ORDER BY k.place)
                FROM unnest(i.indkey::int2[], i.indcollation::oid[])
                    WITH ORDINALITY k (attnum, coll, place)
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                LEFT JOIN loose l ON l.oid = a.atttypid
                LEFT JOIN pg_collation o ON o.oid = k.coll
                WHERE k.place <= i.indnkeyatts)
            ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid)
        FROM pg_index i
        WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid
            AND i.indpred IS NULL AND i.indexprs IS NULL
            AND (coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false) OR NOT EXISTS (
                SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                WHERE k.place <= i.indnkeyatts AND NOT a.attnotnull))),
    greatest(c.reltuples, 0)::bigint,
    coalesce(pg_relation_size(c.oid) / current_setting('block_size')::int, 0),
    CASE c.relkind WHEN 'p' THEN ARRAY(
        SELECT format('%I.%I', ln.nspname, l.relname) FROM pg_partition_tree(c.oid) p
        JOIN pg_class l ON l.oid = p.relid JOIN pg_namespace ln ON ln.oid = l.relnamespace
        WHERE l.relkind <> 'p' ORDER BY 1) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND (c.relkind IN ('r', 'p') OR (c.relkind = 'm' AND c.relispopulated))
"""
# One text for all values that an index holds for equal. `hash` is for types that have no such
# text; it is the same on all versions, since partitions by hash depend on it.
_WAYS = {
    "trim": "trim_scale({}::numeric)",
    "zero4": "({} + 0::real)",
    "zero8": "({} + 0::double precision)",
    "text": "{}::text",
    "hash": "hash_record_extended(ROW({}), 0)",
    "collation": "hashtextextended({}, 0)",
}

Keys = tuple[tuple[tuple[str, str | None], ...], ...]


@dataclass(frozen=True)
class Shape:
    """One side's table.

    :param name: what it is called there.
    :param columns: in their order.
    :param keys: lists of (column, how it is spelled) that tell its rows apart, the best first.
    :param estimate: about how many rows it has.
    :param pages: of its main fork.
    :param leaves: of a partitioned table, where its rows lie; None for any other.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    keys: Keys
    estimate: int
    pages: int = 0
    leaves: tuple[str, ...] | None = None

    @property
    def rows(self) -> int:
        """A guess that does not depend on ANALYZE alone."""
        return max(self.estimate, self.pages * 20)


@dataclass(frozen=True)
class Common:
    """What both sides have of one table.

    :param table: its name on the first side.
    :param columns: sorted, so that another order of the columns is no difference.
    :param key: empty where the rows can only be compared as a multiset.
    :param spelled: for each side, how its key columns are made one text for equal values.
    :param told: hears of each difference.
    """

    table: str
    only: bool
    columns: tuple[str, ...]
    key: tuple[str, ...]
    spelled: tuple[Mapping[str, str], Mapping[str, str]] = field(default=({}, {}))
    told: Told | None = None

    def relation(self, name: str) -> sql.Composed:
        """In a FROM clause, itself or a partition; without children, which are tables of their
        own."""
        only = sql.SQL("ONLY ") if self.only else sql.SQL("")
        return only + sql.Identifier(*name_parts(name))

    def row_text(self) -> sql.Composed:
        """Every compared column, by its own output function."""
        return _record(map(_column, self.columns))

    def key_text(self, side: int = 0) -> sql.Composed:
        if not self.key:
            return self.row_text()
        return _record(_respelled(name, self.spelled[side].get(name, "")) for name in self.key)


def _column(name: str) -> sql.Composable:
    return sql.SQL("t.") + sql.Identifier(name)


def _respelled(name: str, way: str) -> sql.Composable:
    form = _WAYS.get(way.partition(" ")[0], "{}")
    return sql.SQL(form).format(_column(name))


def _record(values: Iterator[sql.Composable]) -> sql.Composed:
    """record_out's text, byte by byte comparable: the session pins what output depends on."""
    return sql.SQL("ROW({})::text").format(sql.SQL(", ").join(values))


def read_shapes(conn: psycopg.Connection[Any]) -> dict[str, Shape]:
    """Every table and populated materialised view, by its quoted name."""
    shapes = {}
    for name, kind, columns, keys, estimate, pages, leaves in conn.execute(_SHAPES):
        listed = tuple(tuple((column, way) for column, way in key) for key in keys or ())
        inside = None if leaves is None else tuple(leaves)
        shapes[name] = Shape(name, kind, tuple(columns or ()), listed, estimate, pages, inside)
    return shapes


def renamed(shapes: Mapping[str, Shape], names: Mapping[str, str]) -> dict[str, Shape]:
    """By the first side's names.

    :param names: for a name, that on the first side."""
    return {
        names.get(name, name): item if item.leaves is None
        else replace(item, leaves=tuple(names.get(leaf, leaf) for leaf in item.leaves))
        for name, item in shapes.items()
    }  # fmt: skip


def common(table: str, first: Shape, other: Shape) -> Common:
    """What can be compared; the key is one that both sides enforce."""
    columns = tuple(sorted(set(first.columns) & set(other.columns)))
    theirs = {frozenset(name for name, _ in key): dict(key) for key in reversed(other.keys)}
    only = "m" not in (first.kind, other.kind)
    for item in first.keys:
        ours = dict(item)
        if ours and (match := theirs.get(frozenset(ours))) is not None:
            spelled = _agreed(ours, match)
            return Common(table, only, columns, tuple(sorted(ours)), spelled)
    return Common(table, only, columns, ())


def _agreed(
    ours: Mapping[str, str | None], theirs: Mapping[str, str | None]
) -> tuple[dict[str, str], dict[str, str]]:
    """A hash is only worth something where both sides hash alike; a text always is."""
    found: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for name, way in ours.items():
        for side, own in zip(found, (way, theirs[name]), strict=True):
            if own and (way == theirs[name] or not own.startswith(("hash", "collation"))):
                side[name] = own
    return found


def one_sided(first: Shape, other: Shape) -> list[str]:
    """Columns that only one side has."""
    return sorted(set(first.columns) ^ set(other.columns))


def sequence(names: Sequence[str], shapes: Mapping[str, Shape]) -> list[str]:
    """The largest first, so that the end is not one thread's."""
    return sorted(names, key=lambda name: -shapes[name].pages)
