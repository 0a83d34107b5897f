"""Tables of every kind, and what can happen to them on one side."""

from __future__ import annotations

import pytest

from tests.host.diff.rowsides import numbers, only, rows_of, two
from tests.plainpg import PlainPostgres


def test_a_column_that_was_dropped_and_added_again(server: PlainPostgres) -> None:
    script = """CREATE TABLE t (a int PRIMARY KEY, b text, c int DEFAULT 1);
        INSERT INTO t SELECT i, 'b' || i FROM generate_series(1, 300) i"""
    with two(server, script) as (one, other):
        server.run("""ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN b text;
            UPDATE t SET b = 'b' || a WHERE a <> 5""", other)  # fmt: skip
        line = only(rows_of(server, one, other))
    assert (line["changed"], line["columns"]) == (1, {"b": 1})
    assert line["sample"][0]["columns"] == {"b": ["b5", None]}


def test_a_table_without_columns_has_rows_all_the_same(server: PlainPostgres) -> None:
    with two(server, "CREATE TABLE t (); INSERT INTO t SELECT FROM generate_series(1, 5)") as (
        one, other,
    ):  # fmt: skip
        assert rows_of(server, one, other)["identical"]
        server.run("INSERT INTO t SELECT FROM generate_series(1, 2)", other)
        line = only(rows_of(server, one, other))
    assert (line["added"], line["removed"], line["changed"]) == (2, 0, 0)
    assert line["sample"][0] == {"change": "added", "key": {}, "row": {}}


def test_no_column_in_common_is_said(server: PlainPostgres) -> None:
    with two(server, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)") as (one, other):
        server.run("ALTER TABLE t RENAME a TO b", other)
        report = rows_of(server, one, other)
    assert not report["identical"]
    assert any("no column in common" in line for line in report["not_compared"])


def test_as_many_columns_as_a_table_can_have(server: PlainPostgres) -> None:
    columns = ", ".join(f"c{number} int" for number in range(1599))
    script = f"""CREATE TABLE t (id int PRIMARY KEY, {columns});
        INSERT INTO t (id, c7) SELECT i, i FROM generate_series(1, 50) i"""
    with two(server, script) as (one, other):
        server.run("UPDATE t SET c1598 = 1 WHERE id = 9", other)
        line = only(rows_of(server, one, other))
    assert (line["changed"], line["columns"]) == (1, {"c1598": 1})


def test_names_that_need_quoting(server: PlainPostgres) -> None:
    names = ['a"b', "per%cent", "p%s", "$1", "sp ace", "ünï", "select", "it's", "back\\slash",
             "new\nline", "UPPER", "dot.ted", "{brace}", "x,y(z)", "üé" * 15]  # fmt: skip
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    columns = ", ".join(f"{name} int" for name in quoted[1:])
    script = 'CREATE SCHEMA "s %s.""{"; ' + "; ".join(
        f'CREATE TABLE "s %s.""{{".{table} ({quoted[0]} int PRIMARY KEY, {columns});'
        f'INSERT INTO "s %s.""{{".{table} SELECT i FROM generate_series(1, 9) i'
        for table in quoted
    )  # fmt: skip
    with two(server, script) as (one, other):
        assert rows_of(server, one, other)["identical"]
        for table in quoted:
            server.run(f'UPDATE "s %s.""{{".{table} SET {quoted[-1]} = 1 WHERE {quoted[0]} = 5',
                       other)  # fmt: skip
        report = rows_of(server, one, other)
    assert len(report["rows"]) == len(names)
    for line in report["rows"]:
        assert (line["key"], line["columns"]) == ([names[0]], {names[-1]: 1})


def test_many_schemas_with_tables_of_one_name(server: PlainPostgres) -> None:
    script = "; ".join(
        f"CREATE SCHEMA s{number}; CREATE TABLE s{number}.t (a int PRIMARY KEY, b int);"
        f"INSERT INTO s{number}.t SELECT i, {number} FROM generate_series(1, 20) i"
        for number in range(40)
    )
    with two(server, script) as (one, other):
        server.run("UPDATE s7.t SET b = 0 WHERE a = 1; DELETE FROM s30.t WHERE a < 3", other)
        report = rows_of(server, one, other)
    assert numbers(report) == {"s7.t": (0, 0, 1), "s30.t": (0, 2, 0)}


