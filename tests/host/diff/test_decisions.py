"""The table of decisions holds every column of every catalog of each major, and is true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import cowdb
from cowdb.controller.diff.catalog.decisions import decisions, undecided
from cowdb.controller.diff.catalog.query import NEWEST
from cowdb.controller.diff.catalog.reader import QUERIES
from cowdb.controller.diff.catalog.unmodelled import read_columns, read_notes
from cowdb.controller.diff.schema import RANKS
from tests.host.diff.reading import scratch_database
from tests.plainpg import PlainPostgres

# What one query gives has the same properties, whichever of its kinds it is.
ALIKE = {
    "foreign table": "table",
    "materialized view": "view",
    "procedure": "function",
    "window function": "function",
}
# Told by no catalog but by a sequence itself and by a link in the file system.
ELSEWHERE = {("sequence", "last_value"), ("sequence", "is_called"), ("tablespace", "location")}
# Not properties: what names an object and where it lies.
NAMES = {"kind", "name", "inside"}
SEEN: dict[str, set[str]] = {}


@pytest.fixture(scope="module")
def conn(each_major: PlainPostgres) -> Iterator[psycopg.Connection[Any]]:
    with scratch_database(each_major) as conn:
        yield conn


def given(conn: psycopg.Connection[Any]) -> set[tuple[str, str]]:
    """Every kind with every property that the queries can give on this major."""
    found = set(ELSEWHERE)
    for query in QUERIES:
        if query.serves(conn.info.server_version // 10000):
            cursor = conn.execute(b"SELECT * FROM (" + query.text + b") AS q LIMIT 0")
            names = {column.name for column in cursor.description or ()} - NAMES
            found |= {(query.kind, name) for name in names}
    conn.rollback()
    return found


def test_every_column_is_decided_on(conn: psycopg.Connection[Any]) -> None:
    columns = read_columns(conn)
    conn.rollback()
    assert len(columns) > 500
    assert undecided(columns) == []
    for catalog, column in columns:
        SEEN.setdefault(catalog, set()).add(column)


def test_a_column_that_a_newer_major_adds_is_named(conn: psycopg.Connection[Any]) -> None:
    try:
        conn.execute("SET allow_system_table_mods = on")
        conn.execute("ALTER TABLE pg_catalog.pg_policy ADD polnew int")
        assert undecided(read_columns(conn)) == ["pg_policy.polnew"]
        assert not any("polnew" in note for note in read_notes(conn))
    finally:
        conn.rollback()


def test_what_is_compared_is_given_by_a_query(conn: psycopg.Connection[Any]) -> None:
    known = given(conn)
    columns = read_columns(conn)
    conn.rollback()
    for catalog, column in columns:
        kinds = {ALIKE.get(kind, kind) for kind in decisions()[catalog].kinds}
        for name in set(decisions()[catalog].columns[column].properties) - NAMES:
            assert any(
                property == name and (kind in kinds or kinds == {"*"}) for kind, property in known
            ), f"{catalog}.{column} = {name}"


def test_what_a_query_gives_comes_from_a_column(conn: psycopg.Connection[Any]) -> None:
    told = {
        (ALIKE.get(kind, kind), name)
        for catalog in decisions().values()
        for kind in catalog.kinds
        for decision in catalog.columns.values()
        for name in decision.properties
    }
    loose = {
        (kind, name)
        for kind, name in given(conn) - ELSEWHERE
        if (kind, name) not in told and ("*", name) not in told
    }
    assert loose == set()


def test_every_kind_has_its_place_in_a_report() -> None:
    kinds = {query.kind for query in QUERIES}
    assert kinds | ALIKE.keys() == RANKS.keys()


def test_no_decision_is_about_nothing() -> None:
    if len(SEEN) < len(decisions()):
        pytest.skip("needs every major, tested before")
    for catalog, decided in decisions().items():
        assert set(decided.columns) - SEEN[catalog] <= {"oid"}


def test_the_page_names_every_kind_and_property(conn: psycopg.Connection[Any]) -> None:
    known = given(conn)
    page = Path(cowdb.__file__).parents[1] / "docs" / "diff.md"
    part = page.read_text().split("## Schema\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([a-z ,]+) \| ([a-z_ ,]*) \|$", part, re.M)
    listed = {
        (kinds.split(", ")[0], name)
        for kinds, names in rows
        for name in names.split(", ")
        if name and kinds != "kind"
    }
    assert known <= listed
    if conn.info.server_version // 10000 == NEWEST:
        assert listed <= known
    assert {kind for kinds, _ in rows for kind in kinds.split(", ")} - {"kind"} == RANKS.keys()
