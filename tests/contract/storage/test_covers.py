"""What a snapshot of somebody else's directories takes in, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from cowdb.errors import StorageError, UnsoundError
from tests.contract.storage.fixture import MARK, Bench, subvolume
from tests.loopfs import command


def test_a_directory_inside_the_data_is_covered_by_it(bench: Bench) -> None:
    origin = bench.kind.origin(bench.mountpoint)
    space = origin / "data" / "spaces" / "s1"
    space.mkdir(parents=True)
    (space / "f").write_text("t")
    data, inner = bench.pool.enclose([origin / "data", space]).parts
    assert inner.inside == data.inside / "spaces" / "s1"
    snapshot = bench.new()
    bench.pool.snapshot(bench.pool.enclose([origin / "data", space]), snapshot, MARK)
    assert (bench.pool.path(snapshot) / inner.inside / "f").read_text() == "t"


def test_a_directory_beside_the_data_is_covered(bench: Bench) -> None:
    origin = bench.kind.origin(bench.mountpoint)
    for name in ("data", "space"):
        (origin / name).mkdir()
        (origin / name / "f").write_text(name)
    enclosure = bench.pool.enclose([origin / "data", origin / "space"])
    snapshot = bench.new()
    bench.pool.snapshot(enclosure, snapshot, MARK)
    tree = bench.pool.path(snapshot)
    assert [(tree / part.inside / "f").read_text() for part in enclosure.parts] == ["data", "space"]


def test_links_to_the_data_are_followed_once(bench: Bench) -> None:
    origin = bench.kind.origin(bench.mountpoint)
    (origin / "data").mkdir()
    (origin / "alias").symlink_to(origin / "data")
    direct = bench.pool.enclose([origin / "data"]).parts[0]
    alias = bench.pool.enclose([origin / "alias"]).parts[0]
    assert alias.inside == direct.inside


@pytest.mark.parametrize("what", ["tmpfs", "bind"])
def test_a_mount_inside_the_origin_is_refused(bench: Bench, what: str) -> None:
    data = bench.kind.origin(bench.mountpoint) / "data"
    (data / "base" / "my mount").mkdir(parents=True)
    (data / "elsewhere").mkdir()
    point = data / "base" / "my mount"
    if what == "tmpfs":
        command("mount", "-t", "tmpfs", "none", point)
    else:
        command("mount", "--bind", data / "elsewhere", point)
    try:
        with pytest.raises(UnsoundError, match="my mount is mounted inside") as caught:
            bench.pool.enclose([data])
        assert caught.value.hint
    finally:
        command("umount", point)
    bench.pool.enclose([data])


def test_a_subvolume_inside_the_origin_is_refused(bench: Bench) -> None:
    if not bench.kind.on_btrfs:
        pytest.skip("only btrfs has subvolumes")
    data = bench.kind.origin(bench.mountpoint) / "data"
    (data / "base").mkdir(parents=True)
    subvolume(data / "base" / "nested")
    with pytest.raises(UnsoundError, match="base/nested is a subvolume") as caught:
        bench.pool.enclose([data])
    assert "reflink" in caught.value.hint


def test_a_directory_on_another_filesystem_is_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="not on the filesystem of the pool") as caught:
        bench.pool.enclose([tmp_path])
    assert "cowdb init --pool" in caught.value.hint


def test_what_cannot_be_enclosed_is_named(bench: Bench) -> None:
    with pytest.raises(StorageError, match="nowhere cannot be reached"):
        bench.pool.enclose([bench.mountpoint / "nowhere"])
    with pytest.raises(StorageError):
        bench.pool.enclose([])
