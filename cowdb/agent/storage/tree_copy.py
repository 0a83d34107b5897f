"""A directory tree copied file by file, sharing blocks where the filesystem can.

The tree may belong to a hostile database superuser. Each step goes through the descriptor of the
directory before it and follows no symbolic link, so that nothing outside the tree is read and
nothing outside the copy is written. Symbolic links are copied as links; FIFOs, sockets and devices
are left out; what vanishes meanwhile is left out, as of a running server. Owner, mode and
modification time are kept; hard links become files of their own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from pathlib import Path

from cowdb.agent.storage.fiemap import DEPTH
from cowdb.errors import NotSharedError, StorageError, UnsoundError

_FICLONE = 0x40049409
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602
_NO_COW = 0x00800000  # FS_NOCOW_FL, chattr +C
_FLAGS = struct.Struct("@l")
# EXDEV: two filesystems; EINVAL: also checksummed with not checksummed data on btrfs.
_UNSHARED = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS})
_GONE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENOTDIR})
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def copy_tree(source: Path, target: Path, *, allow_copy: bool) -> None:
    """Make directory `target` a copy of directory `source`.

    :param target: must not exist; its parent directory must be root's alone.
    :param allow_copy: copy the bytes of a file where its blocks cannot be shared.
    :raises NotSharedError: blocks cannot be shared and may not be copied.
    :raises UnsoundError: another filesystem or a nested subvolume is inside.
    """
    begin = os.open(source, _DIRECTORY)
    try:
        target.mkdir(mode=0o700)
        made = os.open(target, _DIRECTORY)
        try:
            _Copy(os.fstat(begin).st_dev, allow_copy).directory(begin, made, Path())
        finally:
            os.close(made)
    finally:
        os.close(begin)


def share_blocks(source: int, target: int) -> bool:
    """Let an empty file have the blocks of another; False where the filesystem cannot."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _UNSHARED:
            return False
        raise
    return True


class _Copy:
    def __init__(self, device: int, allow_copy: bool) -> None:
        self._device = device
        self._allow_copy = allow_copy

    def directory(self, source: int, target: int, at: Path) -> None:
        """Fill an open directory from another. :param at: where in the tree, for messages."""
        if len(at.parts) > DEPTH:
            raise StorageError(f"{at} is more than {DEPTH} directories deep and is not copied")
        _carry_no_cow(source, target)
        with os.scandir(source) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            try:
                self._entry(name, source, target, at / name)
            except FileNotFoundError:
                continue
        _dress(target, os.fstat(source))

    def _entry(self, name: str, source: int, target: int, at: Path) -> None:
        kind = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
        if stat.S_ISDIR(kind):
            self._subdirectory(name, source, target, at)
        elif stat.S_ISREG(kind):
            self._file(name, source, target, at)
        elif stat.S_ISLNK(kind):
            _link(name, source, target)

    def _subdirectory(self, name: str, source: int, target: int, at: Path) -> None:
        inner = _open(name, _DIRECTORY, source)
        try:
            if os.fstat(inner).st_dev != self._device:
                raise UnsoundError(
                    f"{at} is a filesystem or subvolume of its own and would be missing",
                    hint="move its content into a plain directory",
                )
            os.mkdir(name, 0o700, dir_fd=target)
            made = os.open(name, _DIRECTORY, dir_fd=target)
            try:
                self.directory(inner, made, at)
            finally:
                os.close(made)
        finally:
            os.close(inner)

    def _file(self, name: str, source: int, target: int, at: Path) -> None:
        # Without O_NONBLOCK a FIFO put in the file's place would hold us for ever.
        inner = _open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, source)
        try:
            facts = os.fstat(inner)
            if not stat.S_ISREG(facts.st_mode):
                return
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            made = os.open(name, flags, 0o600, dir_fd=target)
            try:
                _carry_no_cow(inner, made)
                self._content(inner, made, at)
                _dress(made, facts)
            finally:
                os.close(made)
        finally:
            os.close(inner)

    def _content(self, source: int, target: int, at: Path) -> None:
        if os.fstat(source).st_size == 0 or share_blocks(source, target):
            return
        if not self._allow_copy:
            raise NotSharedError(
                f"the blocks of {at} cannot be shared with a copy of it",
                hint="origin and pool must be on one XFS made with reflink=1, or on one btrfs",
            )
        _copy_bytes(source, target)


def _open(name: str, flags: int, folder: int) -> int:
    """Open what was seen to be there; FileNotFoundError when it is gone or another thing now."""
    try:
        return os.open(name, flags, dir_fd=folder)
    except OSError as error:
        if error.errno in _GONE:
            raise FileNotFoundError(errno.ENOENT, "replaced meanwhile", name) from error
        raise


def _link(name: str, source: int, target: int) -> None:
    facts = os.stat(name, dir_fd=source, follow_symlinks=False)
    os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    os.chown(name, facts.st_uid, facts.st_gid, dir_fd=target, follow_symlinks=False)
    times = (facts.st_atime_ns, facts.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)


def _dress(fd: int, facts: os.stat_result) -> None:
    """Owner before mode, since a change of owner clears the set-user-id bit; times last."""
    os.fchown(fd, facts.st_uid, facts.st_gid)
    os.fchmod(fd, stat.S_IMODE(facts.st_mode))
    os.utime(fd, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _flags(fd: int) -> int | None:
    answer = bytearray(_FLAGS.size)
    try:
        fcntl.ioctl(fd, _GET_FLAGS, answer)
    except OSError:
        return None  # a filesystem without such flags
    value: int = _FLAGS.unpack(answer)[0]
    return value


def _carry_no_cow(source: int, target: int) -> None:
    """Make the no-copy-on-write flag of an empty target that of its source.

    btrfs keeps no checksums for such files and shares no blocks between the two kinds.
    """
    old, new = _flags(source), _flags(target)
    if old is None or new is None or (old ^ new) & _NO_COW == 0:
        return
    wanted = (new & ~_NO_COW) | (old & _NO_COW)
    fcntl.ioctl(target, _SET_FLAGS, _FLAGS.pack(wanted))


def _copy_bytes(source: int, target: int) -> None:
    """Copy a file's data and keep its holes."""
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    position = 0
    while position < size:
        try:
            position = os.lseek(source, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here on
                return
            raise
        end = min(os.lseek(source, position, os.SEEK_HOLE), size)
        os.lseek(target, position, os.SEEK_SET)
        while position < end:
            done = os.sendfile(target, source, position, end - position)
            if not done:
                return  # truncated meanwhile
            position += done
