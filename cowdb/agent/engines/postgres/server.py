"""Start, stop and find again the server of one cluster.

A start is the `postgres` program itself (pg_ctl would look every 100 ms): the kernel tells when
postmaster.pid changes (inotify) and when the process ends (pidfd), and "ready" is believed only
when a query over the socket has been answered by that very process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inotify_simple
import psycopg

from cowdb.agent import priority, processes
from cowdb.agent.beneath import Beneath
from cowdb.agent.engines.postgres import admin, rooms
from cowdb.agent.engines.postgres.admin import Place
from cowdb.agent.engines.postgres.binaries import Binaries
from cowdb.agent.engines.postgres.control import read_pid_file
from cowdb.agent.engines.postgres.rooms import Rooms
from cowdb.agent.ports import TakenError
from cowdb.agent.processes import Children
from cowdb.agent.system import OsUser, spawn
from cowdb.errors import CowdbError, NotFoundError, PoolFullError, ServerError, UnsoundError
from cowdb.model import Process

ALWAYS: Mapping[str, str] = {
    "lc_messages": "C",  # a log that can be read whatever the source's language
    "recovery_init_sync_method": "syncfs",  # one call, where "fsync" opens every file
}
SAFE: Mapping[str, str] = {"fsync": "on", "full_page_writes": "on"}
"""Whatever a source's own configuration said: what cowdb calls durable is."""
FAST: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}
"""A branch that loses its host's power is made again from its snapshot. Commits stay synchronous,
which without fsync costs one write() each: what a client was told is committed survives the kill
of the server, and is in a snapshot taken while it stands still."""

Query = Callable[[psycopg.Connection[Any]], None]

_TAKEN = re.compile(r"could not (?:bind|listen on) IPv4 .*: " + os.strerror(errno.EADDRINUSE))
_GOING = "57P"  # SQLSTATEs of a server that is starting, stopping or crashing
_STOP_PATIENCE = 30.0  # seconds for a fast shutdown, then for an immediate one
_QUIT_PATIENCE = 7.0  # a postmaster itself kills after 5 what does not heed SIGQUIT
_STUCK = 5.0
_ANSWER_PATIENCE = 15.0  # seconds after "ready": a server that crashes ever again never answers


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything that a start needs.

    :param settings: forced on the command line, above every file and ALTER SYSTEM.
    :param database: that clients will ask for. Whoever comes first after a start makes the
        server's cache of a database's catalogs: the agent does it for them.
    :param spare: nobody but root is let in, and everything else on the host goes first.
    :param enter: given the pid before the program starts: puts it into its control group.
    """

    datadir: Path
    rooms: Rooms
    port: int
    host: str
    user: OsUser
    binaries: Binaries
    superuser: str
    settings: Mapping[str, str]
    database: str = ""
    spare: bool = False
    enter: Callable[[int], None] | None = None

    @property
    def place(self) -> Place:
        return Place(
            self.rooms.sockets, self.port, self.superuser, self.binaries.major, self.database
        )


def command(launch: Launch) -> list[str]:
    """The argument list; holds no secret."""
    fixed = {
        "port": str(launch.port),
        "listen_addresses": launch.host,
        "unix_socket_directories": str(launch.rooms.sockets),
        "unix_socket_permissions": "0700",
        "hba_file": str(launch.rooms.hba),
        "ident_file": str(launch.rooms.ident),
    }
    words = [str(launch.binaries["postgres"]), "-D", str(launch.datadir)]
    for name, value in {**ALWAYS, **launch.settings, **fixed}.items():
        words += ["-c", f"{name}={value}"]
    return words


def start(
    launch: Launch, children: Children, timeout: float, first: Callable[[], Query] = lambda: ask
) -> Process:
    """Start the server and return once it has answered its first query.

    :param timeout: seconds to get ready; time spent in WAL recovery is not counted.
    :param first: prepares that query, while the server starts.
    :raises ServerError: it died, got stuck or refused the query; carries the last lines of its log.
    :raises TakenError: somebody else has its port.
    """
    _refuse_pipes(launch.datadir)
    rooms.make(launch.rooms, launch.superuser, launch.user, closed=launch.spare)
    before = rooms.log_size(launch.rooms)
    log = rooms.open_log(launch.rooms)
    watch = inotify_simple.INotify(nonblocking=True)
    try:
        if not _gone(launch.datadir):
            _clear_crash(launch)
        _clear_socket(launch)
        # The data directory's parent is root's, so the path up to here cannot have been planted.
        watch.add_watch(str(launch.datadir), inotify_simple.flags.MODIFY)
        child = spawn(
            command(launch), user=launch.user, stdout=log, stderr=log, cwd=launch.datadir,
            first=launch.enter,
        )  # fmt: skip
        process = children.add(child)
        if launch.spare:
            priority.lower([process.pid])  # its children inherit that
        try:
            query = first()
            _await_ready(launch, process, watch, timeout)
            _await_answer(launch, process, timeout, query)
        except BaseException:
            stop(launch.datadir, launch.user, process, children, immediate=True)
            raise
        return process
    except ServerError as error:
        said = rooms.log_since(launch.rooms, before)
        if _TAKEN.search(said):
            raise TakenError(launch.host, launch.port) from error
        raise explained(error.message, said) from error
    except psycopg.Error as error:
        said = f"the server refused its first query: {first_line(error)}"
        raise explained(said, rooms.log_since(launch.rooms, before)) from error
    finally:
        os.close(log)
        # The kernel lets a grace period pass, which is as long as half of the start.
        threading.Thread(target=watch.close, name="close inotify", daemon=True).start()


def _clear_crash(launch: Launch) -> None:
    """Take away what a killed server left: backends that wait for nothing go on and hold its
    memory; and the number in its postmaster.pid may by now be a zombie's or another branch's
    server of the same user, which Postgres would take for its own."""
    _sweep(launch.datadir, launch.user)
    with Beneath(launch.datadir) as directory:
        directory.unlink("postmaster.pid", missing_ok=True)


def _clear_socket(launch: Launch) -> None:
    """The same of its socket's lock file, which lies elsewhere and so outlives a reset."""
    with Beneath(launch.rooms.sockets) as directory:
        directory.unlink(f".s.PGSQL.{launch.port}.lock", missing_ok=True)


