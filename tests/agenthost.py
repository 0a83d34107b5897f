"""A whole host for tests: a pool on a loop filesystem, directories of its own, an agent.

    with agent_host(tmp, "btrfs") as host:
        host.cowdb("source", "add", "main", "--empty")

Everything lies beneath one temporary directory, and `close` leaves no process, mount, loop device
or file behind, whatever a test did.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from cowdb.config import Config, load
from cowdb.controller.client import Client
from cowdb.controller.connect import connect
from tests.loopfs import MIB, command, mounted, zpool_of

COWDB = [sys.executable, "-m", "cowdb"]


class CommandFailed(AssertionError):
    """A command of the test ended with another status than expected."""


@dataclass
class AgentHost:
    """:param base: everything of this host lies here.
    :param mountpoint: the loop filesystem; the pool is at `pool`.
    :param serve: the daemon's command.
    :param zpool: its name, where that is ZFS."""

    base: Path
    mountpoint: Path
    ports: tuple[int, int]
    zpool: str = ""
    daemon: subprocess.Popen[bytes] | None = None
    extra: dict[str, str] = field(default_factory=dict)
    serve: list[str] = field(default_factory=lambda: [*COWDB, "agent", "serve"])

    @property
    def config_file(self) -> Path:
        return self.base / "config.toml"

    @property
    def config(self) -> Config:
        return load(self.config_file)

    @property
    def pool(self) -> Path:
        return self.mountpoint / "pool"

    @property
    def pool_spec(self) -> str:
        """The pool as `cowdb init --pool` is told of it."""
        return f"zfs:{self.zpool}/pool" if self.zpool else str(self.pool)

    @property
    def log(self) -> Path:
        return self.base / "agent.log"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "COWDB_CONFIG": str(self.config_file),
                "XDG_STATE_HOME": str(self.state_home), **self.extra}  # fmt: skip

    @property
    def state_home(self) -> Path:
        """Where commands keep what is the user's own."""
        return self.base / "home"

    def configure(self, **values: object) -> None:
        lines = {
            "state_dir": str(self.base / "state"),
            "run_dir": str(self.base / "run"),
            "log_dir": str(self.base / "log"),
            "ports": list(self.ports),
            "bindirs": ["/usr/lib/postgresql/*/bin"],  # the other majors: see test_majors
            "reap_interval": 0.1,
            "auto_spares": 0,  # tests count servers
            **values,
        }
        text = "".join(f"{name} = {_toml(value)}\n" for name, value in lines.items())
        self.config_file.write_text(text)

    def start_agent(self) -> None:
        """Start the daemon and wait until it answers."""
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(self.serve, env=self.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 180  # emulated, beside others
        while not self._answers():
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the agent did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.config.socket)) == 0

    def stop_agent(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.daemon is not None:
            self.daemon.send_signal(number)
            self.daemon.wait(60)
            self.daemon = None

    def restart_agent(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.stop_agent(number)
        self.start_agent()

    def run(self, *words: str, status: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        """`cowdb WORDS`, expected to end with `status`."""
        done = subprocess.run(
            [*COWDB, *words], env=self.environment, capture_output=True, text=True, timeout=280,
            check=False, **options,
        )  # fmt: skip
        if done.returncode != status:
            raise CommandFailed(
                f"cowdb {' '.join(words)}: status {done.returncode}, expected {status}\n"
                f"stdout: {done.stdout}\nstderr: {done.stderr}\nagent: {self.tail()}"
            )
        return done

    def json(self, *words: str, status: int = 0) -> Any:
        """What a command prints with --json."""
        return json.loads(self.run(*words, "--json", status=status).stdout)

    def json_any(self, *words: str) -> Any:
        """What `cowdb diff` prints, whether the sides differ (exit status 3) or not."""
        done = subprocess.run(
            [*COWDB, *words, "--json"], env=self.environment, capture_output=True, text=True,
            timeout=280, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 3), done.stderr
        return json.loads(done.stdout)

    def error(self, *words: str, status: int) -> dict[str, str]:
        """The error that a command ends with, as --json prints it on stderr; and that nothing
        else is on stdout."""
        done = self.run(*words, "--json", status=status)
        assert done.stdout == ""
        found: dict[str, str] = json.loads(done.stderr)["error"]
        return found

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        with connect(self.config) as client:
            yield client

    def sql(self, dsn: str, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements in autocommit; the rows of the last one that returns any."""
        rows: list[tuple[Any, ...]] = []
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as db:
            for statement in statements:
                cursor = db.execute(statement)
                if cursor.description:
                    rows = cursor.fetchall()
        return rows

    def tail(self) -> str:
        return self.log.read_text()[-3000:] if self.log.exists() else ""

    def servers(self) -> list[int]:
        """Pids of postmasters and their children that work beneath this host's directories, the
        pool included: that is where servers have theirs."""
        found = []
        for process in psutil.process_iter(["pid"]):
            with contextlib.suppress(psutil.Error, OSError):
                here = Path(process.cwd())
                if here.is_relative_to(self.base) or here.is_relative_to(self.pool):
                    found.append(process.pid)
        return found

    def fronts(self) -> list[psutil.Process]:
        """What holds the ports of branches that may sleep: one process, or none."""
        found = []
        for pid in self.servers():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                if "cowdb.agent.front" in process.cmdline():
                    found.append(process)
        return found

    def remains(self) -> dict[str, list[str]]:
        """What exists beside the pool itself: volumes, servers, rooms, ports. All empty when
        every branch, snapshot and source is gone."""
        with self.client() as client:
            findings = [item["subject"] for item in client.host.doctor()
                        if item["level"] == "problem"]  # fmt: skip
            ports = client.host.status()["ports"]["used"]
        folders = [self.pool] if self.zpool else [self.pool / "volumes", self.pool / "staging"]
        return {
            "volumes": sorted(item.name for folder in folders for item in folder.iterdir()),
            "datasets": self.datasets(),
            "servers": [str(pid) for pid in self.servers()],
            "rooms": sorted(item.name for base in ("state", "run")
                            for item in (self.base / base / "servers").iterdir()),
            "settings": sorted(item.name for item in (self.base / "state/snapshots").iterdir()),
            "ports": [str(ports)] if ports else [],
            "doctor": findings,
        }  # fmt: skip

    def datasets(self) -> list[str]:
        """Of cowdb: all beneath the pool's, and every snapshot that it took elsewhere."""
        if not self.zpool:
            return []
        names = command("zfs", "list", "-H", "-o", "name", "-t", "all", "-r", self.zpool).split()
        return [name for name in names if name.startswith(f"{self.zpool}/pool/") or "@" in name]

    def clean(self) -> None:
        """Remove everything through the agent, which is started where it does not run, and see
        that it is gone."""
        if self.daemon is None or self.daemon.poll() is not None:
            self.start_agent()
        self.wipe()
        self.require_empty()

    def require_empty(self) -> None:
        """See that nothing remains of what was removed."""
        left = {name: items for name, items in self.remains().items() if items}
        assert not left, f"left behind: {left}"

    def wipe(self) -> None:
        """Remove all branches, snapshots and sources, in whatever order they allow."""
        with self.client() as client:
            for _ in range(50):
                branches, snapshots = client.branches.list(), client.snapshots.list()
                if not branches and not snapshots:
                    break
                for branch in branches:
                    client.branches.protect(branch["name"], protected=False)
                    with contextlib.suppress(Exception):
                        client.branches.remove(branch["name"])
                for snapshot in snapshots:
                    client.snapshots.protect(snapshot["ref"], protected=False)
                    with contextlib.suppress(Exception):
                        client.snapshots.remove(snapshot["ref"])
            for source in client.sources.list():
                client.sources.remove(source["name"])

    def close(self) -> None:
        """End everything that runs here, by force if need be."""
        with contextlib.suppress(Exception):
            self.stop_agent()
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()
        for _ in range(100):
            pids = self.servers()
            if not pids:
                break
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + "}"
    return json.dumps(value)


_next_port = 21000 + os.getpid() % 400 * 20


@contextlib.contextmanager
def agent_host(
    filesystem: str = "btrfs", *, size: int = 2048 * MIB, agent: bool = True,
    ports: int | tuple[int, int] = 200, **config: object,
) -> Iterator[AgentHost]:  # fmt: skip
    """:param filesystem: "btrfs", "xfs" (the reflink driver) or "zfs".
    :param agent: run the daemon; else commands serve themselves in process.
    :param ports: how many, or the first and the last one.
    :param config: keys of config.toml that differ."""
    global _next_port
    if isinstance(ports, int):
        first, _next_port = _next_port, _next_port + ports
        ports = (first, _next_port - 1)
    base = Path(tempfile.mkdtemp(prefix="cowdb-host-", dir="/var/tmp"))
    base.chmod(0o755)
    try:
        with mounted(filesystem, size) as mountpoint:
            zpool = zpool_of(mountpoint) if filesystem == "zfs" else ""
            host = AgentHost(base, mountpoint, ports, zpool)
            try:
                host.configure(**config)
                if agent:
                    host.start_agent()
                host.run("init", "--pool", host.pool_spec)
                yield host
            finally:
                host.close()
    finally:
        shutil.rmtree(base, ignore_errors=True)
