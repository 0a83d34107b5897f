"""What a database is like before and after: files, sizes, statistics, things left half done.

Reading it looks at catalogs and statistics only, never at a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from cowdb.controller.lab.model import Leftover, Lock
from cowdb.controller.lab.probe.instruments import SCHEMA
from cowdb.controller.lab.probe.locks import Relation

_LONG_MS = 1000.0
_RELATIONS = """
SELECT c.oid::bigint, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind::text,
    coalesce(pg_relation_filenode(c.oid), 0)::bigint,
    CASE WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) ELSE 0 END,
    coalesce(t.seq_scan, 0), coalesce(t.seq_tup_read, 0),
    greatest(c.reltuples, t.n_live_tup, 0)::float8,
    coalesce(t.n_tup_upd + t.n_tup_del, 0),
    coalesce((SELECT quote_ident(m.nspname) || '.' || quote_ident(r.relname) FROM pg_index i
        JOIN pg_class r ON r.oid = i.indrelid JOIN pg_namespace m ON m.oid = r.relnamespace
        WHERE i.indexrelid = c.oid), '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_user_tables t ON t.relid = c.oid
WHERE c.oid >= 16384 AND c.relpersistence <> 't' AND c.relkind IN ('r','p','m','i','I','S','v','f')
    AND n.nspname NOT IN ('information_schema', %s) AND n.nspname !~ '^pg_'
"""
_COLUMNS = """
SELECT a.attrelid::bigint, a.attnum, a.attname FROM pg_attribute a JOIN pg_class c
ON c.oid = a.attrelid WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'm') AND a.attnum > 0
AND NOT a.attisdropped
"""
_HALF_DONE = """
SELECT 'invalid index', i.indexrelid::bigint,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT (i.indisvalid AND i.indisready) AND c.relkind = 'i'
UNION ALL
SELECT 'not valid constraint', k.oid::bigint,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname) || '.' || quote_ident(k.conname)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT k.convalidated AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
"""
_WHOLE = """
SELECT d.oid::bigint, pg_database_size(d.oid), pg_current_wal_insert_lsn() - '0/0',
    coalesce(s.temp_bytes, 0)
FROM pg_database d LEFT JOIN pg_stat_database s ON s.datid = d.oid
WHERE d.datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """:param rows: about how many, as the statistics have it.
    :param changed: rows that were ever updated or deleted."""

    relation: Relation
    filenode: int
    size: int
    scans: int
    scanned_rows: int
    rows: float
    changed: int


@dataclass(frozen=True)
class Facts:
    """By oid; columns by table and number. `wal` is bytes since the server's beginning."""

    stored: Mapping[int, Stored]
    columns: Mapping[int, Mapping[int, str]]
    half_done: Mapping[tuple[str, int], str]
    database: int
    size: int
    wal: int
    temp_bytes: int
    relations: Mapping[int, Relation] = field(default_factory=dict)


def read(db: psycopg.Connection[Any]) -> Facts:
    ((database, size, wal, temp),) = db.execute(_WHOLE).fetchall()
    stored = {
        oid: Stored(Relation(name, kind, table), filenode, length, scans, rows_read, rows, changed)
        for oid, name, kind, filenode, length, scans, rows_read, rows, changed, table in db.execute(
            _RELATIONS, [SCHEMA]
        ).fetchall()
    }
    columns: dict[int, dict[int, str]] = {}
    for table, number, name in db.execute(_COLUMNS).fetchall():
        if table in stored:
            columns.setdefault(table, {})[number] = name
    half = {(kind, oid): name for kind, oid, name in db.execute(_HALF_DONE).fetchall()}
    return Facts(stored, columns, half, database, size, int(wal), int(temp),
                 {oid: item.relation for oid, item in stored.items()})  # fmt: skip


def rewritten(before: Facts, after: Facts, told: set[int]) -> list[str]:
    """Tables and materialised views with rows that have other files than before.

    :param told: those that an event trigger named. A table that was emptied has a new file, too:
        it counts only when something was written into it."""
    found = []
    for oid, was in before.stored.items():
        now = after.stored.get(oid)
        if was.size == 0 or was.relation.kind not in "rm":
            continue
        other = now is not None and now.filenode != was.filenode and now.size > 0
        if oid in told or other:
            found.append(was.relation.name)
    return sorted(found)


def scanned(before: Facts, after: Facts, counts: Mapping[str, int]) -> list[str]:
    """Tables that were read whole at least once.

    :param counts: rows that they had, by name, where they were counted."""
    found = []
    for oid, was in before.stored.items():
        now = after.stored.get(oid)
        if now is None or was.size == 0 or now.scans <= was.scans:
            continue
        rows = counts.get(was.relation.name, was.rows)
        if now.scanned_rows - was.scanned_rows >= max(1.0, rows):
            found.append(was.relation.name)
    return sorted(found)


def locked_rows(before: Facts, after: Facts, locks: Iterable[Lock]) -> list[str]:
    """Sentences on rows that were locked for long: whoever changes a row locks it to other writers
    until the transaction ends, which no lock of a table shows."""
    longest: dict[str, float] = {}
    for lock in locks:
        if lock["mode"] == "RowExclusiveLock":
            longest[lock["relation"]] = max(longest.get(lock["relation"], 0.0), lock["held_ms"])
    found = []
    for oid, was in before.stored.items():
        now, held = after.stored.get(oid), longest.get(was.relation.name, 0.0)
        changed = now.changed - was.changed if now is not None else 0
        if changed > 0 and held >= _LONG_MS:
            found.append(
                f"{changed:,} rows of {was.relation.name} were changed, and locked to other "
                f"writers until their transactions ended: up to {held / 1000:.1f} s"
            )
    return found


def leftovers(before: Facts, after: Facts) -> list[Leftover]:
    found: list[Leftover] = []
    for (kind, oid), name in after.half_done.items():
        if (kind, oid) in before.half_done:
            continue
        if kind == "invalid index":
            found.append({"kind": "invalid index", "name": name})
        else:
            found.append({"kind": "not valid constraint", "name": name})
    return sorted(found, key=lambda item: (item["kind"], item["name"]))
