"""Numbers of rows, and whole comparisons of two and more databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from cowdb.controller.diff import counts, session
from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.counts import Counted, Counting
from cowdb.controller.diff.model import Side, Wanted
from cowdb.controller.diff.session import Connections, connected
from cowdb.errors import InvalidError, ServerError
from tests.plainpg import PlainPostgres

TABLES = """
CREATE TABLE plain AS SELECT generate_series(1, 1000) AS a;
CREATE TABLE empty (a int);
CREATE UNLOGGED TABLE unlogged AS SELECT 1 AS a;
CREATE TABLE base AS SELECT generate_series(1, 5) AS a;
CREATE TABLE derived () INHERITS (base);
INSERT INTO derived SELECT generate_series(1, 7);
CREATE TABLE parted (a int) PARTITION BY RANGE (a);
CREATE TABLE part_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 PARTITION OF parted FOR VALUES FROM (10) TO (100) PARTITION BY LIST (a);
CREATE TABLE part_2_a PARTITION OF part_2 FOR VALUES IN (10, 11);
CREATE TABLE part_2_b PARTITION OF part_2 DEFAULT;
CREATE TABLE childless (a int) PARTITION BY HASH (a);
INSERT INTO parted SELECT generate_series(0, 49);
CREATE SCHEMA "S.x";
CREATE TABLE "S.x"."t.y" AS SELECT 1 AS a;
CREATE TABLE "quo""te" AS SELECT generate_series(1, 2) AS a;
CREATE TABLE "UPPER" AS SELECT generate_series(1, 3) AS a;
CREATE TABLE "größe 表" AS SELECT generate_series(1, 4) AS a;
CREATE TABLE "per%cent" AS SELECT generate_series(1, 6) AS a;
CREATE MATERIALIZED VIEW seen AS SELECT * FROM plain WHERE a <= 9;
CREATE VIEW not_counted AS SELECT * FROM plain;
"""

EXPECTED = {
    "public.plain": 1000, "public.empty": 0, "public.unlogged": 1, "public.base": 5,
    "public.derived": 7, "public.parted": 50, "public.part_1": 10, "public.part_2": 40,
    "public.part_2_a": 2, "public.part_2_b": 38, "public.childless": 0, '"S.x"."t.y"': 1,
    'public."quo""te"': 2, 'public."UPPER"': 3, 'public."größe 表"': 4, 'public."per%cent"': 6,
    "public.seen": 9,
}  # fmt: skip


@contextmanager
def database(server: PlainPostgres, script: str) -> Iterator[str]:
    name = server.database(script)
    try:
        yield name
    finally:
        server.drop(name)


def count(side: Side, *globs: str, most: int = 4) -> Counted:
    connections = Connections()
    with connected(side, connections) as conn:
        return Counting(side, connections, globs, most).run(conn)


@pytest.mark.parametrize("most", [1, 2, 8])
def test_every_table_is_counted_exactly(server: PlainPostgres, most: int) -> None:
    with database(server, TABLES) as name:
        counted = count(Side("a", server.dsn(name)), most=most)
    assert counted.rows == EXPECTED
    assert not counted.failed
    assert not counted.left_out


@pytest.mark.parametrize(
    ("glob", "tables"),
    [
        ("plain", {"public.plain"}),
        ("public.part_?", {"public.part_1", "public.part_2"}),
        ("parted", {"public.parted"}),
        ("S.x.*", {'"S.x"."t.y"'}),
        ("UPP*", {'public."UPPER"'}),
        ("nothing", set()),
    ],
)
def test_globs_choose_tables(server: PlainPostgres, glob: str, tables: set[str]) -> None:
    with database(server, TABLES) as name:
        counted = count(Side("a", server.dsn(name)), glob)
    assert counted.rows == {table: EXPECTED[table] for table in tables}


def test_temporary_tables_are_left_out(server: PlainPostgres) -> None:
    with database(server, "CREATE TABLE t (a int)") as name:
        with psycopg.connect(server.dsn(name), autocommit=True) as other:
            other.execute("CREATE TEMP TABLE passing AS SELECT 1")
            assert count(Side("a", server.dsn(name))).rows == {"public.t": 0}


def test_all_workers_count_in_one_snapshot(
    server: PlainPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "".join(f"CREATE TABLE t{n} AS SELECT 1 AS a;" for n in range(12))
    with database(server, script) as name:
        side = Side("a", server.dsn(name))
        seen = threading.local()
        joined: list[int] = []
        plain = Counting._count

        def count_after_a_change(self, conn, table, tally):
            # Rows that arrive once the first snapshot is there must not show in any worker.
            if not hasattr(seen, "once"):
                seen.once = True
                joined.append(conn.info.backend_pid)
                server.run("".join(f"INSERT INTO t{n} VALUES (2);" for n in range(12)), name)
            plain(self, conn, table, tally)

        monkeypatch.setattr(counts.Counting, "_count", count_after_a_change)
        counted = count(side)
    assert set(counted.rows.values()) == {1}
    assert len(counted.rows) == 12
    assert joined


def test_what_may_not_be_read_is_named_and_never_zero(server: PlainPostgres) -> None:
    script = """
    DROP ROLE IF EXISTS clerk; CREATE ROLE clerk LOGIN;
    CREATE TABLE open AS SELECT 1 AS a; GRANT SELECT ON open TO clerk;
    CREATE TABLE closed AS SELECT 1 AS a;
    CREATE TABLE guarded AS SELECT 1 AS a; GRANT SELECT ON guarded TO clerk;
    ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    CREATE SEQUENCE secret;
    """
    with database(server, script) as name:
        one = Side("one", server.dsn(name, "clerk"))
        two = Side("two", server.dsn(name))
        counted = count(one)
        report = compare([one, two], Wanted())
        server.run("DROP OWNED BY clerk; DROP ROLE clerk", name)
    assert counted.rows == {"public.open": 1}
    assert set(counted.failed) == {"public.closed", "public.guarded"}
    assert "permission denied" in counted.failed["public.closed"]
    assert "row-level security" in counted.failed["public.guarded"]
    assert [line["table"] for line in report["counts"]] == ["public.open"]
    assert not report["identical"]
    notes = report["not_compared"]
    assert any(note.startswith("one: table public.closed: not counted: perm") for note in notes)
    assert "one: position of sequence public.secret: permission denied" in notes


def test_a_server_short_of_connections_only_makes_it_slower(server: PlainPostgres) -> None:
    tables = "".join(f"CREATE TABLE t{n} AS SELECT 1 AS a;" for n in range(9))
    script = "DROP ROLE IF EXISTS lonely; CREATE ROLE lonely LOGIN CONNECTION LIMIT 1;" + tables
    with database(server, script + "GRANT SELECT ON ALL TABLES IN SCHEMA public TO lonely") as name:
        counted = count(Side("a", server.dsn(name, "lonely")))
        server.run("DROP OWNED BY lonely; DROP ROLE lonely", name)
    assert counted.rows == {f"public.t{n}": 1 for n in range(9)}
    assert not counted.failed


def test_text_that_is_not_utf8_is_an_error_of_its_side(server: PlainPostgres) -> None:
    server.run("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    with psycopg.connect(server.dsn("ascii"), autocommit=True) as conn:
        conn.execute(b'CREATE TABLE "t\xe9" (a int)')
    try:
        with pytest.raises(ServerError, match="side 'a': invalid byte sequence"):
            compare([Side("a", server.dsn("ascii")), Side("b", server.dsn())], Wanted())
    finally:
        server.drop("ascii")


def test_foreign_tables_and_unready_views_are_named(server: PlainPostgres) -> None:
    script = """
    CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
    CREATE FOREIGN TABLE far (a int) SERVER s;
    CREATE TABLE parted (a int) PARTITION BY LIST (a);
    CREATE TABLE near PARTITION OF parted FOR VALUES IN (1);
    CREATE FOREIGN TABLE part PARTITION OF parted FOR VALUES IN (2) SERVER s;
    CREATE MATERIALIZED VIEW unready AS SELECT 1 AS a WITH NO DATA;
    """
    with database(server, script) as name:
        counted = count(Side("a", server.dsn(name)))
    assert counted.rows == {"public.near": 0}
    assert counted.left_out == {
        "public.far": "foreign table",
        "public.part": "foreign table",
        "public.parted": "partition public.part: foreign table",
        "public.unready": "not populated",
    }


def test_three_sides_and_a_missing_table(server: PlainPostgres) -> None:
    one = server.database("CREATE TABLE t AS SELECT 1 AS a; CREATE TABLE gone AS SELECT 1 AS a")
    two = server.database("CREATE TABLE t AS SELECT generate_series(1, 2) AS a")
    steps: list[tuple[str, int, int]] = []
    report = compare(
        [Side("a", server.dsn(one)), Side("b", server.dsn(two)), Side("c", server.dsn(one))],
        Wanted(),
        lambda *step: steps.append(step),
    )
    server.drop(one, two)
    assert report["sides"] == ["a", "b", "c"]
    assert not report["identical"]
    assert [(c["kind"], c["name"], c["change"], c["side"]) for c in report["schema"]] == [
        ("table", "public.gone", "removed", "b")
    ]
    assert report["counts"] == [
        {"table": "public.gone", "counts": [1, None, 1], "exact": True, "method": "full-scan"},
        {"table": "public.t", "counts": [1, 2, 1], "exact": True, "method": "full-scan"},
    ]
    assert report["method"] == {"public.gone": "full-scan", "public.t": "full-scan"}
    assert set(report["timings_ms"]) == {"connect", "schema", "counts", "total"}
    assert [step[1:] for step in steps] == [(n, 6) for n in range(1, 7)]
    assert f"other databases of the same server: {one}, postgres" in " ".join(
        report["not_compared"]
    )


def test_only_what_is_asked_for(server: PlainPostgres) -> None:
    one = server.database("CREATE TABLE t AS SELECT 1 AS a; CREATE TABLE u (a int)")
    two = server.database("CREATE TABLE t (a bigint); CREATE TABLE u (a bigint)")
    sides = [Side("a", server.dsn(one)), Side("b", server.dsn(two))]
    schema = compare(sides, Wanted(counts=False))
    rows = compare(sides, Wanted(schema=False, rows=True))
    part = compare(sides, Wanted(tables=("u",)))
    server.drop(one, two)
    assert len(schema["schema"]) == 2
    assert schema["counts"] == []
    assert "numbers of rows: not asked for" in schema["not_compared"]
    assert "row contents: not asked for" in schema["not_compared"]
    assert rows["schema"] == []
    assert "schema: not asked for" in rows["not_compared"]
    assert not any(line.startswith("row contents") for line in rows["not_compared"])
    assert [change["name"] for change in part["schema"]] == ["public.u.a"]
    assert [line["table"] for line in part["counts"]] == ["public.u"]


def test_nothing_is_written(server: PlainPostgres) -> None:
    with database(server, "CREATE TABLE t AS SELECT 1 AS a") as name:
        with connected(Side("a", server.dsn(name)), Connections()) as conn:
            with pytest.raises(ServerError, match="read-only transaction"):
                with connected(Side("b", server.dsn(name)), Connections()) as other:
                    other.execute("DELETE FROM public.t")
            assert conn.execute("SELECT count(*) FROM public.t").fetchone() == (1,)


def test_errors_name_the_side_and_never_the_password(server: PlainPostgres) -> None:
    good = Side("good", server.dsn())
    missing = server.dsn("no_such_database").replace("postgres@", "postgres:sesame@")
    for dsn, kind in [
        (missing, ServerError),
        ("postgresql://u:sesame@127.0.0.1:1/x", ServerError),
        ("postgresql://u:sesame@[::1", InvalidError),
        ("host=x password=sesame nonsense", InvalidError),
    ]:
        with pytest.raises(kind, match="'bad'") as caught:
            compare([good, Side("bad", dsn)], Wanted())
        error: BaseException | None = caught.value
        while error is not None:
            assert "sesame" not in str(error)
            error = error.__cause__
        assert "sesame" not in repr(Side("bad", dsn))


def test_a_label_that_is_a_url_loses_its_password(server: PlainPostgres) -> None:
    url = server.dsn().replace("postgres@", "postgres:sesame@")
    report = compare([Side("a", url), Side(url, url)], Wanted(counts=False))
    assert "sesame" not in str(report)
    assert report["sides"][1] == url.replace("sesame", "***")


def test_impossible_requests(server: PlainPostgres) -> None:
    with pytest.raises(InvalidError, match="two sides"):
        compare([Side("a", server.dsn())], Wanted())
    with pytest.raises(InvalidError, match="given twice"):
        compare([Side("a", server.dsn()), Side("a", server.dsn())], Wanted())


def test_a_table_locked_by_another_is_named(
    server: PlainPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(session.SETTINGS, "lock_timeout", "50ms")
    with database(server, "CREATE TABLE t (a int); CREATE TABLE u (a int)") as name:
        with psycopg.connect(server.dsn(name)) as other:
            other.execute("LOCK TABLE t")
            counted = count(Side("a", server.dsn(name)))
    assert counted.rows == {"public.u": 0}
    assert "lock timeout" in counted.failed["public.t"]


def test_an_interrupt_ends_a_long_count(server: PlainPostgres) -> None:
    with database(server, "CREATE TABLE t (a int)") as name:
        with psycopg.connect(server.dsn(name)) as other:
            other.execute("LOCK TABLE t")
            side = Side("a", server.dsn(name))

            def interrupt(text: str, done: int, total: int) -> None:
                raise KeyboardInterrupt

            # The other side waits for the lock when this one's progress raises.
            with pytest.raises((KeyboardInterrupt, ServerError)):
                compare([side, Side("b", server.dsn())], Wanted(schema=False), interrupt)
        with psycopg.connect(server.dsn()) as conn:
            left = conn.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cowdb diff'"
            ).fetchone()
    assert left == (0,)
