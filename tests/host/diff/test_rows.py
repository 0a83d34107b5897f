"""Row contents on a real server: every difference found, none invented, whatever the types."""

from __future__ import annotations

import random
from collections.abc import Iterator

import psycopg
import pytest

from cowdb.controller.diff.rows import digest, scan
from tests.host.diff.rowsides import only, rows_of, two
from tests.plainpg import PlainPostgres

EVERYTHING = """
CREATE TYPE mood AS ENUM ('sad', 'fine');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TYPE pair AS (x int, y text);
CREATE TABLE t (
    id int PRIMARY KEY, f4 real, f8 double precision, n numeric, s text, c char(5), b bytea,
    j json, jb jsonb, a int[], ts timestamptz, iv interval, m mood, d positive, p pair, u uuid,
    g int GENERATED ALWAYS AS (id * 2) STORED, r int4range, big text);
INSERT INTO t (id, f4, f8, n, s, c, b, j, jb, a, ts, iv, m, d, p, u, r, big)
    SELECT i, i / 3.0, i / 7.0, i / 9.0, 's' || i, 'c', decode('00ff', 'hex'),
    '{"a": 1}', '{"a": 1}', ARRAY[i, NULL], 'epoch', '1 day', 'fine', 1, ROW(i, 'y')::pair,
    '00000000-0000-0000-0000-000000000001', '[1,5)', repeat(md5(i::text), 200)
    FROM generate_series(1, 1000) i;
"""
# (column, statement): each must show as exactly one changed row, in exactly that column.
SINGLE = [
    ("f4", "UPDATE t SET f4 = 'NaN' WHERE id = 7"),
    ("f8", "UPDATE t SET f8 = f8 * (1 + 2.220446049250313e-16) WHERE id = 7"),
    ("f8", "UPDATE t SET f8 = '-0' WHERE id = 7"),
    ("n", "UPDATE t SET n = n + 1e-16 WHERE id = 7"),
    ("n", "UPDATE t SET n = 'NaN' WHERE id = 7"),
    ("s", "UPDATE t SET s = NULL WHERE id = 7"),
    ("s", "UPDATE t SET s = '' WHERE id = 7"),
    ("s", "UPDATE t SET s = 's7 ' WHERE id = 7"),
    ("s", r"""UPDATE t SET s = E'a"b,(c)\\d\n' WHERE id = 7"""),
    ("b", "UPDATE t SET b = '' WHERE id = 7"),
    ("j", "UPDATE t SET j = '{\"a\":1}' WHERE id = 7"),
    ("jb", "UPDATE t SET jb = '{\"a\": 1.0}' WHERE id = 7"),
    ("a", "UPDATE t SET a = ARRAY[NULL, 7] WHERE id = 7"),
    ("a", "UPDATE t SET a = '{}' WHERE id = 7"),
    ("ts", "UPDATE t SET ts = ts + interval '1 microsecond' WHERE id = 7"),
    ("iv", "UPDATE t SET iv = '24 hours' WHERE id = 7"),
    ("m", "UPDATE t SET m = 'sad' WHERE id = 7"),
    ("d", "UPDATE t SET d = 2 WHERE id = 7"),
    ("p", "UPDATE t SET p = ROW(7, NULL)::pair WHERE id = 7"),
    ("r", "UPDATE t SET r = '[1,6)' WHERE id = 7"),
    ("big", "UPDATE t SET big = big || 'x' WHERE id = 7"),
]


@pytest.fixture(scope="module")
def everything(server: PlainPostgres) -> Iterator[tuple[str, str]]:
    with two(server, EVERYTHING) as names:
        yield names


def test_copies_are_the_same(server: PlainPostgres, everything: tuple[str, str]) -> None:
    report = rows_of(server, *everything)
    assert report["rows"] == []
    assert report["identical"]
    assert report["method"] == {"public.t": "full-scan"}
    assert "row contents: not asked for" not in report["not_compared"]


@pytest.mark.parametrize(("column", "statement"), SINGLE)
def test_a_single_change_is_one_column_of_one_row(
    server: PlainPostgres, everything: tuple[str, str], column: str, statement: str
) -> None:
    one, other = everything
    with psycopg.connect(server.dsn(other), autocommit=True) as db:
        (before,) = db.execute("SELECT t.*::text FROM t WHERE id = 7").fetchone() or ("",)
        db.execute("CREATE TABLE kept AS SELECT * FROM t WHERE id = 7")
        db.execute(statement.encode())
    try:
        line = only(rows_of(server, one, other))
    finally:
        columns = ["f4", "f8", "n", "s", "c", "b", "j", "jb", "a",
                   "ts", "iv", "m", "d", "p", "u", "r", "big"]  # fmt: skip
        changes = ", ".join(f"{name} = kept.{name}" for name in columns)
        server.run(f"UPDATE t SET {changes} FROM kept WHERE t.id = 7; DROP TABLE kept", other)
    assert (line["added"], line["removed"], line["changed"]) == (0, 0, 1)
    assert line["columns"] == {column: 1}
    assert line["key"] == ["id"]
    assert line["sample"][0]["key"] == {"id": "7"}
    assert before


def test_added_and_removed_rows(server: PlainPostgres) -> None:
    script = "CREATE TABLE t (a text, b int, v text, PRIMARY KEY (b, a)); " \
             "INSERT INTO t SELECT 'k,\"' || i, i, NULL FROM generate_series(1, 500) i"  # fmt: skip
    with two(server, script) as (one, other):
        server.run("DELETE FROM t WHERE b IN (3, 4); INSERT INTO t VALUES ('new', 9, '')", other)
        line = only(rows_of(server, one, other))
    assert (line["added"], line["removed"], line["changed"]) == (1, 2, 0)
    added = next(item for item in line["sample"] if item["change"] == "added")
    assert added["row"] == {"a": "new", "b": "9", "v": ""}


