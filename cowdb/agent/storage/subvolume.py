"""btrfs subvolumes: made, snapshotted, frozen and deleted by ioctl on directory descriptors.

btrfsutil does the same and is used for what only reads. What commits a transaction is done here
because btrfsutil keeps the interpreter lock meanwhile (1.1 s were seen, behind 400 MB of unwritten
data), and because deletion by number exists only as an ioctl: the name of a subvolume that a
server's user made leads through directories which that user can swap for symbolic links.
"""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import btrfsutil

from cowdb.agent.storage.btrfs_tree import children
from cowdb.agent.storage.kernel import ioctl, open_by_handle

_CREATE_V2 = 0x50009418
_SNAPSHOT_V2 = 0x50009417
_DESTROY_V2 = 0x5000943F
_GET_FLAGS = 0x80089419
_SET_FLAGS = 0x4008941A
_READ_ONLY = 1 << 1
_BY_NUMBER = 1 << 4

# struct btrfs_ioctl_vol_args_v2: fd (s64), transid, flags (u64), 4 unused u64, name or number
_ARGUMENTS = struct.Struct("<q2Q4Q4040s")
_NUMBER = struct.Struct("<Q")
_ROOT_INODE = 256  # of the root directory of every subvolume
_HANDLE = 0x4D  # FILEID_BTRFS_WITHOUT_PARENT
_ATTEMPTS = 5


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _arguments(name: bytes, *, source: int = 0, flags: int = 0) -> bytearray:
    return bytearray(_ARGUMENTS.pack(source, 0, flags, 0, 0, 0, 0, name))


def create(path: Path) -> None:
    """An empty subvolume, mode 0755, durable when this returns."""
    parent = _open(path.parent)
    try:
        ioctl(parent, _CREATE_V2, _arguments(os.fsencode(path.name)))
    finally:
        os.close(parent)
    path.chmod(0o755)


def snapshot(origin: Path, path: Path, *, read_only: bool) -> None:
    """A snapshot of the subvolume `origin`, durable when this returns."""
    source = _open(origin)
    try:
        parent = _open(path.parent)
        try:
            flags = _READ_ONLY if read_only else 0
            ioctl(
                parent, _SNAPSHOT_V2, _arguments(os.fsencode(path.name), source=source, flags=flags)
            )
        finally:
            os.close(parent)
    finally:
        os.close(source)


def is_subvolume(path: Path) -> bool:
    """Whether `path` is the root of a subvolume; it must be a directory on btrfs."""
    return path.lstat().st_ino == _ROOT_INODE


def is_read_only(path: Path) -> bool:
    """Whether the subvolume is read-only; raises OSError."""
    fd = _open(path)
    try:
        flags = bytearray(_NUMBER.size)
        ioctl(fd, _GET_FLAGS, flags)
    finally:
        os.close(fd)
    return bool(_NUMBER.unpack(flags)[0] & _READ_ONLY)


def set_read_only(fd: int) -> None:
    """Make the subvolume whose root is `fd` read-only; files open for writing stay writable."""
    ioctl(fd, _SET_FLAGS, bytearray(_NUMBER.pack(_READ_ONLY)))


def delete(path: Path) -> None:
    """Delete the subvolume at `path` and all that are nested in it, read-only ones included.

    :param path: only its parent directories are trusted; what is inside may be hostile.
    """
    fd = _open(path)
    try:
        number = int(btrfsutil.subvolume_id(fd))
    finally:
        os.close(fd)
    parent = _open(path.parent)
    try:
        for attempt in range(_ATTEMPTS):
            try:
                _delete_by_number(parent, number)
                return
            except OSError as error:
                # Somebody who still runs inside made another one since we looked.
                if error.errno != errno.ENOTEMPTY or attempt == _ATTEMPTS - 1:
                    raise
    finally:
        os.close(parent)


def _thaw(fd: int, number: int) -> None:
    """Make a subvolume writable, reached by its number."""
    handle = struct.pack("<2QI", _ROOT_INODE, number, 0)  # struct btrfs_fid; 0: any generation
    inside = open_by_handle(fd, _HANDLE, handle)
    try:
        ioctl(inside, _SET_FLAGS, bytearray(_NUMBER.size))
    finally:
        os.close(inside)


def _delete_by_number(fd: int, number: int) -> None:
    """Delete a subvolume after those nested in it; `fd` is anywhere on the filesystem."""
    order = [number]
    for parent in order:  # grows while we go, parents always before their children
        inside = children(fd, parent)
        if inside:
            _thaw(fd, parent)  # nothing can be removed from inside a read-only subvolume
        order.extend(inside)
    for each in reversed(order):
        try:
            ioctl(fd, _DESTROY_V2, _arguments(_NUMBER.pack(each), flags=_BY_NUMBER))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
