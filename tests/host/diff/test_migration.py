"""What --sql prints, run on the first side, leaves no difference to the second."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from random import Random
from typing import Any

import psycopg
import pytest

from tests.host.diff.migrating import (
    Connection,
    databases,
    left_after,
    load,
    migrate_in_place,
    planned,
    read,
    script_of,
)
from tests.host.diff.migration_pairs import PAIRS, SHOP
from tests.host.diff.random_schema import random_schema
from tests.host.diff.reading import scratch_database, told
from tests.plainpg import PlainPostgres

# Its statements must be committed one by one.
COMMITTED = "a new label that is used at once"


@pytest.fixture(scope="module")
def migrated(server: PlainPostgres) -> Iterator[PlainPostgres]:
    """The plain server with the roles that the pairs speak of."""
    server.run("CREATE ROLE reader; CREATE ROLE writer")
    yield server
    server.run("DROP ROLE reader; DROP ROLE writer")


@pytest.fixture(scope="module")
def scratch(migrated: PlainPostgres) -> Iterator[Connection]:
    with scratch_database(migrated) as conn:
        yield conn


@pytest.mark.parametrize("name", [name for name in PAIRS if name != COMMITTED])
def test_a_pair_both_ways(scratch: Connection, name: str) -> None:
    one, two = PAIRS[name]
    try:
        first = load(scratch, one)
        scratch.rollback()
        other = load(scratch, two)
        schema, _ = migrate_in_place(scratch, other, first)
        assert told(schema, first.schema) == []
        scratch.rollback()
        load(scratch, one)
        schema, _ = migrate_in_place(scratch, first, other)
        assert told(schema, other.schema) == []
    finally:
        scratch.rollback()


@pytest.mark.parametrize("back", [False, True], ids=["forth", "back"])
@pytest.mark.parametrize("name", ["a whole shop", COMMITTED])
def test_a_script_by_psql(migrated: PlainPostgres, name: str, back: bool) -> None:
    one, two = reversed(PAIRS[name]) if back else PAIRS[name]
    left, _ = left_after(migrated, [one], [two])
    assert left == []


def named_all(left: list[str], migration: Any) -> bool:
    """Whether all that still differs is told as not done."""
    undone = {f"{one.kind} {one.name}" for one in migration.undone}
    return all(line[2:].split(": ")[0] in undone for line in left)


@pytest.mark.parametrize("seed", range(24))
def test_random_schemas(scratch: Connection, seed: int) -> None:
    _random_pair(scratch, seed)


def test_random_schemas_on_each_major(each_major: PlainPostgres) -> None:
    each_major.run("CREATE ROLE reader; CREATE ROLE writer")
    try:
        with scratch_database(each_major) as conn:
            for seed in range(1000, 1003):
                _random_pair(conn, seed)
    finally:
        each_major.run("DROP ROLE reader; DROP ROLE writer")


def _random_pair(conn: Connection, seed: int) -> None:
    random = Random(seed)
    one, two = random_schema(random), random_schema(random)
    try:
        conn.execute("GRANT ALL ON SCHEMA public TO reader, writer")
        other = load(conn, *two)
        conn.rollback()
        conn.execute("GRANT ALL ON SCHEMA public TO reader, writer")
        first = load(conn, *one)
        schema, _ = migrate_in_place(conn, first, other)
        assert told(schema, other.schema) == []
    finally:
        conn.rollback()


ROWS = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'gone');
CREATE TABLE kept (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, m mood, n numeric(5, 1));
INSERT INTO kept (m, n) VALUES ('sad', 1.5), ('ok', 2.5);
CREATE TABLE parent (a int, b text) PARTITION BY LIST (a);
CREATE TABLE child PARTITION OF parent FOR VALUES IN (1, 2);
INSERT INTO parent VALUES (1, 'one'), (2, 'two');
CREATE TABLE untouched (a int); INSERT INTO untouched VALUES (7);
"""


def test_rows_stay(migrated: PlainPostgres) -> None:
    wanted = """
    CREATE TYPE mood AS ENUM ('ok', 'sad');
    CREATE TABLE kept (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, first text, m mood, n text);
    CREATE TABLE parent (a bigint, b text) PARTITION BY LIST (a);
    CREATE TABLE child PARTITION OF parent FOR VALUES IN (1, 2, 3);
    CREATE TABLE untouched (a int);
    """
    with databases(migrated, [ROWS], [wanted]) as (one, two):
        migration = planned(read(migrated, one), read(migrated, two), exact=True)
        with psycopg.connect(migrated.dsn(one), autocommit=True) as conn:
            conn.execute(script_of(migration).encode())
            kept = conn.execute("SELECT id, m::text, n FROM kept ORDER BY id").fetchall()
            assert kept == [(1, "sad", "1.5"), (2, "ok", "2.5")]
            assert conn.execute("SELECT a, b FROM parent ORDER BY a").fetchall() == [
                (1, "one"), (2, "two"),
            ]  # fmt: skip
            assert conn.execute("SELECT a FROM untouched").fetchall() == [(7,)]
    assert any(one.rewrites and one.long_lock for one in migration.inside)


def test_without_exact_all_that_is_left_is_named(migrated: PlainPostgres) -> None:
    one = "CREATE TABLE t (a int, c int); CREATE SEQUENCE s; SELECT setval('s', 90)"
    two = "CREATE TABLE t (a int, b int, c int); CREATE SEQUENCE s; SELECT setval('s', 7)"
    left, migration = left_after(migrated, [one], [two], exact=False)
    assert left == ["~ sequence public.s: last_value", "~ table public.t: column_order"]
    assert named_all(left, migration)
    assert not any(statement.rewrites for statement in migration.inside)
    left, _ = left_after(migrated, [one], [two], exact=True)
    assert left == []


