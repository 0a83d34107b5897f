"""Volumes as btrfs subvolumes.

    POOL/volumes/<id>/cowdb.json      the mark (see directory.py)
    POOL/volumes/<id>/tree            a subvolume; frozen = read-only, there = complete

POOL is a subvolume or any directory on btrfs. A snapshot is one instant over everything in the
origin's subvolume, and durable when it returns: the kernel writes the origin's data out and
commits a transaction. Unwritten data of several files is flushed file after file before that
instant, hence `ordered = False`. Nested subvolumes are not part of a snapshot.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import btrfsutil

from cowdb.agent.storage import btrfs_quota, subvolume
from cowdb.agent.storage.btrfs_tree import filesystem_of, written_bytes
from cowdb.agent.storage.changed import changed_ranges
from cowdb.agent.storage.directory import TREE, Layout, Record
from cowdb.agent.storage.fiemap import is_inline, own_bytes_beneath
from cowdb.agent.storage.filepairs import opened_directory
from cowdb.agent.storage.kernel import syncfs, translated, write_back
from cowdb.agent.storage.origin import refuse_holes, resolved
from cowdb.agent.storage.protocol import (
    ChangedRange,
    Descent,
    Enclosure,
    Mark,
    Part,
    Space,
    Volume,
    VolumeId,
)
from cowdb.errors import LimitsUnavailableError, StorageError, UnsoundError

_NO_PARENT = bytes(16)


class BtrfsPool:
    """A pool on btrfs; see Pool in protocol.py."""

    driver = "btrfs"
    atomic = True
    ordered = False
    clones_depend = False

    def __init__(self, root: Path, pool: str, *, own_image: bool = False) -> None:
        """:param root: POOL; :param pool: the id that `.cowdb-pool` must show.
        :param own_image: the filesystem is in a file of cowdb's, and nobody else's concern."""
        self.root, self._own_image = root, own_image
        self._layout = Layout(
            root, pool, remove_content=_remove_content, is_frozen=_is_frozen, keep_mark=_keep_mark
        )

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    def create(self, volume: VolumeId, mark: Mark) -> None:
        with self._layout.making(volume, mark, frozen=False) as place:
            subvolume.create(place / TREE)

    def snapshot(self, origin: Enclosure | VolumeId, volume: VolumeId, mark: Mark) -> None:
        with self._layout.making(volume, mark, frozen=True) as place:
            if isinstance(origin, Enclosure):
                source = origin.root
            else:
                source, _ = self._layout.tree(place.parent.parent, origin)
            subvolume.snapshot(source, place / TREE, read_only=True)

    def clone(self, snapshot: VolumeId, volume: VolumeId, mark: Mark) -> None:
        with self._layout.making(volume, mark, frozen=False) as place:
            source, frozen = self._layout.tree(place.parent.parent, snapshot)
            if not frozen:
                raise StorageError(f"volume {snapshot!r} is writable; only a frozen one is cloned")
            subvolume.snapshot(source, place / TREE, read_only=False)

    def fork(
        self, origin: VolumeId, snapshot: VolumeId, mark: Mark, volume: VolumeId, clone_mark: Mark
    ) -> None:
        """Two snapshots of the origin, asked for at the same moment: the kernel makes both in one
        transaction, whose commit is what a snapshot costs."""
        with ThreadPoolExecutor(1) as beside:
            frozen = beside.submit(self.snapshot, origin, snapshot, mark)
            try:
                with self._layout.making(volume, clone_mark, frozen=False) as place:
                    source, _ = self._layout.tree(place.parent.parent, origin)
                    subvolume.snapshot(source, place / TREE, read_only=False)
                    frozen.result()  # without it there is no clone
            except BaseException:
                if frozen.exception() is None:
                    self.destroy(snapshot)
                raise

    def freeze(self, volume: VolumeId) -> None:
        with self._layout.present() as base, translated(f"volume {volume!r} cannot be frozen"):
            tree, frozen = self._layout.tree(base, volume)
            if frozen:
                return
            fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                # The flag alone becomes durable, not the data of a server that never syncs.
                syncfs(fd)
                subvolume.set_read_only(fd)
            finally:
                os.close(fd)

    def refuses_limits(self) -> str:
        with self._layout.present() as base, translated(f"pool {self.root} cannot be examined"):
            if btrfs_quota.is_on(filesystem_of(base) or b""):
                return ""
        if not btrfs_quota.is_simple_known():
            return "btrfs has cheap quotas from Linux 6.7 on"
        # Older kernels cannot mount a filesystem with them: not for cowdb to decide elsewhere.
        enable = f"quotas are off (btrfs quota enable --simple {self.root}; see docs/limits.md)"
        return "" if self._own_image else enable

    def slowed_by(self) -> tuple[str, str] | None:
        with self._layout.present() as base, translated(f"pool {self.root} cannot be examined"):
            if not btrfs_quota.is_full(filesystem_of(base) or b""):
                return None
        why = "full quota accounting is on: the more snapshots, the slower every branch"
        return why, f"btrfs quota disable {self.root} (and for --disk: enable --simple)"

    def limit(self, volume: VolumeId, size: int) -> None:
        """Quotas are turned on where they are needed and the filesystem is cowdb's own."""
        if reason := self.refuses_limits():
            raise LimitsUnavailableError(f"volume {volume!r} cannot be limited: {reason}")
        with self._layout.present() as base, translated(f"volume {volume!r} cannot be limited"):
            with contextlib.ExitStack() as stack:
                tree = opened_directory(self._layout.tree(base, volume)[0], stack)
                if not btrfs_quota.is_on(filesystem_of(base) or b""):
                    btrfs_quota.turn_on(tree)
                btrfs_quota.limit(tree, int(btrfsutil.subvolume_id(tree)), size)

    def destroy(self, volume: VolumeId) -> None:
        self._layout.destroy(volume)

    def list(self) -> Sequence[Volume]:
        return self._layout.list()

    def set_mark(self, volume: VolumeId, mark: Mark) -> None:
        self._layout.set_mark(volume, mark)

    def path(self, volume: VolumeId) -> Path:
        return self._layout.path(volume)

    def space(self) -> Space:
        return self._layout.space()

    def used_bytes(self, volume: VolumeId) -> int:
        """For a writable volume what it wrote since it was made and still refers to, on disk by
        now; for a frozen one what it alone has, which costs a look at each of its files."""
        with self._layout.present() as base, translated(f"volume {volume!r} cannot be measured"):
            tree, frozen = self._layout.tree(base, volume)
            if frozen:
                return own_bytes_beneath(tree)
            fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                syncfs(fd)  # what is only in the page cache has no extent yet
                return written_bytes(fd, since=_born(fd))
            finally:
                os.close(fd)

    def changed(self, descent: Descent, wanted: Callable[[str], bool]) -> Sequence[ChangedRange]:
        """What was written since the first clone of the ancestor was made, by generation.

        Blind to blocks that are put into a file which is there already by FICLONERANGE or
        deduplication: they keep the generation of where they come from. PostgreSQL does neither.
        """
        what = f"volume {descent.volume!r} cannot be searched"
        with self._layout.present() as base, translated(what), contextlib.ExitStack() as stack:
            trees = [
                opened_directory(self._layout.tree(base, each)[0], stack)
                for each in (descent.volume, descent.ancestor, descent.first)
            ]
            syncfs(trees[0])  # what is only in the page cache has no extent yet
            return changed_ranges(trees[0], trees[1], since=_born(trees[2]), wanted=wanted)

    def enclose(self, paths: Sequence[Path]) -> Enclosure:
        real = [resolved(path) for path in paths]
        if not real:
            raise StorageError("no directory to enclose was given")
        with self._layout.present() as base, translated(f"{paths[0]} cannot be examined"):
            home = filesystem_of(base)
            if filesystem_of(real[0]) != home:
                raise StorageError(
                    f"{paths[0]} is not on the filesystem of the pool at {self.root}",
                    hint="make a pool on that filesystem: cowdb init --pool PATH",
                )
            root = _enclosing(real[0])
            for path in real[1:]:
                if filesystem_of(path) != home or _enclosing(path) != root:
                    raise UnsoundError(
                        f"{path} lies outside the btrfs subvolume {root} that holds {paths[0]}; "
                        "one snapshot cannot cover both",
                        hint=f"stop the server and move {path} into {root}",
                    )
            _refuse_system(root, real[0])
            for path in real:
                refuse_holes(path)
        parts = [Part(path, _inside(there, root)) for path, there in zip(paths, real, strict=True)]
        return Enclosure(root, tuple(parts))


