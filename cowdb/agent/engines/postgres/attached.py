"""An attached source: a data directory that somebody else runs.

cowdb reaches it as its own OS user does: through the Unix socket that postmaster.pid names, by
`peer` authentication, with this thread's effective identity switched for the connect.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from cowdb.agent import processes
from cowdb.agent.beneath import Beneath
from cowdb.agent.engines.postgres import admin
from cowdb.agent.engines.postgres.control import major_version, read_pid_file
from cowdb.agent.engines.postgres.quarantine import is_essential
from cowdb.agent.engines.postgres.settings import Settings, parse
from cowdb.agent.system import OsUser, acting_as, user_of
from cowdb.errors import ServerError, SourceDownError, UnsoundError
from cowdb.model import Process

_DEEPEST = 10


@dataclass(frozen=True, slots=True)
class Territory:
    """Every directory that the cluster writes: the data directory first, then where pg_wal, the
    tablespaces and other links of its own lead."""

    paths: tuple[Path, ...]


def owner_of(datadir: Path) -> OsUser:
    """The OS user of a data directory; raises UnsoundError when it is root's."""
    user = user_of(datadir.stat().st_uid)
    if user.uid == 0:
        raise UnsoundError(
            f"{datadir} belongs to root, and Postgres does not run as root",
            hint="chown it to the user that runs the server",
        )
    return user


def resolve(datadir: Path) -> Path:
    """The real path of a data directory; raises ServerError when it is none."""
    try:
        real = datadir.resolve(strict=True)
    except OSError as error:
        raise ServerError(f"there is no directory {datadir}") from error
    major_version(real)
    return real


def running(datadir: Path) -> Process | None:
    """The postmaster that works there, None when it is down."""
    found = read_pid_file(datadir)
    if found is None:
        return None
    process = processes.identify(found.pid)
    if process is None:
        return None
    try:
        works_in = os.readlink(f"/proc/{process.pid}/cwd")  # noqa: PTH115
    except OSError:
        return None
    return process if works_in == str(datadir) else None


def check_at_rest(datadir: Path) -> None:
    """:raises UnsoundError: the postmaster is gone and a backend of it still writes."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if not entry.name.isdigit() or (entry / "cwd").readlink() != datadir:
                continue
            if (entry / "comm").read_text().strip() in ("postgres", "postmaster"):
                raise UnsoundError(
                    f"the postmaster of {datadir} is gone, yet its process {entry.name} still "
                    "works there",
                    hint=f"kill {entry.name}, or start the server",
                )


def territory(datadir: Path) -> Territory:
    """Follow pg_wal and what else of the cluster's own is a link, the tablespaces, and databases
    that somebody moved by hand.

    :raises UnsoundError: a link leads nowhere.
    """
    paths = [datadir]
    with Beneath(datadir) as directory:
        places = [name for name in directory.names() if is_essential(name)]
        for parent in ("pg_tblspc", "base"):
            if directory.kind(parent) == "directory":
                places += [f"{parent}/{name}" for name in directory.names(parent)]
        links = [place for place in places if directory.kind(place) == "link"]
        targets = {link: directory.readlink(link) for link in links}
    for link, target in targets.items():
        path = Path(datadir, link).parent / target
        try:
            paths.append(path.resolve(strict=True))
        except OSError as error:
            raise UnsoundError(f"{datadir}/{link} leads to {target}, which is not there") from error
    return Territory(tuple(paths))


@contextlib.contextmanager
def session(datadir: Path, superuser: str) -> Iterator[psycopg.Connection[Any]]:
    """A session with an attached source in autocommit.

    :raises SourceDownError: its server is down.
    :raises ServerError: it does not let its own OS user in.
    """
    pid_file, process = read_pid_file(datadir), running(datadir)
    if pid_file is None or process is None:
        raise SourceDownError(
            f"the server of {datadir} is down", hint="start it, or snapshot with --mode stop"
        )
    user = owner_of(datadir)
    if not pid_file.socket_dir:
        raise ServerError(
            f"the server of {datadir} has no Unix socket", hint="set unix_socket_directories"
        )
    try:
        with acting_as(user):
            place = admin.Place(Path(pid_file.socket_dir), pid_file.port, superuser)
            connection = admin.connect(place)
    except psycopg.OperationalError as error:
        raise ServerError(
            f"the server of {datadir} refused OS user {user.name!r} as role {superuser!r}: "
            f"{str(error).strip().splitlines()[-1]}",
            hint="let it in by 'peer' in pg_hba.conf, or name another role with --superuser",
        ) from error
    with connection:
        yield connection


@dataclass(frozen=True, slots=True)
class Facts:
    """What a running server says about itself.

    :param settings: those that files or the command line set, in base units; may hold secrets.
    """

    version: str
    superuser: str
    database: str
    config_file: str
    settings: dict[str, str]
    standby: bool


def facts(connection: psycopg.Connection[Any]) -> Facts:
    settings = dict(
        connection.execute(
            "select name, setting from pg_settings "
            "where source in ('configuration file', 'command line', 'environment variable')"
        ).fetchall()
    )
    row = connection.execute(
        "select current_setting('server_version_num')::int, current_setting('config_file'), "
        "pg_is_in_recovery()"
    ).fetchone()
    assert row is not None
    superuser, database = admin.facts(connection)
    version = f"{row[0] // 10000}.{row[0] % 10000}"
    return Facts(version, superuser, database, row[1], settings, row[2])


def settings_at_rest(datadir: Path) -> Settings:
    """The settings of a source that is down, from its files, read as its own OS user."""
    with acting_as(owner_of(datadir)):
        settings: dict[str, str] = {}
        for path in (_config_file(datadir), datadir / "postgresql.auto.conf"):
            if path is not None and path.is_file():
                settings |= _read_config(path, depth=0)
    return settings


def _config_file(datadir: Path) -> Path | None:
    """postgresql.conf in the data directory, or Debian's in /etc/postgresql."""
    inside = datadir / "postgresql.conf"
    if inside.is_file():
        return inside
    for path in sorted(Path("/etc/postgresql").glob("*/*/postgresql.conf")):
        with contextlib.suppress(OSError):
            if parse(path.read_text()).settings.get("data_directory") == str(datadir):
                return path
    return None


def _read_config(path: Path, depth: int) -> dict[str, str]:
    """One file and what it includes; Postgres itself stops at a depth of ten."""
    parsed = parse(path.read_text())
    settings = dict(parsed.settings)
    for directive, name in parsed.includes:
        target = path.parent / name
        files = sorted(target.glob("*.conf")) if directive == "include_dir" else [target]
        for file in files:
            if depth < _DEEPEST and file.is_file():
                settings |= _read_config(file, depth + 1)
    return settings


def check_write_order(connection: psycopg.Connection[Any], datadir: Path) -> None:
    """Refuse a live snapshot that recovery could not mend.

    btrfs flushes one file after another before it commits the snapshot. WAL that was fsync'ed
    before the data page was written is in it; without fsync the page may be there and its WAL
    not. Likewise a page caught half-written is only mended by a full-page image.

    :raises UnsoundError: fsync or full_page_writes is off.
    """
    for name in ("fsync", "full_page_writes"):
        row = connection.execute(f"select current_setting('{name}')").fetchone()
        if row and row[0] != "on":
            raise UnsoundError(
                f"the source in {datadir} runs with {name} = {row[0]}, so a snapshot of the "
                "running server could not be recovered on this filesystem",
                hint=f"set {name} = on and reload, or use --mode stop",
            )
