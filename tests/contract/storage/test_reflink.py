"""What only the reflink driver has to get right: copying a tree that may be hostile."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cowdb.agent.storage.fiemap import DEPTH
from cowdb.agent.storage.pools import make_pool, open_pool
from cowdb.agent.storage.protocol import VolumeId
from cowdb.agent.storage.tree_copy import copy_tree
from cowdb.errors import NotSharedError, StorageError, UnsoundError
from tests.contract.storage.fixture import MARK, Bench, blocks, record, write
from tests.loopfs import MIB, command, mounted


@pytest.fixture
def volume(reflink: Bench) -> VolumeId:
    made = reflink.new()
    reflink.pool.create(made, MARK)
    return made


def copy_of(bench: Bench, volume: VolumeId) -> Path:
    bench.pool.freeze(volume)
    return bench.pool.path(bench.cloned(volume))


def test_planted_links_are_copied_as_links(
    reflink: Bench, volume: VolumeId, tmp_path: Path
) -> None:
    outside = reflink.mountpoint / f"outside-{volume}"
    outside.mkdir()
    (outside / "secret").write_text("s")
    tree = reflink.pool.path(volume)
    (tree / "dir").symlink_to(outside)
    (tree / "file").symlink_to(outside / "secret")
    (tree / "dangling").symlink_to("/nowhere")
    os.chown(tree / "file", 1234, 1234, follow_symlinks=False)
    copied = copy_of(reflink, volume)
    assert (copied / "dir").readlink() == outside
    assert (copied / "file").readlink() == outside / "secret"
    assert (copied / "dangling").readlink() == Path("/nowhere")
    assert (copied / "file").lstat().st_uid == 1234
    for snapshot in reflink.listed():
        reflink.pool.destroy(VolumeId(snapshot))
    assert (outside / "secret").read_text() == "s"
    assert (outside.stat().st_uid, (outside / "secret").stat().st_uid) == (0, 0)


def test_what_is_kept_of_a_file(reflink: Bench, volume: VolumeId) -> None:
    tree = reflink.pool.path(volume)
    (tree / "base").mkdir()
    (tree / "base" / "f").write_text("data")
    (tree / "base" / "empty").touch()
    (tree / "base" / "secret").write_text("s")
    (tree / "base" / "secret").chmod(0o4600)
    os.chown(tree / "base", 1234, 4321)
    os.chown(tree / "base" / "f", 1234, 4321)
    (tree / "base").chmod(0o2750)
    for path in (tree / "base" / "f", tree / "base", tree):
        os.utime(path, ns=(10**18 + 1, 10**18 + 2))
    copied = copy_of(reflink, volume)
    for name in ("", "base", "base/f", "base/empty", "base/secret"):
        old, new = (tree / name).stat(), (copied / name).stat()
        for key in ("st_mode", "st_uid", "st_gid", "st_mtime_ns", "st_size"):
            if stat.S_ISREG(old.st_mode) or key != "st_size":
                assert getattr(new, key) == getattr(old, key), (name, key)
    assert (copied / "base" / "f").read_text() == "data"


def test_special_files_are_left_out(reflink: Bench, volume: VolumeId) -> None:
    tree = reflink.pool.path(volume)
    os.mkfifo(tree / "fifo")
    os.mknod(tree / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "s"))
    (tree / "f").write_text("x")
    assert [path.name for path in copy_of(reflink, volume).iterdir()] == ["f"]


def test_holes_stay_holes(reflink: Bench, volume: VolumeId) -> None:
    tree = reflink.pool.path(volume)
    with open(tree / "sparse", "wb") as file:
        file.truncate(64 * MIB)
        file.seek(32 * MIB)
        file.write(b"x" * 8192)
    copied = copy_of(reflink, volume) / "sparse"
    assert copied.stat().st_size == 64 * MIB
    assert copied.stat().st_blocks * 512 < MIB
    assert copied.read_bytes() == (tree / "sparse").read_bytes()


def test_files_come_and_go_meanwhile(reflink: Bench, volume: VolumeId) -> None:
    """A writer in another process replaces files by links, FIFOs and nothing all the time."""
    tree = reflink.pool.path(volume)
    for number in range(300):
        (tree / f"f{number}").write_text("x")
    child = os.fork()
    if not child:
        while True:
            for number in range(300):
                path = tree / f"f{number}"
                path.unlink(missing_ok=True)
                (path.touch, lambda p=path: os.mkfifo(p), lambda p=path: p.symlink_to("/etc"))[
                    number % 3
                ]()
    try:
        for _ in range(5):
            snapshot = reflink.new()
            reflink.pool.snapshot(volume, snapshot, MARK)
            kinds = {path.lstat().st_mode for path in reflink.pool.path(snapshot).iterdir()}
            assert not any(stat.S_ISFIFO(kind) or stat.S_ISDIR(kind) for kind in kinds)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_tree_dug_too_deep_is_refused_and_destroyed(reflink: Bench, volume: VolumeId) -> None:
    fd = os.open(reflink.pool.path(volume), os.O_RDONLY)
    for _ in range(3000):  # longer than any path name may be
        os.mkdir("d" * 20, dir_fd=fd)
        inner = os.open("d" * 20, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    reflink.pool.freeze(volume)
    with pytest.raises(StorageError, match=f"more than {DEPTH} directories deep"):
        reflink.cloned(volume)
    reflink.pool.used_bytes(volume)
    assert reflink.listed() == {volume}
    reflink.pool.destroy(volume)
    assert reflink.listed() == set()


def test_a_copy_that_is_killed_is_incomplete(reflink: Bench, volume: VolumeId) -> None:
    tree = reflink.pool.path(volume)
    for number in range(5000):
        (tree / f"f{number}").write_text("x")
    part = reflink.root / "volumes" / "half" / "tree.part"
    child = os.fork()
    if not child:
        try:
            reflink.pool.snapshot(volume, VolumeId("half"), MARK)
        finally:
            os._exit(0)
    while not part.exists() or len(list(part.iterdir())) < 100:
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    seen = {each.id: each for each in reflink.pool.list()}
    assert 100 <= len(list(part.iterdir())) < 5000
    assert not seen[VolumeId("half")].complete
    assert seen[VolumeId("half")].mark == MARK
    reflink.pool.destroy(VolumeId("half"))
    assert reflink.listed() == {volume}


def test_a_mount_inside_a_volume_is_not_emptied(
    reflink: Bench, volume: VolumeId, tmp_path: Path
) -> None:
    (tmp_path / "precious").write_text("p")
    (reflink.pool.path(volume) / "m").mkdir()
    command("mount", "--bind", tmp_path, reflink.pool.path(volume) / "m")
    point = reflink.root / "staging" / volume / "tree" / "m"
    try:
        with pytest.raises(StorageError, match="is mounted inside volume"):
            reflink.pool.destroy(volume)
    finally:
        command("umount", point)
    assert (tmp_path / "precious").read_text() == "p"
    reflink.pool.destroy(volume)
    assert reflink.listed() == set()


def test_data_without_checksums_is_shared_too(reflink: Bench, volume: VolumeId) -> None:
    if not reflink.kind.on_btrfs:
        pytest.skip("chattr +C is for btrfs")
    tree = reflink.pool.path(volume)
    (tree / "base").mkdir()
    command("chattr", "+C", tree / "base")
    write(tree / "base" / "f", MIB)
    write(tree / "checked", MIB)
    copied = copy_of(reflink, volume)
    assert all(shared for _, shared in blocks(copied / "base" / "f"))
    assert "C" in command("lsattr", "-d", copied / "base").split()[0]
    assert "C" in command("lsattr", copied / "base" / "f").split()[0]
    assert "C" not in command("lsattr", copied / "checked").split()[0]


def test_a_nested_subvolume_is_not_left_out_in_silence(reflink: Bench, volume: VolumeId) -> None:
    if not reflink.kind.on_btrfs:
        pytest.skip("only btrfs has subvolumes")
    command("btrfs", "subvolume", "create", reflink.pool.path(volume) / "n")
    (reflink.pool.path(volume) / "n" / "f").write_text("x")
    reflink.pool.freeze(volume)
    with pytest.raises(UnsoundError, match="n is a filesystem or subvolume"):
        reflink.cloned(volume)
    reflink.pool.destroy(volume)
    assert reflink.listed() == set()


@pytest.fixture(scope="module")
def ext4() -> Iterator[Path]:
    with mounted("ext4", 128 * MIB) as mountpoint:
        yield mountpoint


def test_a_filesystem_that_shares_no_blocks_is_refused(ext4: Path) -> None:
    for driver in (None, "reflink"):
        with pytest.raises(NotSharedError, match="cannot share blocks") as caught:
            make_pool(ext4 / "refused", driver)
        assert "--size" in caught.value.hint
        assert not (ext4 / "refused").exists()


@pytest.mark.parametrize("filesystem", ["ext4", "tmpfs"])
def test_full_copies_are_made_where_asked_for(ext4: Path, filesystem: str) -> None:
    home = ext4 / filesystem
    home.mkdir()
    if filesystem == "tmpfs":  # which has no FIEMAP
        command("mount", "-t", "tmpfs", "none", home)
    facts = make_pool(home / "copies", allow_copy=True)
    pool = open_pool(record(facts.id, facts.driver, facts.path))
    assert (facts.driver, facts.shares_blocks, pool.shares_blocks) == ("reflink", False, False)
    pool.create(VolumeId("a"), MARK)
    tree = pool.path(VolumeId("a"))
    write(tree / "f", MIB + 1)
    with open(tree / "sparse", "wb") as file:
        file.truncate(8 * MIB)
        file.seek(4 * MIB)
        file.write(b"x")
    (tree / "empty").touch()
    pool.freeze(VolumeId("a"))
    pool.clone(VolumeId("a"), VolumeId("b"), MARK)
    for name in ("f", "sparse", "empty"):
        copied = pool.path(VolumeId("b")) / name
        assert copied.read_bytes() == (tree / name).read_bytes()
    assert (pool.path(VolumeId("b")) / "sparse").stat().st_blocks * 512 < MIB
    assert MIB < pool.used_bytes(VolumeId("b")) < 2 * MIB
    for volume in pool.list():
        pool.destroy(volume.id)


def test_sharing_is_seen_not_assumed(reflink: Bench) -> None:
    assert make_pool(reflink.root).shares_blocks
    assert reflink.pool.shares_blocks
    assert not (reflink.root / ".probe").exists()


def test_another_filesystem_needs_full_copies(reflink: Bench, ext4: Path) -> None:
    origin = ext4 / "origin"
    origin.mkdir(exist_ok=True)
    write(origin / "f", 4096)
    with pytest.raises(NotSharedError, match="cannot be shared"):
        reflink.pool.enclose([origin])
    with pytest.raises(NotSharedError, match="f cannot be shared"):
        copy_tree(origin, reflink.root / "target", allow_copy=False)
    facts = make_pool(reflink.mountpoint / "copying", "reflink", allow_copy=True)
    pool = open_pool(record(facts.id, facts.driver, facts.path))
    pool.snapshot(pool.enclose([origin]), VolumeId("v"), MARK)
    copied = pool.path(VolumeId("v")) / "data" / "f"
    assert copied.read_bytes() == (origin / "f").read_bytes()


def test_the_parts_of_an_origin_have_names(reflink: Bench) -> None:
    origin = reflink.kind.origin(reflink.mountpoint)
    paths = [origin / name for name in ("main", "wal", "main/spaces", "space")]
    for path in paths:
        path.mkdir()
    parts = reflink.pool.enclose(paths).parts
    assert [str(part.inside) for part in parts] == ["data", "part1", "data/spaces", "part3"]
