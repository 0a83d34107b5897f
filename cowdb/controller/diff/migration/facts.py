"""Reads what a migration needs beside the compared properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import psycopg

from cowdb.controller.diff.catalog.query import expand
from cowdb.controller.diff.migration.identity import COLUMNS, DEPENDENCIES, IDENTITIES
from cowdb.controller.diff.model import Described, ObjectKey, Schema, Value

Edges: TypeAlias = Mapping[ObjectKey, frozenset[ObjectKey]]
"""For each object what it depends on; a column's default is an object of the kind `default`."""


@dataclass(frozen=True)
class Facts:
    """One side.

    :param extras: by object, what is needed to make it and is not compared.
    :param database: its name, quoted where SQL needs it.
    """

    schema: Schema
    edges: Edges = field(default_factory=dict)
    extras: Mapping[ObjectKey, Mapping[str, Value]] = field(default_factory=dict)
    major: int = 18
    database: str = "postgres"

    def get(self, key: ObjectKey, name: str) -> Any:  # noqa: ANN401  (each caller knows its own)
        """A property, None where the object or the property is missing."""
        found: Described | None = self.schema.get(key)
        return None if found is None else found.properties.get(name)

    def more(self, key: ObjectKey, name: str) -> Any:  # noqa: ANN401  (the same)
        return self.extras.get(key, {}).get(name)

    def home(self, key: ObjectKey) -> ObjectKey:
        """The object that this one is part of: the table of a column, an index, a trigger."""
        return self.schema[key].inside[0]


# Each gives kind, name, what, value.
_EXTRAS = """
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'w' THEN 'window function'
        ELSE 'function' END, NAMED(n.nspname, p.proname) || '(' || oidvectortypes(p.proargtypes)
        || ')', 'definition', ARRAY[pg_get_functiondef(p.oid)]
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prokind <> 'a' AND MINE(n, pg_proc, p.oid)
UNION ALL
SELECT 'column', format('%I.%I.%I', n.nspname, c.relname, a.attname), 'not_null',
    ARRAY[quote_ident(k.conname)]
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
WHERE k.contype = 'n' AND MINE(n, pg_class, c.oid)
UNION ALL
SELECT 'table', NAMED(n.nspname, c.relname), 'partition_columns', ARRAY(
    SELECT DISTINCT quote_ident(a.attname) FROM pg_attribute a
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
        AND d.objsubid = a.attnum AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
        AND d.refobjsubid = 0 AND d.deptype = 'i'
    WHERE a.attrelid = c.oid AND a.attnum > 0
        AND (a.attnum = ANY (t.partattrs::int2[]) OR d.objid IS NOT NULL))
FROM pg_partitioned_table t JOIN pg_class c ON c.oid = t.partrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE MINE(n, pg_class, c.oid)
UNION ALL
SELECT 'operator class', format('%I.%I using %I', n.nspname, o.opcname, am.amname), 'members',
    ARRAY(SELECT format('%s %s %s', a.amopstrategy, a.amopopr::regoperator,
            CASE WHEN a.amopsortfamily <> 0 THEN 'order by ' || (
                SELECT NAMED(sn.nspname, s.opfname) FROM pg_opfamily s
                JOIN pg_namespace sn ON sn.oid = s.opfnamespace WHERE s.oid = a.amopsortfamily)
            ELSE 'search' END)
        FROM pg_depend d JOIN pg_amop a ON a.oid = d.objid
        WHERE d.classid = 'pg_amop'::regclass AND d.refclassid = 'pg_opclass'::regclass
        AND d.refobjid = o.oid ORDER BY a.amopstrategy, a.oid)
    || ARRAY(SELECT format('function %s(%s, %s) %s', p.amprocnum,
            format_type(p.amproclefttype, NULL), format_type(p.amprocrighttype, NULL),
            p.amproc::oid::regprocedure)
        FROM pg_depend d JOIN pg_amproc p ON p.oid = d.objid
        WHERE d.classid = 'pg_amproc'::regclass AND d.refclassid = 'pg_opclass'::regclass
        AND d.refobjid = o.oid ORDER BY p.amprocnum, p.oid)
FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace
JOIN pg_am am ON am.oid = o.opcmethod WHERE MINE(n, pg_opclass, o.oid)
UNION ALL
SELECT 'extension', quote_ident(e.extname), 'updates',
    CASE WHEN EXISTS (SELECT FROM pg_available_extensions v WHERE v.name = e.extname)
    THEN ARRAY(SELECT u.target FROM pg_extension_update_paths(e.extname) u
        WHERE u.source = e.extversion AND u.path IS NOT NULL) ELSE '{}' END
FROM pg_extension e
"""


def read_facts(conn: psycopg.Connection[Any], schema: Schema) -> Facts:
    """:param conn: inside the transaction that read the schema, with an empty search_path."""
    extras: dict[ObjectKey, dict[str, Value]] = {}
    for kind, name, what, value in conn.execute(expand(_EXTRAS).encode()).fetchall():
        extras.setdefault(ObjectKey(kind, name), {})[what] = value
    ((database,),) = conn.execute("SELECT quote_ident(current_database())").fetchall()
    return Facts(schema, _edges(conn), extras, conn.info.server_version // 10000, database)


def _edges(conn: psycopg.Connection[Any]) -> Edges:
    known = {
        (catalog, oid): ObjectKey(kind, name)
        for catalog, oid, kind, name in conn.execute(IDENTITIES.encode()).fetchall()
    }
    columns = {
        (oid, number): ObjectKey("column", name)
        for oid, number, name in conn.execute(COLUMNS.encode()).fetchall()
    }
    rows = conn.execute(DEPENDENCIES.encode()).fetchall()
    members = {
        (row[0], row[1]): known[("pg_extension", row[4])]
        for row in rows
        if row[6] == "e" and ("pg_extension", row[4]) in known
    }
    parts = {
        (row[0], row[1]): (row[3], row[4])
        for row in rows
        if row[6] in "iaP" and (row[0], row[1]) not in known
    }

    def key_of(catalog: str, oid: int, number: int) -> ObjectKey | None:
        place = (catalog, oid)
        for _ in range(5):
            if place in members:
                return members[place]
            if number and place[0] == "pg_class" and (place[1], number) in columns:
                return columns[place[1], number]
            if place in known:
                return known[place]
            if place not in parts:
                return None
            place, number = parts[place], 0
        return None

    edges: dict[ObjectKey, set[ObjectKey]] = {}
    for catalog, oid, number, needed, needed_oid, needed_number, how in rows:
        if how in "exPS":
            continue
        one, two = key_of(catalog, oid, number), key_of(needed, needed_oid, needed_number)
        if one is not None and two is not None and one != two:
            edges.setdefault(one, set()).add(two)
    return {key: frozenset(needs) for key, needs in edges.items()}
