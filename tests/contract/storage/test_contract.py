"""What every storage driver promises (see cowdb/agent/storage/protocol.py), on the real thing."""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from cowdb.agent.storage.protocol import VolumeId
from cowdb.errors import ConflictError, StorageError
from tests.contract.storage.fixture import MARK, Bench, blocks, subvolume, write
from tests.loopfs import MIB, command


def test_a_new_volume_is_empty_and_roots_own(bench: Bench) -> None:
    volume = bench.new()
    before = os.umask(0o077)
    try:
        bench.pool.create(volume, {"role": "source", "name": "main"})
    finally:
        os.umask(before)
    tree = bench.pool.path(volume)
    for folder in (tree, tree.parent, tree.parent.parent):
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (0, 0o755)
    assert list(tree.iterdir()) == []
    (seen,) = bench.pool.list()
    assert seen.id == volume
    assert (seen.frozen, seen.complete) == (False, True)
    assert seen.mark == {"role": "source", "name": "main"}


def test_a_volume_is_not_made_twice(bench: Bench) -> None:
    volume = bench.new()
    bench.pool.create(volume, MARK)
    (bench.pool.path(volume) / "f").write_text("kept")
    with pytest.raises(StorageError, match="there is one"):
        bench.pool.create(volume, MARK)
    assert (bench.pool.path(volume) / "f").read_text() == "kept"


@pytest.mark.parametrize("name", ["../x", "", "a/b", "A", "x" * 101, "a\n"])
def test_only_ids_reach_the_disk(bench: Bench, name: str) -> None:
    for call in (bench.pool.path, bench.pool.destroy, bench.pool.freeze):
        with pytest.raises(StorageError):
            call(VolumeId(name))


def test_clones_are_isolated_both_ways(bench: Bench) -> None:
    snapshot = bench.filled("one")
    first, second = bench.cloned(snapshot), bench.cloned(snapshot)
    (bench.pool.path(first) / "f").write_text("first")
    (bench.pool.path(first) / "new").write_text("n")
    assert (bench.pool.path(snapshot) / "f").read_text() == "one"
    assert (bench.pool.path(second) / "f").read_text() == "one"
    assert not (bench.pool.path(second) / "new").exists()


def test_a_snapshot_of_a_volume_keeps_its_state(bench: Bench) -> None:
    branch = bench.cloned(bench.filled("one"))
    snapshot = bench.new()
    bench.pool.snapshot(branch, snapshot, MARK)
    (bench.pool.path(branch) / "f").write_text("later")
    assert (bench.pool.path(snapshot) / "f").read_text() == "one"
    seen = {volume.id: volume for volume in bench.pool.list()}
    assert seen[snapshot].frozen
    assert not seen[branch].frozen


def test_a_snapshot_of_an_origin_keeps_its_state(bench: Bench) -> None:
    origin = bench.kind.origin(bench.mountpoint)
    data = origin / "data"
    data.mkdir(mode=0o700)
    os.chown(data, 1234, 1234)
    (data / "f").write_text("one")
    enclosure = bench.pool.enclose([data])
    snapshot = bench.new()
    bench.pool.snapshot(enclosure, snapshot, MARK)
    (data / "f").write_text("later")
    (part,) = enclosure.parts
    inside = bench.pool.path(snapshot) / part.inside
    assert part.origin == data
    assert (inside / "f").read_text() == "one"
    assert (inside.stat().st_uid, inside.stat().st_mode & 0o777) == (1234, 0o700)


def test_a_frozen_volume_cannot_be_written(bench: Bench) -> None:
    if not bench.kind.freezes:
        pytest.skip(f"{bench.kind.driver} marks frozen volumes only")
    made = bench.filled()
    snapshot = bench.new()
    bench.pool.snapshot(made, snapshot, MARK)
    for volume in (made, snapshot):
        with pytest.raises(OSError) as caught:
            (bench.pool.path(volume) / "f").write_text("x")
        assert caught.value.errno == errno.EROFS


def test_freezing_twice_is_no_error_and_only_the_frozen_is_cloned(bench: Bench) -> None:
    volume, clone = bench.new(), bench.new()
    bench.pool.create(volume, MARK)
    with pytest.raises(StorageError, match="writable"):
        bench.pool.clone(volume, clone, MARK)
    assert bench.listed() == {volume}
    bench.pool.freeze(volume)
    bench.pool.freeze(volume)
    bench.pool.clone(volume, clone, MARK)
    (seen,) = [each for each in bench.pool.list() if each.id == volume]
    assert seen.frozen
    assert seen.mark == MARK


