"""An agent that was killed finds everything again, on each filesystem."""

from __future__ import annotations

import contextlib
import signal

import psutil

from tests.agenthost import AgentHost


def test_all_is_adopted_after_the_agent_was_killed(any_host: AgentHost) -> None:
    host = any_host
    source = host.json("source", "add", "main", "--empty")
    host.sql(source["dsn"], "create table t (n int)", "insert into t values (1)")
    host.json("snapshot", "create", "main@one", "--settle")
    one = host.json("branch", "create", "one", "--from", "main@one")
    two = host.json("branch", "create", "two", "--from", "one")
    host.sql(two["dsn"], "insert into t values (2)")
    before = _postmasters(host)
    assert len(before) == 3
    host.restart_agent(signal.SIGKILL)
    assert _postmasters(host) == before, "servers outlive the agent"
    shown = {branch["name"]: branch for branch in host.json("branch", "list")}
    assert [shown[name]["state"] for name in ("one", "two")] == ["running", "running"]
    assert [shown[name]["dsn"] for name in ("one", "two")] == [one["dsn"], two["dsn"]]
    assert host.sql(two["dsn"], "select sum(n) from t") == [(3,)]
    assert not [item for item in host.json("doctor") if item["level"] == "problem"]
    host.json("branch", "reset", "two")
    assert host.sql(two["dsn"], "select sum(n) from t") == [(1,)]
    host.json("branch", "create", "three", "--from", "main@one")
    host.run("branch", "rm", "two")
    host.run("branch", "rm", "one")


def _postmasters(host: AgentHost) -> set[int]:
    """Backends come and go; the process that was started with -D stays."""
    found = set()
    for pid in host.servers():
        with contextlib.suppress(psutil.Error):
            if "-D" in psutil.Process(pid).cmdline():
                found.add(pid)
    return found
