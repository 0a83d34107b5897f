"""Three branches and their common ancestor: who changed what, and where two of them collide."""

from __future__ import annotations

from typing import Any

import pytest

from tests.agenthost import AgentHost, agent_host

SHOP = (
    "create table users (id int primary key, name text, city text)",
    "insert into users select i, 'name ' || i, 'city' from generate_series(1, 20000) i",
    "create table gone (id int primary key, v int)",
    "insert into gone select i, i from generate_series(1, 10) i",
    "create table loose (v text)",
    "insert into loose select i % 10 from generate_series(1, 100) i",
    "create table still (id int primary key)",
    "insert into still select i from generate_series(1, 5000) i",
    "vacuum (freeze, analyze)",
)
A = (
    "update users set name = 'a' where id = 1",  # another name than b's
    "update users set name = 'both' where id = 2",  # the same as b's
    "delete from users where id = 3",  # b updates it
    "update users set city = 'a' where id = 4",  # another column than b
    "insert into users values (30001, 'a', 'a')",  # its own
    "update users set name = 'mine' where id = 19000",
    "drop table gone",
    "alter table users add level int",
    "insert into loose values ('a')",
    "create table fresh (id int primary key)",
)
B = (
    "update users set name = 'b' where id = 1",
    "update users set name = 'both' where id = 2",
    "update users set name = 'b' where id = 3",
    "update users set name = 'b' where id = 4",
    "insert into users values (30002, 'b', 'b')",
    "insert into gone values (11, 11)",
    "alter table users add level text",
    "delete from loose where v = '1'",
    "create index on users (city)",
)
C = ("insert into users values (30003, 'c', 'c')", "create view lately as select 1 as one")


def three(host: AgentHost) -> dict[str, str]:
    """DSNs of the branches a, b and c of main@s, each with its changes."""
    source = host.json("source", "add", "main", "--empty")
    host.sql(source["dsn"], *SHOP)
    host.json("snapshot", "create", "main@s", "--settle")
    dsn = {name: host.json("branch", "create", name, "--from", "main@s")["dsn"] for name in "abc"}
    for name, statements in zip("abc", (A, B, C), strict=True):
        host.sql(dsn[name], *statements)
    return dsn


def by_name(items: list[Any], name: str = "name") -> dict[str, Any]:
    return {item[name]: item for item in items}


