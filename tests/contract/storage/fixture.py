"""What differs between storage drivers in the shared contract suite, in one place."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cowdb.agent.storage.fiemap import extents
from cowdb.agent.storage.pools import make_pool, open_pool
from cowdb.agent.storage.protocol import Pool, VolumeId
from cowdb.model import PoolRecord
from tests.loopfs import MIB, command, filesystems, zpool_of

MARK = {"role": "test"}
_numbers = itertools.count()


@dataclass(frozen=True)
class Kind:
    """A driver on a filesystem.

    :param mkfs: arguments for one that can be filled to the brim.
    """

    name: str
    driver: str
    filesystem: str
    size: int
    mkfs: Sequence[str] = ()

    @property
    def on_btrfs(self) -> bool:
        return self.filesystem == "btrfs"

    @property
    def freezes(self) -> bool:
        """The filesystem itself refuses to write into a frozen volume."""
        return self.driver in ("btrfs", "zfs")

    def pool(self, mountpoint: Path) -> Pool:
        """A new pool on a mounted filesystem."""
        name = f"pool{next(_numbers)}"
        path = mountpoint / name
        if self.driver == "zfs":
            path = Path(f"zfs:{zpool_of(mountpoint)}/{name}")
        facts = make_pool(path, self.driver)
        return open_pool(record(facts.id, facts.driver, facts.path))

    def origin(self, mountpoint: Path) -> Path:
        """A new directory that a source could live in and one snapshot can cover."""
        path = mountpoint / f"origin{next(_numbers)}"
        if self.driver == "btrfs":
            subvolume(path)
        elif self.driver == "zfs":
            command("zfs", "create", f"{zpool_of(mountpoint)}/{path.name}")
        else:
            path.mkdir()
        return path


def subvolume(path: Path) -> None:
    from cowdb.agent.storage import subvolume

    subvolume.create(path)


ALL_KINDS = (
    Kind("btrfs", "btrfs", "btrfs", 512 * MIB, ("--mixed",)),
    Kind("reflink-xfs", "reflink", "xfs", 512 * MIB),
    Kind("reflink-btrfs", "reflink", "btrfs", 512 * MIB, ("--mixed",)),
    Kind("zfs", "zfs", "zfs", 512 * MIB),
)
KINDS = tuple(kind for kind in ALL_KINDS if kind.filesystem in filesystems())


@dataclass(frozen=True)
class Bench:
    """A driver's kind, a mounted filesystem, and a fresh pool on it."""

    kind: Kind
    mountpoint: Path
    pool: Pool
    root: Path

    def needs_directories(self) -> None:
        """For tests that look into the layout of directory.py; test_zfs.py has its own."""
        if self.kind.driver == "zfs":
            pytest.skip("volumes are datasets there, not directories with a mark")

    def place(self, volume: VolumeId) -> Path:
        """What must be gone when the volume is."""
        path = self.pool.path(volume)
        return path if self.kind.driver == "zfs" else path.parent

    def staged(self) -> list[Path]:
        """What is neither a volume nor part of one; always nothing."""
        if self.kind.driver != "zfs":
            return list((self.root / "staging").iterdir())
        return [path for path in self.root.iterdir() if path.name not in self.listed()]

    def new(self) -> VolumeId:
        return VolumeId(f"v{next(_numbers)}")

    def filled(self, text: str = "one") -> VolumeId:
        """A frozen volume that holds the file `f`."""
        volume = self.new()
        self.pool.create(volume, MARK)
        (self.pool.path(volume) / "f").write_text(text)
        self.pool.freeze(volume)
        return volume

    def cloned(self, snapshot: VolumeId) -> VolumeId:
        volume = self.new()
        self.pool.clone(snapshot, volume, MARK)
        return volume

    def eventually(self, true: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for what follows a destroy: btrfs (cleaner) and XFS (inodegc) free space later."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"not within {seconds} s"
            if self.kind.on_btrfs:  # syncfs would not wake the cleaner when nothing is dirty
                command("btrfs", "filesystem", "sync", self.root)
            time.sleep(0.05)

    def listed(self) -> set[str]:
        return {volume.id for volume in self.pool.list()}


def record(pool: str, driver: str, path: Path) -> PoolRecord:
    return PoolRecord(id=pool, driver=driver, path=str(path), created_at=datetime.now(UTC))


def blocks(path: Path) -> list[tuple[int, bool]]:
    """Where the pieces of a file are on disk, and whether each is shared."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return [(extent.disk, extent.shared) for extent in extents(fd)]
    finally:
        os.close(fd)


def write(path: Path, size: int) -> None:
    """Random bytes, on disk when this returns."""
    with open(path, "wb") as file:
        file.write(os.urandom(size))
        file.flush()
        os.fsync(file.fileno())
