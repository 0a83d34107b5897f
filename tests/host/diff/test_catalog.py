"""Equal schemas are reported as equal; what a report holds, hides and leaves out."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cowdb.controller.diff.catalog.unmodelled import read_notes
from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.model import Side, Wanted
from cowdb.controller.diff.schema import compare_schemas
from tests.host.diff import cases
from tests.host.diff.reading import schema_after, scratch_database, told
from tests.plainpg import PlainPostgres, running

SHOP = (Path(__file__).parent / "shop.sql").read_text()


@pytest.fixture(scope="module")
def scratch(server: PlainPostgres) -> Iterator[psycopg.Connection[Any]]:
    with scratch_database(server) as conn:
        yield conn


def test_values_are_told(scratch: psycopg.Connection[Any]) -> None:
    try:
        before = schema_after(scratch, "CREATE TABLE t (a int); CREATE ROLE reader")
        after = schema_after(
            scratch, "ALTER TABLE t ALTER a TYPE numeric(5, 1); GRANT SELECT, INSERT ON t TO reader"
        )
    finally:
        scratch.rollback()
    table, column = compare_schemas(before, after, "other")
    assert table["details"] == [
        {"property": "privileges", "values": [[], ["reader: INSERT, SELECT"]]}
    ]
    assert column["details"] == [{"property": "type", "values": ["integer", "numeric(5,1)"]}]


def sides(server: PlainPostgres, *names: str) -> list[Side]:
    return [Side(f"side {number}", server.dsn(name)) for number, name in enumerate(names)]


def test_two_loads_of_the_same_ddl_are_equal(each_major: PlainPostgres) -> None:
    # The second load comes after other objects, so that not one OID is the same.
    noise = (
        "CREATE SCHEMA n; CREATE TABLE n.a (b serial PRIMARY KEY, c text); DROP SCHEMA n CASCADE"
    )
    one, two = each_major.database(SHOP), each_major.database(noise, SHOP)
    report = compare(sides(each_major, one, two), Wanted())
    assert report["schema"] == []
    assert report["identical"]
    assert len(report["counts"]) == 15
    each_major.drop(one, two)


def test_a_dump_restored_is_equal(each_major: PlainPostgres) -> None:
    one, two = each_major.database(SHOP), each_major.database()
    command = [each_major.bin / "pg_dump", each_major.dsn(one)]
    dumped = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    load = [each_major.bin / "psql", "-qX", "-v", "ON_ERROR_STOP=1", each_major.dsn(two)]
    subprocess.run(
        load, input=dumped.stdout, capture_output=True, check=True, text=True, timeout=60
    )
    report = compare(sides(each_major, one, two), Wanted())
    assert report["schema"] == []
    assert report["identical"]
    each_major.drop(one, two)


def test_unrelated_objects_in_another_order_are_equal(each_major: PlainPostgres) -> None:
    parts = [
        "CREATE TABLE a (id int PRIMARY KEY, x text, UNIQUE (x), CHECK (id > 0))",
        "CREATE TABLE b (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TYPE e AS ENUM ('x', 'y')",
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE c (LIKE pg_class INCLUDING ALL)",
    ]
    tail = [
        "CREATE TABLE b1 PARTITION OF b FOR VALUES FROM (0) TO (5)",
        "CREATE TABLE b2 PARTITION OF b FOR VALUES FROM (5) TO (9)",
        "CREATE VIEW v AS SELECT x FROM a",
    ]
    key = "CREATE TABLE d (b int REFERENCES b)"
    one = each_major.database(*parts, *tail, key)
    two = each_major.database(*reversed(parts), key, *reversed(tail))
    report = compare(sides(each_major, one, two), Wanted())
    assert report["schema"] == []
    each_major.drop(one, two)


def test_what_is_not_modelled_is_named(scratch: psycopg.Connection[Any]) -> None:
    try:
        quiet = read_notes(scratch)
        assert not any("not compared" in note for note in quiet)
        scratch.execute("SELECT lo_create(0), lo_create(0)")
        notes = read_notes(scratch)
    finally:
        scratch.rollback()
    assert "2 contents of large objects: not compared" in notes


def test_a_password_in_a_user_mapping_is_compared_and_not_shown(
    scratch: psycopg.Connection[Any],
) -> None:
    try:
        before = schema_after(
            scratch,
            cases.FDW + "CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (password 'sesame1')",
        )
        after = schema_after(
            scratch, "ALTER USER MAPPING FOR PUBLIC SERVER s OPTIONS (SET password 'sesame2')"
        )
    finally:
        scratch.rollback()
    changes = compare_schemas(before, after, "other")
    assert len(changes) == 1
    assert "sesame" not in str(changes)
    assert "sesame" not in str(compare_schemas({}, after, "other"))


def test_the_place_of_a_tablespace_is_told(server: PlainPostgres) -> None:
    found = []
    for name in ("one", "two"):
        place = server.directory / name
        place.mkdir()
        shutil.chown(place, server.directory.owner(), server.directory.group())
        server.run(f"CREATE TABLESPACE place LOCATION '{place}'")
        with psycopg.connect(server.dsn()) as conn:
            found.append(schema_after(conn, ""))
        server.run("DROP TABLESPACE place")
    assert told(*found) == ["~ tablespace place: location"]


CLUSTER = """
CREATE ROLE clerk LOGIN PASSWORD 'sesame'; CREATE ROLE staff;
GRANT staff TO clerk WITH ADMIN OPTION;
ALTER ROLE clerk SET work_mem = 99; REVOKE EXECUTE ON FUNCTION pg_catalog.version() FROM PUBLIC;
CREATE EXTENSION hstore SCHEMA public; SELECT lo_create(99999);
"""


def test_two_servers_with_the_same_roles_are_equal() -> None:
    """Two verifiers of one password differ, as do all OIDs."""
    noise = "CREATE ROLE gone; DROP ROLE gone; CREATE TABLE gone (a serial); DROP TABLE gone"
    found = []
    with running() as one, running() as two:
        for server, before in ((one, "SELECT 1"), (two, noise)):
            with psycopg.connect(server.dsn(server.database(before, CLUSTER, SHOP))) as conn:
                found.append(schema_after(conn, ""))
    assert told(*found) == []
    assert len(found[0]) > 200