def test_three_branches_since_their_snapshot(host: AgentHost) -> None:
    three(host)
    found = host.json("diff", "a", "b", "c", "--schema", "--counts", "--rows", status=3)
    assert found["ancestor"] == {"ref": "main@s", "reason": ""}
    assert found["sides"] == ["a", "b", "c"]
    since = found["since"]
    users = by_name(since["rows"], "table")["public.users"]
    assert users["changes"] == {
        "a": {"added": 1, "removed": 1, "changed": 4},
        "b": {"added": 1, "removed": 0, "changed": 4},
        "c": {"added": 1, "removed": 0, "changed": 0},
    }
    assert (users["conflicts"], users["agreed"], users["columns"]) == (3, 1, {"name": 1})
    rows = {row["key"]["id"]: row for row in users["sample"]}
    assert rows["1"] == {
        "key": {"id": "1"}, "by": ["a", "b"], "conflict": True, "was": {"name": "name 1"},
        "became": {"a": {"name": "a"}, "b": {"name": "b"}}, "collide": ["name"],
    }  # fmt: skip
    assert (rows["2"]["by"], rows["2"]["conflict"]) == (["a", "b"], False)
    assert (rows["3"]["became"]["a"], rows["3"]["conflict"]) == (None, True)
    assert (rows["4"]["collide"], rows["4"]["conflict"]) == ([], True)
    assert (rows["19000"]["by"], rows["30003"]["by"]) == (["a"], ["c"])

    gone = by_name(since["rows"], "table")["public.gone"]
    assert gone["against"] == [
        {"side": "a", "kind": "table", "name": "public.gone", "change": "removed"}
    ]
    assert (gone["by"], gone["conflict"]) == (["b"], True)
    loose = by_name(since["rows"], "table")["public.loose"]
    assert (loose["conflict"], loose["conflicts"], loose["key"]) == (None, None, [])
    assert loose["changes"]["b"] == {"added": 0, "removed": 10, "changed": 0}

    objects = by_name(since["schema"])
    assert {name: (item["by"], item["conflict"]) for name, item in objects.items()} == {
        "public.gone": (["a"], False), "public.fresh": (["a"], False),
        "public.users.level": (["a", "b"], True), "public.users_city_idx": (["b"], False),
        "public.lately": (["c"], False),
    }  # fmt: skip
    assert objects["public.users.level"]["collide"] == ["type"]
    counts = by_name(since["counts"], "table")
    assert counts["public.gone"] == {
        "table": "public.gone", "by": ["a", "b"], "was": 10, "became": {"a": None, "b": 11},
        "conflict": True,
    }  # fmt: skip
    assert since["conflicts"] == 3 + 1 + 1  # rows, public.gone, the column
    assert not any("public.still" in str(part) for part in (since, found["matrix"]))
    # The cost follows the change: only where blocks have changed, by each side's own.
    assert found["method"]["public.loose"] == found["method"]["public.gone"] == "changed-blocks"
    assert found["method"]["public.still"] == "unchanged-blocks"

    matrix = by_name(found["matrix"]["rows"], "table")["public.users"]
    assert matrix["different"] == 8
    patterns = {str(item["groups"]): item["rows"] for item in matrix["patterns"]}
    assert patterns["[['a', 'b'], ['c']]"] == 2  # row 2 alike, and 30003 on c alone
    assert patterns["[['a'], ['b'], ['c']]"] == 3
    shown = host.run("diff", "a", "b", "c", "--schema", status=3).stdout.splitlines()
    assert shown[0] == "a, b and c, since main@s: different"
    assert shown[1] == "  conflicts  1"  # the column; rows and counts were not asked for
    assert "! column public.users.level" in shown
    assert not any("public.fresh.id" in line or "\x1b" in line for line in shown)
    level = by_name(found["matrix"]["schema"])["public.users.level"]
    assert [group["sides"] for group in level["groups"]] == [["a"], ["b"], ["c"]]


def test_which_ancestor(host: AgentHost) -> None:
    """The nearest: of a branch and its own branch, of branches of a bare source (whose snapshots
    nobody named), of a source and its branch, of sides one of which is the ancestor."""
    source = host.json("source", "add", "main", "--empty")
    host.sql(source["dsn"], "create table t (id int primary key, v int)",
             "insert into t values (1, 1)")  # fmt: skip
    host.json("snapshot", "create", "main@s")
    host.sql(source["dsn"], "insert into t values (2, 2)")
    dsn = {name: host.json("branch", "create", name, "--from", "main")["dsn"] for name in "ab"}
    host.sql(dsn["a"], "update t set v = 5 where id = 1")
    host.sql(dsn["b"], "update t set v = 6 where id = 1")
    old = host.json("branch", "create", "old", "--from", "main@s")
    host.sql(old["dsn"], "insert into t values (2, 3)")

    found = host.json("diff", "a", "b", "--ancestor", "--rows", status=3)
    assert found["ancestor"]["ref"] == host.json("branch", "show", "a")["snapshot"]
    assert found["since"]["rows"][0]["conflicts"] == 1
    found = host.json("diff", "a", "old", "b", "--rows", status=3)
    assert found["ancestor"]["ref"] == "main@s"
    assert found["since"]["rows"][0]["changes"]["old"]["added"] == 1
    found = host.json("diff", "main", "a", "--ancestor", "--rows", status=3)
    assert found["ancestor"]["ref"] == host.json("branch", "show", "a")["snapshot"]
    assert [line["by"] for line in found["since"]["rows"]] == [["a"]]
    found = host.json("diff", "main@s", "a", "b", "--rows", status=3)
    assert found["ancestor"]["ref"] == "main@s"
    child = host.json("branch", "create", "child", "--from", "a")
    host.sql(child["dsn"], "delete from t where id = 1")
    found = host.json("diff", "a", "child", "--ancestor", "--rows", status=3)
    assert found["ancestor"]["ref"] == host.json("branch", "show", "child")["snapshot"]
    assert found["since"]["conflicts"] == 0

    two = host.json("diff", "a", "b", status=0)
    assert (two["matrix"], two["since"]) == (None, None)
    assert "--ancestor" in two["ancestor"]["reason"]
    off = host.json("diff", "main@s", "a", "b", "--no-ancestor", "--counts", status=3)
    assert off["since"] is None
    assert off["matrix"]["counts"][0]["groups"] == [
        {"sides": ["main@s"], "count": 1}, {"sides": ["a", "b"], "count": 2},
    ]  # fmt: skip
    # What was made for looking is gone, and nothing that a user has made.
    names = [item["name"] for item in host.json("branch", "list")]
    assert sorted(names) == ["a", "b", "child", "old"]


