"""Attached sources on the hosts of the session, removed with all that came from them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.agenthost import AgentHost
from tests.host.truths.clusters import Cluster, cluster, home, initdb


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    with initdb() as data:
        yield data


@dataclass
class Fleet:
    """Clusters on one host, of which some are attached as sources."""

    host: AgentHost
    template: Path
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def home(self, name: str) -> Path:
        return self.stack.enter_context(home(self.host, name))

    def cluster(self, data: Path, **settings: object) -> Cluster:
        return self.stack.enter_context(cluster(self.template, data, **settings))

    def running(self, name: str = "prod", **settings: object) -> Cluster:
        """A running cluster in a home of its own, with `users` of 1,000 rows in it."""
        made = self.cluster(self.home(name) / "data", **settings)
        made.start()
        made.sql(
            "create table users (id int primary key, name text not null)",
            "insert into users select i, 'user ' || i from generate_series(1, 1000) i",
        )
        return made

    def attach(self, made: Cluster, name: str = "prod") -> Any:
        return self.host.json("source", "add", name, "--attach", str(made.data))

    def source(self, name: str = "prod", **settings: object) -> Cluster:
        """A running cluster that is attached under that name."""
        made = self.running(name, **settings)
        self.attach(made, name)
        return made

    def branch(self, name: str = "b", origin: str = "prod") -> Any:
        return self.host.json("branch", "create", name, "--from", origin)

    def data(self, branch: str = "b") -> Path:
        return Path(self.host.json("branch", "show", branch)["datadir"])

    def log(self, branch: str = "b") -> str:
        """What the server of a branch printed."""
        volume = self.data(branch).relative_to(self.host.pool / "volumes").parts[0]
        rooms = self.host.base / "state/servers"
        return "".join((rooms / name / "log").read_text() for name in {volume, *_ids(self, branch)}
                       if (rooms / name / "log").exists())  # fmt: skip


def _ids(fleet: Fleet, branch: str) -> list[str]:
    """Ids of servers by the port that their socket has (a reset changes the volume's id)."""
    port = fleet.host.json("branch", "show", branch)["port"]
    sockets = (fleet.host.base / "run/servers").glob(f"*/.s.PGSQL.{port}")
    return [path.parent.name for path in sockets]


def _fleet(host: AgentHost, template: Path) -> Iterator[Fleet]:
    fleet = Fleet(host, template)
    with fleet.stack:
        try:
            yield fleet
        finally:
            host.wipe()


@pytest.fixture
def fleet(host: AgentHost, template: Path) -> Iterator[Fleet]:
    """Clusters on btrfs."""
    yield from _fleet(host, template)


@pytest.fixture
def xfs_fleet(xfs_host: AgentHost, template: Path) -> Iterator[Fleet]:
    """Clusters on XFS."""
    yield from _fleet(xfs_host, template)
    assert not any(xfs_host.remains().values())


@pytest.fixture
def any_fleet(any_host: AgentHost, template: Path) -> Iterator[Fleet]:
    """Clusters on btrfs, and then on XFS."""
    yield from _fleet(any_host, template)
