"""Volumes as directories whose files share blocks: XFS with reflink=1, and btrfs.

    POOL/volumes/<id>/cowdb.json      the mark (see directory.py); frozen volumes say so here only
    POOL/volumes/<id>/tree.part/      while files are being copied
    POOL/volumes/<id>/tree/           a directory; there = complete
        data/ part1/ part2/ ...       the directories of an attached source, in the order asked

A snapshot takes time and is not one instant: writers must be stopped or bracketed. It costs one
FICLONE for each file. A frozen volume is not protected from root's writes by the filesystem.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from cowdb.agent import system
from cowdb.agent.storage.btrfs_tree import filesystem_of
from cowdb.agent.storage.directory import TREE, Layout, Record
from cowdb.agent.storage.fiemap import extents, own_bytes_beneath
from cowdb.agent.storage.filepairs import opened_directory
from cowdb.agent.storage.kernel import syncfs, translated
from cowdb.agent.storage.origin import mounts_beneath, refuse_holes, resolved
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
from cowdb.agent.storage.tree_copy import copy_tree, share_blocks
from cowdb.agent.storage.unshared import changed_ranges
from cowdb.errors import CommandError, NotSharedError, StorageError

_PART = TREE + ".part"
_PROBE = 128 * 1024  # bytes; too large to be kept inside a metadata tree


class ReflinkPool:
    """A pool of shared files; see Pool in protocol.py."""

    driver = "reflink"
    atomic = False
    ordered = False
    clones_depend = False

    def __init__(
        self, root: Path, pool: str, *, allow_copy: bool = False, shares_blocks: bool = True
    ) -> None:
        """:param root: POOL; :param pool: the id that `.cowdb-pool` must show.
        :param allow_copy: copy in full what cannot be shared.
        :param shares_blocks: what `sharing_works` said when the pool was made."""
        self.root = root
        self.shares_blocks = shares_blocks
        self._allow_copy = allow_copy
        self._layout = Layout(root, pool, remove_content=_remove_content, is_frozen=_is_frozen)

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    def create(self, volume: VolumeId, mark: Mark) -> None:
        with self._layout.making(volume, mark, frozen=False) as place:
            _make_root(place / _PART)
            self._complete(place)

    def snapshot(self, origin: Enclosure | VolumeId, volume: VolumeId, mark: Mark) -> None:
        with self._layout.making(volume, mark, frozen=True) as place:
            if isinstance(origin, Enclosure):
                self._copy_parts(origin, place / _PART)
            else:
                source, _ = self._layout.tree(place.parent.parent, origin)
                copy_tree(source, place / _PART, allow_copy=self._allow_copy)
            self._complete(place)

    def _copy_parts(self, origin: Enclosure, target: Path) -> None:
        _make_root(target)
        covered = [part.inside for part in origin.parts]
        for part in origin.parts:
            if any(part.inside != top and part.inside.is_relative_to(top) for top in covered):
                continue  # came along with the part it is in
            copy_tree(resolved(part.origin), target / part.inside, allow_copy=self._allow_copy)

    def _complete(self, place: Path) -> None:
        """Give the finished tree its name, durably and not before its content is durable."""
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            syncfs(fd)
            os.rename(_PART, TREE, src_dir_fd=fd, dst_dir_fd=fd)
            os.fsync(fd)
        finally:
            os.close(fd)

    def clone(self, snapshot: VolumeId, volume: VolumeId, mark: Mark) -> None:
        with self._layout.making(volume, mark, frozen=False) as place:
            source, frozen = self._layout.tree(place.parent.parent, snapshot)
            if not frozen:
                raise StorageError(f"volume {snapshot!r} is writable; only a frozen one is cloned")
            copy_tree(source, place / _PART, allow_copy=self._allow_copy)
            self._complete(place)

    def freeze(self, volume: VolumeId) -> None:
        with self._layout.present() as base, translated(f"volume {volume!r} cannot be frozen"):
            tree, frozen = self._layout.tree(base, volume)
            if frozen:
                return
            fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                syncfs(fd)  # the data of a server that never syncs
            finally:
                os.close(fd)
            self._layout.set_frozen(base, volume)

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
        """What the volume alone has; costs a look at each of its files."""
        with self._layout.present() as base, translated(f"volume {volume!r} cannot be measured"):
            tree, _ = self._layout.tree(base, volume)
            return own_bytes_beneath(tree)

    def changed(self, descent: Descent, wanted: Callable[[str], bool]) -> Sequence[ChangedRange]:
        """What does not share its blocks with the ancestor; `first` is not needed for that."""
        what = f"volume {descent.volume!r} cannot be searched"
        with self._layout.present() as base, translated(what), contextlib.ExitStack() as stack:
            trees = [
                opened_directory(self._layout.tree(base, each)[0], stack)
                for each in (descent.volume, descent.ancestor)
            ]
            syncfs(trees[0])  # XFS shows the old block until the new one is written
            found = changed_ranges(trees[0], trees[1], wanted)
            # Blocks of an ancestor that went meanwhile could be anybody's by now.
            self._layout.tree(base, descent.ancestor)
            return found

    def enclose(self, paths: Sequence[Path]) -> Enclosure:
        real = [resolved(path) for path in paths]
        if not real:
            raise StorageError("no directory to enclose was given")
        with self._layout.present() as base, translated(f"{paths[0]} cannot be examined"):
            for path in real:
                if not self._allow_copy and not _on_one_filesystem(path, base):
                    raise NotSharedError(
                        f"{path} is not on the filesystem of the pool at {self.root}, so that its "
                        "blocks cannot be shared",
                        hint="make a pool on that filesystem: cowdb init --pool PATH",
                    )
                refuse_holes(path)
        return Enclosure(real[0], tuple(_parts(paths, real)))


def _on_one_filesystem(one: Path, other: Path) -> bool:
    """Device numbers decide, but on btrfs, where each subvolume has one of its own."""
    if one.stat().st_dev == other.stat().st_dev:
        return True
    here = filesystem_of(one)
    return here is not None and here == filesystem_of(other)


def _parts(paths: Sequence[Path], real: Sequence[Path]) -> list[Part]:
    """Where each directory goes: data, part1, ..., or inside the earlier one that it is in."""
    parts: list[Part] = []
    for number, (path, there) in enumerate(zip(paths, real, strict=True)):
        inside = PurePosixPath(f"part{number}" if number else "data")
        for earlier, top in zip(parts, real, strict=False):
            if there.is_relative_to(top):
                inside = earlier.inside / there.relative_to(top)
                break
        parts.append(Part(path, inside))
    return parts


def _make_root(path: Path) -> None:
    path.mkdir()
    path.chmod(0o755)  # whatever the umask


def _is_frozen(tree: Path, record: Record) -> bool:
    return record.frozen


def _remove_content(place: Path) -> None:
    """Remove the trees; rm(1) follows no link and goes down as deep as somebody may have dug."""
    trees = [place / name for name in (TREE, _PART) if os.path.lexists(place / name)]
    if not trees:
        return
    for point in mounts_beneath(place.resolve()):
        raise StorageError(
            f"{point} is mounted inside volume {place.name!r} and would be emptied with it",
            hint=f"umount {point}",
        )
    try:
        system.run(["rm", "-rf", "--", *trees], timeout=600)
    except CommandError as error:
        raise StorageError(f"volume {place.name!r} is not removed: {error.message}") from error


def sharing_works(folder: Path) -> bool:
    """Whether two files in `folder` can have the same blocks: tried, and then looked at.

    :raises OSError: the trial files cannot be written.
    """
    trial = folder / ".probe"
    trial.mkdir(mode=0o700, exist_ok=True)
    try:
        with open(trial / "a", "w+b") as old, open(trial / "b", "wb") as new:
            old.write(os.urandom(_PROBE))
            old.flush()
            os.fsync(old.fileno())
            if not share_blocks(old.fileno(), new.fileno()):
                return False
            return all(extent.shared for extent in extents(new.fileno()))
    finally:
        for name in ("a", "b"):
            (trial / name).unlink(missing_ok=True)
        trial.rmdir()
