"""The life of branches: expiry, protection, stop and start, adoption, reset, throw-away ones."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from cowdb.agent.processes import identify
from tests.agenthost import COWDB, AgentHost, agent_host
from tests.host.usecase import ROWS, background, branch_names, count, eventually, postmaster, seeded


def test_time_to_live(host: AgentHost) -> None:
    seeded(host)
    made = host.json("branch", "create", "short", "--from", "main", "--ttl", "1s")
    assert made["expires_at"] > made["created_at"]
    host.json("branch", "create", "long", "--from", "main", "--ttl", "2h")
    host.json("branch", "create", "kept", "--from", "main", "--ttl", "1s")
    host.json("branch", "protect", "kept")
    host.json("branch", "create", "parent", "--from", "main", "--ttl", "1s")
    host.json("branch", "create", "child", "--from", "parent")
    eventually(lambda: branch_names(host) == {"long", "kept", "parent", "child"})
    with pytest.raises(psycopg.OperationalError):
        host.sql(made["dsn"], "select 1")
    host.json("branch", "protect", "kept", "--off")
    host.json("branch", "rm", "child")
    eventually(lambda: branch_names(host) == {"long"})


def test_expiry_also_without_an_agent(host: AgentHost) -> None:
    seeded(host)
    host.stop_agent()
    host.json("branch", "create", "short", "--from", "main", "--ttl", "1s")
    eventually(lambda: branch_names(host) == set(), 10)


def test_stop_and_start_keep_everything(host: AgentHost) -> None:
    seeded(host)
    made = host.json("branch", "create", "a", "--from", "main")
    host.sql(made["dsn"], "delete from t where id > 3")
    for _ in range(2):
        assert host.json("branch", "stop", "a")["state"] == "stopped"
    assert not (Path(made["datadir"]) / "postmaster.pid").exists()
    done = host.run("connect", "a", status=5)
    assert "cowdb branch start a" in done.stderr
    assert host.json("branch", "create", "b", "--from", "a")["port"] != made["port"]
    for _ in range(2):
        again = host.json("branch", "start", "a")
    assert (again["state"], again["port"], again["dsn"]) == ("running", made["port"], made["dsn"])
    assert count(host, made["dsn"]) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_servers_outlive_the_agent(host: AgentHost, number: signal.Signals) -> None:
    source = seeded(host)
    made = host.json("branch", "create", "a", "--from", "main")
    stopped = host.json("branch", "create", "stopped", "--from", "main")
    host.json("branch", "stop", "stopped")
    before = [postmaster(host, item["datadir"]) for item in (source, made)]
    with psycopg.connect(made["dsn"]) as session:
        session.execute("create temp table mine as select 42 answer")
        host.restart_agent(number)
        assert session.execute("select answer from mine").fetchone() == (42,)
    assert [postmaster(host, item["datadir"]) for item in (source, made)] == before
    assert host.json("branch", "show", "a")["state"] == "running"
    assert host.json("branch", "show", "stopped")["state"] == "stopped"
    assert host.json("branch", "stop", "a")["state"] == "stopped"
    assert identify(before[1]) is None
    assert host.json("branch", "start", "stopped")["dsn"] == stopped["dsn"]


def test_branch_killed_while_the_agent_was_down_comes_up_again(host: AgentHost) -> None:
    seeded(host)
    made = host.json("branch", "create", "a", "--from", "main")
    host.sql(made["dsn"], "delete from t where id > 5", "checkpoint")
    host.stop_agent()
    pid = postmaster(host, made["datadir"])
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: identify(pid) is None)
    host.start_agent()
    assert host.json("branch", "show", "a")["state"] == "running"
    assert postmaster(host, made["datadir"]) != pid
    assert count(host, made["dsn"]) == 5


def test_branch_killed_while_the_agent_looks(host: AgentHost) -> None:
    seeded(host)
    made = host.json("branch", "create", "a", "--from", "main")
    pid = postmaster(host, made["datadir"])
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: host.json("branch", "show", "a")["state"] == "crashed")
    done = host.run("connect", "a", status=5)
    assert "crashed" in done.stderr
    assert "cowdb branch start a" in done.stderr
    child = host.json("branch", "create", "b", "--from", "a")
    assert count(host, child["dsn"]) == ROWS
    again = host.json("branch", "start", "a")
    assert (again["state"], again["dsn"]) == ("running", made["dsn"])
    assert count(host, made["dsn"]) == ROWS
    os.kill(postmaster(host, made["datadir"]), signal.SIGKILL)
    assert host.json("branch", "reset", "a")["state"] == "running"
    os.kill(postmaster(host, host.json("branch", "show", "a")["datadir"]), signal.SIGKILL)


def test_branch_killed_right_after_it_was_made_keeps_its_password(host: AgentHost) -> None:
    """What was acknowledged and not yet written out is in its WAL, killed when it may be."""
    seeded(host)
    host.json("snapshot", "create", "main@s", "--settle")
    with host.client() as client:
        for number in range(3):
            made = client.branches.create(f"a{number}", "main@s")
            pid = postmaster(host, made["datadir"])
            os.kill(pid, signal.SIGKILL)
            eventually(lambda pid=pid: identify(pid) is None)
            client.branches.start(f"a{number}")
            assert count(host, made["dsn"]) == ROWS


def test_reset_is_the_snapshot_again(host: AgentHost) -> None:
    seeded(host)
    host.json("snapshot", "create", "main@s")
    made = host.json("branch", "create", "a", "--from", "main@s")
    host.sql(host.json("source", "show", "main")["dsn"], "delete from t")
    for stopped in (False, True):
        host.sql(made["dsn"], "drop table t", "create table other ()")
        if stopped:
            host.json("branch", "stop", "a")
        again = host.json("branch", "reset", "a")
        for key in ("port", "dsn", "snapshot", "created_at", "owner", "state"):
            assert again[key] == made[key], key
        assert count(host, made["dsn"]) == ROWS
        assert host.sql(made["dsn"], "select to_regclass('other')") == [(None,)]
    assert len(list((host.pool / "volumes").iterdir())) <= 4  # source, snapshot, settled, branch


def test_reset_ends_the_sessions_of_before(host: AgentHost) -> None:
    seeded(host)
    made = host.json("branch", "create", "a", "--from", "main")
    with psycopg.connect(made["dsn"], autocommit=True) as session:
        host.json("branch", "reset", "a")
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")


def test_a_parent_of_others_may_be_reset(host: AgentHost) -> None:
    seeded(host)
    parent = host.json("branch", "create", "a", "--from", "main")
    host.sql(parent["dsn"], "delete from t where id > 1")
    child = host.json("branch", "create", "b", "--from", "a")
    host.json("branch", "reset", "a")
    assert count(host, parent["dsn"]) == ROWS
    assert count(host, child["dsn"]) == 1
    host.json("branch", "reset", "b")
    assert count(host, child["dsn"]) == 1


def test_five_generations(host: AgentHost) -> None:
    seeded(host)
    parent = "main"
    for depth in range(1, 6):
        made = host.json("branch", "create", f"g{depth}", "--from", parent)
        host.sql(made["dsn"], f"delete from t where id = {depth}")
        assert made["source"] == "main"
        assert made["parent"] == parent
        parent = f"g{depth}"
    with host.client() as client:
        for depth in range(1, 6):
            assert count(host, client.branches.show(f"g{depth}")["dsn"]) == ROWS - depth
    host.json("snapshot", "create", "g5@end")
    host.error("branch", "rm", "g5", status=5)
    found = host.json("diff", "g1", "g5", "--counts", status=3)
    assert found["counts"][0]["counts"] == [ROWS - 1, ROWS - 5]


@pytest.mark.parametrize("mode", ["online", "checkpoint", "stop"])
def test_snapshot_modes(host: AgentHost, mode: str) -> None:
    made = seeded(host)
    taken = host.json("snapshot", "create", "main@s", "--mode", mode)
    assert taken["mode"] == mode
    assert taken["consistency"] == ("clean" if mode == "stop" else "crash-consistent")
    assert count(host, made["dsn"]) == ROWS
    branch = host.json("branch", "create", "a", "--from", "main@s")
    assert count(host, branch["dsn"]) == ROWS


def test_connect(host: AgentHost) -> None:
    seeded(host)
    made = host.json("branch", "create", "a", "--from", "main")
    words = ("--", "-XAtc", "select count(*) from t")
    assert host.run("connect", "a", *words).stdout == f"{ROWS}\n"
    assert host.run("connect", "main", *words).stdout == f"{ROWS}\n"
    host.run("connect", "a", "--", "-Xc", "select 1/0", status=1)
    assert host.json("connect", "a") == {"name": "a", "dsn": made["dsn"], "port": made["port"]}


def test_in_process_commands_do_the_same(host: AgentHost) -> None:
    host.stop_agent()
    made = seeded(host)
    assert host.json("status")["agent"] == "in-process"
    host.json("snapshot", "create", "main@s", "--settle")
    branch = host.json("branch", "create", "a", "--from", "main@s", "--ttl", "1h")
    host.sql(branch["dsn"], "delete from t where id > 9")
    pid = postmaster(host, branch["datadir"])
    assert host.json("branch", "show", "a")["state"] == "running"
    assert postmaster(host, branch["datadir"]) == pid
    assert host.json("diff", "main@s", "a", "--counts", status=3)["counts"][0]["counts"] == [100, 9]
    assert host.json("branch", "reset", "a")["dsn"] == branch["dsn"]
    done = host.run("run", "--from", "a", "--", "psql", "-XAtc", "select count(*) from t")
    assert done.stdout == "100\n"
    words = ("branch", "create", "--from", "main@s", "--json")
    with background(host, *words, "b") as one, background(host, *words, "c") as two:
        for child in (one, two):
            assert child.wait(60) == 0
    assert branch_names(host) == {"a", "b", "c"}
    assert host.error("branch", "show", "x", status=4)["code"] == "not_found"
    host.json("doctor")
    host.json("branch", "rm", "a", "b", "c")
    host.start_agent()
    assert host.json("source", "show", "main")["dsn"] == made["dsn"]


def test_command_in_process_beside_a_starting_agent_is_told_to_wait(host: AgentHost) -> None:
    """Only one of them has the host; the agent that finds it taken says so."""
    with background(host, "agent", "serve") as second:
        _, err = second.communicate(timeout=60)
    assert second.returncode == 5
    assert "another agent" in err


def test_a_command_that_came_before_the_agent_listened_is_answered_by_it(host: AgentHost) -> None:
    """As after `systemctl restart`: the daemon has the host already, and no socket yet."""
    host.json("status")
    hidden = host.config.socket.with_suffix(".hidden")
    host.config.socket.rename(hidden)
    with background(host, "status", "--json") as client:
        eventually(lambda: _has_open(client.pid, "agent.lock"))
        hidden.rename(host.config.socket)
        out, err = client.communicate(timeout=30)
    assert client.returncode == 0, err
    assert json.loads(out)["agent"] == "daemon"


def _has_open(pid: int, name: str) -> bool:
    for item in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed while we look
            if item.readlink().name == name:
                return True
    return False


def test_reboot(host: AgentHost) -> None:
    """Servers die, /run is empty; the ports, the DSNs and the data are as before."""
    source = seeded(host)
    host.json("snapshot", "create", "main@s", "--settle")
    branch = host.json("branch", "create", "a", "--from", "main@s")
    host.sql(branch["dsn"], "delete from t where id > 8", "checkpoint")
    host.json("branch", "create", "off", "--from", "main@s")
    host.json("branch", "stop", "off")
    host.stop_agent()
    for pid in host.servers():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not host.servers())
    shutil.rmtree(host.base / "run")
    host.start_agent()
    assert count(host, source["dsn"]) == ROWS
    assert count(host, branch["dsn"]) == 8
    states = {item["name"]: item["state"] for item in host.json("branch", "list")}
    assert states == {"a": "running", "off": "stopped"}
    assert host.json("branch", "start", "off")["state"] == "running"
    host.json("snapshot", "create", "a@after")


def test_run_directory_lost_while_the_servers_live(host: AgentHost) -> None:
    """As systemd does with RuntimeDirectory= when a service stops."""
    source = seeded(host)
    branch = host.json("branch", "create", "a", "--from", "main")
    host.stop_agent()
    shutil.rmtree(host.base / "run")
    host.start_agent()
    assert count(host, source["dsn"]) == ROWS
    assert count(host, branch["dsn"]) == ROWS
    error = host.error("branch", "create", "b", "--from", "a", status=1)
    assert "stop it and start it" in error["hint"], error
    host.json("branch", "stop", "a")
    host.json("branch", "start", "a")
    child = host.json("branch", "create", "b", "--from", "a")
    assert count(host, child["dsn"]) == ROWS
    host.json("snapshot", "create", "main@s", "--mode", "stop")


def test_agent_that_ends_takes_no_socket_with_it_that_is_not_its_own(host: AgentHost) -> None:
    path = host.config.socket
    host.stop_agent()
    assert not path.exists()
    host.start_agent()
    host.stop_agent(signal.SIGKILL)
    assert path.exists()  # stale
    assert host.json("status")["agent"] == "in-process"
    host.start_agent()
    assert host.json("status")["agent"] == "daemon"


def test_xfs_has_the_same_life() -> None:
    with agent_host("xfs") as host:
        seeded(host)
        made = host.json("branch", "create", "a", "--from", "main", "--ttl", "1h")
        host.sql(made["dsn"], "delete from t where id > 5")
        host.json("branch", "stop", "a")
        child = host.json("branch", "create", "b", "--from", "a")
        assert count(host, child["dsn"]) == 5
        assert host.json("branch", "reset", "b")["dsn"] == child["dsn"]
        host.restart_agent(signal.SIGKILL)
        assert host.json("branch", "reset", "a")["dsn"] == made["dsn"]
        assert count(host, made["dsn"]) == ROWS
        host.run("run", "--from", "a", "--", sys.executable, "-c", "pass")
        done = subprocess.run([*COWDB, "branch", "list"], env=host.environment,
                              capture_output=True, text=True, check=True)  # fmt: skip
        assert "running" in done.stdout
        host.wipe()
        assert not any(host.remains().values())