def test_a_sequence_moves_forward_without_being_asked(migrated: PlainPostgres) -> None:
    one = "CREATE SEQUENCE s; SELECT setval('s', 7)"
    left, _ = left_after(migrated, [one], ["CREATE SEQUENCE s; SELECT setval('s', 90)"], False)
    assert left == []


def test_marks(migrated: PlainPostgres) -> None:
    one = (
        "CREATE TABLE t (a int, gone text, n numeric(8, 2), v varchar(5)); CREATE TABLE old (a int)"
    )
    two = (
        "CREATE TABLE t (a bigint NOT NULL, n numeric(4, 2), v varchar(9)); CREATE INDEX i ON t (v)"
    )
    _, migration = left_after(migrated, [one], [two])
    marks = {
        statement.sql.split(" USING")[0]: (
            statement.loses_data, statement.rewrites, statement.long_lock, statement.lock,
        )
        for statement in migration.inside
    }  # fmt: skip
    assert marks == {
        "DROP TABLE public.old": (True, False, False, "ACCESS EXCLUSIVE"),
        "ALTER TABLE public.t DROP COLUMN gone": (True, False, False, "ACCESS EXCLUSIVE"),
        "ALTER TABLE public.t ALTER COLUMN a TYPE bigint": (False, True, True, "ACCESS EXCLUSIVE"),
        "ALTER TABLE public.t ALTER COLUMN a SET NOT NULL":
            (False, False, True, "ACCESS EXCLUSIVE"),
        "ALTER TABLE public.t ALTER COLUMN n TYPE numeric(4,2)":
            (True, True, True, "ACCESS EXCLUSIVE"),
        "ALTER TABLE public.t ALTER COLUMN v TYPE character varying(9)":
            (False, False, False, "ACCESS EXCLUSIVE"),
        "CREATE INDEX i ON public.t": (False, False, True, "SHARE"),
    }  # fmt: skip


def test_no_secret_is_printed(migrated: PlainPostgres) -> None:
    secrets = """CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w
        OPTIONS (host 'h', password 'sesame1');
    CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (user 'sesame2', password 'sesame3');
    CREATE FOREIGN TABLE f (a int OPTIONS (api_key 'sesame6')) SERVER s OPTIONS (token 'sesame4');
    CREATE SUBSCRIPTION sub CONNECTION 'host=h password=sesame5' PUBLICATION p
        WITH (connect = false, slot_name = NONE);"""
    with databases(migrated, [], [secrets]) as (one, two):
        empty, full = read(migrated, one), read(migrated, two)
        migration = planned(empty, full, True)
        told_of = {statement.kind for statement in migration.undone}
        text = script_of(migration) + json.dumps(migration.entries())
        with psycopg.connect(migrated.dsn(two), autocommit=True) as conn:
            conn.execute("DROP SUBSCRIPTION sub")
    assert "sesame" not in text
    assert told_of == {"foreign server", "user mapping", "foreign table", "column", "subscription"}


def cowdb(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = "from cowdb.cli import main; main()"
    command = [sys.executable, "-c", program, "diff", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command(migrated: PlainPostgres) -> None:
    with databases(migrated, ["CREATE TABLE t (a int)"], ["CREATE TABLE t (a bigint)"]) as names:
        one, two = (migrated.dsn(name) for name in names)
        found = cowdb(one, two, "--sql")
        assert found.returncode == 3, found.stderr
        assert "BEGIN;" in found.stdout
        assert (
            "-- REWRITE, LONG LOCK (ACCESS EXCLUSIVE): every row is written anew\n" in found.stdout
        )
        assert "ALTER TABLE public.t ALTER COLUMN a TYPE bigint;" in found.stdout
        report = json.loads(cowdb(one, two, "--sql", "--json").stdout)
        assert [entry["in_transaction"] for entry in report["sql"]] == [True]
        assert report["sql"][0]["rewrites"] and report["sql"][0]["kind"] == "column"
        with psycopg.connect(one, autocommit=True) as conn:
            conn.execute(found.stdout.encode())
        again = cowdb(one, two, "--sql")
        assert again.returncode == 0, again.stderr
        assert "BEGIN" not in again.stdout
        assert "sql" not in json.loads(cowdb(one, two, "--schema", "--json").stdout)


@pytest.mark.parametrize(
    "arguments",
    [("--sql", "--counts"), ("--exact",), ("--sql", "--table", "t"), ("a third side", "--sql")],
    ids=" ".join,
)
def test_what_does_not_go_together(migrated: PlainPostgres, arguments: tuple[str, ...]) -> None:
    sides = [migrated.dsn("postgres"), migrated.dsn("template1")]
    if arguments[0] == "a third side":
        arguments = (f"{migrated.dsn('postgres')}?application_name=x", *arguments[1:])
    assert cowdb(*sides, *arguments).returncode == 2


def test_the_shop_made_from_nothing_is_in_one_transaction(migrated: PlainPostgres) -> None:
    with databases(migrated, [], [SHOP]) as (one, two):
        migration = planned(read(migrated, one), read(migrated, two), False)
    assert migration.before == ()
    assert migration.undone == ()
