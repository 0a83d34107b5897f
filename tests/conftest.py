"""The header of a run, and the hosts that tests work on."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cowdb.agent.engines.postgres import binaries
from tests.agenthost import AgentHost, agent_host
from tests.loopfs import filesystems


def _bindirs() -> list[str]:
    named = [item for item in os.environ.get("COWDB_TEST_BINDIRS", "").split(":") if item]
    return [*named, "/usr/lib/postgresql/*/bin"]


def pytest_configure() -> None:
    """A run in the background of a shell ignores SIGINT, and its children would inherit that.
    One that is told to end takes down what its fixtures made, as after Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    found = binaries.find(_bindirs())
    versions = ", ".join(item.version for _, item in sorted(found.items()))
    tools = []
    for command in (["mkfs.btrfs", "--version"], ["mkfs.xfs", "-V"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            tools.append((done.stdout or done.stderr).splitlines()[0])
        except (FileNotFoundError, IndexError):
            tools.append(f"no {command[0]}")
    zfs = Path("/sys/module/zfs/version")
    tools.append(f"ZFS {zfs.read_text().strip()}" if zfs.exists() else "no ZFS")
    return [
        f"kernel: {platform.release()}; {', '.join(tools)}",
        f"postgres: {versions or 'none'}",
    ]


@pytest.fixture(scope="session")
def btrfs_host() -> Iterator[AgentHost]:
    """A host with an agent and a btrfs pool, kept for the session: use `host` in tests."""
    with agent_host("btrfs") as found:
        yield found


@pytest.fixture(scope="session")
def xfs_host() -> Iterator[AgentHost]:
    with agent_host("xfs") as found:
        yield found


@pytest.fixture(scope="session")
def zfs_host() -> Iterator[AgentHost]:
    with agent_host("zfs") as found:
        yield found


@pytest.fixture
def host(btrfs_host: AgentHost) -> Iterator[AgentHost]:
    """A clean host with an agent. After the test everything is removed, and anything that then
    is left (volume, process, port, row, directory) fails the test."""
    yield from _clean(btrfs_host)


@pytest.fixture(params=filesystems())
def any_host(request: pytest.FixtureRequest) -> Iterator[AgentHost]:
    """The same, on each filesystem in turn."""
    yield from _clean(request.getfixturevalue(f"{request.param}_host"))


def _clean(found: AgentHost) -> Iterator[AgentHost]:
    yield found
    found.clean()
