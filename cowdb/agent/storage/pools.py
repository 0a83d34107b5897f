"""Pools made and opened: which driver fits a filesystem, and pools inside an image file.

An image is a sparse file with a filesystem of its own, mounted through a loop device: the pool for
a host whose disks cannot share blocks.

    IMAGE.new      while it is being formatted
    IMAGE          formatted; mounted at MOUNTPOINT, which is then POOL

What only one filesystem needs (btrfsutil, pyzfs) is imported when a pool is on it.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from cowdb.agent import system
from cowdb.agent.storage.btrfs_tree import filesystem_of
from cowdb.agent.storage.directory import POOL_FILE, PoolMark, read_pool_mark, write_pool_mark
from cowdb.agent.storage.kernel import translated
from cowdb.agent.storage.origin import mount_points
from cowdb.agent.storage.protocol import Pool
from cowdb.agent.storage.reflink import ReflinkPool, sharing_works
from cowdb.agent.storage.zfs_names import is_zfs
from cowdb.errors import InvalidError, NotSharedError, PoolMissingError, StorageError
from cowdb.model import PoolRecord

DRIVERS = ("btrfs", "reflink", "zfs")
_MKFS = {"btrfs": ("mkfs.btrfs", "-q"), "xfs": ("mkfs.xfs", "-q", "-m", "reflink=1")}


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """What a pool is, for its PoolRecord.

    :param shares_blocks: False where every clone is a full copy.
    """

    id: str
    driver: str
    path: Path
    shares_blocks: bool


def open_pool(record: PoolRecord) -> Pool:
    """The pool of a record, after a look at what is there.

    :raises PoolMissingError: it is not there, or another pool is.
    """
    if is_zfs(record.path):
        from cowdb.agent.storage import zfs_pool

        return zfs_pool.open_pool(record.path, record.id)
    path = Path(record.path)
    mark = read_pool_mark(path)
    if mark is None or mark.id != record.id:
        there = "there is none" if mark is None else f"{mark.id} is there"
        raise PoolMissingError(
            f"pool {record.id} is not at {path}: {there}",
            hint="mount it, then try again; cowdb doctor shows what it expects",
        )
    if mark.driver != record.driver:
        raise StorageError(f"pool {path} says driver {mark.driver!r}, expected {record.driver!r}")
    if mark.driver == "btrfs":
        from cowdb.agent.storage.btrfs import BtrfsPool

        return BtrfsPool(path, mark.id, own_image=record.image is not None)
    if mark.driver == "reflink":
        return ReflinkPool(
            path, mark.id, allow_copy=mark.allow_copy, shares_blocks=mark.shares_blocks
        )
    raise StorageError(f"pool {path} wants the driver {mark.driver!r}, which is not known")


def find_pool(path: Path) -> PoolFacts:
    """What the pool at `path` (a directory, or zfs:POOL/DATASET) says of itself; makes nothing.

    :raises PoolMissingError: there is none.
    """
    if is_zfs(str(path)):
        from cowdb.agent.storage import zfs_pool

        return PoolFacts(zfs_pool.identify(str(path)), "zfs", path, shares_blocks=True)
    mark = read_pool_mark(path)
    if mark is None:
        raise PoolMissingError(
            f"there is no pool at {path}: {POOL_FILE} is not there",
            hint="mount it, or say where it is: --pool PATH",
        )
    return PoolFacts(mark.id, mark.driver, path, mark.shares_blocks)


def make_pool(path: Path, driver: str | None = None, allow_copy: bool = False) -> PoolFacts:
    """Make the directory `path`, or the dataset zfs:POOL/DATASET, a pool, or find that it is one.

    :param driver: one of DRIVERS; None for the best that the filesystem has.
    :param allow_copy: where blocks cannot be shared, accept full copies.
    :raises StorageError: something else is in the directory.
    :raises NotSharedError: the filesystem shares no blocks.
    """
    if driver is not None and driver not in DRIVERS:
        raise InvalidError(f"unknown driver {driver!r}", hint=f"known: {', '.join(DRIVERS)}")
    if driver is not None and is_zfs(str(path)) != (driver == "zfs"):
        raise InvalidError(
            f"the driver {driver!r} does not fit {path}", hint="--pool zfs:POOL/DATASET is for zfs"
        )
    if is_zfs(str(path)):
        from cowdb.agent.storage import zfs_pool

        return PoolFacts(zfs_pool.make(str(path)), "zfs", path, shares_blocks=True)
    with translated(f"pool {path} cannot be made"):
        made = _make_directory(path)
        try:
            mark = read_pool_mark(path) or _new_mark(path, driver, allow_copy)
        except BaseException:
            if made:
                # Not empty when the disk became full midway: the next attempt goes on from there.
                with contextlib.suppress(OSError):
                    path.rmdir()  # the kernel lets it remove an empty subvolume, too
            raise
    if driver not in (None, mark.driver):
        raise StorageError(f"{path} is a pool already, with the driver {mark.driver!r}")
    return PoolFacts(mark.id, mark.driver, path, mark.shares_blocks)


def _make_directory(path: Path) -> bool:
    """Make `path`, as a subvolume where that is possible; False when it is there."""
    if path.is_dir():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    if filesystem_of(path.parent):
        from cowdb.agent.storage import subvolume

        subvolume.create(path)
    else:
        path.mkdir()
        path.chmod(0o755)
    return True


def _new_mark(path: Path, driver: str | None, allow_copy: bool) -> PoolMark:
    # Without the pool file, but with our folders empty: a make_pool that was interrupted.
    ours = {"volumes", "staging", ".cowdb-pool.new", ".probe", "lost+found"}
    others = sorted(_names(path) - ours)
    others += [name for name in ("volumes", "staging") if _names(path / name)]
    if others:
        raise StorageError(
            f"{path} is not empty: {', '.join(others[:3])}",
            hint="name a new directory, or one that is empty",
        )
    chosen = driver or ("btrfs" if filesystem_of(path) else "reflink")
    if chosen == "btrfs" and not filesystem_of(path):
        raise StorageError(f"{path} is not on btrfs", hint="cowdb init without --driver")
    shares = chosen == "btrfs" or sharing_works(path)
    if not shares and not allow_copy:
        raise NotSharedError(
            f"the filesystem of {path} cannot share blocks between files",
            hint="cowdb init --size 20G puts a btrfs image on it; XFS needs mkfs.xfs -m reflink=1; "
            "on ZFS: cowdb init --pool zfs:POOL/DATASET",
        )
    mark = PoolMark(str(uuid.uuid4()), chosen, allow_copy, shares)
    write_pool_mark(path, mark)
    return mark


def _names(folder: Path) -> set[str]:
    """What is in a directory; nothing when there is no such directory."""
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()


def make_image(image: Path, mountpoint: Path, size: int, filesystem: str = "btrfs") -> None:
    """A sparse image file of `size` bytes, formatted and mounted; one that is there is kept.

    :raises StorageError: the disk beneath has less room than that, or the mount point is in use.
    """
    if filesystem not in _MKFS:
        raise InvalidError(f"unknown filesystem {filesystem!r}", hint="known: btrfs, xfs")
    if not image.exists():
        fresh = image.with_name(image.name + ".new")
        with translated(f"image {image} cannot be made"):
            image.parent.mkdir(parents=True, exist_ok=True)
            _check_room(image.parent, size)
            try:
                _sparse(fresh, size)
                system.run([*_MKFS[filesystem], fresh])
                fresh.rename(image)
            finally:
                fresh.unlink(missing_ok=True)
    attach_image(image, mountpoint)


def _check_room(folder: Path, size: int) -> None:
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    if size > free:
        raise StorageError(
            f"an image of {size} bytes does not fit: {folder} has {free} bytes free",
            hint="name a smaller --size, or a folder on a larger disk",
        )


def _sparse(path: Path, size: int) -> None:
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.ftruncate(fd, size)
    finally:
        os.close(fd)


def attach_image(image: Path, mountpoint: Path) -> None:
    """Mount an image unless it is mounted there.

    :raises PoolMissingError: the image file is gone.
    :raises StorageError: something else is mounted there, or the directory is not empty.
    """
    if not image.is_file():
        raise PoolMissingError(f"the image {image} is not there", hint="restore it from a backup")
    with translated(f"image {image} cannot be mounted at {mountpoint}"):
        mountpoint.mkdir(parents=True, exist_ok=True)
        if mountpoint.resolve() in mount_points():
            if not _is_mounted(image, mountpoint):
                raise StorageError(f"something else than {image} is mounted at {mountpoint}")
            return
        if _names(mountpoint):
            raise StorageError(
                f"{mountpoint} is not empty", hint="a mount would hide what is there; move it away"
            )
        kind = _kind(image)
        system.mount(image, mountpoint, kind, "loop,noatime")


def _kind(image: Path) -> str:
    """The filesystem in an image, by its magic number."""
    with open(image, "rb") as file:
        if file.read(4) == b"XFSB":
            return "xfs"
        file.seek(0x10040)
        if file.read(8) == b"_BHRfS_M":
            return "btrfs"
    raise StorageError(f"{image} holds neither btrfs nor XFS")


def _is_mounted(image: Path, mountpoint: Path) -> bool:
    """Whether the device mounted at `mountpoint` is a loop over `image`."""
    return any(_backing(loop) == image.resolve() for loop in _loops_mounted_at(mountpoint))


def _loops_mounted_at(mountpoint: Path) -> list[str]:
    """Names of the loop devices mounted there (btrfs shows no device number of a disk)."""
    real = os.fsencode(mountpoint.resolve())
    with open("/proc/self/mountinfo", "rb") as file:
        fields = [line.split() for line in file]
    sources = [each[each.index(b"-") + 2] for each in fields if each[4] == real]
    return [Path(os.fsdecode(name)).name for name in sources if name.startswith(b"/dev/loop")]


def _backing(loop: str) -> Path | None:
    """The file beneath a loop device; None when it has none."""
    try:
        shown = Path(f"/sys/block/{loop}/loop/backing_file").read_text()
    except FileNotFoundError:
        return None
    return Path(shown.rstrip("\n").removesuffix(" (deleted)"))


def remove_image(image: Path, mountpoint: Path) -> None:
    """Unmount an image, free its loop device, delete it, and its mount point if it is empty.

    What is not there is no error; what is mounted there but is not this image stays.

    :raises CommandError: a process still uses it.
    """
    with translated(f"image {image} cannot be removed"):
        if image.exists() and mountpoint.exists() and _is_mounted(image, mountpoint):
            system.unmount(mountpoint)
        for loop in Path("/sys/block").glob("loop*"):
            if _backing(loop.name) == image.resolve():
                system.run(["losetup", "--detach", f"/dev/{loop.name}"])
        for leftover in (image, image.with_name(image.name + ".new")):
            leftover.unlink(missing_ok=True)
        if mountpoint.is_dir() and not _names(mountpoint) and not mountpoint.is_mount():
            mountpoint.rmdir()


def remove_pool(path: Path, pool_id: str) -> None:
    """Turn a pool that holds no volume back into a directory, and remove that when it is empty.

    A pool that is not there, or another one, is left alone.

    :raises StorageError: a volume is left in it.
    """
    if is_zfs(str(path)):
        from cowdb.agent.storage import zfs_pool

        zfs_pool.remove(str(path), pool_id)
        return
    mark = read_pool_mark(path)
    if mark is None or mark.id != pool_id:
        return
    with translated(f"pool {path} cannot be removed"):
        for name in ("volumes", "staging"):
            if left := _names(path / name):
                raise StorageError(
                    f"{path / name} still holds {sorted(left)[0]}", hint="cowdb doctor --repair"
                )
        (path / POOL_FILE).unlink()  # first: what is interrupted now can be made a pool again
        for name in ("volumes", "staging"):
            if (path / name).is_dir():
                (path / name).rmdir()
        if not _names(path):
            path.rmdir()
