"""Server processes, named by pid and start time, so that a reused pid is never mistaken.

Signals go through a pidfd that is opened before the identity is checked: what passed the check
is what gets the signal. Waiting is an event on that descriptor, also for processes that are not
our children (the agent adopts servers that an earlier agent started).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cowdb.agent import system
from cowdb.errors import ServerError
from cowdb.model import Process

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
_LISTS_CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children").exists()
_STATE, _PARENT, _STARTED = 0, 1, 19  # positions in /proc/PID/stat after the command's name


def _stat(pid: int) -> list[str] | None:
    try:
        # Listings ask for a thousand processes: three system calls each, no file object.
        handle = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        text = os.read(handle, 4096).decode(errors="replace")
    except ProcessLookupError:
        return None
    finally:
        os.close(handle)
    return text.rpartition(")")[2].split()


def identify(pid: int) -> Process | None:
    """The identity of a living process, None for a dead one or a zombie."""
    stat = _stat(pid)
    if stat is None or stat[_STATE] in "ZX":
        return None
    return Process(pid=pid, started=int(stat[_STARTED]), boot=BOOT)


def alive(process: Process | None) -> bool:
    return process is not None and identify(process.pid) == process


def parent_of(pid: int) -> int:
    """The parent's pid, 0 when the process is gone."""
    stat = _stat(pid)
    return int(stat[_PARENT]) if stat else 0


@contextlib.contextmanager
def pidfd(process: Process) -> Iterator[int | None]:
    """A descriptor that becomes readable when the process ends; None when it has ended."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield handle if alive(process) else None
    finally:
        os.close(handle)


def send(process: Process, number: signal.Signals) -> bool:
    """Signal exactly this process; False when it is gone."""
    with pidfd(process) as handle:
        if handle is None:
            return False
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        return True


def wait(process: Process, timeout: float) -> bool:
    """Wait for the end of a process; False when it still runs after `timeout` seconds."""
    with pidfd(process) as handle:
        if handle is None:
            return True
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(timeout * 1000))


def children(pid: int) -> list[int]:
    """Direct children by pid; empty when the process is gone."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(word) for word in (task / "children").read_text().split()]
    return found


def descendants(pid: int) -> list[int]:
    """Children of children, to any depth."""
    below = children(pid)
    return below + [deeper for child in below for deeper in descendants(child)]


def ancestors(pid: int) -> list[int]:
    """Its parent, that one's parent, and so on up to init, or as far as this host shows."""
    found: list[int] = []
    while pid := parent_of(pid):
        found.append(pid)
    return found


def orphans(above: Sequence[int], directory: Path, uid: int) -> list[int] | None:
    """Pids of what is left of a server that has ended, as `working_in` would find them, without a
    look at every process of the host: whatever descends from it has by now been given to one of
    its ancestors, or descends from such a one. None where the kernel lists no children.

    :param above: the server's ancestors, from when it still ran.
    """
    if not _LISTS_CHILDREN:
        return None
    wanted, found = str(directory), list[int]()
    # Children of this agent are servers and helpers, unless it is given orphans, too.
    given = [pid for pid in above if pid != os.getpid() or system.adopts_orphans()]
    waiting = [child for pid in given for child in _surely_children(pid)]
    while waiting:
        pid = waiting.pop()
        entry = Path(f"/proc/{pid}")
        with contextlib.suppress(OSError):
            if entry.stat().st_uid != uid:
                continue
            place = os.readlink(entry / "cwd")  # noqa: PTH115
            if place == wanted or _names(entry, directory):
                found.append(pid)
            elif os.path.lexists(f"{place}/PG_VERSION"):  # another server, and what is its own
                continue
            waiting += _surely_children(pid)
    return found


def _surely_children(pid: int) -> set[int]:
    """The kernel's list may skip somebody when another on it ends: it is read until that tells
    nothing new."""
    found = set(children(pid))
    while not (again := set(children(pid))) <= found:
        found |= again
    return found


def memory(process: Process) -> int:
    """Bytes that a process and all beneath it cost the host: what they share among each other, or
    with others, counts in shares. 0 when they are gone, or the kernel does not say."""
    total = 0
    for pid in (process.pid, *descendants(process.pid)):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def working_in(directory: Path, uid: int | None = None) -> list[int]:
    """Pids of processes that work in a data directory or have it as an argument: servers and
    their children, also when the postmaster was killed and its backends have not noticed, and
    an initdb or pg_basebackup that outlived the agent that ran it.

    Who works in another data directory is of another server and not asked for its arguments: of
    a thousand servers that are most processes.

    :param uid: only processes of this user: somebody's shell may stand there, too.
    """
    wanted, census = str(directory), _censuses.since(time.monotonic())
    working = census.servers.get(wanted, [])
    found = []
    for pid in (*working, *census.others):
        entry = Path(f"/proc/{pid}")
        with contextlib.suppress(OSError):
            if uid is not None and entry.stat().st_uid != uid:
                continue
            if os.readlink(entry / "cwd") == wanted or _names(entry, directory):  # noqa: PTH115
                found.append(pid)
    return found


