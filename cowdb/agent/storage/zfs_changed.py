"""Changed ranges of files on ZFS, from incremental send streams.

A stream from the ancestor's snapshot to one of the volume's dataset holds the blocks that were
born in between, and their content, which is thrown away: the cost follows what was written, in
records. For a volume that is being written a snapshot is taken that nobody else sees for long:
held by this process and already destroyed, it goes with the block, the process, or the host. Files
are matched by path; one that is another object than in the ancestor counts as changed throughout.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cowdb.agent.storage import zfs_core as core
from cowdb.agent.storage.filepairs import file_pairs, opened_directory
from cowdb.agent.storage.protocol import ChangedRange
from cowdb.agent.storage.zfs_names import PASSING
from cowdb.agent.storage.zfs_stream import Written, written
from cowdb.agent.storage.zfs_volumes import Found
from cowdb.errors import StorageError


@dataclass(frozen=True, slots=True)
class Step:
    """One dataset of a volume beside the one of the ancestor at the same place.

    :param place: where it is in both trees.
    :param to: a snapshot; None where the dataset can be written, and one must be taken.
    :param since: the ancestor's snapshot."""

    place: PurePosixPath
    dataset: str
    to: str | None
    since: str


def steps(volume: Found, ancestor: Found) -> list[Step]:
    """:raises StorageError: the volumes are not made alike."""
    since = {piece.place: piece.source for piece in ancestor.pieces}
    found = []
    for piece in volume.pieces:
        source = since.get(piece.place)
        if source is None:
            raise StorageError(
                f"volume {ancestor.volume.id!r} is no ancestor of {volume.volume.id!r}: it has "
                f"nothing at {piece.place}"
            )
        found.append(Step(piece.place, piece.dataset, piece.source, source))
    return found


def changed_ranges(
    tree: Path, ancestor: Path, parts: list[Step], wanted: Callable[[str], bool]
) -> list[ChangedRange]:
    """:param tree: where the volume is seen; `ancestor` likewise."""
    with _snapshots(parts) as to, contextlib.ExitStack() as stack:
        found: list[ChangedRange] = []
        for part in parts:
            objects = sent(to[part.dataset], part.since)
            here = opened_directory(tree / part.place, stack)
            old = opened_directory(ancestor / part.place, stack)
            found += _named(here, old, part.place, objects, wanted)
        return found


@contextlib.contextmanager
def _snapshots(parts: list[Step]) -> Iterator[Mapping[str, str]]:
    """A snapshot of each dataset, by the dataset's name; those that are missing are of one
    instant."""
    there = {part.dataset: part.to for part in parts if part.to}
    name = f"passing-{secrets.token_hex(6)}"
    missing = {part.dataset: f"{part.dataset}@{name}" for part in parts if not part.to}
    if not missing:
        yield there
        return
    with core.passing_snapshots(list(missing.values()), {PASSING: name}):
        yield {**there, **missing}


def sent(to: str, since: str) -> Written:
    """What was written in a dataset between two snapshots, the older perhaps of an origin.

    :raises StorageError: the one does not descend from the other."""
    reading, writing = os.pipe()

    def send() -> None:
        try:
            core.send(to, since, writing)
        finally:
            os.close(writing)  # the reader sees the end

    with ThreadPoolExecutor(1, thread_name_prefix="cowdb-send") as pool:
        job = pool.submit(send)
        try:
            with open(reading, "rb") as stream:
                found = written(stream)
            job.result()
            return found
        except ValueError as error:
            job.result()  # if ZFS has failed, its reason
            raise StorageError(f"the changes of {to} cannot be read: {error}") from error


def _named(
    here: int, old: int, place: PurePosixPath, objects: Written, wanted: Callable[[str], bool]
) -> Iterator[ChangedRange]:
    prefix = "" if str(place) == "." else f"{place}/"
    for pair in file_pairs(here, old, lambda path: wanted(prefix + path)):
        same = pair.inode == pair.old_inode
        if same and pair.inode not in objects:
            continue
        size = pair.size() or 0
        for start, end in objects[pair.inode] if same else [(0, size)]:
            if start < min(end, size):
                path = PurePosixPath(prefix + pair.path)
                yield ChangedRange(path, start, min(end, size) - start)
