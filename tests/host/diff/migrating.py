"""Runs what `cowdb diff --sql` prints, with psql, and says what differs afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from cowdb.controller.diff.catalog.reader import read_schema
from cowdb.controller.diff.members import comparable
from cowdb.controller.diff.migration.facts import Facts, read_facts
from cowdb.controller.diff.migration.plan import plan
from cowdb.controller.diff.migration.script import render
from cowdb.controller.diff.migration.statement import Migration
from cowdb.controller.diff.model import Schema
from cowdb.controller.diff.session import settle
from tests.host.diff.reading import told
from tests.plainpg import PlainPostgres

Connection = psycopg.Connection[Any]


def load(conn: Connection, *statements: str) -> Facts:
    """Runs the statements in the transaction that is open, and reads what there is then."""
    conn.execute("SET search_path = public", prepare=False)
    for text in statements:
        if text:
            conn.execute(text.encode(), prepare=False)
    conn.execute("SET search_path = ''", prepare=False)
    return facts_of(conn)


def facts_of(conn: psycopg.Connection[Any]) -> Facts:
    schema, _ = read_schema(conn)
    return read_facts(conn, schema)


def read(server: PlainPostgres, database: str) -> Facts:
    with psycopg.connect(server.dsn(database)) as conn:
        settle(conn)
        return facts_of(conn)


def planned(one: Facts, two: Facts, exact: bool) -> Migration:
    first, other = comparable(one.schema, two.schema)
    return plan(
        Facts(first, one.edges, one.extras, one.major, one.database),
        Facts(other, two.edges, two.extras, two.major, two.database),
        exact,
    )


def script_of(migration: Migration) -> str:
    return render(migration.entries(), "a", "b")


def run_script(server: PlainPostgres, database: str, script: str) -> None:
    done = subprocess.run(
        [server.bin / "psql", "-qX", "-v", "ON_ERROR_STOP=1", server.dsn(database)],
        input=script,
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{done.stderr}\n{script}"


def left_after(
    server: PlainPostgres, first: Sequence[str], other: Sequence[str], exact: bool = True
) -> tuple[list[str], Migration]:
    """What still differs when the first schema was migrated to the other, and how it was done."""
    with databases(server, first, other) as (one, two):
        wanted = read(server, two)
        migration = planned(read(server, one), wanted, exact)
        run_script(server, one, script_of(migration))
        return told(read(server, one).schema, wanted.schema), migration


@contextmanager
def databases(
    server: PlainPostgres, first: Sequence[str], other: Sequence[str]
) -> Iterator[tuple[str, str]]:
    one, two = server.database(*first), server.database(*other)
    try:
        yield one, two
    finally:
        server.drop(one, two)


def migrate_in_place(
    conn: psycopg.Connection[Any], one: Facts, two: Facts
) -> tuple[Schema, Migration]:
    """In the transaction that is open: what the caller rolls back was tried at little cost."""
    migration = planned(one, two, exact=True)
    conn.execute("SET LOCAL check_function_bodies = off", prepare=False)
    for statement in (*migration.before, *migration.inside):
        try:
            conn.execute(statement.sql.encode(), prepare=False)
        except psycopg.Error as error:
            error.add_note(statement.sql)
            raise
    schema, _ = read_schema(conn)
    return schema, migration
