"""Memory and processor time of one branch, by control groups (cgroup v2).

    BASE/                     made by us or given to us; see `find`
    BASE/anchor/              a process that holds BASE for us, where systemd made it
    BASE/<server id>/         memory.max, memory.swap.max, cpu.max; the whole server

A group is made when its server starts and goes with the branch. What is in it stays there when
the agent ends, so nothing has to be found again. The kernel ends a process of the group when its
memory is used up (Postgres then restarts that branch's sessions), and no other branch notices.

Where a host has no cgroup v2 with these controllers, or none that is ours to divide, `reason`
says so, and who asks for a limit is refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import time
from dataclasses import dataclass
from pathlib import Path

from cowdb.errors import LimitsUnavailableError
from cowdb.model import Limits

CONTROLLERS = ("memory", "cpu")
UNIT = "system.slice/cowdb-servers.service"  # hostprep/cowdb-servers.service
_OWN = "cowdb"  # beneath the root group, on a host without systemd
_PERIOD = 100_000  # microseconds in which a share of the processors is counted
_PATIENCE = 5.0  # seconds for killed processes to be gone
_HINT = (
    "leave --memory and --cpus out; to have them, run the agent where cgroup v2 has these "
    "controllers (systemd: cowdb-servers.service), or name a group in the configuration: cgroup"
)


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of this host's branches.

    :param base: None where there can be none.
    :param controllers: of CONTROLLERS, those that it has.
    :param reason: why something is missing; else empty.
    """

    base: Path | None = None
    controllers: frozenset[str] = frozenset()
    reason: str = "not looked for"

    def require(self, limits: Limits) -> None:
        """:raises LimitsUnavailableError: this host cannot hold a server to them."""
        wanted = {"memory": limits.memory is not None, "cpu": limits.cpus is not None}
        for name in CONTROLLERS:
            if wanted[name] and name not in self.controllers:
                what = {"memory": "memory", "cpu": "processor time"}[name]
                raise LimitsUnavailableError(
                    f"this host cannot limit the {what} of a branch: {self.reason}", hint=_HINT
                )

    def make(self, server_id: str, limits: Limits) -> Path:
        """The group of a server, with its limits, made or made anew.

        :raises LimitsUnavailableError: that cannot be.
        """
        self.require(limits)
        assert self.base is not None
        try:
            self._divide(self.base)
            group = self.base / server_id
            group.mkdir(exist_ok=True)
            if "memory" in self.controllers:
                _write(group / "memory.max", "max" if limits.memory is None else str(limits.memory))
                with contextlib.suppress(FileNotFoundError):  # a kernel without swap
                    _write(group / "memory.swap.max", "max" if limits.memory is None else "0")
            if "cpu" in self.controllers:
                share = "max" if limits.cpus is None else str(max(1000, int(limits.cpus * _PERIOD)))
                _write(group / "cpu.max", f"{share} {_PERIOD}")
        except OSError as error:
            raise LimitsUnavailableError(
                f"the control group of a branch cannot be made in {self.base}: {error.strerror}",
                hint=_HINT,
            ) from error
        return group

    def _divide(self, base: Path) -> None:
        """Hand the controllers on to the groups beneath; every time, since whoever made BASE may
        have made it again."""
        base.mkdir(exist_ok=True)
        if base.parent == mount_point() and base.name == _OWN:
            _enable(base.parent, self.controllers)
        if set(_words(base / "cgroup.subtree_control")) >= self.controllers:
            return
        # A group that has processes cannot hand controllers on.
        anchor = base / "anchor"
        for pid in _words(base / "cgroup.procs"):
            anchor.mkdir(exist_ok=True)
            with contextlib.suppress(ProcessLookupError):
                _write(anchor / "cgroup.procs", pid)
        _enable(base, self.controllers)

    def end(self, server_id: str) -> None:
        """Kill what is left in the group: programs that a server started and that hid from it may
        hold its files, and with them the volume. Harmless where there is no group."""
        if self.base is None:
            return
        group = self.base / server_id
        with contextlib.suppress(FileNotFoundError):
            with contextlib.suppress(FileNotFoundError):  # a kernel before 5.14
                _write(group / "cgroup.kill", "1")
            _await_empty(group)

    def remove(self, server_id: str) -> None:
        """The group goes, and whatever is still in it is killed; harmless when there is none."""
        if self.base is None:
            return
        group = self.base / server_id
        deadline = time.monotonic() + _PATIENCE
        with contextlib.suppress(FileNotFoundError):
            while True:
                try:
                    group.rmdir()
                except OSError as error:
                    if error.errno != errno.EBUSY or time.monotonic() > deadline:
                        raise
                else:
                    return
                self.end(server_id)


def enter(group: Path, pid: int) -> None:
    """Put a process into a group; what it forks from then on is there, too."""
    _write(group / "cgroup.procs", str(pid))


def find(named: str = "") -> Groups:
    """Where branches can have groups on this host; looks, and changes nothing.

    :param named: the group that the configuration names: ours alone.
    """
    mount = mount_point()
    if mount is None:
        return Groups(reason="it has no cgroup v2")
    base = _base(mount, named)
    if base is None:
        return Groups(reason=f"the agent's own control group {own_group()} is not its to divide")
    given = base if base.exists() else base.parent
    # What only looks like the root, from inside a container, has processes that are not ours to
    # move, and so can hand on only what it hands on already.
    inner = given == mount and (mount / "cgroup.type").exists()
    try:
        words = _words(given / ("cgroup.subtree_control" if inner else "cgroup.controllers"))
        controllers = frozenset(words) & set(CONTROLLERS)
    except OSError as error:
        return Groups(reason=f"{given} is no control group ({error.strerror})")
    missing = [name for name in CONTROLLERS if name not in controllers]
    reason = f"cgroup v2 has no {' and no '.join(missing)} controller in {given}" if missing else ""
    return Groups(base if controllers else None, controllers, reason)


def _base(mount: Path, named: str) -> Path | None:
    if named:
        return Path(named)
    if (mount / UNIT).is_dir():
        return mount / UNIT
    # Beneath the root group anybody may make groups; other groups belong to who made them.
    return mount / _OWN if own_group() == "/" else None


def mount_point() -> Path | None:
    """Where cgroup v2 is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] == "cgroup2":
            return Path(before.split()[4])
    return None


def own_group() -> str:
    """The control group of this process in cgroup v2."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line.removeprefix("0::")
    return ""


def _enable(group: Path, controllers: frozenset[str]) -> None:
    there = _words(group / "cgroup.subtree_control")
    for name in sorted(controllers):
        if name not in there:
            _write(group / "cgroup.subtree_control", f"+{name}")


def _await_empty(group: Path) -> None:
    """Until no process is in the group, or a moment has passed; the kernel tells of it."""
    with open(group / "cgroup.events", "rb") as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        if b"populated 1" in events.read():
            poll.poll(100)


def _words(path: Path) -> list[str]:
    return path.read_text().split()


def _write(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)  # never creates
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
