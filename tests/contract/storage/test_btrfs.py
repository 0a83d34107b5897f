"""What only the btrfs driver has to get right."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import btrfsutil
import pytest

from cowdb.agent.storage import btrfs_tree, subvolume
from cowdb.agent.storage.protocol import VolumeId
from cowdb.errors import StorageError, UnsoundError
from tests.contract.storage.fixture import MARK, Bench, write
from tests.loopfs import MIB, command, mounted


def numbers(bench: Bench) -> set[int]:
    return {number for _, number in btrfsutil.SubvolumeIterator(str(bench.mountpoint), 5)}


def test_destroy_takes_nested_subvolumes_along(btrfs: Bench) -> None:
    before = numbers(btrfs)
    volume = btrfs.new()
    btrfs.pool.create(volume, MARK)
    tree = btrfs.pool.path(volume)
    (tree / "dir").mkdir()
    outer = tree / "dir" / "outer"
    subvolume.create(outer)
    subvolume.create(outer / "inner")
    (outer / "inner" / "f").write_text("x")
    subvolume.snapshot(outer / "inner", tree / "snap", read_only=True)
    btrfsutil.set_subvolume_read_only(str(outer), True)  # its user may do so
    btrfs.pool.freeze(volume)
    btrfs.pool.destroy(volume)
    assert numbers(btrfs) == before
    assert btrfs.listed() == set()


def test_destroy_by_an_unprivileged_users_subvolume(btrfs: Bench) -> None:
    """As a branch's superuser could make one, with the rights of the server's OS user."""
    volume = btrfs.new()
    btrfs.pool.create(volume, MARK)
    tree = btrfs.pool.path(volume)
    os.chown(tree, 65534, 65534)
    command(
        "setpriv", "--reuid=65534", "--clear-groups", "btrfs", "subvolume", "create", tree / "n"
    )
    btrfs.pool.destroy(volume)
    assert not tree.parent.exists()


def test_destroy_follows_no_link(btrfs: Bench) -> None:
    keep = btrfs.kind.origin(btrfs.mountpoint)
    (keep / "f").write_text("kept")
    volume = btrfs.new()
    btrfs.pool.create(volume, MARK)
    (btrfs.pool.path(volume) / "link").symlink_to(keep)
    btrfs.pool.destroy(volume)
    assert (keep / "f").read_text() == "kept"


def test_a_nested_subvolume_is_empty_in_a_clone(btrfs: Bench) -> None:
    volume = btrfs.new()
    btrfs.pool.create(volume, MARK)
    subvolume.create(btrfs.pool.path(volume) / "n")
    (btrfs.pool.path(volume) / "n" / "f").write_text("x")
    btrfs.pool.freeze(volume)
    clone = btrfs.cloned(volume)
    assert list((btrfs.pool.path(clone) / "n").iterdir()) == []


def test_two_subvolumes_are_not_one_snapshot(btrfs: Bench, tmp_path: Path) -> None:
    first, second = (btrfs.kind.origin(btrfs.mountpoint) for _ in range(2))
    with pytest.raises(UnsoundError, match=f"{second} lies outside") as caught:
        btrfs.pool.enclose([first, second])
    assert str(first) in caught.value.hint
    with pytest.raises(UnsoundError, match=f"{tmp_path} lies outside"):
        btrfs.pool.enclose([first, tmp_path])


def test_the_enclosing_subvolume_is_found(btrfs: Bench) -> None:
    origin = btrfs.kind.origin(btrfs.mountpoint)
    data = origin / "15" / "main"
    data.mkdir(parents=True)
    enclosure = btrfs.pool.enclose([data])
    assert enclosure.root == origin
    assert str(enclosure.parts[0].inside) == "15/main"
    assert btrfs.pool.enclose([origin]).parts[0].inside.parts == ()


def test_another_btrfs_is_another_filesystem(btrfs: Bench) -> None:
    with mounted("btrfs", 128 * MIB) as other:
        with pytest.raises(StorageError, match="not on the filesystem of the pool"):
            btrfs.pool.enclose([other])


def test_a_directory_mounted_by_itself_is_refused(btrfs: Bench, tmp_path: Path) -> None:
    data = btrfs.kind.origin(btrfs.mountpoint) / "data"
    data.mkdir()
    command("mount", "--bind", data, tmp_path)
    try:
        with pytest.raises(StorageError, match="mounted on its own"):
            btrfs.pool.enclose([tmp_path])
    finally:
        command("umount", tmp_path)


def test_the_operating_systems_subvolume_is_refused(btrfs: Bench) -> None:
    """In a child whose / is the btrfs filesystem, as on a host that was installed on one."""
    root = btrfs.mountpoint
    (root / "proc").mkdir(exist_ok=True)
    (root / "srv" / "data").mkdir(parents=True, exist_ok=True)
    command("mount", "--bind", "/proc", root / "proc")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        said = b"nothing"
        try:
            os.chroot(root)
            btrfs.pool._layout.root = Path("/") / btrfs.root.relative_to(root)
            btrfs.pool.enclose([Path("/srv/data")])
        except BaseException as error:
            said = f"{error} | {getattr(error, 'hint', '')}".encode()
        finally:
            os.write(writing, said)
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading, "rb") as file:
        said = file.read().decode()
    command("umount", root / "proc")
    assert "mounted at /" in said
    assert "btrfs subvolume create /srv/data" in said


def test_other_threads_go_on_while_a_snapshot_waits(btrfs: Bench) -> None:
    """A snapshot writes out its origin's data first, which may take seconds."""
    volume = btrfs.new()
    btrfs.pool.create(volume, MARK)
    (btrfs.pool.path(volume) / "f").write_bytes(os.urandom(96 * MIB))  # not yet on disk
    done = threading.Event()
    longest = 0.0

    def watch() -> None:
        nonlocal longest
        before = time.monotonic()
        while not done.wait(0.001):
            longest, before = max(longest, time.monotonic() - before), time.monotonic()

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    btrfs.pool.snapshot(volume, btrfs.new(), MARK)
    took = time.monotonic() - began
    done.set()
    watcher.join()
    if took < 0.05:
        pytest.skip(f"the disk was too fast to see anything: {took * 1000:.0f} ms")
    assert longest < took / 2


