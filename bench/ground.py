"""What the ways to branch are tried on: a host, the shop in a managed source of cowdb's with its
settled snapshot, and for each peer its own copy of that source's data directory, on the same
filesystem."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import psutil

from bench import machine, peers, shop
from bench.host import bench_host, folder, settle_disk, warm
from bench.scenarios import Say
from bench.sizes import bytes_of
from bench.ways import CLONE, CLONE_SINCE, COPY, COWDB, WAL_LOG, Way
from bench.ways.copies import Copies
from bench.ways.cowdb import Cowdb
from bench.ways.databases import Databases
from cowdb.agent.engines.postgres import binaries
from cowdb.agent.engines.postgres.server import FAST
from cowdb.config import BRANCH_SETTINGS, Config
from cowdb.controller.client import Client
from tests.agenthost import AgentHost

PORTS, _FIRST_PORT, _LAST_PORT = 1500, 9_000, 21_000
SERVER_SETTINGS = {**peers.SETTINGS, "max_connections": "300"}
"""Of the one server whose databases are the branches."""
COPY_SETTINGS = {**peers.SETTINGS, **BRANCH_SETTINGS, "wal_keep_size": "256MB"}
"""Of each copy: as small as a branch of cowdb's, with the WAL that pg_basebackup needs."""
SOURCE, SNAPSHOT = "shop", "shop@loaded"
_CACHED = "/var/cache/cowdb/postgresql/*/bin"  # where hostprep puts the other majors
_PATIENCE = 120.0  # for spares
_STRATEGIES = {CLONE: "file_copy", WAL_LOG: "wal_log"}


@dataclass(frozen=True)
class Ground:
    """:param rows: of the table `lines`. :param bindir: of the source's major."""

    label: str
    host: AgentHost
    client: Client
    rows: int
    bindir: Path
    datadir: Path
    database: str
    facts: dict[str, Any] = field(default_factory=dict)

    def settle(self) -> None:
        settle_disk(self.host.pool)


def usable(methods: Sequence[str], version: str | None) -> list[str]:
    """Those that the Postgres of this run has."""
    major = binaries.pick(bindirs(), version).major
    return [name for name in methods if name != CLONE or major >= CLONE_SINCE]


def bindirs() -> tuple[str, ...]:
    """Globs of where servers are; COWDB_BENCH_BINDIRS names others, with colons between them."""
    named = os.environ.get("COWDB_BENCH_BINDIRS", "")
    return tuple(named.split(":")) if named else (*Config().bindirs, _CACHED)


@contextlib.contextmanager
def prepared(label: str, version: str | None, say: Say) -> Iterator[Ground]:
    """:param label: the size, such as "20MB"."""
    room = 40 * 2**30 + 12 * bytes_of(label)
    first = _first_port()
    config = {"bindirs": list(bindirs()), "ports": (first, first + PORTS - 1)}
    with bench_host(room, wipe=False, config=config) as host:
        with host.client() as client:
            say(f"{label}: load")
            source = client.sources.add(SOURCE, version=version)
            rows = shop.rows_of(label)
            size = shop.load(source["dsn"] or "", rows)
            taken = client.snapshots.create(SNAPSHOT, settle=True)
            assert taken["settled"]
            client.sources.stop(SOURCE)
            datadir = Path(source["datadir"])
            tools = binaries.pick(host.config.bindirs, source["pg_version"])
            warm(datadir)
            ground = Ground(label, host, client, rows, tools.directory, datadir,
                            source["database"])  # fmt: skip
            ground.facts.update(
                label=label, rows=rows, database_bytes=size, postgres=source["pg_version"],
                filesystem=machine.filesystem(host.pool),
            )  # fmt: skip
            yield ground


def _first_port() -> int:
    """Of a range that is out of the way of the tests' hosts and that nobody listens in."""
    taken = {item.laddr.port // PORTS for item in psutil.net_connections("tcp") if item.laddr}
    ranges = [number for number in range(_FIRST_PORT // PORTS, _LAST_PORT // PORTS)
              if number not in taken]  # fmt: skip
    if not ranges:
        raise RuntimeError(f"somebody listens in each {PORTS} ports up to {_LAST_PORT}")
    return ranges[os.getpid() % len(ranges)] * PORTS


@contextlib.contextmanager
def opened(ground: Ground, method: str, *, running: bool = False, spares: int = 0) -> Iterator[Way]:
    """A way to branch, at its root; nothing of it runs or lies about afterwards.

    :param running: cowdb's first branches come of a running branch, not of the snapshot.
    :param spares: how many started clones of the snapshot cowdb shall hold ready.
    """
    with contextlib.ExitStack() as stack:
        way = _open(stack, ground, method, running=running, spares=spares)
        try:
            yield way
        finally:
            way.close()


def _open(
    stack: contextlib.ExitStack, ground: Ground, method: str, *, running: bool, spares: int
) -> Way:
    if method == COWDB:
        if spares:
            warm_up(ground.client, spares)
        return Cowdb(ground.client, SNAPSHOT, running=running)
    stage = stack.enter_context(
        peers.staged(ground.bindir, ground.datadir, ground.host.mountpoint, ground.database,
                     shop.QUERY, shop.CUSTOMERS)
    )  # fmt: skip
    if method == COPY:
        owner = stage.server.owner
        place = stack.enter_context(folder(ground.host.mountpoint, *owner))
        return Copies(ground.bindir, stage.server.datadir, place, ground.database, COPY_SETTINGS)
    clone = {"file_copy_method": "clone"} if method == CLONE else {}
    stage.server.settings = {**SERVER_SETTINGS, **clone}
    warm(stage.server.datadir)
    stage.server.start()
    return Databases(stage.server, ground.database, _STRATEGIES[method])


def warm_up(client: Client, spares: int) -> None:
    """Returns when so many started clones of the snapshot are at hand.

    :raises RuntimeError: this cowdb knows of none, or they do not come."""
    ask = getattr(client.snapshots, "warm", None)
    if ask is None:
        raise RuntimeError("this cowdb has no spares (`cowdb snapshot warm`): leave --spares out")
    ask(SNAPSHOT, spares=spares)
    deadline = time.monotonic() + _PATIENCE
    while (ready := cast(Any, client.snapshots.show(SNAPSHOT))["spares"]["ready"]) < spares:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{ready} spares of {spares} are ready after {_PATIENCE:.0f} s")
        time.sleep(0.05)


def branch_settings() -> dict[str, str]:
    """What cowdb's branches run with instead of their source's settings."""
    return {**BRANCH_SETTINGS, **FAST}
