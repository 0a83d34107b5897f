"""Values of all types: exactly what changed shows, whichever way the rows were compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.model import RowChanges, Side, Wanted
from cowdb.controller.diff.rows import digest
from cowdb.controller.diff.session import SETTINGS, Connections, connected
from tests.agenthost import AgentHost
from tests.host.diff.rowsides import only, rows_of, two
from tests.host.diff.rowvalues import CHANGED, CHANGES, EXPECTED, SAME, TABLE
from tests.plainpg import PlainPostgres


def _check(line: RowChanges) -> None:
    columns = [f"c{number}" for number in range(len(CHANGED))]
    assert {name for name in columns if line["columns"].get(name) != 1} == set()
    assert line["columns"] == EXPECTED
    assert (line["added"], line["removed"], line["changed"]) == (0, 0, len(CHANGED))
    for item in line["sample"]:
        (column,) = item["columns"]
        assert item["key"] == {"id": column.removeprefix("c")}
        before, after = item["columns"][column]
        assert before != after


def test_each_change_is_one_column_of_one_row(server: PlainPostgres) -> None:
    with two(server, "SELECT 1") as (one, other):
        for name in (one, other):
            for statement in TABLE:
                server.run(statement, name)
        for statement in CHANGES:
            server.run(statement, other)
        _check(only(rows_of(server, one, other, sample=1000)))


def test_each_change_is_seen_in_its_block(host: AgentHost) -> None:
    source = host.json("source", "add", "main", "--empty")
    host.sql(source["dsn"], *TABLE)
    host.json("snapshot", "create", "main@s", "--settle")
    dsn = {name: host.json("branch", "create", name, "--from", "main@s")["dsn"] for name in "ab"}
    host.sql(dsn["b"], *CHANGES)
    sides = [Side(name, dsn[name], name) for name in "ab"]

    def changes(first: str, other: str) -> tuple[dict[str, list[list[int]]] | None, str]:
        with host.client() as agent:
            found = agent.host.changes(first, other)
        return found["relations"], found["reason"]

    report = compare(sides, Wanted(schema=False, counts=False, rows=True, sample=1000),
                     changes=changes)  # fmt: skip
    assert report["method"] == {"public.v": "changed-blocks"}
    _check(only(report))


def test_the_same_value_stored_otherwise_is_no_change(server: PlainPostgres) -> None:
    """Compressed, plain, out of line, in line: none of it shows."""
    script = """CREATE TABLE t (id int PRIMARY KEY, a text, b text);
        ALTER TABLE t ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE PLAIN;
        INSERT INTO t SELECT i, repeat(md5(i::text), 100), repeat('b', 3000)
            FROM generate_series(1, 200) i"""
    with two(server, script) as (one, other):
        server.run(
            """ALTER TABLE t ALTER a SET STORAGE MAIN, ALTER b SET STORAGE EXTENDED;
            UPDATE t SET a = a || '', b = b || ''""",
            other,
        )
        server.run("VACUUM FULL t", other)  # fmt: skip
        assert rows_of(server, one, other)["identical"]
        server.run("UPDATE t SET a = left(a, -1) || '!' WHERE id = 150", other)
        assert only(rows_of(server, one, other))["columns"] == {"a": 1}


def test_types_that_changed_but_print_alike(server: PlainPostgres) -> None:
    """A key that became wider, or another kind of number, still matches."""
    script = """CREATE TABLE t (id int PRIMARY KEY, c char(5), v text);
        INSERT INTO t SELECT i, 'c', 'v' FROM generate_series(1, 300) i"""
    with two(server, script) as (one, other):
        server.run("""ALTER TABLE t ALTER id TYPE numeric(20,2), ALTER c TYPE varchar(9);
            UPDATE t SET v = 'w' WHERE id = 9""", other)  # fmt: skip
        line = only(rows_of(server, one, other))
    assert (line["added"], line["removed"], line["changed"]) == (0, 0, 300)
    assert line["columns"] == {"c": 300, "id": 300, "v": 1}


@pytest.mark.parametrize("way", ["settings", "locale"])
def test_what_a_server_is_set_to_does_not_matter(server: PlainPostgres, way: str) -> None:
    script = """CREATE TABLE t (id int PRIMARY KEY, ts timestamptz, iv interval, m money, b bytea,
            f float8, x xml);
        INSERT INTO t VALUES (1, '2024-02-03 04:05:06+00', '1 mon -2 days', 1234.5, '\\x00ff', 0.1,
            '<a/>')"""
    settings = {
        "settings": ["timezone = 'Asia/Kolkata'", "datestyle = 'SQL, DMY'",
                     "intervalstyle = 'sql_standard'", "bytea_output = 'escape'",
                     "extra_float_digits = -15", "row_security = off"],
        "locale": ["lc_monetary = 'C.UTF-8'", "lc_numeric = 'C.UTF-8'", "lc_time = 'C.UTF-8'"],
    }[way]  # fmt: skip
    with two(server, script) as (one, other):
        for setting in settings:
            server.run(f"ALTER DATABASE {other} SET {setting}")
        assert rows_of(server, one, other)["identical"]


@contextmanager
def _database(server: PlainPostgres, encoding: str) -> Iterator[str]:
    name = f"in_{encoding.lower()}"
    server.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    try:
        yield name
    finally:
        server.drop(name)


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252"])
def test_databases_in_different_encodings(
    server: PlainPostgres, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(digest, "ROWS_IN_PART", 100)  # a row must be in one part on both sides
    statements = [
        "CREATE TABLE t (k text PRIMARY KEY, v text)",
        r"INSERT INTO t SELECT E'cl\u00e9 ' || i, E'\u00fc\u00df' FROM generate_series(1, 6000) i",
        "ANALYZE t",
    ]
    with _database(server, "UTF8") as one, _database(server, encoding) as other:
        for name in (one, other):
            with psycopg.connect(server.dsn(name), client_encoding="UTF8", autocommit=True) as db:
                for statement in statements:
                    db.execute(statement.encode())
        assert rows_of(server, one, other)["identical"]
        with psycopg.connect(server.dsn(other), client_encoding="UTF8", autocommit=True) as db:
            db.execute("UPDATE t SET v = 'ä' WHERE k = 'clé 77'")
        line = only(rows_of(server, one, other))
    assert (line["changed"], line["columns"]) == (1, {"v": 1})
    assert line["sample"][0]["key"] == {"k": "clé 77"}


def test_bytes_that_are_no_text_in_any_encoding(server: PlainPostgres) -> None:
    with _database(server, "SQL_ASCII") as one:
        server.run("CREATE TABLE t (k int PRIMARY KEY, v text)", one)
        server.run(r"INSERT INTO t SELECT i, E'\xff\xfe' FROM generate_series(1, 9) i", one)
        other = server.database(template=one)
        try:
            assert rows_of(server, one, other)["identical"]
            server.run(r"UPDATE t SET v = E'\xff\xfd' WHERE k = 3", other)
            line = only(rows_of(server, one, other))
        finally:
            server.drop(other)
    assert (line["changed"], line["columns"]) == (1, {"v": 1})


def test_all_cases_are_there() -> None:
    assert len(CHANGED) > 60
    assert len(SAME) > 10


def test_every_setting_that_texts_depend_on_is_pinned(server: PlainPostgres) -> None:
    """Also where this machine has no locale in which money looks different."""
    with two(server, "SELECT 1") as (one, _):
        for name, value in (("lc_monetary", "C.UTF-8"), ("timezone", "Asia/Kolkata"),
                            ("datestyle", "SQL, DMY"), ("intervalstyle", "iso_8601"),
                            ("bytea_output", "escape"), ("extra_float_digits", "-3")):  # fmt: skip
            server.run(f"ALTER DATABASE {one} SET {name} = '{value}'")
        with connected(Side("one", server.dsn(one)), Connections()) as db:
            shown = dict(db.execute("SELECT lower(name), setting FROM pg_settings").fetchall())
    known = {name: value for name, value in SETTINGS.items() if name in shown}
    assert len(known) > 10
    # Times are shown in the unit of their setting.
    assert {name: shown[name] for name in known} == known | {"lock_timeout": "10000"}
