"""Clusters that somebody else runs: OS user `postgres`, pg_ctl, in the host's loop filesystem.

    with home(host, "prod") as place, cluster(template, place / "data") as prod:
        prod.start()
        host.json("source", "add", "prod", "--attach", str(prod.data))

Sockets and log lie in a directory outside the pool. At the end no process, subvolume or file is
left, whatever became of the server.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.agenthost import AgentHost
from tests.loopfs import command
from tests.plainpg import find_bin

OWNER = "postgres"
HBA = """local all all peer
local replication all peer
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
"""
SETTINGS: dict[str, object] = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "32MB",
    "max_connections": 40,
    "max_wal_size": "128MB",
    "min_wal_size": "32MB",
    "log_replication_commands": "on",
    "wal_level": "logical",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def as_owner(*words: str | Path, status: int = 0, **options: Any) -> str:
    """Run a command as the clusters' OS user; its output. A server that it starts inherits
    none of our pipes."""
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            words, user=OWNER, group=OWNER, extra_groups=[], cwd="/", stdin=subprocess.DEVNULL,
            stdout=said, stderr=said, timeout=120, check=False, **options,
        )  # fmt: skip
        said.seek(0)
        text = said.read()
    assert done.returncode == status, f"{words}: {done.returncode}: {text}"
    return text


@dataclass
class Cluster:
    """:param run: sockets and log, outside the pool."""

    data: Path
    run: Path
    port: int = field(default_factory=free_port)
    bin: Path = field(default_factory=find_bin)

    @property
    def log(self) -> Path:
        return self.run / "log"

    def configure(self, **values: object) -> None:
        """Add lines to postgresql.conf, the last of which counts."""
        with (self.data / "postgresql.conf").open("a") as file:
            for name, value in values.items():
                quoted = str(value).replace("'", "''")
                file.write(f"{name} = '{quoted}'\n")

    def start(self, *options: str) -> None:
        words = ["-o", " ".join(options)] if options else []
        self.pg_ctl("start", "-l", self.log, *words)

    def stop(self, mode: str = "fast") -> None:
        self.pg_ctl("stop", "-m", mode)

    def pg_ctl(self, verb: str, *words: str | Path) -> None:
        try:
            as_owner(self.bin / "pg_ctl", verb, "-D", self.data, "-w", *words)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()[-2000:]}") from error

    @property
    def pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def sql(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements in autocommit; the rows of the last one that returns any."""
        rows: list[tuple[Any, ...]] = []
        with psycopg.connect(self.dsn(database), autocommit=True, connect_timeout=10) as db:
            for statement in statements:
                cursor = db.execute(statement.encode())
                if cursor.description:
                    rows = cursor.fetchall()
        return rows

    def close(self) -> None:
        """End every process that works in the data directory."""
        for number in (signal.SIGCONT, signal.SIGQUIT):
            with contextlib.suppress(OSError, ValueError, IndexError):
                os.kill(self.pid, number)
        deadline = time.monotonic() + 5
        while pids := working_in(self.data):
            if time.monotonic() > deadline:
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)


def working_in(directory: Path) -> list[int]:
    """Pids of the processes that work in a directory or beneath it, also when it is deleted."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink().is_relative_to(directory):
                    found.append(int(entry.name))
    return found


def is_btrfs(path: Path) -> bool:
    return command("stat", "-f", "-c", "%T", path).strip() == "btrfs"


@contextlib.contextmanager
def home(host: AgentHost, name: str) -> Iterator[Path]:
    """A subvolume on the host's btrfs, or a directory on its XFS."""
    place = host.mountpoint / name
    if is_btrfs(host.mountpoint):
        command("btrfs", "subvolume", "create", place)
    else:
        place.mkdir()
    shutil.chown(place, OWNER, OWNER)
    try:
        yield place
    finally:
        discard(place)


def discard(place: Path) -> None:
    """Remove a home, subvolumes inside it first."""
    if is_btrfs(place):
        inner = [path for path in place.rglob("*") if path.lstat().st_ino == 256]
        for path in sorted(inner, reverse=True):
            command("btrfs", "subvolume", "delete", path)
        command("btrfs", "subvolume", "delete", place)
    else:
        shutil.rmtree(place)


@contextlib.contextmanager
def cluster(template: Path, data: Path, **settings: object) -> Iterator[Cluster]:
    """A copy of the template at `data`, configured and not started; ended however it stands."""
    run = Path(tempfile.mkdtemp(prefix="cowdb-truths-", dir="/tmp"))
    shutil.chown(run, OWNER, OWNER)
    made = Cluster(data, run)
    try:
        command("cp", "-a", "-T", template, data)
        made.configure(
            **{**SETTINGS, "port": made.port, "unix_socket_directories": run, **settings}
        )
        yield made
    finally:
        made.close()
        shutil.rmtree(run)


@contextlib.contextmanager
def initdb() -> Iterator[Path]:
    """A data directory to copy from: peer on the socket, trust on the loopback."""
    place = Path(tempfile.mkdtemp(prefix="cowdb-truths-", dir="/var/tmp"))
    shutil.chown(place, OWNER, OWNER)
    try:
        data = place / "data"
        as_owner(find_bin() / "initdb", "-D", data, "-U", "postgres", "-N", "-k", "-E", "UTF8")
        (data / "pg_hba.conf").write_text(HBA)
        yield data
    finally:
        shutil.rmtree(place)


def owner_id() -> int:
    return pwd.getpwnam(OWNER).pw_uid


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for what another server does in its own time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
