"""Real filesystems in sparse files, for tests that need root: behind loop devices, or a zpool.

`mounted` always unmounts, frees the loop device and deletes the file, also when the test failed.
Which filesystems are tried: those of COWDB_TEST_FILESYSTEMS (words), else btrfs and XFS, and ZFS
where the kernel has it. (Where it has not, hostprep/test runs the ZFS tests in a guest.)
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

MIB = 2**20
MKFS = {
    "btrfs": ["mkfs.btrfs", "-q"],
    "xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"],
    "ext4": ["mkfs.ext4", "-q", "-E", "lazy_itable_init=1"],
}


def filesystems() -> list[str]:
    """Those to run the tests on."""
    chosen = os.environ.get("COWDB_TEST_FILESYSTEMS", "").split()
    return chosen or ["btrfs", "xfs", *(["zfs"] if Path("/sys/module/zfs").exists() else [])]


def missing(reason: str) -> None:
    """Skip the test for want of something; where CI says that it is there, fail."""
    if os.environ.get("COWDB_CI") or os.environ.get("CI"):
        pytest.fail(f"CI promises what is missing: {reason}")
    pytest.skip(reason)


def need_filesystem(kind: str) -> None:
    """Skip unless this user can make and mount such a filesystem."""
    if os.geteuid() != 0:
        missing("needs root, to mount filesystems")
    if kind == "zfs":
        if not shutil.which("zpool") or not Path("/sys/module/zfs").exists():
            missing("needs ZFS")
        return
    if not Path("/dev/loop-control").exists():
        missing("needs loop devices")
    if not shutil.which(MKFS[kind][0]):
        missing(f"needs {MKFS[kind][0]}")
    if f"\t{kind}\n" not in Path("/proc/filesystems").read_text():
        loaded = subprocess.run(["modprobe", kind], capture_output=True, check=False)
        if loaded.returncode:
            missing(f"needs a kernel with {kind}")


def command(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{words}: {done.stderr or done.stdout}"
    return done.stdout


def mounts(beneath: Path) -> list[Path]:
    """Mount points at and beneath a directory, the latest mount first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [Path(line.split()[4].replace("\\040", " ")) for line in lines]
    return [point for point in reversed(points) if point.is_relative_to(beneath)]


def loops(image: Path) -> list[str]:
    """Loop devices over an image file, also when the file is deleted."""
    shown = command("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE")
    rows = [line.split(maxsplit=1) for line in shown.splitlines()]
    return [
        row[0]
        for row in rows
        if len(row) == 2 and row[1].strip().removesuffix(" (deleted)") == str(image)
    ]


def discard(image: Path, mountpoint: Path) -> None:
    """Unmount everything at and beneath the mount point, free the loop device, delete the file.

    What a process still holds open is unmounted all the same, and then the test is failed.
    """
    busy = [point for point in mounts(mountpoint) if not _unmounted(point)]
    for loop in loops(image):  # frees it at once, or when the last descriptor is closed
        subprocess.run(["losetup", "--detach", loop], capture_output=True, check=False)
    image.unlink(missing_ok=True)
    assert not busy, f"something was left open beneath {busy}"


def _unmounted(point: Path) -> bool:
    """Unmount; False when it was busy and is only out of sight."""
    if not subprocess.run(["umount", point], capture_output=True, check=False).returncode:
        return True
    command("umount", "--lazy", point)
    return False


@contextlib.contextmanager
def mounted(
    kind: str, size: int = 512 * MIB, *, mkfs: Sequence[str] = (), options: str = "noatime"
) -> Iterator[Path]:
    """A new filesystem; the path of its mount point.

    :param size: bytes; XFS wants at least 300 MiB, btrfs 110 MiB.
    :param mkfs: further arguments for mkfs.
    """
    need_filesystem(kind)
    folder = Path(tempfile.mkdtemp(prefix="cowdb-test-", dir="/var/tmp"))
    folder.chmod(0o755)
    image, mountpoint = folder / "image", folder / "mnt"
    if kind == "zfs":
        yield from _zpool(folder, size)
        return
    mountpoint.mkdir()
    try:
        with open(image, "wb") as file:
            file.truncate(size)
        command(*MKFS[kind], *mkfs, image)
        command("mount", "-t", kind, "-o", f"loop,{options}", image, mountpoint)
        yield mountpoint
    finally:
        try:
            discard(image, mountpoint)
        finally:
            shutil.rmtree(folder)


def zpool_of(mountpoint: Path) -> str:
    """The zpool that `mounted` made for a mount point."""
    return f"cowdb{mountpoint.parent.name.removeprefix('cowdb-test-')}"


def _zpool(folder: Path, size: int) -> Iterator[Path]:
    mountpoint = folder / "mnt"
    zpool = zpool_of(mountpoint)
    try:
        with open(folder / "image", "wb") as file:
            file.truncate(size)
        options = ("-o", "cachefile=none", "-O", f"mountpoint={mountpoint}")
        command("zpool", "create", *options, zpool, folder / "image")
        yield mountpoint
    finally:
        destroy_zpool(zpool, mountpoint)
        shutil.rmtree(folder)


def destroy_zpool(zpool: str, mountpoint: Path) -> None:
    """Destroy a zpool; what a process still holds open fails the test, and goes all the same."""
    busy = [point for point in mounts(mountpoint) if point.exists() and not _unmounted(point)]
    subprocess.run(["zpool", "destroy", "-f", zpool], capture_output=True, check=False, timeout=60)
    left = command("zpool", "list", "-H", "-o", "name").split()
    assert zpool not in left, f"zpool {zpool} cannot be destroyed"
    assert not busy, f"something was left open beneath {busy}"
