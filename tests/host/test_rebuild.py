"""A store that was lost is made again from nothing but the pool, on each filesystem."""

from __future__ import annotations

from typing import Any

import pytest

from cowdb.errors import ConflictError
from tests.agenthost import AgentHost
from tests.host.usecase import (
    ROWS,
    count,
    listener,
    listings,
    lose_store,
    pool_options,
    rebuild,
    seeded,
)


def test_a_rebuilt_store_knows_everything_again(any_host: AgentHost) -> None:
    host = any_host
    state = _rich_state(host)
    before = listings(host)
    lose_store(host)
    assert host.json("branch", "list") == []
    findings = rebuild(host)
    assert not [item for item in findings if item["level"] == "problem"], findings
    assert listings(host) == before
    assert count(host, state["one"]["dsn"]) == ROWS + 1
    assert count(host, state["two"]["dsn"]) == ROWS + 2
    assert count(host, state["main"]["dsn"]) == ROWS
    assert not [item for item in host.json("doctor") if item["level"] == "problem"]
    # What was restored is no mere list: it is kept, works, and makes new things.
    host.error("branch", "rm", "kept", status=5)
    host.json("branch", "start", "idle")
    assert count(host, state["idle"]["dsn"]) == ROWS
    with host.client() as client:
        client.branches.reset("two")
        assert count(host, state["two"]["dsn"]) == ROWS + 1
        client.branches.create("three", "main@one")
        with pytest.raises(ConflictError, match="already a branch"):
            client.branches.create("one", "main")
    assert (
        "not empty" in host.error("doctor", "--rebuild", *pool_options(host), status=5)["message"]
    )


def test_passwords_are_set_again_when_the_key_was_lost(any_host: AgentHost) -> None:
    host = any_host
    seeded(host)
    host.json("branch", "create", "up", "--from", "main")
    host.json("branch", "create", "down", "--from", "main")
    host.json("branch", "stop", "down")
    old = host.json("branch", "show", "up")["dsn"]
    lose_store(host, key=True)
    rebuild(host)
    up, down = host.json("branch", "show", "up"), host.json("branch", "show", "down")
    assert up["dsn"] != old
    assert count(host, up["dsn"]) == ROWS
    assert down["state"] == "stopped"
    host.json("branch", "start", "down")
    assert count(host, down["dsn"]) == ROWS


def test_a_port_that_somebody_took_is_replaced(host: AgentHost) -> None:
    seeded(host)
    made = host.json("branch", "create", "a", "--from", "main")
    host.json("branch", "stop", "a")
    lose_store(host)
    with listener(made["port"]):
        findings = rebuild(host)
        assert any(str(made["port"]) in item["message"] for item in findings)
        now = host.json("branch", "start", "a")
        assert now["port"] != made["port"]
        assert count(host, now["dsn"]) == ROWS


def test_incomplete_and_unmarked_volumes_are_reported(host: AgentHost) -> None:
    seeded(host)
    host.json("branch", "create", "a", "--from", "main")
    (host.pool / "staging" / "br-half").mkdir()
    lose_store(host)
    findings = rebuild(host, status=1)
    orphans = [item for item in findings if item["level"] == "problem"]
    assert ["br-half" in item["subject"] for item in orphans] == [True]
    host.json("doctor", "--repair")
    assert not (host.pool / "staging" / "br-half").exists()
    assert [item["name"] for item in host.json("branch", "list")] == ["a"]


def test_repair_does_not_take_a_lost_store_for_an_empty_host(host: AgentHost) -> None:
    made = seeded(host)
    host.json("branch", "create", "a", "--from", "main")
    lose_store(host)
    host.json("init", *pool_options(host))
    findings = host.json("doctor", "--repair", status=1)
    lost = [item for item in findings if "--rebuild" in item["repair"]]
    assert len(lost) == 3  # the source, its snapshot, the branch
    assert not [item for item in rebuild(host) if item["level"] == "problem"]
    assert count(host, made["dsn"]) == ROWS


def test_without_a_pool_it_says_so(host: AgentHost) -> None:
    lose_store(host)
    error = host.error("doctor", "--rebuild", "--pool", "/nowhere", status=1)
    assert "there is no pool at /nowhere" in error["message"]
    assert "there is no pool" in host.error("doctor", "--rebuild", status=1)["message"]
    host.error("doctor", "--pool", str(host.pool), status=2)
    rebuild(host)


def _rich_state(host: AgentHost) -> dict[str, Any]:
    """By one connection: in the guest with ZFS each command takes seconds to start."""
    state: dict[str, Any] = {"main": seeded(host)}
    with host.client() as client:
        client.snapshots.create("main@one", settle=True)
        client.snapshots.create("main@two", mode="stop", settle=True)
        client.snapshots.protect("main@one")
        state["one"] = client.branches.create("one", "main@one")
        host.sql(state["one"]["dsn"], "insert into t values (1001)")
        state["two"] = client.branches.create("two", "one")
        host.sql(state["two"]["dsn"], "insert into t values (1002)")
        state["idle"] = client.branches.create("idle", "main@one", ttl_seconds=7200)
        client.branches.stop("idle")
        client.branches.create("kept", "main")  # of an implicit, raw snapshot
        client.branches.protect("kept")
        client.branches.create("again", "main@two")
        client.branches.reset("again")
        client.snapshots.create("one@late", settle=True)
    return state
