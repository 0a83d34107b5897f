"""Changed ranges of files on btrfs, from the generation of their extents.

Extents carry the number of the transaction that wrote them, and a snapshot keeps the numbers. So
"written since this subvolume was made" is a search of its tree that never enters a leaf which is
older: its cost follows what was written. The tree names files by inode; the names come from a
walk over the directories, which reads no file.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath

from cowdb.agent.storage.btrfs_tree import file_extents
from cowdb.agent.storage.protocol import ChangedRange


def changed_ranges(fd: int, *, since: int) -> Sequence[ChangedRange]:
    """:param fd: the subvolume's root directory, its data flushed.
    :param since: the first generation that counts."""
    by_inode: dict[int, list[tuple[int, int]]] = {}
    for extent in file_extents(fd, since=since):
        by_inode.setdefault(extent.inode, []).append((extent.position, extent.length))
    found: list[ChangedRange] = []
    for inode, path in _names(fd, by_inode.keys()):
        for start, length in sorted(by_inode[inode]):
            found.append(ChangedRange(path, start, length))
    return found


def _names(fd: int, inodes: Collection[int]) -> Iterator[tuple[int, PurePosixPath]]:
    """(inode, path) of these files, following no link."""
    for folder, _, _, directory in os.fwalk(".", dir_fd=fd, follow_symlinks=False):
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.inode() in inodes:
                    yield entry.inode(), PurePosixPath(folder, entry.name)