def test_unlogged_tables_and_materialised_views_count_and_temporary_ones_do_not(
    server: PlainPostgres,
) -> None:
    script = """CREATE UNLOGGED TABLE u (a int PRIMARY KEY, b int); INSERT INTO u VALUES (1, 1);
        CREATE MATERIALIZED VIEW m AS SELECT * FROM u; CREATE UNIQUE INDEX ON m (a);
        CREATE MATERIALIZED VIEW never AS SELECT 1 AS a WITH NO DATA"""
    with two(server, script) as (one, other):
        server.run("UPDATE u SET b = 2; REFRESH MATERIALIZED VIEW m", other)
        report = rows_of(server, one, other)
    # A unique index of a view is over columns that may be null: no key.
    assert numbers(report) == {"public.u": (0, 0, 1), "public.m": (1, 1, 0)}
    assert any("never" in line for line in report["not_compared"])


@pytest.mark.parametrize("why", ["permission", "policy"])
def test_what_the_user_may_not_read_is_named(server: PlainPostgres, why: str) -> None:
    """Rows that a policy hides would be missing on one side without a word."""
    script = """CREATE TABLE seen (a int PRIMARY KEY, b int); INSERT INTO seen VALUES (1, 1);
        CREATE TABLE hidden (a int PRIMARY KEY, b int); INSERT INTO hidden VALUES (1, 1)"""
    role = f"reader_{why}"
    rules = {
        "permission": f"GRANT SELECT ON seen TO {role}",
        "policy": f"GRANT SELECT ON seen, hidden TO {role};"
                  "ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;"
                  "CREATE POLICY few ON hidden USING (a > 1)",
    }[why]  # fmt: skip
    server.run(f"CREATE ROLE {role} LOGIN")
    try:
        with two(server, script, rules) as (one, other):
            server.run("UPDATE seen SET b = 2; UPDATE hidden SET b = 2", other)
            report = rows_of(server, one, other, user=role)
    finally:
        server.run(f"DROP ROLE {role}")
    assert numbers(report) == {"public.seen": (0, 0, 1)}
    assert not report["identical"]
    assert any("rows of public.hidden" in line for line in report["not_compared"])


def test_rows_of_a_megabyte(server: PlainPostgres) -> None:
    script = """CREATE TABLE t (id int PRIMARY KEY, doc text);
        ALTER TABLE t ALTER doc SET STORAGE EXTERNAL;
        INSERT INTO t SELECT i, repeat(md5(i::text), 32768) FROM generate_series(1, 20) i"""
    with two(server, script) as (one, other):
        server.run("UPDATE t SET doc = doc || '!' WHERE id = 17", other)
        line = only(rows_of(server, one, other))
    assert (line["changed"], line["columns"]) == (1, {"doc": 1})


def test_an_inherited_table_is_not_its_parent(server: PlainPostgres) -> None:
    script = """CREATE TABLE base (a int PRIMARY KEY, b int);
        CREATE TABLE derived (PRIMARY KEY (a)) INHERITS (base);
        INSERT INTO base SELECT i, 0 FROM generate_series(1, 9) i;
        INSERT INTO derived SELECT i, 0 FROM generate_series(1, 9) i"""
    with two(server, script) as (one, other):
        server.run("UPDATE ONLY derived SET b = 1 WHERE a = 3", other)
        assert numbers(rows_of(server, one, other)) == {"public.derived": (0, 0, 1)}


PARTED = """CREATE TABLE p (a int, b text, at date, PRIMARY KEY (a, at)) PARTITION BY RANGE (at);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
    CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
    CREATE TABLE alone (at date, a int, b text, PRIMARY KEY (a, at));
    INSERT INTO p SELECT i, 'b', date '2024-01-01' + i FROM generate_series(0, 58) i;
    INSERT INTO alone SELECT date '2024-03-01' + i, i, 'c' FROM generate_series(0, 9) i"""


