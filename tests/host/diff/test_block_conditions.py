"""Each condition under which unchanged blocks say something of rows, broken once: everything is
read then, the report says why, and no difference is missed (docs/diff.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cowdb.controller.diff.branchhost import BranchHost
from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.model import Report, Wanted
from cowdb.controller.diff.sides import resolve
from tests.agenthost import AgentHost

ROWS = Wanted(schema=False, counts=False, rows=True)


def _branches(host: AgentHost, *base: str) -> dict[str, str]:
    source = host.json("source", "add", "main", "--empty")
    host.sql(source["dsn"], *base)
    host.json("snapshot", "create", "main@s", "--mode", "stop", "--settle")
    return {name: host.json("branch", "create", name, "--from", "main@s")["dsn"] for name in "ab"}


def _found(report: Report, table: str) -> tuple[str, str, tuple[int, int, int]]:
    """How a table was read, why it was read whole, and (added, removed, changed)."""
    lines = [(line["added"], line["removed"], line["changed"])
             for line in report["rows"] if line["table"] == table]  # fmt: skip
    return (report["method"][table], report["why_full_scan"].get(table, ""),
            lines[0] if lines else (0, 0, 0))  # fmt: skip


def _compared(
    host: AgentHost, before: Callable[[], object] = int, after: Callable[[], object] = int
) -> Report:
    """:param before: done between the snapshots and the question to the host; `after` after it."""

    def changes(first: str, other: str) -> Any:
        before()
        with host.client() as client:
            found = client.host.changes(first, other)
        after()
        return found["relations"], found["reason"]

    with resolve(host.client, ["a", "b"]) as sides:
        return compare(sides, ROWS, changes=changes)


TABLE = (
    "CREATE TABLE t (id int PRIMARY KEY, v text)",
    "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 500) i", "VACUUM FREEZE t",
)  # fmt: skip


def test_a_checkpoint_does_not_flush_an_unlogged_table(host: AgentHost) -> None:
    dsn = _branches(host, *TABLE, "ALTER TABLE t SET UNLOGGED", "VACUUM FREEZE t")
    host.sql(dsn["a"], "UPDATE t SET v = 'a' WHERE id = 7")
    host.sql(dsn["b"], "SELECT count(*) FROM t")
    assert _found(_compared(host), "public.t") == ("full-scan", "it is unlogged", (0, 0, 1))


def test_files_of_another_tablespace_are_not_searched(host: AgentHost) -> None:
    dsn = _branches(
        host, "SET allow_in_place_tablespaces = on", "CREATE TABLESPACE other LOCATION ''",
        *TABLE, "ALTER TABLE t SET TABLESPACE other", "CHECKPOINT",
    )  # fmt: skip
    host.sql(dsn["a"], "UPDATE t SET v = 'a' WHERE id = 7")
    found = _found(_compared(host), "public.t")
    assert found == ("full-scan", "it lies in another tablespace", (0, 0, 1))


# Type of a column, a value, and what one side then changes elsewhere: each table keeps its bytes
# and prints otherwise. # is the table's own number.
ELSEWHERE = (
    ("regclass", "'one#'", "ALTER TABLE one# RENAME TO two#"),
    ("regclass[]", "'{one#}'", "ALTER TABLE one# RENAME TO two#"),
    ("named", "'one#'", "ALTER TABLE one# RENAME TO two#"),
    ("boxed", "ROW(1, 'one#')", "ALTER TABLE one# RENAME TO two#"),
    ("mood#[]", "'{sad}'", "ALTER TYPE mood# RENAME VALUE 'sad' TO 'blue'"),
    ("one#", "ROW(1, 'x')", "ALTER TABLE one# DROP COLUMN a"),
    ("one#[]", "ARRAY[ROW(1, 'x')::one#]", "ALTER TABLE one# ADD COLUMN c int"),
    ("pair#", "ROW(1, 2)", "ALTER TYPE pair# DROP ATTRIBUTE x"),
    ("int", "id", "ALTER TABLE t# RENAME v TO w; ALTER TABLE t# RENAME other TO v;"
                  "ALTER TABLE t# RENAME w TO other"),
)  # fmt: skip


def test_columns_whose_text_depends_on_other_catalogs(host: AgentHost) -> None:
    base = ["CREATE DOMAIN named AS regclass", "CREATE TYPE boxed AS (n int, r regclass)"]
    for number, (column, value, _) in enumerate(ELSEWHERE):
        base += [text.replace("#", str(number)) for text in (
            "CREATE TABLE one# (a int, b text)", "CREATE TYPE mood# AS ENUM ('sad')",
            "CREATE TYPE pair# AS (x int, y int)",
            f"CREATE TABLE t# (id int PRIMARY KEY, v {column}, other {column})",
            f"INSERT INTO t# SELECT id, {value}::{column}, NULL FROM generate_series(1, 90) id",
        )]  # fmt: skip
    dsn = _branches(host, *base, "VACUUM FREEZE")
    for number, (_, _, change) in enumerate(ELSEWHERE):
        host.sql(dsn["a"], change.replace("#", str(number)))
    report = _compared(host)
    for number, (_, _, change) in enumerate(ELSEWHERE):
        method, why, numbers = _found(report, f"public.t{number}")
        assert (method, numbers) == ("full-scan", (0, 0, 90)), change
        assert "column" in why, change


def test_a_new_table_does_not_change_the_types_of_others(host: AgentHost) -> None:
    dsn = _branches(
        host, "CREATE TYPE mood AS ENUM ('sad')", "CREATE TABLE t (id int PRIMARY KEY, v mood)",
        "INSERT INTO t SELECT i, 'sad' FROM generate_series(1, 90) i", "VACUUM FREEZE t",
    )  # fmt: skip
    host.sql(dsn["a"], "CREATE TABLE new (i int)", "CREATE TYPE another AS ENUM ('x')",
             "DELETE FROM t WHERE id = 3")  # fmt: skip
    assert _found(_compared(host), "public.t") == ("changed-blocks", "", (1, 0, 0))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_table_rewritten_while_the_sides_are_compared(host: AgentHost, when: str) -> None:
    """Its rows lie elsewhere then than where the host has looked."""
    dsn = _branches(host, *TABLE)
    host.sql(dsn["a"], "DELETE FROM t WHERE id < 490", "UPDATE t SET v = 'a' WHERE id = 499")
    host.sql(dsn["b"], "UPDATE t SET v = 'b' WHERE id = 1")
    report = _compared(host, **{when: lambda: host.sql(dsn["a"], "VACUUM FULL t")})
    method, why, numbers = _found(report, "public.t")
    assert (method, numbers) == ("full-scan", (489, 0, 1))
    assert "rewrit" in why


def test_both_sides_rewritten_meanwhile_get_files_of_one_name(host: AgentHost) -> None:
    """Two clones count alike: what both rewrite next has the same new path."""
    dsn = _branches(host, *TABLE)
    host.sql(dsn["b"], "DELETE FROM t WHERE id > 20", "VACUUM FULL t")

    def rewrite() -> None:
        host.sql(dsn["a"], "VACUUM FULL t")

    method, why, numbers = _found(_compared(host, after=rewrite), "public.t")
    assert (method, numbers) == ("full-scan", (0, 480, 0))
    assert "rewritten" in why


def test_rows_of_a_table_rewritten_meanwhile_are_counted(host: AgentHost) -> None:
    """Its old file has gone: nothing is left there that could have been reported."""
    dsn = _branches(host, "CREATE TABLE t (id int PRIMARY KEY)")
    host.sql(dsn["a"], "INSERT INTO t VALUES (1)")

    class Rewriting(BranchHost):
        def written(self, branches: Sequence[str], *, search: bool = True) -> Any:
            host.sql(dsn["a"], "VACUUM FULL t")
            return super().written(branches, search=search)

    with resolve(host.client, ["a", "b"]) as sides:
        asked = Rewriting(host.client)
        wanted = Wanted(schema=False, counts=True, rows=True)
        report = compare(sides, wanted, changes=asked.changes, host=asked)
    assert [line["counts"] for line in report["counts"]] == [[1, 0]]
    assert host.json("diff", "a", "b", "--counts", status=3)["counts"][0]["counts"] == [1, 0]


def test_what_is_written_while_the_sides_are_compared_is_not_seen(host: AgentHost) -> None:
    dsn = _branches(host, *TABLE)
    host.sql(dsn["a"], "UPDATE t SET v = 'a' WHERE id = 7")

    def write() -> None:
        host.sql(dsn["a"], "UPDATE t SET v = 'late' WHERE id < 9", "DELETE FROM t WHERE id = 400",
                 "VACUUM t")  # fmt: skip

    found = _found(_compared(host, before=write, after=write), "public.t")
    assert found == ("changed-blocks", "", (0, 0, 1))


def test_a_standby_and_a_stopped_server_are_not_asked(host: AgentHost) -> None:
    """A standby's CHECKPOINT writes nothing until it has replayed one of its primary's."""
    _branches(host, *TABLE)
    shown = host.json("branch", "show", "a")
    host.run("branch", "stop", "a")
    with host.client() as client:
        assert "does not run" in client.host.changes("a", "b")["reason"]
    Path(shown["datadir"], "standby.signal").touch()
    host.run("branch", "start", "a")
    report = _compared(host)
    assert _found(report, "public.t")[0] == "full-scan"
    assert "changed blocks: everything was read, since a is a standby" in " ".join(
        report["not_compared"]
    )
