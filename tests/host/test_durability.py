"""--durability: what a server is told, and that the choice stays."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.agenthost import AgentHost
from tests.host.usecase import count, eventually, lose_store, postmaster, rebuild, seeded

WRITTEN = "select string_agg(setting, ' ' order by name) from pg_settings where name in " \
    "('fsync', 'full_page_writes')"  # fmt: skip


def test_the_choice_is_what_the_server_runs_with_and_stays(host: AgentHost) -> None:
    source = seeded(host)
    assert host.sql(source["dsn"], WRITTEN) == [("on on",)]
    host.sql(source["dsn"], "alter system set fsync = off")  # production's own carelessness
    host.json("snapshot", "create", "main@s", "--settle")
    fast = host.json("branch", "create", "fast", "--from", "main@s")
    full = host.json("branch", "create", "full", "--from", "main@s", "--durability", "full")
    assert (fast["durability"], full["durability"]) == ("fast", "full")
    assert host.sql(fast["dsn"], WRITTEN) == [("off off",)]
    for again in ("reset", "stop", "start"):
        assert host.json("branch", again, "full")["durability"] == "full"
    assert host.sql(full["dsn"], WRITTEN) == [("on on",)]
    lose_store(host)
    rebuild(host)
    shown = {item["name"]: item["durability"] for item in host.json("branch", "list")}
    assert shown == {"fast": "fast", "full": "full"}
    for name, expected in (("fast", "off off"), ("full", "on on")):
        found = host.json("branch", "reset", name)
        assert host.sql(found["dsn"], WRITTEN) == [(expected,)]


def test_a_child_has_its_own_choice(any_host: AgentHost) -> None:
    """A branch of a fast one that runs: what was committed there is in it, and on disk."""
    host = any_host
    seeded(host)
    parent = host.json("branch", "create", "parent", "--from", "main")
    host.sql(parent["dsn"], "insert into t select i, 'more' from generate_series(101, 5000) i")
    child = host.json("branch", "create", "child", "--from", "parent", "--durability", "full")
    assert count(host, child["dsn"]) == 5000
    assert host.sql(child["dsn"], WRITTEN) == [("on on",)]
    assert host.json("branch", "show", "parent")["durability"] == "fast"
    error = host.error(
        "branch", "create", "x", "--from", "parent", "--durability", "half", status=2
    )
    assert "half" in error["message"]


def test_what_was_committed_outlives_a_killed_server_in_both(host: AgentHost) -> None:
    seeded(host)
    for choice in ("fast", "full"):
        made = host.json("branch", "create", choice, "--from", "main", "--durability", choice)
        host.sql(made["dsn"], "insert into t select i, 'more' from generate_series(101, 300) i")
        os.kill(postmaster(host, made["datadir"]), signal.SIGKILL)
        eventually(lambda: host.json("branch", "show", choice)["state"] == "crashed")  # noqa: B023
        again = host.json("branch", "start", choice)
        assert count(host, again["dsn"]) == 300
        assert Path(again["datadir"]) == Path(made["datadir"])
