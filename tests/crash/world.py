"""A host with something to lose, and the questions that are asked after each crash."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from cowdb.agent.engines.postgres import binaries
from cowdb.controller.client import Client
from cowdb.controller.transport import SocketTransport
from cowdb.errors import CowdbError
from tests.agenthost import AgentHost, agent_host

LAUNCHER = Path(__file__).with_name("launcher.py")
FILL = (
    "create table kept (id int primary key, word text not null)",
    "insert into kept select i, md5(i::text) from generate_series(1, 2000) i",
    "create index on kept (word)",
)
CHECKSUM = "select count(*), md5(string_agg(id || word, ',' order by id)) from kept"
STARTED = "select pg_postmaster_start_time()"


@dataclass
class Production:
    """A server that somebody else runs, in a subvolume of its own beside the pool."""

    directory: Path
    port: int
    bindir: Path

    @property
    def datadir(self) -> Path:
        return self.directory / "data"

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        user = pwd.getpwnam("postgres")
        if shutil.which("btrfs"):
            subprocess.run(["btrfs", "-q", "subvolume", "create", self.directory], check=True)
        os.chown(self.directory, user.pw_uid, user.pw_gid)
        self._run("initdb", "-D", self.datadir, "-U", "postgres", "-A", "trust", "-N")
        with (self.datadir / "postgresql.conf").open("a") as file:
            file.write(f"port = {self.port}\nshared_buffers = 16MB\n")
            file.write(f"unix_socket_directories = '{self.directory}'\n")
        log = self.directory / "log"
        self._run("pg_ctl", "-D", self.datadir, "-l", log, "-w", "start")

    def stop(self) -> None:
        if (self.datadir / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", self.datadir, "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *words: str | Path) -> None:
        subprocess.run(
            [self.bindir / program, *words], user="postgres", group="postgres", extra_groups=[],
            cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=True, timeout=120,
        )  # fmt: skip


@dataclass
class World:
    """A source `main` with snapshots main@raw and main@settled, branches of them that nobody
    touches (`keep`), and an attached source `prod`.

    :param known: what must stay the same: (checksum, start of the server) by DSN.
    """

    host: AgentHost
    production: Production | None = None
    known: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def order(self) -> Path:
        return self.host.base / "order"

    @property
    def client(self) -> Client:
        return Client(SocketTransport(self.host.config.socket))

    def start(self) -> None:
        """Start the agent, with its bomb."""
        self.host.start_agent()

    @property
    def alive(self) -> bool:
        return self.host.daemon is not None and self.host.daemon.poll() is None

    def crash(self, kinds: tuple[str, ...], at: int, act: Callable[[], object]) -> str | None:
        """Act with the bomb armed: the instant at which the agent died, None when it lives."""
        self.order.write_text(json.dumps({"kinds": kinds, "at": at}))
        try:
            act()
        except CowdbError:
            assert self.host.daemon is not None
            self.host.daemon.wait(10)  # nothing but the bomb may make it fail
        finally:
            self.order.unlink()
        assert self.host.daemon is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.host.daemon.wait(0.2)  # the last instants come after the answer
        return self.died() if not self.alive else None

    def died(self) -> str:
        assert self.host.daemon is not None
        assert self.host.daemon.wait(10) == -signal.SIGKILL, self.host.tail()
        self.host.daemon = None
        note = self.order.with_suffix(".died")
        text = note.read_text()
        note.unlink()
        return text

    def start_dying(self, at: int) -> str | None:
        """Start the agent with the bomb in its recovery; None when it came through."""
        self.order.write_text(json.dumps({"kinds": ["recovery"], "at": at}))
        try:
            self.start()
        except AssertionError:
            return self.died()
        finally:
            self.order.unlink()
        return None

    def dsn(self, name: str) -> str:
        found = self.client.branches.show(name)["dsn"]
        assert found is not None
        return found

    def sql(self, name: str, *statements: str) -> list[tuple[Any, ...]]:
        return self.host.sql(self.dsn(name), *statements)

    def rows(self, name: str) -> int:
        count: int = self.sql(name, "select count(*) from kept")[0][0]
        return count

    def remember(self, dsn: str) -> None:
        self.known[dsn] = self._facts(dsn)

    def _facts(self, dsn: str) -> tuple[Any, Any]:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as db:
            return db.execute(CHECKSUM).fetchone(), db.execute(STARTED).fetchone()

    def check(self, moved: tuple[str, ...] = ()) -> None:
        """Nothing lost, nothing leaked, nothing left open.

        :param moved: DSNs of servers that the operation itself starts again.
        """
        self.await_spares()
        self.await_quiet()
        findings = [item for item in self.client.host.doctor() if item["level"] != "ok"]
        assert not findings, findings
        for operation in self.client.host.operations():
            assert operation["state"] in ("done", "undone"), operation
        for dsn, (checksum, started) in self.known.items():
            now = self._facts(dsn)
            assert now[0] == checksum, f"{dsn} has other data"
            assert dsn in moved or now[1] == started, f"{dsn} was started again"
        for dsn in moved:
            self.remember(dsn)
        self.check_ports()
        self.check_nothing_paused()

    def await_quiet(self) -> None:
        """The agent settles snapshots by itself; what runs for longer was left open."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if not [item for item in self.client.host.operations() if item["state"] == "running"]:
                return
            time.sleep(0.05)

    def check_ports(self) -> None:
        clusters = [item for item in self.client.sources.list() if item["kind"] == "managed"]
        wanted = len(clusters) + len(self.client.branches.list()) + self.await_spares()
        assert self.client.host.status()["ports"]["used"] == wanted

    def await_spares(self) -> int:
        """How many there are, once there are as many as are wanted."""
        deadline = time.monotonic() + 60
        while (spares := self.client.host.status()["spares"])["ready"] != spares["wanted"]:
            assert time.monotonic() < deadline, (spares, self.host.tail())
            time.sleep(0.02)
        return spares["ready"]

    def check_nothing_paused(self) -> None:
        for pid in self.host.servers():
            with contextlib.suppress(psutil.NoSuchProcess):
                assert psutil.Process(pid).status() != psutil.STATUS_STOPPED, pid

    def wipe(self) -> None:
        """Remove everything through the agent, and see that it is gone."""
        self.host.wipe()
        self.host.require_empty()


@contextlib.contextmanager
def world(
    filesystem: str = "btrfs", *, attached: bool = True, bomb: bool = True
) -> Iterator[World]:
    """:param bomb: run the launcher; else the real agent."""
    with agent_host(filesystem, agent=False) as host:
        made = World(host)
        if bomb:
            host.serve = [sys.executable, str(LAUNCHER), str(made.order)]
        made.start()
        client = made.client
        main = client.sources.add("main")
        assert main["dsn"] is not None
        host.sql(main["dsn"], *FILL)
        client.snapshots.create("main@settled", settle=True)
        client.snapshots.create("main@raw", mode="online")
        keep = client.branches.create("keep", "main@settled")
        host.sql(keep["dsn"], "insert into kept values (0, 'only in keep')")
        made.remember(main["dsn"])
        made.remember(keep["dsn"])
        try:
            if attached:
                _attach(made)
            yield made
            made.wipe()
        finally:
            if made.production is not None:
                made.production.stop()


def _attach(made: World) -> None:
    host = made.host
    found = binaries.find(host.config.bindirs)
    bindir = found[max(found)].directory
    production = Production(host.mountpoint / "prod", host.ports[1] + 1, bindir)
    made.production = production
    production.start()
    host.sql(production.dsn, *FILL)
    made.client.sources.add("prod", attach=str(production.datadir))
    made.remember(production.dsn)
