"""Keys of every kind: rows are matched by what their index holds for equal."""

from __future__ import annotations

import psycopg
import pytest

from tests.host.diff.rowsides import numbers, only, rows_of, two
from tests.plainpg import PlainPostgres

TYPES = """
CREATE TYPE mood AS ENUM ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven');
CREATE TYPE pair AS (x int, y text);
CREATE DOMAIN amount AS numeric;
"""
COLLATIONS = """
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION german (provider = icu, locale = 'de');
"""
# (type of the key, its value for row i)
KEYS = [
    ("text", "'k' || i"),
    ('text COLLATE "C"', "'k, \"' || i"),
    ("text COLLATE german", "'\u00e4' || i"),
    ("text COLLATE loose", "'Key' || i"),
    ("varchar(30)", "'k' || i"),
    ("char(9)", "'k' || i"),
    ("timestamp", "timestamp '2024-01-01' + i * interval '1 microsecond'"),
    ("timestamptz", "timestamptz '2024-01-01' + i * interval '1 hour'"),
    ("date", "date '2024-01-01' + i"),
    ("interval", "i * interval '1 hour'"),
    ("uuid", "md5(i::text)::uuid"),
    ("numeric", "i / 8.0"),
    ("amount", "i + 0.50"),
    ("double precision", "i / 3.0"),
    ("real", "i / 4.0"),
    ("bytea", "decode(md5(i::text), 'hex')"),
    ("inet", "'10.0.0.0'::inet + i"),
    ("macaddr", "('08:00:2b:01:02:0' || i % 8)::macaddr"),
    ("pair", "ROW(i, 'y')::pair"),
    ("int4range", "int4range(i, i + 1)"),
    ("int[]", "ARRAY[i, NULL]"),
    ("jsonb", "jsonb_build_object('b', i, 'a', 1)"),
    ("bit(8)", "i::bit(8)"),
    ("mood", "(enum_range(NULL::mood))[i + 1]"),
    ("boolean", "i % 2 = 0"),
]


def _types(server: PlainPostgres, kind: str) -> str:
    """What a table with a key of this kind needs; skips where the server has no ICU."""
    if "COLLATE" not in kind or '"C"' in kind:
        return TYPES
    with psycopg.connect(server.dsn(), autocommit=True) as db:
        query = b"SELECT FROM pg_collation WHERE collname LIKE '%-x-icu' LIMIT 1"
        if db.execute(query).fetchone() is None:
            pytest.skip("this server was built without ICU")
    return TYPES + COLLATIONS


@pytest.mark.parametrize(("kind", "value"), KEYS, ids=[kind for kind, _ in KEYS])
def test_rows_are_matched_by_a_key_of_this_type(
    server: PlainPostgres, kind: str, value: str
) -> None:
    last = 1 if kind == "boolean" else 7
    script = f"""CREATE TABLE t (k {kind} PRIMARY KEY, i int, v text);
        INSERT INTO t SELECT {value}, i, 'v' FROM generate_series(1, {last}) i"""
    with two(server, _types(server, kind), script) as (one, other):
        server.run(f"UPDATE t SET v = 'w' WHERE i = 1; INSERT INTO t SELECT {value}, i, 'new' "
                   f"FROM generate_series(0, 0) i; DELETE FROM t WHERE i = 5", other)  # fmt: skip
        line = only(rows_of(server, one, other))
    assert line["key"] == ["k"]
    assert (line["added"], line["removed"], line["changed"]) == (1, int(last > 1), 1)
    assert line["columns"] == {"v": 1}


@pytest.mark.parametrize(("kind", "before", "after"), [
    ("numeric", "1.0", "1.00"), ("amount", "7", "7.000"), ("double precision", "0", "'-0'"),
    ("interval", "'1 day'", "'24 hours'"), ("text COLLATE loose", "'Key'", "'kEY'"),
    ("jsonb", "'1.0'", "'1.00'"),
])  # fmt: skip
def test_a_key_that_is_spelled_differently_is_a_change_of_its_row(
    server: PlainPostgres, kind: str, before: str, after: str
) -> None:
    script = f"CREATE TABLE t (k {kind} PRIMARY KEY); INSERT INTO t VALUES ({before})"
    with two(server, _types(server, kind), script) as (one, other):
        server.run(f"UPDATE t SET k = {after}", other)
        line = only(rows_of(server, one, other))
    assert (line["added"], line["removed"], line["changed"]) == (0, 0, 1)
    assert line["columns"] == {"k": 1}


def test_a_stricter_index_tells_strings_apart_that_the_column_holds_for_equal(
    server: PlainPostgres,
) -> None:
    script = """CREATE TABLE t (k text COLLATE loose NOT NULL, v int);
        CREATE UNIQUE INDEX ON t (k COLLATE "C");
        INSERT INTO t VALUES ('key', 1), ('Key', 2)"""
    with two(server, _types(server, "COLLATE loose"), script) as (one, other):
        server.run("UPDATE t SET v = 3 WHERE v = 2; DELETE FROM t WHERE v = 1", other)
        line = only(rows_of(server, one, other))
    assert (line["added"], line["removed"], line["changed"]) == (0, 1, 1)


