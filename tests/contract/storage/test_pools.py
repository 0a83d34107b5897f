"""Pools made, found again, refused; images attached and removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cowdb.agent.storage.pools import attach_image, make_image, make_pool, open_pool, remove_image
from cowdb.errors import CommandError, InvalidError, PoolMissingError, StorageError
from tests.contract.storage.fixture import Bench, record
from tests.loopfs import MIB, command, discard, loops, mounts, need_filesystem


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    need_filesystem("btrfs")
    path = tmp_path / "state" / "pool.img"
    yield path
    discard(path, tmp_path / "mnt")


def test_making_a_pool_again_finds_it(bench: Bench) -> None:
    bench.needs_directories()
    bench.filled()
    first = make_pool(bench.root)
    assert first == make_pool(bench.root, bench.kind.driver)
    assert open_pool(record(first.id, first.driver, first.path)).list() == bench.pool.list()
    other = "btrfs" if bench.kind.driver == "reflink" else "reflink"
    with pytest.raises(StorageError, match="is a pool already"):
        make_pool(bench.root, other)


def test_the_driver_follows_the_filesystem(bench: Bench) -> None:
    bench.needs_directories()
    facts = make_pool(bench.mountpoint / "deep" / f"detected-{bench.kind.name}")
    assert facts.driver == ("btrfs" if bench.kind.on_btrfs else "reflink")
    assert facts.shares_blocks


def test_an_interrupted_making_is_finished(bench: Bench) -> None:
    bench.needs_directories()
    (bench.root / ".cowdb-pool").unlink()
    for name in (".cowdb-pool.new",):
        (bench.root / name).write_text("half")
    (bench.root / ".probe").mkdir()
    facts = make_pool(bench.root, bench.kind.driver)
    assert facts.id != bench.pool._layout.pool
    bench.pool._layout.pool = facts.id
    assert bench.pool.list() == []


@pytest.mark.parametrize("name", ["base", "volumes/x"])
def test_a_directory_with_something_else_in_it_is_refused(bench: Bench, name: str) -> None:
    bench.needs_directories()
    path = bench.mountpoint / f"used-{bench.kind.name}-{len(name)}"
    (path / name).mkdir(parents=True)
    with pytest.raises(StorageError, match="is not empty"):
        make_pool(path)
    assert not (path / ".cowdb-pool").exists()


def test_unknown_and_unfit_drivers_are_refused(bench: Bench, tmp_path: Path) -> None:
    bench.needs_directories()
    with pytest.raises(InvalidError, match="unknown driver 'nfs'"):
        make_pool(bench.mountpoint / "x", "nfs")
    with pytest.raises(StorageError, match="not on btrfs"):
        make_pool(tmp_path / "x", "btrfs")
    assert not (tmp_path / "x").exists()


def test_a_pool_of_a_newer_format_is_left_alone(bench: Bench) -> None:
    bench.needs_directories()
    mark = bench.root / ".cowdb-pool"
    before = mark.read_text()
    mark.write_text(before.replace('"format": 1', '"format": 2'))
    try:
        for call in (bench.pool.list, lambda: make_pool(bench.root)):
            with pytest.raises(StorageError, match="has format 2"):
                call()
    finally:
        mark.write_text(before)


@pytest.mark.parametrize("filesystem", ["btrfs", "xfs"])
def test_an_image_comes_back_after_a_reboot(image: Path, tmp_path: Path, filesystem: str) -> None:
    need_filesystem(filesystem)
    mountpoint = tmp_path / "mnt"
    make_image(image, mountpoint, 320 * MIB, filesystem)
    facts = make_pool(mountpoint)
    assert facts.driver == {"btrfs": "btrfs", "xfs": "reflink"}[filesystem]
    assert image.stat().st_blocks * 512 < 160 * MIB, "it is sparse"
    assert image.stat().st_mode & 0o777 == 0o600
    assert "noatime" in command("findmnt", "-no", "OPTIONS", mountpoint)
    for call in (
        lambda: attach_image(image, mountpoint),
        lambda: make_image(image, mountpoint, 320 * MIB, filesystem),
    ):
        call()
        assert mounts(tmp_path) == [mountpoint]
    command("umount", mountpoint)
    with pytest.raises(PoolMissingError):
        open_pool(record(facts.id, facts.driver, mountpoint))
    attach_image(image, mountpoint)
    assert open_pool(record(facts.id, facts.driver, mountpoint)).list() == []


def test_an_image_is_removed_without_a_trace(image: Path, tmp_path: Path) -> None:
    mountpoint = tmp_path / "mnt"
    make_image(image, mountpoint, 128 * MIB)
    with open(mountpoint / "busy", "w"):
        with pytest.raises(CommandError):
            remove_image(image, mountpoint)
        assert mounts(tmp_path) == [mountpoint]
    remove_image(image, mountpoint)
    assert (mounts(tmp_path), loops(image)) == ([], [])
    assert (image.exists(), mountpoint.exists()) == (False, False)
    remove_image(image, mountpoint)


def test_a_loop_device_left_over_is_freed(image: Path, tmp_path: Path) -> None:
    mountpoint = tmp_path / "mnt"
    make_image(image, mountpoint, 128 * MIB)
    command("umount", mountpoint)
    command("losetup", "--find", image)
    remove_image(image, mountpoint)
    assert loops(image) == []


def test_an_image_larger_than_the_disk_is_refused(image: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not fit"):
        make_image(image, tmp_path / "mnt", 2**50)
    assert list(tmp_path.rglob("*.img*")) == []
    assert not (tmp_path / "mnt").exists()


def test_a_failed_format_leaves_nothing(image: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"mkfs\.btrfs failed"):
        make_image(image, tmp_path / "mnt", MIB)
    assert list(tmp_path.rglob("*.img*")) == []


def test_what_else_is_at_the_mount_point_stays(image: Path, tmp_path: Path) -> None:
    mountpoint = tmp_path / "mnt"
    mountpoint.mkdir()
    (mountpoint / "f").write_text("kept")
    with pytest.raises(StorageError, match="is not empty"):
        make_image(image, mountpoint, 128 * MIB)
    (mountpoint / "f").unlink()
    command("mount", "-t", "tmpfs", "none", mountpoint)
    try:
        with pytest.raises(StorageError, match="something else"):
            attach_image(image, mountpoint)
        remove_image(image, mountpoint)
        assert os.path.ismount(mountpoint)
    finally:
        command("umount", mountpoint)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(PoolMissingError, match=r"gone\.img is not there"):
        attach_image(tmp_path / "gone.img", tmp_path / "mnt")
