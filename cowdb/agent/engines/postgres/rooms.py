"""A server's rooms outside its data directory, where its superuser cannot reach.

STATE/servers/<id>/log             what the server prints; root's
STATE/servers/<id>/pg_hba.conf     who may connect; root's, readable by the server
STATE/servers/<id>/pg_ident.conf
RUN/servers/<id>/                  the Unix socket; the server user's, 0700
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from cowdb.agent.system import OsUser
from cowdb.config import Config

# Peer on the socket lets root in as the superuser; everybody else, over TCP, needs a password.
# "md5" accepts SCRAM verifiers too, and the inherited roles may have either.
_ROOT_ONLY = "local all all peer map=cowdb\n"
_HBA = f"{_ROOT_ONLY}host all all 127.0.0.1/32 md5\n"
_LOG_LIMIT = 16 * 2**20
_GRAVE = re.compile(r" (?:PANIC|FATAL):  (?!the database system is )|terminated by signal")


@dataclass(frozen=True, slots=True)
class Rooms:
    state: Path
    sockets: Path

    @property
    def log(self) -> Path:
        return self.state / "log"

    @property
    def hba(self) -> Path:
        return self.state / "pg_hba.conf"

    @property
    def ident(self) -> Path:
        return self.state / "pg_ident.conf"


def rooms_of(config: Config, server_id: str) -> Rooms:
    return Rooms(config.state_dir / "servers" / server_id, config.run_dir / "servers" / server_id)


def make(rooms: Rooms, superuser: str, user: OsUser, *, closed: bool = False) -> None:
    """Make both rooms; harmless when they are there (the run directory is lost in a reboot).

    :param closed: nobody but root may connect: also roles that came with the data have passwords.
    """
    rooms.state.mkdir(parents=True, exist_ok=True, mode=0o755)
    rooms.sockets.mkdir(parents=True, exist_ok=True, mode=0o755)
    os.chown(rooms.sockets, user.uid, user.gid)
    rooms.sockets.chmod(0o700)
    _replace(rooms.hba, _ROOT_ONLY if closed else _HBA)
    quoted = superuser.replace('"', '""')
    _replace(rooms.ident, f'cowdb root "{quoted}"\n')


def admit(rooms: Rooms) -> None:
    """Let in who has a password, once the server has read this."""
    _replace(rooms.hba, _HBA)


def _replace(path: Path, text: str) -> None:
    """A rename over a file makes ext4 write the new one out, so only where something changes."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path.read_text() == text:
            return
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.chmod(0o644)
    fresh.rename(path)


def remove(rooms: Rooms) -> None:
    """Remove both; harmless when they are gone. Neither holds anything that a server owns but
    its socket and lock file, and rmtree follows no link."""
    for directory in (rooms.state, rooms.sockets):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(directory)


def open_log(rooms: Rooms) -> int:
    """A descriptor to append to the log; a log past 16 MiB is set aside once as log.old."""
    with contextlib.suppress(FileNotFoundError):
        if rooms.log.stat().st_size > _LOG_LIMIT:
            rooms.log.rename(rooms.log.with_suffix(".old"))
    return os.open(rooms.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


def log_size(rooms: Rooms) -> int:
    try:
        return rooms.log.stat().st_size
    except FileNotFoundError:
        return 0


def log_piece(rooms: Rooms, offset: int, length: int) -> bytes:
    """What stands there now; nothing past the end."""
    try:
        with rooms.log.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except FileNotFoundError:
        return b""


def log_since(rooms: Rooms, offset: int, lines: int = 12) -> str:
    """The last lines that the server printed after `offset` bytes, and before them the latest
    that speak of a failure: a server that crashes and restarts goes on talking."""
    try:
        with rooms.log.open("rb") as file:
            file.seek(max(offset, rooms.log.stat().st_size - 16384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    said = text.strip().splitlines()
    grave = [line for line in said[:-lines] if _GRAVE.search(line)]
    return "\n".join([*grave[-3:], *said[-lines:]])
