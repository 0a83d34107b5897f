"""What btrfs keeps in its trees, read through BTRFS_IOC_TREE_SEARCH_V2 (needs CAP_SYS_ADMIN).

A search names a tree and the smallest and largest key (object, type, offset) wanted, and may name
the oldest generation (transaction number) of interest: subtrees written before are skipped whole,
so that the cost follows the change and not the size. Two things surprise:

- keys are compared as one long number, so items of other types come along between those wanted;
- a leaf is returned whole when anything in it is new, so each item's own generation must be
  looked at again.

Layouts: struct btrfs_ioctl_search_args_v2 and struct btrfs_file_extent_item, linux/btrfs*.h.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cowdb.agent.storage.kernel import ioctl

_TREE_SEARCH_V2 = 0xC0709411
_FS_INFO = 0x8400941F

# The search key: tree, object min and max, offset min and max, generation min and max (u64),
# type min and max, count, unused (u32), four unused u64; then the size of the buffer behind it.
_KEY = struct.Struct("<7Q4I4QQ")
# In front of each item found: generation of its leaf, object, offset (u64), type, length (u32).
_ITEM = struct.Struct("<3Q2I")
# generation, uncompressed bytes (u64), compression, encryption (u8), other encoding (u16), type
# (u8); for all but inline extents also disk start, disk bytes, offset in extent, bytes (u64).
_EXTENT = struct.Struct("<2Q2BHB")
_ON_DISK = struct.Struct("<4Q")
_INODE = struct.Struct("<2Q")  # of which transaction it is, and the latest that changed it

_BUFFER = 256 * 1024  # bytes of items for one call; the largest item is a leaf, 64 KiB at most
_MAX64, _MAX32 = 2**64 - 1, 2**32 - 1

ROOT_TREE = 1
OWN_TREE = 0  # the subvolume that the descriptor is in
_FIRST_INODE = 256
_ROOT_REF = 156
_INODE_ITEM, _EXTENT_DATA = 1, 108
_INLINE, _REGULAR, PREALLOCATED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Item:
    object: int
    kind: int
    offset: int
    data: memoryview


@dataclass(frozen=True, slots=True)
class FileExtent:
    """One piece of a file.

    :param position: byte in the file where it begins.
    :param length: bytes of the file that it holds.
    :param generation: the transaction that wrote it.
    :param disk_start: where its extent lies; 0 for a hole and for data kept inside the tree.
    :param disk_bytes: bytes that the whole extent takes, although a part may be in use here.
    """

    inode: int
    position: int
    length: int
    generation: int
    disk_start: int
    disk_bytes: int
    kind: int


def search(
    fd: int, tree: int, *kinds: int, first: int = 0, last: int = _MAX64, since: int = 0
) -> Iterator[Item]:
    """Items of some types whose leaf was written in generation `since` or later.

    :param first: smallest object number; `last` the largest.
    """
    buffer = bytearray(_KEY.size + _BUFFER)
    low, low_kind, low_offset = first, min(kinds), 0
    while True:
        _KEY.pack_into(
            buffer, 0,
            tree, low, last, low_offset, _MAX64, since, _MAX64,
            low_kind, max(kinds), _MAX32, 0,
            0, 0, 0, 0, _BUFFER,
        )  # fmt: skip
        ioctl(fd, _TREE_SEARCH_V2, buffer)
        count = _KEY.unpack_from(buffer)[9]
        if not count:
            return
        place = _KEY.size
        found: list[Item] = []
        whole = bytes(buffer)
        view = memoryview(whole)
        for _ in range(count):
            _, low, low_offset, low_kind, length = _ITEM.unpack_from(whole, place)
            place += _ITEM.size
            if low_kind in kinds:
                found.append(Item(low, low_kind, low_offset, view[place : place + length]))
            place += length
        yield from found
        low, low_kind, low_offset = _after(low, low_kind, low_offset)


def _after(item: int, kind: int, offset: int) -> tuple[int, int, int]:
    """The smallest key that is larger."""
    if offset < _MAX64:
        return item, kind, offset + 1
    return (item, kind + 1, 0) if kind < _MAX32 else (item + 1, 0, 0)


def children(fd: int, subvolume: int) -> list[int]:
    """Ids of the subvolumes directly inside another one, wherever their names are."""
    found = search(fd, ROOT_TREE, _ROOT_REF, first=subvolume, last=subvolume)
    return [item.offset for item in found]


def file_extents(fd: int, *, since: int = 0) -> Iterator[FileExtent]:
    """Pieces of the files in the subvolume of `fd` that were written in `since` or later.

    Data that is still only in memory is not there yet: flush first where that matters.
    """
    for item in search(fd, OWN_TREE, _EXTENT_DATA, first=_FIRST_INODE, since=since):
        extent = _file_extent(item)
        if extent.generation >= since:
            yield extent


def _file_extent(item: Item) -> FileExtent:
    generation, plain, _, _, _, kind = _EXTENT.unpack_from(item.data)
    start = size = 0
    length = plain
    if kind != _INLINE:
        start, size, _, length = _ON_DISK.unpack_from(item.data, _EXTENT.size)
    return FileExtent(item.object, item.offset, length, generation, start, size, kind)


def written_inodes(fd: int, *, since: int) -> dict[int, list[tuple[int, int]]]:
    """Of each file, directory, ... that was written or otherwise changed in `since` or later: the
    (position, length) of what was written. A hole need not be among them, since it may have no
    extent."""
    found: dict[int, list[tuple[int, int]]] = {}
    items = search(fd, OWN_TREE, _INODE_ITEM, _EXTENT_DATA, first=_FIRST_INODE, since=since)
    for item in items:
        if item.kind == _INODE_ITEM:
            if _INODE.unpack_from(item.data)[1] >= since:
                found.setdefault(item.object, [])
            continue
        extent = _file_extent(item)
        if extent.generation >= since:
            found.setdefault(extent.inode, []).append((extent.position, extent.length))
    return found


def written_bytes(fd: int, *, since: int) -> int:
    """Bytes of the extents that the subvolume of `fd` refers to and that are of `since` or later.

    An extent counts whole and once, since a part in use keeps all of it.
    """
    on_disk: dict[int, int] = {}
    inside = 0
    for extent in file_extents(fd, since=since):
        if extent.disk_start:
            on_disk[extent.disk_start] = extent.disk_bytes
        elif extent.kind == _INLINE:
            inside += extent.length
    return sum(on_disk.values()) + inside


def filesystem_of(path: Path) -> bytes | None:
    """The 16 bytes that name the btrfs filesystem a directory is on; None on any other kind."""
    answer = bytearray(1024)  # struct btrfs_ioctl_fs_info_args: two u64, then the id
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        ioctl(fd, _FS_INFO, answer)
    except OSError as error:
        if error.errno in {errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL}:
            return None
        raise
    finally:
        os.close(fd)
    return bytes(answer[16:32])
