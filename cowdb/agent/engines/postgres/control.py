"""What a data directory says about itself: pg_control, PG_VERSION and postmaster.pid."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from cowdb.agent import system
from cowdb.agent.beneath import Beneath
from cowdb.agent.engines.postgres import controlfile
from cowdb.agent.engines.postgres.binaries import Binaries
from cowdb.agent.engines.postgres.controlfile import Control
from cowdb.agent.system import OsUser
from cowdb.errors import NotFoundError, ServerError, UnsoundError

SMALL = 64 * 1024  # more than any file that is read here ever holds


def read_control(datadir: Path, binaries: Binaries, user: OsUser) -> Control:
    """Read pg_control; by the server's own tool, as the owner of the directory, where that takes
    more than is known here.

    :raises CommandError: pg_control is missing or of another version.
    :raises UnsoundError: its checksum is wrong.
    """
    with contextlib.suppress(NotFoundError, UnsoundError, OSError), Beneath(datadir) as directory:
        found = controlfile.parse(directory.read_bytes("global/pg_control", controlfile.SIZE))
        if found is not None:
            return found
    return ask_for_control(datadir, binaries, user)


def ask_for_control(datadir: Path, binaries: Binaries, user: OsUser) -> Control:
    """What pg_controldata says; raises as `read_control`."""
    text = system.run([binaries["pg_controldata"], "-D", datadir], user=user).stdout
    if warned := [line for line in text.splitlines() if line.startswith("WARNING:")]:
        raise UnsoundError(
            f"pg_control of {datadir} is damaged: {warned[0].removeprefix('WARNING: ')}",
            hint="no server starts on it; restore the data directory from a backup",
        )
    values = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    try:
        return Control(
            system_identifier=values["Database system identifier"].strip(),
            lsn=values["Latest checkpoint location"].strip(),
            timeline=int(values["Latest checkpoint's TimeLineID"]),
            state=values["Database cluster state"].strip(),
            redo=values["Latest checkpoint's REDO location"].strip(),
            layout=(
                int(values["Database block size"]),
                int(values["Blocks per segment of large relation"]),
            ),
        )
    except KeyError as error:
        raise ServerError(f"pg_controldata of {datadir} says nothing of {error}") from None


@dataclass(frozen=True, slots=True)
class PidFile:
    """postmaster.pid; `status` is "starting", "stopping", "ready", "standby" or empty."""

    pid: int
    port: int
    socket_dir: str
    status: str


def read_pid_file(datadir: Path) -> PidFile | None:
    """The lock file of a server, None when there is none or it is not complete yet.

    :raises UnsoundError: something else than a file was planted in its place.
    """
    with Beneath(datadir) as directory:
        try:
            lines = directory.read_text("postmaster.pid", SMALL).splitlines()
        except NotFoundError:  # also when it goes while we look
            return None
    if not lines:
        return None
    lines += [""] * (8 - len(lines))
    try:
        pid = abs(int(lines[0]))  # negative for a stand-alone backend
    except ValueError:
        return None
    port = int(lines[3]) if lines[3].strip().isdigit() else 0
    return PidFile(pid, port, lines[4].strip(), lines[7].strip())


def major_version(datadir: Path) -> str:
    """The content of PG_VERSION; raises ServerError when this is no data directory."""
    with Beneath(datadir) as directory:
        if not directory.exists("PG_VERSION"):
            raise ServerError(
                f"{datadir} is not a PostgreSQL data directory (it has no PG_VERSION)",
                hint="name the folder that `show data_directory` prints",
            )
        return directory.read_text("PG_VERSION", SMALL).strip()
