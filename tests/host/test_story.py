"""The main job, whole, as a user does it: source, snapshot, branches, diff, reset, remove."""

from __future__ import annotations

from tests.agenthost import AgentHost


def _source(host: AgentHost, name: str = "main") -> None:
    made = host.json("source", "add", name, "--empty")
    host.sql(
        made["dsn"],
        "create table users (id int primary key, name text not null)",
        "insert into users select i, 'user ' || i from generate_series(1, 1000) i",
    )


def test_source_snapshot_branch_diff_reset_remove(any_host: AgentHost) -> None:
    host = any_host
    _source(host)
    snapshot = host.json("snapshot", "create", "main@loaded", "--settle")
    assert snapshot["ref"] == "main@loaded"
    assert snapshot["settled"]
    assert int(snapshot["system_identifier"]) > 0

    a = host.json("branch", "create", "a", "--from", "main@loaded")
    b = host.json("branch", "create", "b", "--from", "main@loaded")
    assert a["port"] != b["port"]
    host.sql(a["dsn"], "alter table users add column level text", "delete from users where id < 11")
    assert host.sql(b["dsn"], "select count(*) from users") == [(1000,)]

    diff = host.json("diff", "b", "a", status=3)
    assert [(item["kind"], item["name"], item["change"]) for item in diff["schema"]] == [
        ("column", "public.users.level", "added")
    ]
    assert diff["counts"] == [
        {"table": "public.users", "counts": [1000, 990], "exact": True, "method": "full-scan"}
    ]
    assert not diff["identical"]

    again = host.json("branch", "reset", "a")
    assert (again["port"], again["dsn"]) == (a["port"], a["dsn"])
    same = host.json("diff", "main@loaded", "a", "b")
    assert same["identical"]
    assert same["not_compared"]


def test_branch_of_a_branch_sees_what_its_running_parent_has_just_written(
    any_host: AgentHost,
) -> None:
    host = any_host
    _source(host)
    parent = host.json("branch", "create", "one", "--from", "main")
    for depth, name in enumerate(("two", "three", "four"), start=1):
        host.sql(parent["dsn"], f"insert into users values ({-depth}, 'depth {depth}')")
        child = host.json("branch", "create", name, "--from", parent["name"])
        assert host.sql(child["dsn"], "select min(id) from users") == [(-depth,)]
        assert child["source"] == "main"
        parent = child
    refused = host.error("branch", "rm", "two", status=5)
    assert "three" in refused["message"]


def test_a_dry_run_prints_the_plan_and_does_nothing(host: AgentHost) -> None:
    _source(host)
    planned = host.json("branch", "create", "a", "--from", "main", "--dry-run")["plan"]
    assert planned[0] == "checkpoint main"
    assert any(step.startswith("snapshot volume") and " br-" in step for step in planned)
    assert planned[-1].startswith("start and seal a on port")
    assert host.json("branch", "list") == []
    host.json("branch", "create", "a", "--from", "main")
    for words in (("branch", "rm", "a"), ("branch", "reset", "a"),
                  ("snapshot", "create", "a@x", "--mode", "stop")):  # fmt: skip
        assert host.json(*words, "--dry-run")["plan"]
    assert [item["state"] for item in host.json("branch", "list")] == ["running"]
    assert host.json("snapshot", "list") == []
    refused = host.error("branch", "rm", "missing", "--dry-run", status=4)
    assert "missing" in refused["message"]