def test_a_partition_attached_and_one_detached(server: PlainPostgres) -> None:
    """Their own rows have not changed, and those of the partitioned table have."""
    with two(server, PARTED) as (one, other):
        server.run("""ALTER TABLE p DETACH PARTITION p2;
            ALTER TABLE p ATTACH PARTITION alone FOR VALUES FROM ('2024-03-01') TO ('2024-04-01');
            UPDATE p SET b = 'x' WHERE at = '2024-01-04'""", other)  # fmt: skip
        report = rows_of(server, one, other)
    # alone came with a = 0 to 9, p2 went with 28 rows; a = 3 of January changed.
    assert numbers(report) == {"public.p": (10, 28, 1), "public.p1": (0, 0, 1)}


def test_rows_that_moved_between_partitions_are_still_in_the_table(server: PlainPostgres) -> None:
    with two(server, PARTED) as (one, other):
        server.run("""BEGIN; ALTER TABLE p DETACH PARTITION p2; ALTER TABLE p DETACH PARTITION p1;
            CREATE TABLE early PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2024-01-11');
            CREATE TABLE late PARTITION OF p FOR VALUES FROM ('2024-01-11') TO ('2025-01-01');
            INSERT INTO p SELECT * FROM p1 UNION ALL SELECT * FROM p2;
            DROP TABLE p1; DROP TABLE p2; COMMIT""", other)  # fmt: skip
        assert numbers(rows_of(server, one, other)) == {}
        server.run("UPDATE p SET b = 'moved' WHERE a = 50", other)
        assert numbers(rows_of(server, one, other)) == {"public.p": (0, 0, 1)}


def test_a_row_in_another_partition_of_the_same_names(server: PlainPostgres) -> None:
    script = """CREATE TABLE p (a int, b text) PARTITION BY LIST (b);
        CREATE TABLE p1 PARTITION OF p FOR VALUES IN ('x', 'y');
        CREATE TABLE p2 PARTITION OF p FOR VALUES IN ('z');
        INSERT INTO p VALUES (1, 'x'), (2, 'y'), (3, 'z')"""
    with two(server, script) as (one, other):
        server.run("""BEGIN; CREATE TEMP TABLE kept AS SELECT * FROM p; TRUNCATE p;
            ALTER TABLE p DETACH PARTITION p1; ALTER TABLE p DETACH PARTITION p2;
            ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN ('x');
            ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN ('y', 'z');
            INSERT INTO p SELECT * FROM kept; COMMIT""", other)  # fmt: skip
        report = rows_of(server, one, other)
    assert numbers(report) == {"public.p1": (0, 1, 0), "public.p2": (1, 0, 0)}


def test_a_table_that_became_partitioned(server: PlainPostgres) -> None:
    script = """CREATE TABLE t (a int PRIMARY KEY, b text);
        INSERT INTO t SELECT i, 'b' FROM generate_series(1, 99) i"""
    with two(server, script) as (one, other):
        server.run("""ALTER TABLE t RENAME TO t_all;
            ALTER TABLE t_all RENAME CONSTRAINT t_pkey TO x;
            CREATE TABLE t (a int PRIMARY KEY, b text) PARTITION BY HASH (a);
            CREATE TABLE t_0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);
            CREATE TABLE t_1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1);
            INSERT INTO t SELECT * FROM t_all; DROP TABLE t_all;
            UPDATE t SET b = 'c' WHERE a = 5""", other)  # fmt: skip
        report = rows_of(server, one, other)
    assert numbers(report) == {"public.t": (0, 0, 1)}


def test_partitions_without_a_difference_are_not_read_twice(server: PlainPostgres) -> None:
    with two(server, PARTED) as (one, other):
        report = rows_of(server, one, other)
    assert report["identical"]
    assert report["method"]["public.p"] == "full-scan"
