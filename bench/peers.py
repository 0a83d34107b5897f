"""What a user would make a copy of a database with instead, each timed from nothing to the first
answered query: dump and restore, a template database, a copy of the data directory with a start.

All of them run on one plain server over a copy of the same data directory, on the same filesystem,
with the same settings; where a setting or a flag could be chosen, it is the one that favours them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psycopg

from bench.clock import since
from bench.host import folder, settle_disk

SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_wal_size": "4GB",
    "autovacuum": "off",
}

COPY = "copy of the data directory + start"
TEMPLATE_FILES = "CREATE DATABASE ... TEMPLATE, FILE_COPY"
TEMPLATE_WAL = "CREATE DATABASE ... TEMPLATE, WAL_LOG"
DUMP_PIPE = "pg_dump -Fc | pg_restore"
DUMP_FILES = "pg_dump -Fd -j2, pg_restore -j2"
ALL = (TEMPLATE_FILES, TEMPLATE_WAL, COPY, DUMP_FILES, DUMP_PIPE)

_PATIENCE = 600.0
_File = int | IO[bytes] | None


@dataclass
class Server:
    """A plain server, reached over a Unix socket by its superuser without a password.

    :param room: holds the socket, pg_hba.conf and the log.
    :param settings: by which it runs.
    """

    bindir: Path
    datadir: Path
    room: Path
    process: subprocess.Popen[bytes] | None = None
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    @property
    def owner(self) -> tuple[int, int]:
        found = self.datadir.stat()
        return found.st_uid, found.st_gid

    def start(self) -> None:
        """Returns when a connection has been accepted; asks every 2 ms, where pg_ctl waits 100."""
        hba = self.room / "pg_hba.conf"
        hba.write_text("local all all trust\nlocal replication all trust\n")
        hba.chmod(0o644)
        fixed = {"listen_addresses": "", "unix_socket_directories": str(self.room),
                 "hba_file": str(hba), "port": "5432"}  # fmt: skip
        words = [str(self.bindir / "postgres"), "-D", str(self.datadir)]
        for name, value in {**self.settings, **fixed}.items():
            words += ["-c", f"{name}={value}"]
        with (self.room / "log").open("ab") as log:
            self.process = self.spawn(words, stdout=log, stderr=log, cwd=self.datadir)
        deadline = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                self.connect("postgres").close()
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"server did not start:\n{(self.room / 'log').read_text()}")
            time.sleep(0.002)

    def stop(self) -> None:
        """A clean shutdown; harmless when it is down."""
        if self.process is not None:
            self.process.send_signal(2)
            try:
                self.process.wait(_PATIENCE)
            except BaseException:
                self.process.send_signal(3)  # QUIT: the children end, too
                self.process.wait(30)
                raise
            finally:
                self.process = None

    def kill(self) -> None:
        """At once, for what is thrown away; harmless when it is down."""
        if self.process is not None:
            self.process.send_signal(3)
            self.process.wait(_PATIENCE)
            self.process = None

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=str(self.room), port=5432, user="postgres", dbname=database,
                               autocommit=True)  # fmt: skip

    def spawn(
        self, words: list[str], *, cwd: Path, stdin: _File = subprocess.DEVNULL,
        stdout: _File = None, stderr: _File = None,
    ) -> subprocess.Popen[bytes]:  # fmt: skip
        """A program of Postgres's as the server's user, out of reach of the terminal's Ctrl-C."""
        uid, gid = self.owner
        return subprocess.Popen(
            words, user=uid, group=gid, extra_groups=[], start_new_session=True, cwd=cwd,
            stdin=stdin, stdout=stdout, stderr=stderr,
        )  # fmt: skip

    def client(self, program: str, *words: str) -> list[str]:
        return [str(self.bindir / program), "-h", str(self.room), "-p", "5432", "-U", "postgres",
                *words]  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """:param place: a directory on the pool's filesystem, the server user's.
    :param query: answers the number `expected` in every copy of the database."""

    server: Server
    place: Path
    database: str
    query: str
    expected: int


@contextlib.contextmanager
def staged(
    bindir: Path, origin: Path, beside: Path, database: str, query: str, expected: int
) -> Iterator[Stage]:
    """A stopped peer server over a copy of the data directory of a stopped server."""
    owner = origin.stat()
    with folder(beside, owner.st_uid, owner.st_gid) as place:
        room = place / "room"
        room.mkdir()
        os.chown(room, owner.st_uid, owner.st_gid)
        copy_tree(origin, place / "data")
        drop_spare_wal(bindir, place / "data")
        server = Server(bindir, place / "data", room)
        try:
            yield Stage(server, place, database, query, expected)
        finally:
            server.stop()


