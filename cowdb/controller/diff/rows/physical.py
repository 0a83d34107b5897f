"""What the bytes of a table mean, by the catalogs of one side: a block that is the same on two
sides holds the same rows only where all of this is the same as well (docs/diff.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from cowdb.controller.diff.rows.shape import Common

Files = Mapping[str, str | None]
"""For each table, its file."""

# What a tuple's bytes mean: where they lie, by which access method, and for each column its place,
# type, the value of rows that are older than the column, and whether it is computed when read.
# A checkpoint leaves the buffers of unlogged tables alone, so blocks say nothing about those.
_PHYSICAL = b"""
SELECT format('%I.%I', n.nspname, c.relname), pg_relation_filepath(c.oid), c.relam = 2 AS heap,
    c.relpersistence = 'p' AS logged, greatest(c.relpages, 1),
    (SELECT json_object_agg(a.attname, json_build_array(a.attnum, a.atttypid::bigint, a.atttypmod,
            a.attmissingval::text, a.attlen, a.attalign, a.attstorage, a.attgenerated = 'v'))
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'm')
"""
_FILES = b"""
SELECT format('%I.%I', n.nspname, c.relname), pg_relation_filepath(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'm')
"""
_TYPE, _VIRTUAL = 1, 7  # places in the array of a column
# For each type of a column, all that the text of its values depends on: its own description and
# those of the types inside it (domains, arrays, ranges, composite types and rows of tables). The
# last column says that it prints names out of other catalogs.
_TYPES = b"""
WITH RECURSIVE used (root, type) AS (
    SELECT DISTINCT a.atttypid, a.atttypid FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'm')
        AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  UNION
    SELECT used.root, inside.type FROM used JOIN pg_type t ON t.oid = used.type, LATERAL (
        SELECT unnest(ARRAY[t.typbasetype, t.typelem])
        UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
        UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE t.typrelid <> 0
            AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS inside (type) WHERE inside.type <> 0
)
SELECT used.root::bigint, md5(string_agg(concat_ws(',', t.oid, t.typtype, t.typbasetype, t.typelem,
        t.typoutput, p.prosrc, p.probin,
        (SELECT string_agg(concat_ws(',', e.oid, e.enumlabel), ';' ORDER BY e.oid)
            FROM pg_enum e WHERE e.enumtypid = t.oid),
        (SELECT string_agg(concat_ws(',', a.attnum, a.atttypid, a.atttypmod, a.attisdropped),
            ';' ORDER BY a.attnum) FROM pg_attribute a
            WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid AND a.attnum > 0)),
        '|' ORDER BY t.oid)),
    bool_or(t.typnamespace = 'pg_catalog'::regnamespace
        AND (t.typname LIKE 'reg%' OR t.typname = 'aclitem'))
FROM used JOIN pg_type t ON t.oid = used.type JOIN pg_proc p ON p.oid = t.typoutput
GROUP BY used.root
"""


@dataclass(frozen=True)
class Physical:
    """One side's table on disk.

    :param file: `base/DATABASE/FILENODE`, or elsewhere in another tablespace.
    :param columns: by name, what their bytes mean.
    """

    file: str | None
    heap: bool
    logged: bool
    pages: int
    columns: Mapping[str, Sequence[object]]


@dataclass(frozen=True)
class Printed:
    """How values of a type become text.

    :param digest: of all that it depends on; `names`: also on names in other catalogs."""

    digest: str
    names: bool


@dataclass(frozen=True)
class Catalog:
    """:param types: by their oid, for the types of all columns."""

    tables: Mapping[str, Physical]
    types: Mapping[object, Printed]


def read_files(conn: psycopg.Connection[Any]) -> Files:
    """Where tables lie now, whatever the transaction's snapshot says."""
    return dict(conn.execute(_FILES).fetchall())


def locked_file(conn: psycopg.Connection[Any], table: Common, name: str) -> str | None:
    """Where a table lies; until the transaction ends nobody can rewrite it.

    Naming the table locks it before the path is looked up, and that reads the newest catalogs.
    """
    query = sql.SQL("SELECT pg_relation_filepath({}::regclass), (SELECT 1 FROM {} t LIMIT 0)")
    ((file, _),) = conn.execute(query.format(sql.Literal(name), table.relation(name))).fetchall()
    return None if file is None else str(file)


def read_catalog(conn: psycopg.Connection[Any]) -> Catalog:
    tables = {}
    for name, file, heap, logged, pages, columns in conn.execute(_PHYSICAL):
        tables[name] = Physical(file, heap, logged, pages, columns or {})
    types: dict[object, Printed] = {
        oid: Printed(digest, names) for oid, digest, names in conn.execute(_TYPES)
    }
    return Catalog(tables, types)


def obstacle(table: Common, first: Catalog, other: Catalog) -> str:
    """Why blocks do not tell the rows of this table apart; empty when they do. Pure."""
    one, two = first.tables[table.table], other.tables[table.table]
    if not (one.heap and two.heap):
        return "it is not kept by the heap access method"
    if not (one.logged and two.logged):
        return "it is unlogged"
    if one.file is None or one.file != two.file:
        return "one side has rewritten it"
    if not one.file.startswith("base/"):
        return "it lies in another tablespace"
    for name in table.columns:
        column = one.columns.get(name)
        if column is None or column != two.columns.get(name):
            return f"column {name} is stored differently"
        if column[_VIRTUAL]:
            return f"column {name} is computed when it is read"
        printed = first.types.get(column[_TYPE])
        if printed is None or printed != other.types.get(column[_TYPE]):
            return f"the type of column {name} was changed"
        if printed.names:
            return f"column {name} prints names out of the catalogs"
    return ""
