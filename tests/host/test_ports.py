"""Ports that another program holds, or that are none."""

from __future__ import annotations

import os

import pytest

from tests.agenthost import AgentHost, agent_host
from tests.host.usecase import (
    ROWS,
    count,
    listener,
    seeded,
)


def test_port_that_another_program_holds(host: AgentHost) -> None:
    seeded(host)
    port = host.ports[1]
    with listener(port):
        error = host.error("branch", "create", "a", "--from", "main", "--port", str(port), status=5)
        assert error["code"] == "port_unavailable"
        assert f"process {os.getpid()}" in error["message"]
        assert error["hint"]
    with listener(port, "0.0.0.0"):
        host.error("branch", "create", "a", "--from", "main", "--port", str(port), status=5)
    made = host.json("branch", "create", "a", "--from", "main", "--port", str(port))
    assert made["port"] == port
    error = host.error("branch", "create", "b", "--from", "main", "--port", str(port), status=5)
    assert "cowdb" in error["message"]


@pytest.mark.parametrize("port", ["80", "0", "-1", "70000", "many"])
def test_port_that_is_none(host: AgentHost, port: str) -> None:
    seeded(host)
    host.error("branch", "create", "a", "--from", "main", "--port", port, status=2)


def test_port_of_a_stopped_branch_that_somebody_took_meanwhile(host: AgentHost) -> None:
    seeded(host)
    branch = host.json("branch", "create", "a", "--from", "main")
    host.json("branch", "stop", "a")
    with listener(branch["port"]):
        error = host.error("branch", "start", "a", status=5)
        assert error["code"] == "port_unavailable"
        assert f"process {os.getpid()}" in error["message"]
        assert host.json("branch", "show", "a")["state"] == "stopped"
        host.error("branch", "reset", "a", status=5)
        assert host.json("branch", "show", "a")["state"] == "stopped"
        other = host.json("branch", "create", "b", "--from", "main")
        assert other["port"] != branch["port"]
    assert host.json("branch", "start", "a")["port"] == branch["port"]
    assert count(host, branch["dsn"]) == ROWS


def test_ports_run_out() -> None:
    with agent_host("btrfs", ports=2) as host:
        seeded(host)
        host.json("branch", "create", "a", "--from", "main")
        error = host.error("branch", "create", "b", "--from", "main", status=5)
        assert error["code"] == "port_unavailable"
        assert "ports" in error["hint"]
        host.error("source", "add", "other", "--empty", status=5)
        host.json("branch", "rm", "a")
        host.json("branch", "create", "b", "--from", "main")
        host.wipe()
        assert not any(host.remains().values())
