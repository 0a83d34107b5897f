"""Memory and processor time of one branch: by real control groups, where the kernel has them (as
in the guest that has ZFS), and refused where it has not."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from cowdb.agent import cgroups
from cowdb.agent.storage import btrfs_quota
from cowdb.agent.storage.btrfs_tree import filesystem_of
from tests.agenthost import AgentHost
from tests.host.usecase import ROWS, count, eventually, postmaster, seeded
from tests.loopfs import command

GROUPS = cgroups.find()
_LIMITS = ("--memory", "128M", "--cpus", "0.5")


@pytest.fixture
def limited(any_host: AgentHost) -> AgentHost:
    if len(GROUPS.controllers) < 2:
        pytest.skip(f"{GROUPS.reason}; hostprep/test zfs has it in its guest")
    seeded(any_host)
    any_host.json("snapshot", "create", "main@s", "--settle")
    return any_host


def _groups_of(pid: int) -> set[str]:
    """The control groups of a postmaster and of all its children."""
    family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    lines = [Path(f"/proc/{each}/cgroup").read_text().splitlines() for each in family]
    return {line for found in lines for line in found if line.startswith("0::")}


def _group(host: AgentHost, datadir: str) -> Path:
    (line,) = _groups_of(postmaster(host, datadir))
    mount = cgroups.mount_point()
    assert mount is not None
    return mount / line.removeprefix("0::/")


def test_a_branch_that_eats_memory_harms_no_other(limited: AgentHost) -> None:
    eater = limited.json("branch", "create", "eater", "--from", "main@s", *_LIMITS)
    other = limited.json("branch", "create", "other", "--from", "main@s")
    assert eater["limits"] == {"memory_bytes": 128 * 2**20, "cpus": 0.5, "disk_bytes": None}
    group = _group(limited, eater["datadir"])
    with psycopg.connect(other["dsn"]) as witness:
        with pytest.raises(psycopg.OperationalError):
            limited.sql(eater["dsn"], "select length(repeat('x', 400000000))")
        assert "oom_kill 0\n" not in (group / "memory.events").read_text()
        assert witness.execute("select count(*) from t").fetchone() == (ROWS,)
        eventually(lambda: _answers(eater["dsn"]), 60)
        assert count(limited, eater["dsn"]) == ROWS
        assert witness.execute("select count(*) from t").fetchone() == (ROWS,)
    limited.sql(eater["dsn"], "select count(*) from generate_series(1, 3000000)")
    assert "nr_throttled 0\n" not in (group / "cpu.stat").read_text()


def _answers(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn, connect_timeout=5):
            return True
    except psycopg.OperationalError:
        return False


def test_limits_stay_with_a_branch_until_it_goes(limited: AgentHost) -> None:
    limits = {"memory_bytes": 128 * 2**20, "cpus": 0.5, "disk_bytes": None}
    made = limited.json("branch", "create", "a", "--from", "main@s", *_LIMITS)
    group = _group(limited, made["datadir"])

    def check() -> None:
        shown = limited.json("branch", "show", "a")
        assert shown["limits"] == limits
        assert _groups_of(postmaster(limited, shown["datadir"])) == {
            f"0::/{group.relative_to(cgroups.mount_point() or Path('/'))}"
        }
        assert (group / "memory.max").read_text() == f"{128 * 2**20}\n"
        assert (group / "cpu.max").read_text() == "50000 100000\n"

    check()
    limited.json("branch", "reset", "a")
    check()
    limited.json("branch", "stop", "a")
    limited.json("branch", "start", "a")
    check()
    limited.restart_agent(signal.SIGKILL)
    check()
    escaped = "setsid sleep 1000 >/dev/null 2>&1 & echo $! >/tmp/cowdb-escaped"
    limited.sql(made["dsn"], f"copy (select 1) to program 'cd /; {escaped}'")
    escaped_pid = int(Path("/tmp/cowdb-escaped").read_text())
    limited.json("branch", "rm", "a")
    assert not group.exists()
    assert not psutil.pid_exists(escaped_pid) or psutil.Process(escaped_pid).status() == "zombie"


@contextlib.contextmanager
def _quotas(host: AgentHost) -> Iterator[None]:
    """Turned on where an administrator would have to."""
    if host.zpool:
        yield
        return
    if filesystem_of(host.pool) is None:
        error = host.error("branch", "create", "a", "--from", "main@s", "--disk", "48M", status=1)
        assert error["code"] == "limits_unavailable"
        assert "reflink" in error["message"]
        pytest.skip("XFS cannot count what one of several clones has for itself; it says so")
    error = host.error("branch", "create", "a", "--from", "main@s", "--disk", "48M", status=1)
    assert error["code"] == "limits_unavailable"
    assert host.json("branch", "list") == [], "nothing is left of it"
    host.configure(branch_disk="48M")
    host.restart_agent()
    made = host.json("branch", "create", "a", "--from", "main@s")
    assert made["limits"]["disk_bytes"] is None, "a default is no promise"
    levels = [
        item["level"] for item in host.json("doctor") if "cannot be limited" in item["message"]
    ]
    assert levels == ["warning"]
    host.run("branch", "rm", "a")
    host.configure()
    host.restart_agent()
    with _simple_quotas(host):
        yield


@contextlib.contextmanager
def _simple_quotas(host: AgentHost) -> Iterator[None]:
    if not btrfs_quota.is_simple_known():
        pytest.skip("this kernel has no simple quotas for btrfs")
    fd = os.open(host.pool, os.O_RDONLY | os.O_DIRECTORY)
    try:
        btrfs_quota.turn_on(fd)
    finally:
        os.close(fd)
    try:
        yield
    finally:
        command("btrfs", "quota", "disable", host.pool)


def test_doctor_warns_of_accounting_that_every_branch_pays_for(host: AgentHost) -> None:
    def warned() -> list[str]:
        return [item["repair"] for item in host.json("doctor") if "accounting" in item["message"]]

    assert warned() == []
    command("btrfs", "quota", "enable", host.pool)
    try:
        assert [f"btrfs quota disable {host.pool}" in repair for repair in warned()] == [True]
    finally:
        command("btrfs", "quota", "disable", host.pool)
    with _simple_quotas(host):
        assert warned() == []


def test_a_branch_that_fills_its_disk_harms_no_other(any_host: AgentHost) -> None:
    seeded(any_host)
    any_host.json("snapshot", "create", "main@s", "--settle")
    # 100 MB that no filesystem compresses: ZFS counts what is left of them.
    text = "(select string_agg(md5(i || '-' || k), '') from generate_series(1, 32) k)"
    fill = f"insert into t select i, {text} from generate_series(1000, 100000) i"
    with _quotas(any_host):
        full = any_host.json("branch", "create", "full", "--from", "main@s", "--disk", "48M")
        assert full["limits"]["disk_bytes"] == 48 * 2**20
        other = any_host.json("branch", "create", "other", "--from", "main@s")
        for _ in range(2):
            with pytest.raises(psycopg.Error):
                any_host.sql(full["dsn"], fill)
            any_host.sql(other["dsn"], "create table if not exists u ()")
            any_host.json("branch", "reset", "full")  # with the same limit
            assert count(any_host, full["dsn"]) == ROWS
        any_host.sql(other["dsn"], fill)
        any_host.wipe()


def test_a_spare_has_the_limits_that_every_branch_has(any_host: AgentHost) -> None:
    """And only who asks for others gets no spare."""
    host = any_host
    seeded(host)
    host.json("snapshot", "create", "main@s", "--settle")
    with _quotas(host):
        host.configure(branch_disk="48M")
        host.restart_agent()
        try:
            host.json("snapshot", "warm", "main@s", "--spares", "1")
            with host.client() as client:
                eventually(lambda: client.snapshots.show("main@s")["spares"]["ready"] == 1, 60)
            less = host.json("branch", "create", "less", "--from", "main@s", "--disk", "32M")
            assert (less["spare"], less["limits"]["disk_bytes"]) == (False, 32 * 2**20)
            made = host.json("branch", "create", "a", "--from", "main@s")
            assert (made["spare"], made["limits"]["disk_bytes"]) == (True, 48 * 2**20)
            big = "(select string_agg(md5(i || '-' || k), '') from generate_series(1, 32) k)"
            with pytest.raises(psycopg.Error):
                host.sql(made["dsn"], f"create table big as select {big} from "
                         "generate_series(1, 60000) i")  # fmt: skip
            host.wipe()
        finally:
            host.configure()
            host.restart_agent()


def test_a_host_without_control_groups_says_so(any_host: AgentHost) -> None:
    host = any_host
    if len(GROUPS.controllers) == 2:
        pytest.skip("this host has cgroup v2 with memory and cpu")
    seeded(host)
    for words in (("--memory", "1G"), ("--cpus", "1.5")):
        error = host.error("branch", "create", "a", "--from", "main", *words, status=1)
        assert error["code"] == "limits_unavailable"
        assert GROUPS.reason in error["message"]
    found = host.json("status")["limits"]
    assert not (found["memory"] and found["cpus"])
    assert found["reason"] == GROUPS.reason
    said = [item for item in host.json("doctor") if item["subject"] == "limits"]
    assert [item["level"] for item in said] == ["ok"], "nobody asked for limits"
    host.configure(branch_memory="1G")
    host.restart_agent()
    try:
        said = [item for item in host.json("doctor") if item["subject"] == "limits"]
        assert [item["level"] for item in said] == ["warning"]
        made = host.json("branch", "create", "a", "--from", "main")
        assert made["limits"]["memory_bytes"] is None, "a default is no promise"
    finally:
        host.configure()
        host.restart_agent()
