"""The only door to commands, mounts, ownership and user switches.

Commands are argument lists with a time limit, never shell text; their stderr is kept for the
error. Nothing here is told a secret on an argument list: secrets travel in `env`.
"""

from __future__ import annotations

import contextlib
import ctypes
import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cowdb.errors import CommandError, InvalidError

TAIL = 12  # lines of stderr that an error carries
_SETRESUID, _SETRESGID, _SETGROUPS = 117, 119, 116  # x86-64
if os.uname().machine == "aarch64":
    _SETRESUID, _SETRESGID, _SETGROUPS = 147, 149, 159
_KEEP = -1
# Becomes the program that follows, as the same process, once it has been told to.
_WAITING = ("/bin/sh", "-c", 'read -r told && exec "$@" </dev/null', "sh")
_UMOUNT_NOFOLLOW = 8
_CLONE_NEWIPC = 0x08000000
_GET_CHILD_SUBREAPER = 37
_SETPRIV = shutil.which("setpriv")  # of util-linux
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class OsUser:
    name: str
    uid: int
    gid: int


def user_named(name: str) -> OsUser:
    """The OS user of that name; raises InvalidError when there is none."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise InvalidError(
            f"there is no OS user {name!r}", hint=f"useradd --system --user-group {name}"
        ) from None
    return OsUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def user_of(uid: int) -> OsUser:
    """The OS user of that number, with the number as its name when it has none."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return OsUser(str(uid), uid, uid)
    return OsUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def group_id(name: str) -> int | None:
    """The number of the OS group, or None when there is no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def groups_of(user: OsUser) -> list[int]:
    """Every group the user is in, its primary one included."""
    try:
        return list(_groups(user, Path("/etc/group").stat().st_mtime_ns))
    except FileNotFoundError:
        return list(_groups(user, 0))


@lru_cache(maxsize=64)
def _groups(user: OsUser, _modified: int) -> tuple[int, ...]:
    """Once for each state of /etc/group: systemd's answer takes a millisecond."""
    if user.name.isdigit():
        return (user.gid,)
    return tuple(os.getgrouplist(user.name, user.gid))


@dataclass(frozen=True, slots=True)
class Finished:
    stdout: str
    stderr: str


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """A small, known environment: nothing of the agent's own leaks into a child."""
    base = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    return base | dict(extra or {})


def run(
    argv: Sequence[str | Path],
    *,
    user: OsUser | None = None,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    fine: Collection[int] = (0,),
) -> Finished:
    """Run a command to its end, as `user` when given.

    :param timeout: seconds, after which the command is killed.
    :param fine: exit statuses that are no failure.
    :raises CommandError: it is missing, failed, or took too long; with its last lines of stderr.
    """
    words = [str(word) for word in argv]
    program = Path(words[0]).name
    uid, gid, groups = _identity(user)
    try:
        done = subprocess.run(
            words,
            input=stdin or "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=_environment(env),
            cwd="/",
            check=False,
            user=uid,
            group=gid,
            extra_groups=groups,
        )
    except FileNotFoundError:
        raise CommandError(f"the command {words[0]!r} is not installed") from None
    except subprocess.TimeoutExpired:
        raise CommandError(f"{program} did not finish within {timeout:g} s") from None
    if done.returncode not in fine:
        raise CommandError(f"{program} failed: {last_lines(done.stderr or done.stdout)}")
    return Finished(done.stdout, done.stderr)


