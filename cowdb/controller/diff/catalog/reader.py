"""Runs the catalog queries: a database's schema as one map of objects to their properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from cowdb.controller.diff.catalog.attached import ATTACHED_QUERIES
from cowdb.controller.diff.catalog.cluster import CLUSTER_QUERIES
from cowdb.controller.diff.catalog.datatypes import DATATYPE_QUERIES
from cowdb.controller.diff.catalog.outward import OUTWARD_QUERIES
from cowdb.controller.diff.catalog.query import Query
from cowdb.controller.diff.catalog.relations import RELATION_QUERIES
from cowdb.controller.diff.catalog.routines import ROUTINE_QUERIES
from cowdb.controller.diff.catalog.system import SYSTEM_QUERIES
from cowdb.controller.diff.model import Described, ObjectKey, Schema, Value
from cowdb.controller.diff.scope import name_parts

# What adds to objects comes after what finds them.
QUERIES = (
    *CLUSTER_QUERIES,
    *OUTWARD_QUERIES,
    *DATATYPE_QUERIES,
    *RELATION_QUERIES,
    *ATTACHED_QUERIES,
    *ROUTINE_QUERIES,
    *SYSTEM_QUERIES,
)

# Lists without an order of their own, which the server gives as they were granted or set.
_UNORDERED = frozenset({"privileges", "settings", "roles", "members", "configuration_tables"})

_ALLOWED = b"""
SELECT has_column_privilege('pg_catalog.' || t.catalog, t.attribute, 'SELECT')
FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS t (catalog, attribute, place) ORDER BY place
"""
_SUBSCRIPTIONS = b"""
SELECT count(*) FROM pg_database d JOIN pg_subscription s ON s.subdbid = d.oid
WHERE d.datname = current_database()
"""
_POSITIONS_AT_ONCE = 100
_READABLE = b"""
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_sequence s
JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(s.seqrelid, 'SELECT')
"""


def read_schema(conn: psycopg.Connection[Any]) -> tuple[Schema, list[str]]:
    """Everything that the queries know, and a note on each thing that could not be read.

    :param conn: inside a repeatable read transaction, with an empty search_path. The pg_get_*
        functions look at the newest catalogs all the same: DDL that commits meanwhile may show,
        or make them fail.
    """
    major = conn.info.server_version // 10000
    queries = [query for query in QUERIES if query.serves(major)]
    barred = _barred(conn, queries)
    queries = [query for query in queries if query.needs not in barred]
    schema: Schema = {}
    for query, rows in zip(queries, _fetch(conn, queries), strict=True):
        _take(schema, query, rows)
    return schema, [*_unread(conn, barred), *_add_positions(conn, schema)]


def _barred(conn: psycopg.Connection[Any], queries: Sequence[Query]) -> dict[str, str]:
    """The columns that this user may not read, each with what is not known for want of it."""
    needed = {query.needs: query.unread for query in queries if query.needs}
    names = [name.split(".") for name in needed]
    allowed = conn.execute(
        _ALLOWED, [[catalog for catalog, _ in names], [column for _, column in names]]
    ).fetchall()
    return {
        name: what for (name, what), (may,) in zip(needed.items(), allowed, strict=True) if not may
    }


def _unread(conn: psycopg.Connection[Any], barred: Mapping[str, str]) -> list[str]:
    """Nothing is missed of what there is none of."""
    ((subscriptions,),) = conn.execute(_SUBSCRIPTIONS).fetchall()
    return [
        f"{what}: permission denied"
        for name, what in barred.items()
        if subscriptions or not name.startswith("pg_subscription.")
    ]


def _fetch(conn: psycopg.Connection[Any], queries: Sequence[Query]) -> list[list[dict[str, Any]]]:
    """All queries in one round trip."""
    with conn.pipeline():
        cursors = [conn.cursor(row_factory=dict_row).execute(query.text) for query in queries]
        return [cursor.fetchall() for cursor in cursors]


def _take(schema: Schema, query: Query, rows: Sequence[dict[str, Any]]) -> None:
    for properties in rows:
        key = ObjectKey(properties.pop("kind", query.kind), properties.pop("name"))
        words = properties.pop("inside", None) or []
        places = tuple(map(ObjectKey, words[::2], words[1::2]))
        if (extension := properties.pop("extension", None)) is not None:
            properties["extension"] = extension
            places = (*places, ObjectKey("extension", extension))
        for name in _UNORDERED & properties.keys():
            properties[name] = sorted(properties[name])
        if not query.adds:
            schema[key] = Described(properties, places)
        elif key in schema:
            schema[key] = Described({**schema[key].properties, **properties}, schema[key].inside)


def _add_positions(conn: psycopg.Connection[Any], schema: Schema) -> list[str]:
    """Gives each sequence its position; returns notes on those that this user may not read.

    A sequence's own row is the only place that tells `is_called`: pg_sequences shows null both
    for one that is new and for one that setval(..., false) moved.
    """
    sequences = sorted(key for key in schema if key.kind == "sequence")
    readable = {name for (name,) in conn.execute(_READABLE).fetchall()}
    positions = _positions(conn, [key.name for key in sequences if key.name in readable])
    for key in sequences:
        if key.name in positions:
            value, called = positions[key.name]
            known: dict[str, Value] = {"last_value": value, "is_called": called}
            old = schema[key]
            schema[key] = Described({**old.properties, **known}, old.inside)
    return [
        f"position of sequence {key.name}: permission denied"
        for key in sequences
        if key.name not in positions
    ]


def _positions(conn: psycopg.Connection[Any], names: Sequence[str]) -> dict[str, tuple[int, bool]]:
    found: dict[str, tuple[int, bool]] = {}
    for start in range(0, len(names), _POSITIONS_AT_ONCE):
        part = names[start : start + _POSITIONS_AT_ONCE]
        selects = [
            sql.SQL("SELECT {}, last_value, is_called FROM {}").format(
                sql.Literal(name), sql.Identifier(*name_parts(name))
            )
            for name in part
        ]
        rows = conn.execute(sql.SQL(" UNION ALL ").join(selects)).fetchall()
        found.update({name: (value, called) for name, value, called in rows})
    return found