def test_a_table_without_a_key_is_a_multiset(server: PlainPostgres) -> None:
    script = "CREATE TABLE t (x text); INSERT INTO t SELECT i % 10 FROM generate_series(1, 1000) i"
    with two(server, script) as (one, other):
        server.run("INSERT INTO t VALUES ('1'), ('1'), (NULL); DELETE FROM t WHERE x = '4'", other)
        line = only(rows_of(server, one, other))
    assert line["key"] == []
    assert (line["added"], line["removed"], line["changed"]) == (3, 100, 0)


def test_physical_order_and_order_of_columns_are_no_difference(server: PlainPostgres) -> None:
    one = server.database("CREATE TABLE t (a int PRIMARY KEY, b text); "
                          "INSERT INTO t SELECT i, i FROM generate_series(1, 900) i")  # fmt: skip
    other = server.database("CREATE TABLE t (x int, b text, a int PRIMARY KEY); "
                            "ALTER TABLE t DROP COLUMN x; INSERT INTO t (a, b) "
                            "SELECT i, i FROM generate_series(900, 1, -1) i")  # fmt: skip
    try:
        assert rows_of(server, one, other)["rows"] == []
    finally:
        server.drop(one, other)


def test_a_column_of_one_side_is_named_as_not_compared(server: PlainPostgres) -> None:
    script = "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)"
    with two(server, script) as (one, other):
        server.run("ALTER TABLE t ADD COLUMN b int DEFAULT 5", other)
        report = rows_of(server, one, other)
    assert report["rows"] == []
    assert any("public.t.b" in line for line in report["not_compared"])


def test_keys_under_a_collation_and_a_citext_like_key(server: PlainPostgres) -> None:
    script = """CREATE COLLATION loose
            (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE t (k text COLLATE loose PRIMARY KEY, v int);
        INSERT INTO t SELECT 'Key' || i, i FROM generate_series(1, 300) i"""
    with two(server, script) as (one, other):
        server.run("UPDATE t SET v = 0 WHERE k = 'key5'", other)
        line = only(rows_of(server, one, other))
    assert (line["changed"], line["columns"]) == (1, {"v": 1})


def test_partitions_and_inheritance_are_compared_where_the_rows_lie(server: PlainPostgres) -> None:
    script = """CREATE TABLE p (a int PRIMARY KEY, b text) PARTITION BY RANGE (a);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
        INSERT INTO p SELECT i, i FROM generate_series(0, 19) i;
        CREATE TABLE base (a int); CREATE TABLE derived () INHERITS (base);
        INSERT INTO base VALUES (1); INSERT INTO derived VALUES (1)"""
    with two(server, script) as (one, other):
        server.run("UPDATE p SET b = 'x' WHERE a = 15; INSERT INTO derived VALUES (2)", other)
        report = rows_of(server, one, other)
    assert [(line["table"], line["added"], line["changed"]) for line in report["rows"]] == [
        ("public.derived", 1, 0), ("public.p", 0, 1), ("public.p2", 0, 1)]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_random_changes_against_a_full_outer_join(
    server: PlainPostgres, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The oracle is the server's own join of both tables, by IS DISTINCT FROM."""
    seeded = random.Random(seed)
    monkeypatch.setattr(scan, "ROWS_IN_BUCKET", seeded.choice([1, 7, 400]))
    monkeypatch.setattr(scan, "FEW_ROWS", seeded.choice([0, 0, 4000]))
    monkeypatch.setattr(digest, "ROWS_IN_PART", seeded.choice([16, 100, 4000]))
    script = "CREATE TABLE t (id int PRIMARY KEY, v text, w numeric); " \
             "INSERT INTO t SELECT i, md5(i::text), i / 3.0 FROM generate_series(1, 3000) i; " \
             "ANALYZE t"  # fmt: skip
    with two(server, script) as (one, other):
        for name in (one, other):
            for _ in range(seeded.randrange(1, 6)):
                low = seeded.randrange(1, 3200)
                span = seeded.choice([1, 3, 50, 3000])
                server.run(seeded.choice([
                    f"DELETE FROM t WHERE id BETWEEN {low} AND {low + span}",
                    f"UPDATE t SET v = v || 'x' WHERE id BETWEEN {low} AND {low + span}",
                    f"UPDATE t SET w = NULL, v = '' WHERE id BETWEEN {low} AND {low + span}",
                    f"INSERT INTO t SELECT i, 'n', i FROM generate_series({low}, {low + span}) i "
                    "ON CONFLICT DO NOTHING",
                    "VACUUM FULL t", "UPDATE t SET v = v WHERE id % 2 = 0",
                ]), name)  # fmt: skip
        found = rows_of(server, one, other)["rows"]
        expected = oracle(server, one, other)
    got = (found[0]["added"], found[0]["removed"], found[0]["changed"]) if found else (0, 0, 0)
    assert got == expected, f"seed {seed}"


def oracle(server: PlainPostgres, one: str, other: str) -> tuple[int, int, int]:
    with psycopg.connect(server.dsn(one)) as left, psycopg.connect(server.dsn(other)) as right:
        a = {row[0]: row[1:] for row in left.execute("SELECT id, v, w::text FROM t")}
        b = {row[0]: row[1:] for row in right.execute("SELECT id, v, w::text FROM t")}
    changed = sum(a[key] != b[key] for key in a.keys() & b.keys())
    return len(b.keys() - a.keys()), len(a.keys() - b.keys()), changed