def explained(message: str, said: str) -> CowdbError:
    """The error for a server that failed, with the last lines of its log: that is where a full
    disk shows."""
    text = f"{message}; its log ends:\n{said}" if said else message
    if os.strerror(errno.EDQUOT) in text:
        return PoolFullError(
            text,
            hint="its disk limit, or a quota on the pool, is used up (cowdb branch show NAME); "
            "cowdb branch reset takes it back to its snapshot",
        )
    if os.strerror(errno.ENOSPC) in text:
        return PoolFullError(text, hint="remove branches or snapshots, or enlarge the pool")
    return ServerError(
        text, hint="mend what its log names; cowdb branch reset takes a branch back to its snapshot"
    )


def _refuse_pipes(datadir: Path) -> None:
    """A FIFO in a settings file's place would hold the server until somebody wrote into it."""
    with Beneath(datadir) as directory:
        for name in ("postgresql.conf", "postgresql.auto.conf"):
            if directory.kind(name) == "other":
                raise UnsoundError(
                    f"'{datadir / name}' is not a regular file",
                    hint="remove it; cowdb branch reset takes a branch back to its snapshot",
                )


def _await_ready(
    launch: Launch, process: Process, watch: inotify_simple.INotify, timeout: float
) -> None:
    """Wait for "ready" in postmaster.pid, or for the end of the process."""
    deadline = time.monotonic() + timeout
    with processes.pidfd(process) as handle:
        poll = select.poll()
        poll.register(watch.fileno(), select.POLLIN)
        if handle is not None:
            poll.register(handle, select.POLLIN)
        while True:
            status = _status(launch.datadir, process)
            if status in ("ready", "standby"):
                return
            if not processes.alive(process):
                raise ServerError("the server died while it started")
            if status == "starting":  # in recovery: as long as its WAL takes
                deadline = time.monotonic() + timeout
            left = deadline - time.monotonic()
            if left <= 0:
                raise ServerError(f"the server was not ready after {timeout:g} s")
            # An event that came between the look and the poll is still queued, so none is lost;
            # the bound is for filesystems that would not report.
            poll.poll(min(left, 1.0) * 1000)
            watch.read(timeout=0)