def _keep_mark(fd: int) -> None:
    """Make a small file part of the running transaction, which the snapshot that follows commits.

    As part of a tree the content comes to disk with the names that lead to it, or not at all. To
    flush the disk for it beforehand would cost as much as the snapshot itself.
    """
    write_back(fd)
    if not is_inline(fd):  # too large, or mounted with max_inline=0
        os.fsync(fd)


def _born(fd: int) -> int:
    """The first transaction that can have written into a volume after it was made: what a
    snapshot found written has at most the number of the one that made the snapshot."""
    info = btrfsutil.subvolume_info(fd)
    return 0 if info.parent_uuid == _NO_PARENT else int(info.otransid) + 1


def _inside(path: Path, root: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(root))


def _remove_content(place: Path) -> None:
    if os.path.lexists(place / TREE):
        subvolume.delete(place / TREE)


def _is_frozen(tree: Path, record: Record) -> bool:
    """The filesystem's word counts, not the mark's."""
    return subvolume.is_read_only(tree)


def _enclosing(path: Path) -> Path:
    """The root of the subvolume that holds `path` (on btrfs), by going up."""
    device = path.stat().st_dev  # each subvolume has a device number of its own
    here = path
    while not subvolume.is_subvolume(here):
        here = here.parent
        if here.lstat().st_dev != device:
            raise StorageError(
                f"{path} is a directory from inside a btrfs subvolume, mounted on its own, so "
                "that the subvolume cannot be reached from it",
                hint="attach it by its path inside the mounted subvolume",
            )
    return here


def _refuse_system(root: Path, path: Path) -> None:
    """A snapshot of the root filesystem's subvolume would be one of the operating system."""
    if root.stat().st_dev != Path("/").stat().st_dev:
        return
    raise StorageError(
        f"{path} is in the btrfs subvolume that is mounted at /, and a snapshot would clone the "
        "whole operating system",
        hint="give it a subvolume of its own: stop the server, then "
        f"mv {path} {path}.old && btrfs subvolume create {path} && "
        f"cp -a --reflink=always {path}.old/. {path}/ && "
        f"chown --reference={path}.old {path} && chmod --reference={path}.old {path}",
    )
