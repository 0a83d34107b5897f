"""Where the blocks of a file are, and which of them it shares with other files: FS_IOC_FIEMAP.

Layouts: struct fiemap and struct fiemap_extent, linux/fiemap.h.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cowdb.agent.storage.kernel import ioctl

_FIEMAP = 0xC020660B
_SYNC = 1  # write the file out first
_LAST, _SHARED, _UNWRITTEN = 0x1, 0x2000, 0x800
_DELAYED, _INLINE = 0x4, 0x200
# Unknown, delayed, encoded (compressed), encrypted, not aligned, inline, tail: the place says
# nothing of the content.
_UNCLEAR = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400
# start, length (u64), flags, number mapped, room for how many, reserved (u32)
_HEAD = struct.Struct("<2Q4I")
# position in the file, position on disk, length, 2 reserved (u64), flags, 3 reserved (u32)
_EXTENT = struct.Struct("<5Q4I")
DEPTH = 64  # of directories that are looked into
_ROOM = 512  # extents for one call


@dataclass(frozen=True, slots=True)
class MappedExtent:
    """:param shared: another file, or another snapshot's file, has these blocks too."""

    position: int
    disk: int
    length: int
    shared: bool


def extents(fd: int, *, flush: bool = True) -> Iterator[MappedExtent]:
    """The pieces of an open file; raises OSError(EOPNOTSUPP) where there is no such map."""
    for position, disk, length, marks in _mapped(fd, _SYNC if flush else 0):
        yield MappedExtent(position, disk, length, bool(marks & _SHARED))


def _mapped(fd: int, flags: int) -> Iterator[tuple[int, int, int, int]]:
    """(position, place on disk, length, marks) of each piece."""
    start = 0
    buffer = bytearray(_HEAD.size + _ROOM * _EXTENT.size)
    while True:
        _HEAD.pack_into(buffer, 0, start, 2**64 - 1 - start, flags, 0, _ROOM, 0)
        ioctl(fd, _FIEMAP, buffer)
        count = _HEAD.unpack_from(buffer)[3]
        if not count:
            return
        end = _HEAD.size + count * _EXTENT.size
        whole = bytes(memoryview(buffer)[_HEAD.size : end])
        for position, disk, length, _, _, marks, *_ in _EXTENT.iter_unpack(whole):
            yield position, disk, length, marks
            if marks & _LAST:
                return
            start = position + length


def is_inline(fd: int) -> bool:
    """Whether the content of an open file is in the metadata of its filesystem, all of it, and not
    still in memory alone."""
    marks = [marks for _, _, _, marks in _mapped(fd, 0)]
    return bool(marks) and all(each & _INLINE and not each & _DELAYED for each in marks)


@dataclass(frozen=True, slots=True)
class Placed:
    """Bytes of a file that are somewhere on disk.

    :param start: first byte in the file; `end` the byte after the last.
    :param shift: place on disk less place in the file; None where that says nothing of the content.
    """

    start: int
    end: int
    shift: int | None


def placed(fd: int) -> list[Placed]:
    """Where the content of an open file is that does not read as zeros, in order; neighbours that
    continue each other are one. What is only in memory is not seen: flush first.

    :raises OSError: EOPNOTSUPP, where there is no such map.
    """
    found: list[Placed] = []
    start = end = 0
    shift: int | None = None
    for position, disk, length, marks in _mapped(fd, 0):
        if marks & _UNWRITTEN:
            continue
        moved = None if marks & _UNCLEAR else disk - position
        if position == end and moved == shift:
            end += length
            continue
        if end > start:
            found.append(Placed(start, end, shift))
        start, end, shift = position, position + length, moved
    if end > start:
        found.append(Placed(start, end, shift))
    return found


def own_bytes(fd: int) -> int:
    """Bytes of an open file in blocks that nobody else has."""
    try:
        return sum(extent.length for extent in extents(fd) if not extent.shared)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.ENOTTY}:
            raise
        return os.fstat(fd).st_blocks * 512  # no such map (tmpfs): nothing is shared there


def own_bytes_beneath(path: Path) -> int:
    """Bytes in blocks that only the files beneath `path` have, no link followed.

    Not counted: files that vanish meanwhile, what is on another filesystem, and what somebody
    hid more than DEPTH directories deep (Postgres needs five).
    """
    total = 0
    device = path.lstat().st_dev
    top = len(path.parts)
    for here, folders, names, fd in os.fwalk(path, follow_symlinks=False):
        deep = len(Path(here).parts) - top >= DEPTH
        folders[:] = [] if deep else [name for name in folders if _device(name, fd) == device]
        total += sum(_own_bytes_of(name, fd) for name in names)
    return total


def _device(name: str, folder: int) -> int | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_dev
    except FileNotFoundError:
        return None


def _own_bytes_of(name: str, folder: int) -> int:
    """Bytes that the regular file alone has; 0 for everything else and for what has gone."""
    try:
        kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if not stat.S_ISREG(kind):
            return 0
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        return 0
    try:
        return own_bytes(fd)
    finally:
        os.close(fd)