def _status(datadir: Path, process: Process) -> str:
    try:
        found = read_pid_file(datadir)
    except UnsoundError:  # being replaced by something that is not a plain file
        return ""
    return found.status if found and found.pid == process.pid else ""


def first_line(error: psycopg.Error) -> str:
    """What a server said, without its context."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def ask(db: psycopg.Connection[Any]) -> None:
    db.execute("select 1")


def _await_answer(launch: Launch, process: Process, timeout: float, query: Query) -> None:
    """The first query. "ready" precedes the last few things that a server does before it takes
    connections, so a refusal is tried again for as long as the process lives."""
    deadline = time.monotonic() + min(timeout, _ANSWER_PATIENCE)
    while True:
        try:
            with admin.session(launch.place, process) as db:
                query(db)
                return
        except psycopg.OperationalError as error:
            if error.sqlstate and not error.sqlstate.startswith(_GOING):
                raise
            if not processes.alive(process) or time.monotonic() > deadline:
                raise ServerError(
                    f"the server does not answer: {str(error).strip().splitlines()[-1]}"
                ) from error
            processes.wait(process, 0.002)


def find(datadir: Path) -> Process | None:
    """The server that runs on a data directory right now: by its lock file and because it works
    in that directory, since a pid in a copied or stale file may be anybody's."""
    if not os.path.lexists(datadir / "postmaster.pid"):  # most of those that do not run
        return None
    found = read_pid_file(datadir)
    if found is None:
        return None
    process = processes.identify(found.pid)
    if process is None:
        return None
    with contextlib.suppress(OSError):
        if os.readlink(f"/proc/{process.pid}/cwd") == str(datadir.resolve()):  # noqa: PTH115
            return process
    return None


def stop(
    datadir: Path, user: OsUser, process: Process | None, children: Children, *,
    immediate: bool = False,
) -> None:  # fmt: skip
    """Stop the server; when this returns no process of it is left. Needs no Postgres binaries,
    so that what is left of a version that was uninstalled can still go.

    :param immediate: without a shutdown checkpoint, for what is to be thrown away.
    :raises ServerError: something survived even SIGKILL.
    """
    above: list[int] = []
    if process is not None:
        known = processes.ancestors(process.pid)
        above = known if processes.alive(process) else []  # else somebody else may have its pid
        processes.resume(process)  # a paused process handles no signal
        if not immediate and processes.send(process, signal.SIGINT):
            processes.wait(process, _STOP_PATIENCE)
        if processes.send(process, signal.SIGQUIT):
            processes.wait(process, _QUIT_PATIENCE)
        if processes.alive(process):
            processes.send(process, signal.SIGKILL)
            processes.wait(process, _STUCK)
        children.ended(process)
    if immediate or process is None or not _gone(datadir):
        _sweep(datadir, user, above)


def _gone(datadir: Path) -> bool:
    """A clean end removes postmaster.pid as its last act, and then no backend is left."""
    try:
        return read_pid_file(datadir) is None
    except (OSError, NotFoundError, UnsoundError):
        return False


def _sweep(datadir: Path, user: OsUser, above: Sequence[int] = ()) -> None:
    """End what works in the data directory: orphans of a killed postmaster, and programs that
    its superuser had it start (COPY ... TO PROGRAM); also an initdb of a killed agent.

    :param above: the ancestors of the server that ran until now, if it did."""
    place = datadir.resolve()

    def pids() -> list[int]:
        found = processes.orphans(above, place, user.uid) if above else None
        return processes.working_in(place, user.uid) if found is None else found

    if left := processes.end(pids, _STUCK):
        raise ServerError(f"process {left[0]} still works in {datadir}", hint=f"kill -9 {left[0]}")