def spawn(
    argv: Sequence[str | Path],
    *,
    user: OsUser | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
    stdin: int = subprocess.DEVNULL,
    cwd: str | Path = "/",
    first: Callable[[int], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that it outlives the agent, and with System V
    shared memory of its own.

    The user is switched by setpriv(1), on the way: to do it between fork and exec, Python would
    have to copy the page tables of the whole agent, where vfork copies nothing.

    :param stdout: a file descriptor (root opened it; the child cannot choose another).
    :param first: is given the process's number before the program begins, which then has nothing
        to read. When it raises, or the agent dies in it, the program never begins.
    """
    words = [str(word) for word in argv]
    if first is None:
        with _ipc_apart():
            return _popen(words, user, env, stdin, stdout, stderr, cwd)
    with _ipc_apart():
        child = _popen([*_WAITING, *words], user, env, subprocess.PIPE, stdout, stderr, cwd)
    return _told(child, first)


@contextlib.contextmanager
def _ipc_apart() -> Iterator[None]:
    """What this thread starts in the block has an IPC namespace of its own, as far as this host
    allows it.

    Postgres looks for its shared memory by the inode and device of its directory. In volumes of
    one snapshot the inodes are the same, and btrfs gives a device number that is free again to the
    next volume: among many servers that come and go, one takes another's memory for its own and
    refuses to start. It also looks at each other server's in turn."""
    with contextlib.ExitStack() as back:
        with contextlib.suppress(OSError):  # a kernel without such namespaces
            home = os.open("/proc/thread-self/ns/ipc", os.O_RDONLY | os.O_CLOEXEC)
            back.callback(os.close, home)
            if _libc.unshare(_CLONE_NEWIPC) == 0:
                back.callback(_libc.setns, home, _CLONE_NEWIPC)
        yield


def _told(child: subprocess.Popen[bytes], first: Callable[[int], None]) -> subprocess.Popen[bytes]:
    assert child.stdin is not None
    try:
        first(child.pid)
        child.stdin.write(b"go\n")
        child.stdin.close()
    except BaseException:
        child.kill()
        child.communicate()
        raise
    return child


def _popen(
    words: Sequence[str], user: OsUser | None, env: Mapping[str, str] | None,
    stdin: int, stdout: int, stderr: int, cwd: str | Path,
) -> subprocess.Popen[bytes]:  # fmt: skip
    uid, gid, groups = _identity(user)
    if uid is not None and _SETPRIV is not None and os.access(words[0], os.X_OK):
        kept = ",".join(str(group) for group in groups or [])
        switch = [f"--reuid={uid}", f"--regid={gid}", f"--groups={kept}"]
        words, uid, gid, groups = [_SETPRIV, *switch, "--", *words], None, None, None
    try:
        return subprocess.Popen(
            words,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=_environment(env),
            cwd=cwd,
            start_new_session=True,
            umask=0o077,
            user=uid,
            group=gid,
            extra_groups=groups,
        )
    except FileNotFoundError:
        raise CommandError(f"the command {words[0]!r} is not installed") from None


def _identity(user: OsUser | None) -> tuple[int | None, int | None, list[int] | None]:
    if user is None or user.uid == os.geteuid():
        return None, None, None
    return user.uid, user.gid, groups_of(user)


@lru_cache(maxsize=1)
def adopts_orphans() -> bool:
    """Whether this process is given those of its descendants whose parents end, as init is."""
    answer = ctypes.c_int(0)
    _libc.prctl(_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(answer.value)


def last_lines(text: str, count: int = TAIL) -> str:
    """The last lines of a command's output, on one line each, for an error message."""
    return "\n".join(line for line in text.strip().splitlines()[-count:]) or "(it printed nothing)"


@contextlib.contextmanager
def acting_as(user: OsUser) -> Iterator[None]:
    """Run a block of this thread with the effective identity of `user`.

    Linux keeps credentials for each thread; glibc's wrappers change all threads, the system
    calls change only the calling one. The saved uid stays root, which is the way back. Used to
    reach a server through `peer` authentication, and for files that `user` could have planted.
    """
    if os.geteuid() != 0 or user.uid == 0:
        yield
        return
    before = os.getgroups()
    groups = groups_of(user)
    _syscall(_SETGROUPS, len(groups), (ctypes.c_uint32 * len(groups))(*groups))
    _syscall(_SETRESGID, _KEEP, user.gid, _KEEP)
    _syscall(_SETRESUID, _KEEP, user.uid, _KEEP)
    try:
        yield
    finally:
        _syscall(_SETRESUID, _KEEP, 0, _KEEP)
        _syscall(_SETRESGID, _KEEP, 0, _KEEP)
        _syscall(_SETGROUPS, len(before), (ctypes.c_uint32 * len(before))(*before))


def _syscall(number: int, *arguments: object) -> None:
    if _libc.syscall(number, *arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def own_tree(path: Path, user: OsUser) -> None:
    """Give `path` and everything beneath it to `user`, following no symbolic link."""
    for _, names, files, directory in os.fwalk(path, follow_symlinks=False):
        for name in (*names, *files):
            os.chown(name, user.uid, user.gid, dir_fd=directory, follow_symlinks=False)
    os.chown(path, user.uid, user.gid, follow_symlinks=False)


def mount(device: Path, target: Path, kind: str, options: str) -> None:
    run(["mount", "-t", kind, "-o", options, device, target])


def unmount(target: Path) -> None:
    run(["umount", target])


def detach(target: Path) -> None:
    """Unmount what is mounted at `target`, following no link: umount2(2), with its error codes.

    :raises OSError: EBUSY while something is open there, EINVAL when nothing is mounted.
    """
    if _libc.umount2(os.fsencode(target), _UMOUNT_NOFOLLOW) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(target))
