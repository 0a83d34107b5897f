"""Pools on bad days: full, limited, away. Each ends with a message and a way out, and leaves
nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agenthost import COWDB, AgentHost, agent_host
from tests.host.usecase import (
    ROWS,
    background,
    count,
    eventually,
    seeded,
)
from tests.loopfs import MIB, command


@pytest.fixture
def small(request: pytest.FixtureRequest) -> Iterator[AgentHost]:
    """A host of its own, with a pool that may be filled, limited or unmounted."""
    with agent_host("btrfs", size=512 * MIB) as found:
        yield found
        found.clean()


def _fill(host: AgentHost) -> Path:
    """Take all the room of the pool's filesystem."""
    ballast = host.mountpoint / "ballast"
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(os.urandom(MIB))
                if file.tell() % (16 * MIB) == 0:
                    os.fsync(file.fileno())
        except OSError:
            pass
    return ballast


def test_full_pool_refuses_what_is_new_and_keeps_what_is_there(small: AgentHost) -> None:
    host = small
    seeded(host)
    branch = host.json("branch", "create", "work", "--from", "main")
    host.sql(branch["dsn"], "delete from t where id > 10")
    before = host.remains()
    ballast = _fill(host)
    try:
        for words in (
            ("snapshot", "create", "main@late"),
            ("branch", "create", "late", "--from", "main"),
            ("branch", "create", "late", "--from", "work"),
            ("branch", "reset", "work"),
            ("source", "add", "late", "--empty"),
        ):
            error = host.error(*words, status=1)
            assert error["code"] == "pool_full", (words, error)
            assert "remove branches" in error["hint"]
        assert host.json("branch", "show", "work")["state"] == "running"
        assert count(host, branch["dsn"]) == 10
        assert [item["name"] for item in host.json("branch", "list")] == ["work"]
        assert host.json("snapshot", "list") == []
        assert host.remains()["volumes"] == before["volumes"]
    finally:
        ballast.unlink()
        command("sync", "-f", host.mountpoint)
    assert host.json("branch", "reset", "work")["dsn"] == branch["dsn"]
    assert count(host, branch["dsn"]) == ROWS


