"""Changed ranges of files whose unchanged blocks are shared with an older copy (reflink).

Two files of one filesystem that both exist and have the same block on disk at the same position
hold the same bytes there: the filesystem never writes in place what is shared. All else counts as
changed. The price is a look at the map of each file and of its older copy, whether anything was
written or not; the copy must still be there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

from cowdb.agent.storage.fiemap import Placed, placed
from cowdb.agent.storage.filepairs import FilePair, file_pairs
from cowdb.agent.storage.protocol import ChangedRange


def changed_ranges(
    tree: int, ancestor: int, wanted: Callable[[str], bool]
) -> Sequence[ChangedRange]:
    """:param tree: the volume's root directory, its data flushed; `ancestor` the other's."""
    found: list[ChangedRange] = []
    for pair in file_pairs(tree, ancestor, wanted):
        if ranges := _of(pair):
            path = PurePosixPath(pair.path)
            found += [ChangedRange(path, start, end - start) for start, end in ranges]
    return found


def _of(pair: FilePair) -> list[tuple[int, int]]:
    """Half-open ranges of bytes."""
    if not pair.size():  # as most files of a new database: two system calls, not six
        return []
    fd = pair.open()
    if fd is None:
        return []
    try:
        old = pair.old_open()
        if old is None:
            return [(0, os.fstat(fd).st_size)]
        try:
            return _beside(fd, old)
        finally:
            os.close(old)
    finally:
        os.close(fd)


def _beside(fd: int, old: int) -> list[tuple[int, int]]:
    size, old_size = os.fstat(fd).st_size, os.fstat(old).st_size
    found = list(different(placed(fd), placed(old), min(size, old_size)))
    return [*found, (old_size, size)] if size > old_size else found


def different(new: Sequence[Placed], old: Sequence[Placed], size: int) -> Iterator[tuple[int, int]]:
    """Where two files do not have the same blocks, up to a size; neither of them having any (a
    hole, or what was allocated and never written) is the same. Pure."""
    if new == old and all(each.shift is not None for each in new):
        return
    position = left = right = 0
    start: int | None = None
    while position < size:
        one, one_end = _at(new, left, position, size)
        two, two_end = _at(old, right, position, size)
        same = one is two is None or (one and two and one.shift is not None
                                      and one.shift == two.shift)  # fmt: skip
        if not same and start is None:
            start = position
        elif same and start is not None:
            yield start, position
            start = None
        position = min(one_end, two_end)
        left += left < len(new) and new[left].end <= position
        right += right < len(old) and old[right].end <= position
    if start is not None:
        yield start, size


def _at(
    pieces: Sequence[Placed], number: int, position: int, size: int
) -> tuple[Placed | None, int]:
    """What is at a position, if anything, and how far that goes; `number` is the first piece that
    does not end before it."""
    if number >= len(pieces) or pieces[number].start >= size:
        return None, size
    piece = pieces[number]
    return (None, piece.start) if position < piece.start else (piece, min(piece.end, size))