def test_what_is_not_there_is_named(bench: Bench) -> None:
    for call in (
        lambda: bench.pool.clone(VolumeId("ghost"), VolumeId("x"), MARK),
        lambda: bench.pool.snapshot(VolumeId("ghost"), VolumeId("x"), MARK),
        lambda: bench.pool.freeze(VolumeId("ghost")),
        lambda: bench.pool.used_bytes(VolumeId("ghost")),
    ):
        with pytest.raises(StorageError, match="'ghost' is not in the pool"):
            call()
    assert bench.listed() == set()


def test_destroy_is_idempotent_and_complete(bench: Bench) -> None:
    snapshot = bench.filled()
    branch = bench.cloned(snapshot)
    for volume in (branch, snapshot, branch, VolumeId("never-was")):
        bench.pool.destroy(volume)
        assert not bench.place(volume).exists()
        assert volume not in bench.listed()
    assert bench.staged() == []


def test_a_clone_outlives_its_snapshot_or_keeps_it(bench: Bench) -> None:
    snapshot = bench.filled("one")
    branch = bench.cloned(snapshot)
    if bench.pool.clones_depend:
        with pytest.raises(ConflictError, match=f"{branch} come from it"):
            bench.pool.destroy(snapshot)
        assert bench.listed() == {snapshot, branch}
        assert bench.cloned(snapshot) in bench.listed(), "it is as it was"
    else:
        bench.pool.destroy(snapshot)
    assert (bench.pool.path(branch) / "f").read_text() == "one"


def test_a_chain_of_ten_clones(bench: Bench) -> None:
    snapshot = bench.filled("0")
    for number in range(1, 11):
        branch = bench.cloned(snapshot)
        with open(bench.pool.path(branch) / "f", "a") as file:
            file.write(f",{number}")
        bench.pool.freeze(branch)
        snapshot = branch
    assert (bench.pool.path(snapshot) / "f").read_text() == "0,1,2,3,4,5,6,7,8,9,10"


def test_only_marked_volumes_are_listed_and_touched(bench: Bench) -> None:
    bench.needs_directories()
    mine = bench.filled()
    volumes = bench.root / "volumes"
    (volumes / "plain").mkdir()
    (volumes / "plain" / "keep").write_text("k")
    (volumes / "not a volume").mkdir()
    (volumes / "file").write_text("f")
    (volumes / "link").symlink_to(bench.pool.path(mine).parent)
    foreign = json.loads((bench.pool.path(mine).parent / "cowdb.json").read_text())
    (volumes / "other").mkdir()
    (volumes / "other" / "cowdb.json").write_text(
        json.dumps({**foreign, "pool": "p", "volume": "other"})
    )
    (volumes / "copied").mkdir()
    (volumes / "copied" / "cowdb.json").write_text(json.dumps(foreign))
    if bench.kind.on_btrfs:
        subvolume(volumes / "subvolume")
    assert bench.listed() == {mine}
    before = {path: path.lstat().st_ino for path in volumes.rglob("*")}
    for name in {path.name for path in volumes.iterdir()} - {mine, "not a volume"}:
        with pytest.raises(StorageError, match="does not carry the mark"):
            bench.pool.destroy(VolumeId(name))
    assert {path: path.lstat().st_ino for path in volumes.rglob("*")} == before


def test_blocks_are_shared_until_written(bench: Bench) -> None:
    if bench.kind.driver == "zfs":
        pytest.skip("ZFS does not say where blocks are; see used_bytes")
    volume = bench.new()
    bench.pool.create(volume, MARK)
    write(bench.pool.path(volume) / "f", MIB)
    bench.pool.freeze(volume)
    branch = bench.cloned(volume)
    old, new = blocks(bench.pool.path(volume) / "f"), blocks(bench.pool.path(branch) / "f")
    assert new == old
    assert new
    assert all(shared for _, shared in new)
    write(bench.pool.path(branch) / "f", MIB)
    assert not any(shared for _, shared in blocks(bench.pool.path(branch) / "f"))