def test_pool_that_fills_up_in_the_middle_of_a_reset(small: AgentHost) -> None:
    """Not seen beforehand (no reserve is kept), so that the server itself meets the full disk."""
    host = small
    host.stop_agent()
    host.configure(min_free_bytes=0)
    host.start_agent()
    seeded(host)
    branch = host.json("branch", "create", "work", "--from", "main")
    host.sql(branch["dsn"], "delete from t where id > 10", "checkpoint")
    ballast = _fill(host)
    try:
        for words in (
            ("source", "add", "late", "--empty"),
            ("branch", "create", "late", "--from", "main"),
            ("branch", "reset", "work"),
        ):
            done = subprocess.run(
                [*COWDB, *words, "--json"], env=host.environment, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
            if done.returncode:  # a branch that needs but a few pages may still find them
                assert done.returncode == 1
                assert "space" in done.stderr or "full" in done.stderr, done.stderr
                assert '"hint": ""' not in done.stderr, done.stderr
        names = {item["name"] for item in host.json("branch", "list")}
        assert names <= {"work", "late"}
    finally:
        ballast.unlink()
        command("sync", "-f", host.mountpoint)
    if host.json("branch", "show", "work")["state"] != "running":
        host.json("branch", "start", "work")
    assert count(host, branch["dsn"]) in (10, ROWS)


def test_quota_on_the_pool(small: AgentHost) -> None:
    host = small
    source = seeded(host)
    branch = host.json("branch", "create", "work", "--from", "main")
    command("btrfs", "quota", "enable", host.mountpoint)
    command("btrfs", "quota", "rescan", "-w", host.mountpoint)
    command("btrfs", "qgroup", "limit", "1K", host.pool)
    for words in (
        ("snapshot", "create", "main@late"),
        ("branch", "create", "late", "--from", "main"),
        ("branch", "reset", "work"),
        ("source", "add", "late", "--empty"),
    ):
        error = host.error(*words, status=1)
        assert error["code"] == "pool_full", (words, error)
        assert "quota" in error["message"]
        assert "raise the quota" in error["hint"]
    assert host.json("snapshot", "list") == []
    assert [item["name"] for item in host.json("branch", "list")] == ["work"]
    assert count(host, source["dsn"]) == count(host, branch["dsn"]) == ROWS
    # btrfs may want room in the quota to delete, too: then it is said, and rm tries again.
    done = subprocess.run([*COWDB, "branch", "rm", "work", "--json"], env=host.environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        assert '"pool_full"' in done.stderr
        findings = host.json("doctor", status=1)
        assert any("branch rm work" in item["subject"] for item in findings), findings
    command("btrfs", "quota", "disable", host.mountpoint)
    if done.returncode:
        host.json("branch", "rm", "work")
    host.json("doctor")


def _mount(host: AgentHost) -> None:
    command("mount", "-o", "loop,noatime", host.mountpoint.parent / "image", host.mountpoint)


def test_pool_that_was_unmounted(small: AgentHost) -> None:
    host = small
    seeded(host)
    host.json("snapshot", "create", "main@s", "--settle")
    branch = host.json("branch", "create", "a", "--from", "main@s")
    host.json("branch", "stop", "a")
    host.json("source", "stop", "main")
    for restarted in (False, True):
        if restarted:
            host.stop_agent()
        command("umount", host.mountpoint)
        try:
            if restarted:
                host.start_agent()
            for words in (
                ("branch", "create", "b", "--from", "main@s"),
                ("branch", "create", "b", "--from", "main"),
                ("branch", "start", "a"),
                ("branch", "reset", "a"),
                ("snapshot", "create", "main@t"),
                ("source", "start", "main"),
                ("source", "add", "c", "--empty"),
            ):
                error = host.error(*words, status=1)
                assert error["code"] == "pool_missing", (words, error)
                assert error["hint"], words
            assert [item["state"] for item in host.json("status")["pools"]] == ["missing"]
            states = {item["name"]: item["state"] for item in host.json("branch", "list")}
            assert states == {"a": "stopped"}
            assert host.json("source", "list")[0]["state"] == "stopped"
            host.json("snapshot", "list", "--sizes")
            findings = host.json("doctor", status=1)
            assert any(item["level"] == "problem" and str(host.pool) in item["subject"]
                       for item in findings)  # fmt: skip
            assert list(host.mountpoint.iterdir()) == []
        finally:
            _mount(host)
        assert host.json("branch", "start", "a")["dsn"] == branch["dsn"]
        assert count(host, branch["dsn"]) == ROWS
        host.json("branch", "stop", "a")
        host.json("doctor")


def test_branch_cannot_go_while_the_pool_is_away_and_goes_afterwards(small: AgentHost) -> None:
    host = small
    seeded(host)
    host.json("branch", "create", "a", "--from", "main")
    host.json("branch", "stop", "a")
    host.json("source", "stop", "main")
    command("umount", host.mountpoint)
    try:
        assert host.error("branch", "rm", "a", status=1)["code"] == "pool_missing"
        assert [item["name"] for item in host.json("branch", "list")] == ["a"]
    finally:
        _mount(host)
    host.json("branch", "rm", "a")
    assert host.json("branch", "list") == []


def test_pool_full_in_process_and_killed_clients_leave_no_lock(host: AgentHost) -> None:
    """A root user's own command that is killed gives the host back at once."""
    host.stop_agent()
    with background(host, "source", "add", "late", "--empty") as client:
        eventually(lambda: any((host.pool / "volumes").iterdir()))
        client.kill()
        client.wait(20)
    assert host.json("source", "list") == []
    assert list((host.pool / "volumes").iterdir()) == []