@dataclass(frozen=True, slots=True)
class _Census:
    """Every process that has a working directory.

    :param servers: pids by data directory, of those that work in one.
    :param others: pids of all others."""

    servers: dict[str, list[int]]
    others: list[int]


def _census() -> _Census:
    by_place = dict[str, list[int]]()
    for pid, place in places():
        by_place.setdefault(place, []).append(pid)
    servers = {place: pids for place, pids in by_place.items()
               if os.path.lexists(f"{place}/PG_VERSION")}  # fmt: skip
    others = [pid for place, pids in by_place.items() if place not in servers for pid in pids]
    return _Census(servers, others)


def places() -> Iterator[tuple[int, str]]:
    """Every process that has a working directory, with that: one system call for each."""
    for name in os.listdir("/proc"):  # noqa: PTH208 (a thousand servers are 5,000 entries)
        if name.isdigit():
            try:  # suppress() would be a fifth of the whole
                place = os.readlink(f"/proc/{name}/cwd")  # noqa: PTH115
            except OSError:
                continue
            yield int(name), place


class _Censuses:
    """One at a time; what was begun after somebody asked answers them, too. Of ten branches that
    go at once the first looks, and then one for the nine others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest = _Census({}, [])
        self._begun = -1.0

    def since(self, asked: float) -> _Census:
        """:param asked: by time.monotonic."""
        with self._lock:
            if self._begun < asked:
                begun = time.monotonic()
                self._latest = _census()
                self._begun = begun
            return self._latest


_censuses = _Censuses()


def _names(entry: Path, directory: Path) -> bool:
    """Whether a process of the directory's owner has it as an argument; root's `du` does not
    count."""
    words = (entry / "cmdline").read_bytes().split(b"\0")
    return os.fsencode(directory) in words and entry.stat().st_uid == directory.stat().st_uid


def end(pids: Callable[[], list[int]], patience: float) -> list[int]:
    """End processes that may be nobody's children: SIGQUIT, which lets a postmaster give its
    shared memory back, and SIGKILL for what is left after half the patience.

    :param pids: those that are there now; asked again until there are none.
    :param patience: seconds. Returns what survived.
    """
    begun = time.monotonic()
    told: set[int] = set()
    while left := pids():
        waited = time.monotonic() - begun
        if waited > patience:
            return left
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                if waited > patience / 2:
                    os.kill(pid, signal.SIGKILL)
                elif pid not in told:
                    os.kill(pid, signal.SIGQUIT)
                    os.kill(pid, signal.SIGCONT)  # a paused process handles no signal
        told.update(left)
        time.sleep(0.01)
    return []


def pause(process: Process, timeout: float = 10.0) -> None:
    """Stop a server and all its children where they are (SIGSTOP), and return when they stand.

    The parent first, and its children only once it stands and so forks no more. A process
    inside the kernel stops when its system call ends, hence the look at each one's state.

    :raises ServerError: something still runs after `timeout` seconds; everything goes on then.
    """
    deadline = time.monotonic() + timeout
    try:
        send(process, signal.SIGSTOP)
        _await_standstill([process.pid], deadline)
        standing: set[int] = set()
        # The kernel's list may skip somebody when another on it ends, until all of them stand.
        while fresh := [pid for pid in descendants(process.pid) if pid not in standing]:
            for pid in fresh:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            _await_standstill(fresh, deadline)
            standing.update(fresh)
    except BaseException:
        resume(process)
        raise


def _await_standstill(pids: list[int], deadline: float) -> None:
    while moving := [pid for pid in pids if (stat := _stat(pid)) and stat[_STATE] not in "TtZX"]:
        if time.monotonic() > deadline:
            raise ServerError(f"process {moving[0]} of the server could not be paused")
        time.sleep(0.0001)  # the kernel has no event for "has stopped" for other people's children


def resume(process: Process) -> None:
    """Let a paused server go on; harmless for one that is not paused."""
    if not alive(process):
        return
    for pid in reversed([process.pid, *descendants(process.pid)]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


class Children:
    """The processes that this agent itself started, so that none stays a zombie."""

    def __init__(self) -> None:
        self._started: dict[int, subprocess.Popen[bytes]] = {}

    def add(self, child: subprocess.Popen[bytes]) -> Process:
        """Remember a child; raises ServerError when it has already died."""
        self._started[child.pid] = child
        found = identify(child.pid)
        if found is None:
            code = child.wait()
            raise ServerError(f"the server died at once (exit status {code})")
        return found

    def ended(self, process: Process) -> None:
        """It is gone, and no zombie of it shall be left: of a thousand children only that one is
        asked."""
        child = self._started.get(process.pid)
        if child is not None and child.poll() is not None:
            self._started.pop(process.pid, None)

    def reap(self) -> None:
        # A copy, not a list of the items: that may find it changed by another thread meanwhile.
        for pid, child in self._started.copy().items():
            if child.poll() is not None:
                self._started.pop(pid, None)

    def release(self) -> None:
        """Forget them without ending them: they outlive the agent, init inherits them."""
        for child in self._started.values():
            child.returncode = 0  # or its destructor would warn of a running child
        self._started.clear()
