"""Changed ranges of files on btrfs, from the generation of their extents.

Extents carry the number of the transaction that wrote them, and a snapshot keeps the numbers. So
"written since this subvolume was made" is a search of its tree that never enters a leaf which is
older: its cost follows what was written. The tree names files by inode; the names come from a
walk over the directories of both volumes, which reads no file. A path that stands for another
inode than in the ancestor (a file renamed, replaced, or cloned from another one, whose extents
may all be old) counts as changed throughout; btrfs never uses an inode number twice. Holes have
no extent and so no generation: those of a file that was written count as changed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

from cowdb.agent.storage.btrfs_tree import written_inodes
from cowdb.agent.storage.filepairs import FilePair, file_pairs
from cowdb.agent.storage.protocol import ChangedRange


def changed_ranges(
    fd: int, ancestor: int, *, since: int, wanted: Callable[[str], bool]
) -> Sequence[ChangedRange]:
    """:param fd: the subvolume's root directory, its data flushed; `ancestor` the other's.
    :param since: the first generation that counts."""
    written = written_inodes(fd, since=since)
    found: list[ChangedRange] = []
    for pair in file_pairs(fd, ancestor, wanted):
        if pair.inode != pair.old_inode:
            ranges = [(0, pair.size() or 0)]
        elif pair.inode in written:
            ranges = [*written[pair.inode], *_holes(pair)]
        else:
            continue
        path = PurePosixPath(pair.path)
        found += [ChangedRange(path, *each) for each in sorted(ranges) if each[1]]
    return found


def _holes(pair: FilePair) -> Iterator[tuple[int, int]]:
    """(position, length) of what reads as zeros, and may have been something else."""
    fd = pair.open()
    if fd is None:
        return
    try:
        size, position = os.fstat(fd).st_size, 0
        while (hole := _next(fd, position, os.SEEK_HOLE, size)) < size:
            position = _next(fd, hole, os.SEEK_DATA, size)
            yield hole, position - hole
    finally:
        os.close(fd)


def _next(fd: int, position: int, what: int, size: int) -> int:
    """Where the next hole or data begins; `size` when there is none."""
    try:
        return os.lseek(fd, position, what)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return size
