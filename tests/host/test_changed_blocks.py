"""Rows compared by changed blocks: the same answer as reading everything, and only where it may."""

from __future__ import annotations

import random

import pytest

from tests.agenthost import AgentHost

SHOP = (
    "create table t (id int primary key, v text, n numeric)",
    "insert into t select i, md5(i::text), i / 3.0 from generate_series(1, 60000) i",
    "create table still (id int primary key, v text)",
    "insert into still select i, 'x' from generate_series(1, 5000) i",
    "create table loose (v text)",
    "insert into loose select i % 100 from generate_series(1, 20000) i",
    "create table big (id int primary key, doc text)",
    "alter table big alter doc set storage external",
    "insert into big select i, repeat(md5(i::text), 300) from generate_series(1, 300) i",
    "vacuum (freeze, analyze)",
)


@pytest.fixture
def host(any_host: AgentHost) -> AgentHost:
    """Each driver in turn."""
    return any_host


def _branches(host: AgentHost, *names: str) -> dict[str, str]:
    source = host.json("source", "add", "main", "--empty")
    host.sql(source["dsn"], *SHOP)
    host.json("snapshot", "create", "main@s", "--settle")
    return {name: host.json("branch", "create", name, "--from", "main@s")["dsn"] for name in names}


def _rows(host: AgentHost, *sides: str) -> tuple[dict[str, tuple[int, int, int]], dict[str, str]]:
    found = host.json_any("diff", *sides, "--rows")
    lines = {line["table"]: (line["added"], line["removed"], line["changed"])
             for line in found["rows"]}  # fmt: skip
    return lines, found["method"]


def test_only_changed_blocks_are_read_and_all_changes_found(host: AgentHost) -> None:
    dsn = _branches(host, "a", "b")
    host.sql(dsn["a"], "update t set v = 'a' where id % 10000 = 1", "delete from t where id = 500",
             "insert into loose values ('new')",
             "update big set doc = doc || 'x' where id = 7")  # fmt: skip
    host.sql(dsn["b"], "insert into t values (70001, 'b', null), (70002, 'b', 'NaN')")
    rows, method = _rows(host, "a", "b")
    assert rows == {"public.t": (3, 0, 6), "public.loose": (0, 1, 0), "public.big": (0, 0, 1)}
    assert method["public.still"] == "unchanged-blocks"
    assert method["public.t"] == method["public.loose"] == method["public.big"] == "changed-blocks"
    rows, method = _rows(host, "main@s", "a")
    assert rows == {"public.t": (0, 1, 6), "public.loose": (1, 0, 0), "public.big": (0, 0, 1)}
    assert method["public.t"] == "changed-blocks"


def test_a_table_rewritten_on_one_side_is_read_whole(host: AgentHost) -> None:
    dsn = _branches(host, "a", "b")
    host.sql(dsn["a"], "vacuum full t", "update t set v = 'a' where id = 9")
    rows, method = _rows(host, "a", "b")
    assert rows == {"public.t": (0, 0, 1)}
    assert method["public.t"] == "full-scan"


def test_a_truncated_end_and_a_vacuumed_page_are_seen(host: AgentHost) -> None:
    dsn = _branches(host, "a", "b")
    host.sql(dsn["a"], "delete from t where id > 30000", "vacuum t", "checkpoint")
    rows, _ = _rows(host, "b", "a")
    assert rows == {"public.t": (0, 30000, 0)}


def test_the_same_column_added_with_other_defaults_is_no_block_business(host: AgentHost) -> None:
    """No row is written, and every row differs."""
    dsn = _branches(host, "a", "b")
    host.sql(dsn["a"], "alter table t add column level text default 'one'")
    host.sql(dsn["b"], "alter table t add column level text default 'two'")
    rows, method = _rows(host, "a", "b")
    assert rows == {"public.t": (0, 0, 60000)}
    assert method["public.t"] == "full-scan"


def test_a_prepared_transaction_in_the_snapshot_forbids_it(host: AgentHost) -> None:
    """It can be committed in one clone and rolled back in the other without touching a block."""
    source = host.json("source", "add", "main", "--empty")
    host.sql(source["dsn"], *SHOP, "alter system set max_prepared_transactions = 5")
    host.run("source", "stop", "main")
    host.run("source", "start", "main")
    host.sql(source["dsn"], "begin", "update t set v = 'prepared' where id <= 10",
             "prepare transaction 'p'")  # fmt: skip
    host.json("snapshot", "create", "main@s", "--settle")
    dsn = {name: host.json("branch", "create", name, "--from", "main@s")["dsn"] for name in "ab"}
    host.sql(dsn["a"], "commit prepared 'p'")
    host.sql(dsn["b"], "rollback prepared 'p'")
    rows, method = _rows(host, "a", "b")
    assert rows == {"public.t": (0, 0, 10)}
    assert method["public.t"] == "full-scan"


def test_branches_of_branches_share_their_nearest_snapshot(host: AgentHost) -> None:
    dsn = _branches(host, "a")
    host.sql(dsn["a"], "update t set v = 'a' where id = 5")
    child = host.json("branch", "create", "c", "--from", "a")
    host.sql(child["dsn"], "update t set v = 'c' where id = 50000")
    rows, method = _rows(host, "a", "c")
    assert rows == {"public.t": (0, 0, 1)}
    assert method["public.t"] == "changed-blocks"
    rows, method = _rows(host, "main@s", "c")
    assert rows == {"public.t": (0, 0, 2)}
    assert method["public.t"] == "changed-blocks"


@pytest.mark.parametrize("seed", range(3))
def test_random_changes_are_found_alike_by_blocks_and_by_reading_everything(
    host: AgentHost, seed: int
) -> None:
    dsn = _branches(host, "a", "b")
    seeded = random.Random(seed)
    for _ in range(12):
        low = seeded.randrange(1, 62000)
        span = seeded.choice([0, 1, 20, 800])
        table = seeded.choice(["t", "t", "t", "still", "big"])
        where = f"where id between {low} and {low + span}"
        statement = seeded.choice([
            f"delete from {table} {where}",
            f"begin; delete from t {where}; rollback",
            f"update t set v = v || '!' {where}",
            f"begin; savepoint s; update t set n = -n {where}; rollback to s; "
            f"update t set n = null where id = {low}; commit",
            f"insert into t select i, 'new', 1 from generate_series({low}, {low + span}) i "
            "on conflict do nothing",
            f"update {table} set id = id where id % 3000 = 1",
            "vacuum t", "vacuum (freeze) t", "analyze", "delete from loose where v = '7'",
            "insert into loose values ('7')", "truncate still", "select count(*) from t",
        ])  # fmt: skip
        host.sql(dsn[seeded.choice("ab")], statement)
    by_blocks = host.json_any("diff", "a", "b", "--rows")
    by_url = host.json_any("diff", dsn["a"], dsn["b"], "--rows")
    assert _numbers(by_blocks) == _numbers(by_url), f"seed {seed}"
    assert set(by_url["method"].values()) == {"full-scan"}


def _numbers(found: dict[str, object]) -> list[tuple[object, ...]]:
    lines = found["rows"]
    assert isinstance(lines, list)
    return [(line["table"], line["added"], line["removed"], line["changed"], line["columns"])
            for line in lines]  # fmt: skip