def test_a_key_became_another_type(server: PlainPostgres) -> None:
    """The rows still match; that the key is spelled differently is a change of each of them."""
    script = """CREATE TABLE t (id int PRIMARY KEY, v text);
        INSERT INTO t SELECT i, 'v' FROM generate_series(1, 300) i"""
    with two(server, script) as (one, other):
        server.run("ALTER TABLE t ALTER id TYPE bigint; UPDATE t SET v = 'w' WHERE id = 9", other)
        line = only(rows_of(server, one, other))
        assert (line["added"], line["removed"], line["columns"]) == (0, 0, {"v": 1})
        server.run("ALTER TABLE t ALTER id TYPE numeric(20,2)", other)
        line = only(rows_of(server, one, other))
    assert (line["added"], line["removed"]) == (0, 0)
    assert line["columns"] == {"id": 300, "v": 1}


def test_composite_keys_in_another_order_and_with_included_columns(server: PlainPostgres) -> None:
    script = """CREATE TABLE t (a text, b int, c date, v int, PRIMARY KEY (c, a) INCLUDE (v));
        INSERT INTO t SELECT 'a,' || i % 7, i, date '2024-01-01' + i / 7, 0
            FROM generate_series(1, 500) i"""
    with two(server, script) as (one, other):
        server.run(
            """ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a, c);
            UPDATE t SET v = 1 WHERE b = 100; UPDATE t SET c = 'infinity' WHERE b = 200""",
            other,
        )
        line = only(rows_of(server, one, other))
    assert line["key"] == ["a", "c"]
    assert (line["added"], line["removed"], line["changed"]) == (1, 1, 1)


def test_deferrable_keys_and_nulls_that_are_not_distinct(server: PlainPostgres) -> None:
    newer = server.bin.parent.name >= "15"
    distinct = "NULLS NOT DISTINCT" if newer else ""
    script = f"""CREATE TABLE d (a int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v int);
        INSERT INTO d SELECT i, 0 FROM generate_series(1, 50) i;
        CREATE TABLE n (a int, v int); CREATE UNIQUE INDEX ON n (a) {distinct};
        INSERT INTO n VALUES (NULL, 0), (1, 0)"""
    with two(server, script) as (one, other):
        server.run("UPDATE d SET v = 1 WHERE a = 7; UPDATE n SET v = 1 WHERE a IS NULL", other)
        report = rows_of(server, one, other)
    changed = (0, 0, 1) if newer else (1, 1, 0)
    assert numbers(report) == {"public.d": (0, 0, 1), "public.n": changed}


@pytest.mark.parametrize("index", [
    "CREATE UNIQUE INDEX ON t (a) WHERE b > 0", "CREATE UNIQUE INDEX ON t (lower(a))",
    "CREATE UNIQUE INDEX ON t (n)",
])  # fmt: skip
def test_what_is_no_key_is_not_taken_for_one(server: PlainPostgres, index: str) -> None:
    script = f"""CREATE TABLE t (a text NOT NULL, b int NOT NULL, n int); {index};
        INSERT INTO t SELECT i, 0, NULL FROM generate_series(1, 9) i;
        INSERT INTO t SELECT 'x' || i, 0, NULL FROM generate_series(1, 9) i"""
    with two(server, script) as (one, other):
        server.run("UPDATE t SET b = -1 WHERE a = '3'", other)
        line = only(rows_of(server, one, other))
    assert line["key"] == []
    assert (line["added"], line["removed"], line["changed"]) == (1, 1, 0)


def test_identity_and_generated_columns(server: PlainPostgres) -> None:
    virtual = server.bin.parent.name >= "18"
    more = ", w text GENERATED ALWAYS AS (v || '?') VIRTUAL" if virtual else ""
    script = f"""CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text,
            s text GENERATED ALWAYS AS (v || '!') STORED {more});
        INSERT INTO t (v) SELECT 'v' || i FROM generate_series(1, 90) i"""
    with two(server, script) as (one, other):
        server.run("UPDATE t SET v = 'new' WHERE id = 5; INSERT INTO t (v) VALUES ('last')", other)
        line = only(rows_of(server, one, other))
    assert (line["added"], line["removed"], line["changed"]) == (1, 0, 1)
    assert line["columns"] == {"s": 1, "v": 1} | ({"w": 1} if virtual else {})


def test_a_key_over_time(server: PlainPostgres) -> None:
    if server.bin.parent.name < "18":
        pytest.skip("WITHOUT OVERLAPS came with 18")
    with psycopg.connect(server.dsn(), autocommit=True) as db:
        found = db.execute(
            "SELECT FROM pg_available_extensions WHERE name = 'btree_gist'"
        ).fetchone()
    if found is None:
        pytest.skip("needs btree_gist")
    script = """CREATE EXTENSION btree_gist;
        CREATE TABLE t (id int, at daterange, v int, PRIMARY KEY (id, at WITHOUT OVERLAPS));
        INSERT INTO t SELECT i % 5, daterange(date '2024-01-01' + i, date '2024-01-02' + i), 0
            FROM generate_series(1, 50) i"""
    with two(server, script) as (one, other):
        server.run("UPDATE t SET v = 1 WHERE at @> date '2024-01-10'", other)
        line = only(rows_of(server, one, other))
    assert (line["key"], line["changed"]) == (["at", "id"], 1)