def test_used_bytes_follow_what_is_written(bench: Bench) -> None:
    volume = bench.new()
    bench.pool.create(volume, MARK)
    write(bench.pool.path(volume) / "base", 16 * MIB)
    assert 16 * MIB <= bench.pool.used_bytes(volume) < 17 * MIB
    bench.pool.freeze(volume)
    branch = bench.cloned(volume)
    if bench.pool.clones_depend:  # shared blocks are their origin's; a clone has a few of its own
        assert bench.pool.used_bytes(branch) < 128 * 1024
        assert 16 * MIB <= bench.pool.used_bytes(volume) < 17 * MIB
    else:
        assert bench.pool.used_bytes(branch) == 0
        assert bench.pool.used_bytes(volume) == 0, "all of it is shared with the branch"
    write(bench.pool.path(branch) / "more", 8 * MIB)
    with open(bench.pool.path(branch) / "base", "r+b") as file:
        file.seek(4 * MIB)
        file.write(os.urandom(MIB))
        file.flush()
        os.fsync(file.fileno())
    assert 9 * MIB <= bench.pool.used_bytes(branch) < 10 * MIB
    bench.pool.destroy(branch)
    bench.eventually(lambda: 16 * MIB <= bench.pool.used_bytes(volume) < 17 * MIB)


def test_space_is_that_of_the_filesystem(bench: Bench) -> None:
    space = bench.pool.space()
    assert 0 < space.free < space.total <= bench.kind.size


def test_the_remains_of_an_interrupted_creation(bench: Bench) -> None:
    bench.needs_directories()
    frozen, written = bench.filled(), bench.new()
    bench.pool.create(written, MARK)
    for volume in (frozen, written):  # as if killed after the mark and before the tree
        tree = bench.pool.path(volume)
        if bench.kind.freezes:
            from cowdb.agent.storage.subvolume import delete

            delete(tree)
        else:
            command("rm", "-r", tree)
    (bench.root / "staging" / "killed").mkdir()  # ... and before the mark
    seen = {volume.id: volume for volume in bench.pool.list()}
    assert set(seen) == {frozen, written, "killed"}
    assert not any(volume.complete for volume in seen.values())
    assert seen[written].mark == MARK
    with pytest.raises(StorageError):
        bench.cloned(frozen)
    for volume in seen:
        bench.pool.destroy(volume)
    assert bench.listed() == set()


def test_the_remains_of_an_interrupted_destruction(bench: Bench) -> None:
    bench.needs_directories()
    volume = bench.filled()
    place = bench.pool.path(volume).parent
    place.rename(bench.root / "staging" / volume)
    (seen,) = bench.pool.list()
    assert (seen.id, seen.complete, seen.mark) == (volume, False, MARK)
    bench.pool.destroy(volume)
    assert bench.pool.list() == []
    assert bench.staged() == []


def test_eight_threads_clone_at_once(bench: Bench) -> None:
    snapshot = bench.filled("one")
    volumes = [bench.new() for _ in range(8 if bench.kind.driver == "zfs" else 32)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda volume: bench.pool.clone(snapshot, volume, MARK), volumes))
        assert bench.listed() == {snapshot, *volumes}
        texts = {(bench.pool.path(volume) / "f").read_text() for volume in volumes}
        list(threads.map(bench.pool.destroy, volumes))
    assert texts == {"one"}
    assert bench.listed() == {snapshot}


def test_a_mark_can_be_replaced(bench: Bench) -> None:
    """Also that of a frozen volume, whose content and clones stay as they are."""
    pool = bench.pool
    names = VolumeId("so-mark"), VolumeId("sn-mark"), VolumeId("br-mark"), VolumeId("sn-late")
    source, snapshot, branch, late = names
    pool.create(source, {"role": "source"})
    (pool.path(source) / "file").write_text("kept")
    pool.snapshot(source, snapshot, {"role": "snapshot"})
    pool.clone(snapshot, branch, {"role": "branch"})
    pool.snapshot(branch, late, {"role": "snapshot"})
    marks = {name: {"role": "new", "record": f'{{"of": "{name}", "two": "\\n"}}'} for name in names}
    for name, mark in marks.items():
        pool.set_mark(name, mark)
    assert {item.id: item.mark for item in pool.list() if item.id in names} == marks
    assert {item.id for item in pool.list() if item.frozen} >= {snapshot, late}
    assert (pool.path(snapshot) / "file").read_text() == "kept"
    pool.clone(snapshot, VolumeId("br-after"), {"role": "branch"})
    assert (pool.path(VolumeId("br-after")) / "file").read_text() == "kept"
    for name in ("br-after", late, branch, snapshot, source):
        pool.destroy(VolumeId(name))
    with pytest.raises(StorageError):
        pool.set_mark(branch, {"role": "branch"})
