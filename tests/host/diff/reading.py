"""Reading what statements make of a database, and telling a comparison in short lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from cowdb.controller.diff.catalog.reader import read_schema
from cowdb.controller.diff.model import Schema
from cowdb.controller.diff.schema import compare_schemas
from cowdb.controller.diff.session import settle
from tests.plainpg import PlainPostgres


@contextmanager
def scratch_database(server: PlainPostgres) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a database in which every test rolls back what it did."""
    name = server.database()
    with psycopg.connect(server.dsn(name)) as conn:
        conn.autocommit = True
        settle(conn)
        conn.execute("SET allow_system_table_mods = on")
        conn.execute("SET check_function_bodies = off")
        # The catalog queries come hundreds of times: planning them takes longer than running.
        conn.execute("SET plan_cache_mode = force_generic_plan")
        conn.prepare_threshold, conn.prepared_max = 0, 200
        conn.autocommit = False
        yield conn
    server.drop(name)


def schema_after(conn: psycopg.Connection[Any], statements: str) -> Schema:
    conn.execute("SET search_path = public", prepare=False)
    if statements:
        conn.execute(statements.encode(), prepare=False)
    conn.execute("SET search_path = ''", prepare=False)
    schema, notes = read_schema(conn)
    assert notes == []
    return schema


def told(first: Schema, other: Schema) -> list[str]:
    lines = []
    for change in compare_schemas(first, other, "other"):
        sign = {"added": "+", "removed": "-", "changed": "~"}[change["change"]]
        line = f"{sign} {change['kind']} {change['name']}"
        if isinstance(change["details"], list):
            line += ": " + ", ".join(detail["property"] for detail in change["details"])
        lines.append(line)
    return lines


_SWAPPED = str.maketrans("+-", "-+")


def reversed_lines(lines: list[str] | tuple[str, ...]) -> list[str]:
    """What is told when the sides change places, but for the order of lines and properties."""
    return sorted(line[:1].translate(_SWAPPED) + line[1:].split(":")[0] for line in lines)