def test_changed_extents_since_a_generation(btrfs: Bench) -> None:
    """More extents than one search returns, and all of them with the right place and length."""
    origin = btrfs.kind.origin(btrfs.mountpoint)
    write(origin / "old", 4 * MIB)
    os.sync()
    since = btrfsutil.subvolume_info(str(origin)).generation + 1
    with open(origin / "old", "r+b", buffering=0) as file:
        for block in range(0, 512, 2):
            file.seek(block * 8192)
            file.write(os.urandom(8192))
            os.fsync(file.fileno())
    for number in range(3000):
        (origin / f"small{number}").write_text("inline")
    os.sync()
    fd = os.open(origin, os.O_RDONLY)
    try:
        found = list(btrfs_tree.file_extents(fd, since=since))
        everything = list(btrfs_tree.file_extents(fd))
    finally:
        os.close(fd)
    inode = (origin / "old").stat().st_ino
    changed = {extent.position for extent in found if extent.inode == inode}
    assert changed == {block * 8192 for block in range(0, 512, 2)}
    assert {extent.length for extent in found if extent.inode == inode} == {8192}
    assert len([extent for extent in found if extent.inode != inode]) == 3000
    whole = sum(extent.length for extent in everything if extent.inode == inode)
    assert whole == 4 * MIB


def test_a_pool_on_a_plain_directory(btrfs: Bench) -> None:
    from cowdb.agent.storage.pools import make_pool, open_pool
    from tests.contract.storage.fixture import record

    (btrfs.mountpoint / "plain").mkdir()
    facts = make_pool(btrfs.mountpoint / "plain")
    pool = open_pool(record(facts.id, "btrfs", facts.path))
    pool.create(VolumeId("v"), MARK)
    pool.destroy(VolumeId("v"))
    assert pool.list() == []


@contextlib.contextmanager
def after_a_power_cut(bench: Bench) -> Iterator[Path]:
    """The filesystem as the disk has it at this moment, mounted beside the one at work."""
    image, copy = bench.mountpoint.parent / "image", bench.mountpoint.parent / "copy"
    place = bench.mountpoint.parent / "after"
    command("cp", "--sparse=always", image, copy)
    command("btrfstune", "-f", "-m", copy)  # two of one name cannot be mounted at a time
    place.mkdir()
    command("mount", "-t", "btrfs", "-o", "loop", copy, place)
    try:
        yield place
    finally:
        command("umount", place)
        place.rmdir()
        copy.unlink()


@pytest.mark.parametrize("length", [0, 1500, 5000])
def test_what_was_made_is_on_disk_with_its_whole_mark(btrfs: Bench, length: int) -> None:
    """One flush is for both, where a mark is so small that the filesystem keeps it in a tree."""
    mark, origin = {**MARK, "more": "x" * length}, btrfs.filled("content")
    made = {"clone": btrfs.new(), "snapshot": btrfs.new()}
    btrfs.pool.clone(origin, made["clone"], mark)
    (btrfs.pool.path(made["clone"]) / "f").write_text("changed")
    btrfs.pool.snapshot(made["clone"], made["snapshot"], mark)
    with after_a_power_cut(btrfs) as disk:
        volumes = disk / btrfs.root.name / "volumes"
        for volume in made.values():
            found = json.loads((volumes / volume / "cowdb.json").read_text())
            assert found["mark"] == mark
            assert (volumes / volume / "tree").is_dir()
        assert (volumes / made["snapshot"] / "tree/f").read_text() == "changed"
