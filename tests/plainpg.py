"""A plain, throw-away PostgreSQL server for tests that need nothing but a database.

It runs as the OS user `postgres` where the tests run as root, listens on 127.0.0.1 and on a socket
in its own directory, and leaves nothing behind. COWDB_TEST_PG_BIN chooses another version's bin.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

SETTINGS = """
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 40
wal_level = minimal
max_wal_senders = 0
autovacuum = off
"""


@dataclass(frozen=True)
class PlainPostgres:
    """A running server; trusts everybody who reaches it."""

    bin: Path
    directory: Path
    port: int
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def run(self, statements: str, database: str = "postgres") -> None:
        with psycopg.connect(self.dsn(database), autocommit=True) as conn:
            conn.execute(statements.encode())

    def database(self, *scripts: str, template: str = "template1") -> str:
        """The name of a new database into which the scripts were loaded."""
        name = f"db_{next(self._numbers)}"
        with psycopg.connect(self.dsn(), autocommit=True) as conn:
            conn.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        for script in scripts:
            self.run(script, name)
        return name

    def drop(self, *databases: str) -> None:
        with psycopg.connect(self.dsn(), autocommit=True) as conn:
            for name in databases:
                conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def installed() -> list[Path]:
    """Bin directories of servers, the oldest major first; COWDB_TEST_BINDIRS has globs of them."""
    globs = os.environ.get("COWDB_TEST_BINDIRS", "/usr/lib/postgresql/*/bin").split(":")
    found = {path for each in globs for path in Path("/").glob(each.lstrip("/"))
             if (path / "initdb").exists()}  # fmt: skip
    return sorted(found, key=lambda path: float(path.parent.name))


def find_bin() -> Path:
    """The chosen bin directory, or that of the newest installed version; skips without one."""
    if chosen := os.environ.get("COWDB_TEST_PG_BIN"):
        return Path(chosen)
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])
    )
    if not installed:
        pytest.skip("no PostgreSQL server under /usr/lib/postgresql")
    return installed[-1].parent


@contextmanager
def running(binaries: Path | None = None) -> Iterator[PlainPostgres]:
    """A new server, which is stopped and removed at the end however the tests went.

    :param binaries: a version's bin directory, instead of the one that `find_bin` finds.
    """
    binaries = binaries or find_bin()
    directory = Path(tempfile.mkdtemp(prefix="cowdb-plainpg-", dir="/tmp"))
    try:
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(directory, account.pw_uid, account.pw_gid)
        data = directory / "data"
        _command(binaries, directory, "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N")
        port = _free_port()
        with (data / "postgresql.conf").open("a") as file:
            file.write(f"{SETTINGS}port = {port}\nlisten_addresses = '127.0.0.1'\n")
            file.write(f"unix_socket_directories = '{directory}'\n")
        log = directory / "log"
        _command(binaries, directory, "pg_ctl", "-D", data, "-l", log, "-w", "start")
        try:
            yield PlainPostgres(binaries, directory, port)
        finally:
            _command(binaries, directory, "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(directory)


def _command(binaries: Path, directory: Path, name: str, *arguments: str | Path) -> None:
    root = os.getuid() == 0
    done = subprocess.run(
        [binaries / name, *arguments],
        user="postgres" if root else None,
        group="postgres" if root else None,
        extra_groups=[] if root else None,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        # The server inherits what it does not redirect: a pipe would never come to its end.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if name == "initdb" else subprocess.DEVNULL,
        timeout=120,
    )
    if done.returncode:
        raise RuntimeError(f"{name} failed: {(done.stderr or b'').decode()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
