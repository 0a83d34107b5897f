"""How a managed source gets its first data: initdb, or pg_basebackup from another server.

(Dumps and SQL files are loaded by the controller, as the user who brought them.)
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import conninfo

from cowdb.agent import system
from cowdb.agent.engines.postgres.binaries import Binaries
from cowdb.agent.host import Report
from cowdb.agent.system import OsUser
from cowdb.errors import CommandError, InvalidError, ServerError

_PROGRESS = re.compile(r"(\d+)/(\d+) kB")


def initialise(datadir: Path, binaries: Binaries, user: OsUser, superuser: str) -> None:
    """initdb with checksums and UTF-8. Who may log in is ruled by a file outside (rooms.py)."""
    _own_directory(datadir, user)
    system.run(
        [
            binaries["initdb"], "-D", datadir, "-U", superuser, "--auth=reject",
            "--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions",
        ],
        user=user, timeout=300,
    )  # fmt: skip


def _own_directory(datadir: Path, user: OsUser) -> None:
    """An empty data directory; its parent, the volume's root, stays root's."""
    datadir.mkdir(mode=0o700, exist_ok=True)
    system.own_tree(datadir, user)


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a base backup comes from.

    :param conninfo: without a password.
    :param tablespaces: (where it is on the remote host, where it goes in the volume).
    """

    conninfo: str
    password: str
    tablespaces: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteFacts:
    """:param settings: those that files or the command line set, in base units."""

    version: str
    superuser: str
    database: str
    tablespaces: tuple[tuple[str, str], ...]
    settings: dict[str, str]


def split_secret(dsn: str) -> tuple[str, str]:
    """(conninfo without its password, the password); raises InvalidError, never quoting it."""
    try:
        values = conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise InvalidError(
            "--dsn is not a PostgreSQL connection string",
            hint="such as postgresql://user@host:5432/dbname",
        ) from None
    password = str(values.pop("password", "") or "")
    for name in ("passfile", "sslpassword", "sslkey", "service"):
        if name in values:
            raise InvalidError(
                f"--dsn may not carry {name}: the agent connects, not you",
                hint="give the password in the URL or in PGPASSWORD",
            )
    return conninfo.make_conninfo("", **values), password


def inspect(remote: Remote) -> RemoteFacts:
    """Ask the remote server what a copy of it needs.

    :raises ServerError: it does not answer, or does not let this user in.
    """
    try:
        with psycopg.connect(
            remote.conninfo,
            password=remote.password or None,
            passfile=os.devnull,  # root's own ~/.pgpass is not the caller's
            connect_timeout=10,
        ) as db:
            row = db.execute(
                "select current_setting('server_version_num')::int, current_database(), "
                "(select rolname from pg_roles where oid = 10)"
            ).fetchone()
            spaces = db.execute(
                "select pg_tablespace_location(oid), 'tblspc/' || oid from pg_tablespace "
                "where pg_tablespace_location(oid) <> ''"
            ).fetchall()
            settings = db.execute(
                "select name, setting from pg_settings "
                "where source in ('configuration file', 'command line')"
            ).fetchall()
    except psycopg.Error as error:
        raise ServerError(
            f"the server that --dsn names refused: {_last_line(error, remote.password)}",
            hint="the role needs LOGIN and REPLICATION, and pg_hba.conf a line for 'replication'",
        ) from None
    assert row is not None
    number, database, superuser = row
    version = f"{number // 10000}.{number % 10000}"
    return RemoteFacts(version, superuser, database, tuple(spaces), dict(settings))


def _last_line(error: Exception, secret: str) -> str:
    text = (str(error).strip().splitlines() or ["no reason given"])[-1]
    return text.replace(secret, "***") if secret else text


def base_backup(
    datadir: Path, binaries: Binaries, user: OsUser, remote: Remote, report: Report
) -> None:
    """pg_basebackup with its WAL; its password travels in the environment.

    :raises CommandError: with the last lines of what it said.
    """
    _own_directory(datadir, user)
    argv: list[str | Path] = [
        binaries["pg_basebackup"], "-D", datadir, "-d", remote.conninfo, "-X", "stream",
        "-c", "fast", "--progress", "--no-password",
    ]  # fmt: skip
    for origin, inside in remote.tablespaces:
        target = datadir.parent / inside
        target.parent.mkdir(exist_ok=True, mode=0o755)
        _own_directory(target, user)
        argv += ["-T", f"{origin}={target}"]
    env = {"PGPASSWORD": remote.password} if remote.password else {}
    child = system.spawn(argv, user=user, env=env, stderr=subprocess.PIPE)
    said = _follow(child, report)
    if child.wait() != 0:
        text = system.last_lines(said.replace(remote.password, "***") if remote.password else said)
        raise CommandError(
            f"pg_basebackup failed: {text}",
            hint="the role needs REPLICATION, and pg_hba.conf a line for 'replication'",
        )


def _follow(child: subprocess.Popen[bytes], report: Report) -> str:
    """Read what pg_basebackup prints, passing on its progress; returns the rest."""
    assert child.stderr is not None
    kept: list[str] = []
    with child.stderr as stream:
        pending = ""
        while chunk := stream.read1(4096):  # type: ignore[attr-defined]
            *lines, pending = (
                (pending + chunk.decode(errors="replace")).replace("\r", "\n").split("\n")
            )
            for line in lines:
                if match := _PROGRESS.search(line):
                    report("copying", int(match[1]) * 1024, int(match[2]) * 1024)
                elif line.strip():
                    kept.append(line)
    return "\n".join([*kept, pending])
