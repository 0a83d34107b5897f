"""What differs between two databases, found the slow way: every row of every table is fetched by
a plain query, each value as its type prints it, and compared here. Shares no code with cowdb."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql

from tests.host.diff.workload.sessions import Connection, connected

Value = str | None
Row = tuple[Value, ...]

_TABLES = b"""
SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname), n.nspname, c.relname,
    c.relkind = 'r', ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid
        AND attnum > 0 AND NOT attisdropped ORDER BY attnum),
    ARRAY(SELECT a.attname::text FROM pg_constraint k JOIN pg_attribute a
        ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
        WHERE k.conrelid = c.oid AND k.contype = 'p' ORDER BY 1),
    (SELECT json_object_agg(a.attname, CASE WHEN a.atttypid IN (700, 701) THEN 'float'
            WHEN a.atttypid = 1700 THEN 'numeric' ELSE 'case' END)
        FROM pg_attribute a LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE a.attrelid = c.oid AND a.attnum > 0
            AND (a.atttypid IN (700, 701, 1700) OR NOT l.collisdeterministic))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND (c.relkind IN ('r', 'p') OR c.relkind = 'm' AND c.relispopulated)
"""
_SET = """SET search_path = ''; SET datestyle = 'ISO, MDY'; SET timezone = 'UTC';
    SET extra_float_digits = 1; SET intervalstyle = 'postgres'; SET bytea_output = 'hex'"""


@dataclass(frozen=True)
class Table:
    """:param primary: the columns of its primary key, sorted.
    :param loose: columns whose values can be equal and print otherwise, and how."""

    oid: object
    columns: tuple[str, ...]
    primary: tuple[str, ...]
    loose: Mapping[str, str]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Expected:
    """:param changed: for each key, what differs: column to both values."""

    added: Counter[Row]
    removed: Counter[Row]
    changed: Mapping[Row, Mapping[str, tuple[Value, Value]]]
    columns: tuple[str, ...]
    ways: Mapping[str, str] = field(default_factory=dict)

    @property
    def numbers(self) -> tuple[int, int, int]:
        return self.added.total(), self.removed.total(), len(self.changed)

    @property
    def by_column(self) -> dict[str, int]:
        return dict(Counter(name for item in self.changed.values() for name in item))


@contextmanager
def opened(dsn: Callable[[], str]) -> Iterator[Connection]:
    """A connection whose snapshot is taken, but nothing read: reading sets hint bits, and so
    would change what the host finds changed."""
    with connected(dsn, "-c lock_timeout=20000") as conn:
        conn.execute(_SET.encode())
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        conn.execute("SELECT FROM pg_class LIMIT 1")
        yield conn


def read(conn: Connection) -> dict[str, Table]:
    """All tables of one side, at one instant."""
    tables = {}
    for line in conn.execute(_TABLES).fetchall():
        oid, name, schema, table, plain, columns, primary, loose = line
        found: Any = columns
        if not found:
            continue
        query = sql.SQL("SELECT {} FROM {}{}").format(
            sql.SQL(", ").join(map(sql.Identifier, found)),
            sql.SQL("ONLY " if plain else ""),
            sql.Identifier(str(schema), str(table)),
        )
        keys: Any = primary
        ways: Any = loose or {}
        tables[str(name)] = Table(oid, tuple(found), tuple(keys), ways, _rows(conn, query))
    return tables


def _rows(conn: psycopg.Connection[Any], query: sql.Composed) -> list[Row]:
    cursor = conn.execute(query)
    result = cursor.pgresult
    assert result is not None
    numbers = range(result.nfields)
    rows = []
    for place in range(result.ntuples):
        values = (result.get_value(place, number) for number in numbers)
        rows.append(tuple(None if value is None else value.decode() for value in values))
    return rows


def differences(one: Table, two: Table, key: Sequence[str]) -> Expected:
    """:param key: how rows are matched; empty compares multisets."""
    columns = tuple(sorted(set(one.columns) & set(two.columns)))
    first, other = _project(one, columns), _project(two, columns)
    if not key:
        left, right = Counter(first), Counter(other)
        return Expected(right - left, left - right, {}, columns)
    ways = {name: way for name, way in one.loose.items() if two.loose.get(name) == way}
    places = [(columns.index(name), ways.get(name, "")) for name in key]
    before, after = _by_key(first, places), _by_key(other, places)
    changed = {
        found: {name: (old, new) for name, old, new
                in zip(columns, before[found], after[found], strict=True) if old != new}
        for found in before.keys() & after.keys() if before[found] != after[found]
    }  # fmt: skip
    return Expected(
        Counter(row for found, row in after.items() if found not in before),
        Counter(row for found, row in before.items() if found not in after),
        changed, columns, ways,
    )  # fmt: skip


def _project(table: Table, columns: Sequence[str]) -> list[Row]:
    places = [table.columns.index(name) for name in columns]
    return [tuple(row[place] for place in places) for row in table.rows]


def _by_key(rows: Sequence[Row], places: Sequence[tuple[int, str]]) -> dict[Row, Row]:
    found = {tuple(spelled(row[place], way) for place, way in places): row for row in rows}
    assert len(found) == len(rows), "the reported key does not tell rows apart"
    return found


def spelled(value: Value, way: str) -> Value:
    """One text for all that an index holds for equal."""
    if value is None or not way:
        return value
    if way == "float":
        return "0" if value == "-0" else value
    if way == "case":
        return value.lower()
    return str(Decimal(value).normalize())