def test_no_ancestor_says_why_and_a_base_can_be_named(host: AgentHost) -> None:
    dsn = {}
    for name in ("one", "two"):
        source = host.json("source", "add", name, "--empty")
        host.sql(source["dsn"], "create table t (id int primary key, v int)",
                 "insert into t select i, i from generate_series(1, 50) i")  # fmt: skip
        dsn[name] = host.json("branch", "create", f"of-{name}", "--from", name)["dsn"]
        host.sql(dsn[name], f"update t set v = -1 where id = {len(dsn)}")
    found = host.json("diff", "one", "of-one", "of-two", "--rows", status=3)
    assert found["since"] is None
    assert found["ancestor"]["ref"] is None
    assert "different sources (one, two)" in found["ancestor"]["reason"]
    assert found["matrix"]["rows"][0]["patterns"] == [
        {"groups": [["one", "of-one"], ["of-two"]], "rows": 1},
        {"groups": [["one", "of-two"], ["of-one"]], "rows": 1},
    ]
    done = host.run("diff", "of-one", "of-two", "--ancestor", status=4)
    assert "different sources" in done.stderr and "--base" in done.stderr

    found = host.json("diff", "of-one", "of-two", "--base", "one", "--rows", status=3)
    assert found["ancestor"] == {"ref": "one", "reason": ""}
    assert found["since"]["rows"][0]["by"] == ["of-one", "of-two"]
    assert found["since"]["conflicts"] == 0
    urls = [dsn["one"], dsn["two"]]
    base = host.json("source", "show", "one")["dsn"]
    found = host.json("diff", *urls, "--base", base, "--rows", status=3)
    assert found["since"]["rows"][0]["changes"] == {
        side: {"added": 0, "removed": 0, "changed": 1} for side in found["sides"]
    }
    assert "cowdb" not in found["ancestor"]["ref"]
    password = base.split(":")[2].split("@")[0]
    assert password not in str(found)
    reason = host.json_any("diff", *urls, "of-one")["ancestor"]["reason"]
    assert "--base" in reason


@pytest.mark.parametrize("words", [["--base", "nothing"], ["--base", "x", "--no-ancestor"]])
def test_a_base_that_is_none(host: AgentHost, words: list[str]) -> None:
    host.json("source", "add", "main", "--empty")
    status = 2 if "--no-ancestor" in words else 4
    done = host.run("diff", "main", "main", *words, status=status)
    assert "nothing" in done.stderr or "--no-ancestor" in done.stderr


def test_a_host_without_room_for_the_ancestor_still_compares_the_sides() -> None:
    """Four ports: the source's and three branches'; there is none for a branch of the snapshot."""
    with agent_host("btrfs", ports=4) as host:
        host.json("source", "add", "main", "--empty")
        host.json("snapshot", "create", "main@s", "--settle")
        made = {name: host.json("branch", "create", name, "--from", "main@s") for name in "abc"}
        host.sql(made["a"]["dsn"], "create table t (id int)")
        found = host.json("diff", "a", "b", "c", status=3)
        assert found["ancestor"]["ref"] is None
        assert "main@s could not be looked at" in found["ancestor"]["reason"]
        assert "port" in found["ancestor"]["reason"]
        assert found["matrix"]["schema"][0]["groups"][0]["sides"] == ["a"]
        assert "port" in host.error("diff", "a", "b", "c", "--ancestor", status=5)["message"]