def drop_spare_wal(bindir: Path, datadir: Path) -> None:
    """Loading left up to a gigabyte of recycled WAL segments, which a copy need not carry; after
    a clean shutdown only the segment of its checkpoint counts."""
    shown = subprocess.run([bindir / "pg_controldata", datadir], env={"LC_ALL": "C"}, text=True,
                           capture_output=True, check=True).stdout  # fmt: skip
    found = re.search(r"REDO WAL file:\s+([0-9A-F]{24})", shown)
    if found is None or not re.search(r"cluster state:\s+shut down\n", shown):
        raise RuntimeError(f"{datadir} is not the copy of a stopped server")
    for path in (datadir / "pg_wal").iterdir():
        if re.fullmatch(r"[0-9A-F]{24}", path.name) and path.name != found[1]:
            path.unlink()


def copy_and_start(stage: Stage) -> float:
    """Milliseconds; the stage's server is down. Removes the copy again."""
    room = stage.place / "copied"
    room.mkdir()
    os.chown(room, *stage.server.owner)
    copied = Server(stage.server.bindir, stage.place / "copy", room)
    try:
        begun = time.perf_counter()
        copy_tree(stage.server.datadir, copied.datadir)
        copied.start()
        _ask(copied, stage.database, stage)
        return since(begun)
    finally:
        copied.stop()
        shutil.rmtree(copied.datadir, ignore_errors=True)
        shutil.rmtree(room)


def copy_tree(origin: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", "--reflink=never", origin, target], check=True)


def template_methods(major: int) -> dict[str, Callable[[Stage], float]]:
    """14 knows the files' way only, and no STRATEGY."""
    if major < 15:
        return {TEMPLATE_FILES: lambda stage: _template(stage, "")}
    return {
        TEMPLATE_FILES: lambda stage: _template(stage, "strategy file_copy"),
        TEMPLATE_WAL: lambda stage: _template(stage, "strategy wal_log"),
    }


def _template(stage: Stage, strategy: str) -> float:
    with _fresh(stage) as name:
        begun = time.perf_counter()
        with stage.server.connect("postgres") as db:
            db.execute(f'create database {name} template "{stage.database}" {strategy}'.encode())
        _ask(stage.server, name, stage)
        return since(begun)


def dump_through_pipe(stage: Stage) -> float:
    """Without compression, which would only cost here; -j needs files, see the other one."""
    dump = stage.server.client("pg_dump", "-Fc", "-Z0", stage.database)
    with _fresh(stage) as name:
        restore = stage.server.client("pg_restore", "-d", name)
        begun = time.perf_counter()
        with stage.server.connect("postgres") as db:
            db.execute(f"create database {name} template template0".encode())
        with stage.server.spawn(dump, stdout=subprocess.PIPE, cwd=stage.place) as writer:
            reader = stage.server.spawn(restore, stdin=writer.stdout, cwd=stage.place)
            assert writer.stdout is not None
            writer.stdout.close()
            _succeeded(reader)
            _succeeded(writer)
        _ask(stage.server, name, stage)
        return since(begun)


def dump_to_files(stage: Stage) -> float:
    """Two workers each way, one for each core of a small machine."""
    files = stage.place / "dump"
    dump = ["-Fd", "-Z0", "-j2", "-f", str(files), stage.database]
    try:
        with _fresh(stage) as name:
            begun = time.perf_counter()
            with stage.server.connect("postgres") as db:
                db.execute(f"create database {name} template template0".encode())
            _succeeded(stage.server.spawn(stage.server.client("pg_dump", *dump), cwd=stage.place))
            restore = stage.server.client("pg_restore", "-j2", "-d", name, str(files))
            _succeeded(stage.server.spawn(restore, cwd=stage.place))
            _ask(stage.server, name, stage)
            return since(begun)
    finally:
        shutil.rmtree(files, ignore_errors=True)


@contextlib.contextmanager
def _fresh(stage: Stage) -> Iterator[str]:
    """A name for a new database, dropped afterwards; the server starts from a checkpoint."""
    settle_disk(stage.place)
    try:
        yield "fresh"
    finally:
        with stage.server.connect("postgres") as db:
            db.execute(b"drop database if exists fresh with (force)")
            db.execute(b"checkpoint")


def _ask(server: Server, database: str, stage: Stage) -> None:
    with server.connect(database) as db:
        check(db, stage.query, stage.expected)


def check(db: psycopg.Connection[tuple[object, ...]], query: str, expected: int) -> None:
    """A copy that answers wrongly is no copy, however quick."""
    row = db.execute(query.encode()).fetchone()
    if row != (expected,):
        raise RuntimeError(f"the copy answers {row} to {query!r}, not {expected}")


def _succeeded(process: subprocess.Popen[bytes]) -> None:
    try:
        status = process.wait(3600)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if status:
        raise RuntimeError(f"{process.args!r} ended with status {status}")


def major_of(version: str) -> int:
    found = re.match(r"\d+", version)
    assert found is not None, version
    return int(found[0])
