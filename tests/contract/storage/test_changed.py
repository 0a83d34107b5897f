"""What a driver says has changed covers every byte that has, and not the whole file."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cowdb.agent.storage.protocol import Descent, ReportsChangedBlocks, VolumeId
from cowdb.errors import StorageError
from tests.contract.storage.fixture import MARK, Bench
from tests.loopfs import MIB, command

PAGE = 8192
RECORD = 128 * 1024  # the largest piece that a driver may report for one changed byte (ZFS)


class Pair:
    """A frozen volume with some files, and a clone of it to be changed.

    :param files: what the frozen volume was filled with."""

    def __init__(self, bench: Bench, files: dict[str, int]) -> None:
        self.bench = bench
        self.base = bench.new()
        bench.pool.create(self.base, MARK)
        tree = bench.pool.path(self.base)
        for name, size in files.items():
            (tree / name).parent.mkdir(exist_ok=True)
            (tree / name).write_bytes(os.urandom(size))
        bench.pool.freeze(self.base)
        self.first = self.volume = bench.cloned(self.base)

    @property
    def tree(self) -> Path:
        return self.bench.pool.path(self.volume)

    @property
    def old(self) -> Path:
        return self.bench.pool.path(self.base)

    def descend(self) -> None:
        """Go on in a clone of a snapshot of the clone."""
        snapshot = self.bench.new()
        self.bench.pool.snapshot(self.volume, snapshot, MARK)
        self.volume = self.bench.cloned(snapshot)

    def write(self, name: str, position: int, data: bytes) -> None:
        with open(self.tree / name, "r+b", buffering=0) as file:
            file.seek(position)
            file.write(data)

    def changed(self, wanted: Callable[[str], bool] = lambda path: True) -> dict[str, set[int]]:
        """Numbers of the 512-byte pieces of each file that the driver reports."""
        pool = self.bench.pool
        assert isinstance(pool, ReportsChangedBlocks)
        found: dict[str, set[int]] = {}
        for item in pool.changed(Descent(self.volume, self.first, self.base), wanted):
            pieces = range(item.start // 512, -(-(item.start + item.length) // 512))
            found.setdefault(str(item.path), set()).update(pieces)
        return found

    def different(self) -> dict[str, set[int]]:
        """The same, by reading everything: bytes of the volume that its ancestor has otherwise."""
        found = {}
        for path in files(self.tree):
            new = (self.tree / path).read_bytes()
            old = (self.old / path).read_bytes() if (self.old / path).is_file() else b""
            old = old[: len(new)]
            pieces = {
                number for number in range(-(-len(new) // 512))
                if new[number * 512 : number * 512 + 512] != old[number * 512 : number * 512 + 512]
            }  # fmt: skip
            if pieces:
                found[path] = pieces
        return found

    def check(self) -> dict[str, set[int]]:
        """Nothing that differs is missing from what is reported, which is returned."""
        found = self.changed()
        for path, pieces in self.different().items():
            missing = pieces - found.get(path, set())
            assert not missing, f"{path}: bytes {min(missing) * 512}.. differ and are not reported"
        return found


def files(tree: Path) -> Iterator[str]:
    for folder, _, names in os.walk(tree):
        for name in names:
            yield str((Path(folder) / name).relative_to(tree))


@pytest.fixture
def pair(bench: Bench) -> Pair:
    if not isinstance(bench.pool, ReportsChangedBlocks):
        pytest.skip(f"{bench.kind.driver} cannot tell what has changed")
    return Pair(bench, {"base/1": 4 * MIB, "base/2": 64 * PAGE, "small": 100, "other/3": PAGE})


def test_a_fresh_clone_has_changed_nothing(pair: Pair) -> None:
    assert not any(len(pieces) for path, pieces in pair.changed().items() if path != "small")


def test_a_small_change_is_reported_and_little_else(pair: Pair) -> None:
    """And from the page cache: nobody has synced."""
    pair.write("base/1", 2 * MIB + 5, b"x")
    found = pair.check()
    assert len(found["base/1"]) * 512 <= RECORD
    assert (2 * MIB + 5) // 512 in found["base/1"]
    assert "base/2" not in found


def test_scattered_pages_stay_scattered(pair: Pair) -> None:
    for page in range(0, 512, 64):
        pair.write("base/1", page * PAGE, os.urandom(PAGE))
    found = pair.check()
    assert len(found["base/1"]) * 512 <= 8 * RECORD
    assert len(found["base/1"]) * 512 < 4 * MIB


def test_the_same_bytes_again(pair: Pair) -> None:
    pair.write("base/2", 0, (pair.old / "base/2").read_bytes()[:PAGE])
    pair.check()


@pytest.mark.parametrize("size", [0, 1, PAGE, 17 * PAGE, 17 * PAGE + 5000, 63 * PAGE + 1])
def test_a_truncated_file(pair: Pair, size: int) -> None:
    os.truncate(pair.tree / "base/2", size)
    pair.check()


def test_truncated_and_grown_again_with_zeros(pair: Pair) -> None:
    """What was there is a hole now, on disk nothing at all."""
    os.truncate(pair.tree / "base/2", 10 * PAGE)
    os.truncate(pair.tree / "base/2", 64 * PAGE)
    assert "base/2" in pair.check()


@pytest.mark.parametrize("extra", [1, PAGE, 3 * MIB])
def test_a_longer_file(pair: Pair, extra: int) -> None:
    with open(pair.tree / "base/2", "ab") as file:
        file.write(os.urandom(extra))
    found = pair.check()
    assert len(found["base/2"]) * 512 <= extra + 2 * RECORD


def test_a_longer_file_by_a_hole_and_by_allocation(pair: Pair) -> None:
    os.truncate(pair.tree / "base/2", 200 * PAGE)
    with open(pair.tree / "other/3", "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, 40 * PAGE)
    pair.write("other/3", 30 * PAGE, b"in the middle")
    pair.check()


def test_a_punched_hole(pair: Pair) -> None:
    command("fallocate", "--punch-hole", "--offset", str(MIB), "--length", str(5 * PAGE),
            pair.tree / "base/1")  # fmt: skip
    found = pair.check()
    assert len(found["base/1"]) * 512 <= 5 * PAGE + 2 * RECORD


def test_a_sparse_file_of_the_ancestor(bench: Bench) -> None:
    pair = Pair(bench, {"sparse": 2 * PAGE})
    base = bench.new()
    bench.pool.create(base, MARK)
    with open(bench.pool.path(base) / "sparse", "wb") as file:
        for page in (0, 50, 300):
            file.seek(page * PAGE)
            file.write(os.urandom(PAGE))
        file.truncate(400 * PAGE)
    bench.pool.freeze(base)
    pair.base, pair.first = base, bench.cloned(base)
    pair.volume = pair.first
    pair.write("sparse", 200 * PAGE, os.urandom(PAGE))
    found = pair.check()
    # Too much is allowed where there is nothing, but not where there was data.
    assert not found["sparse"] & set(range(300 * PAGE // 512, 301 * PAGE // 512))


def test_removed_and_made_again(pair: Pair) -> None:
    content = (pair.tree / "base/2").read_bytes()
    (pair.tree / "base/2").unlink()
    (pair.tree / "base/2").write_bytes(content[:-PAGE] + os.urandom(PAGE))
    pair.check()


def test_a_file_renamed_over_another(pair: Pair) -> None:
    """Not one byte was written; by their names both files are others now."""
    (pair.tree / "base/1").rename(pair.tree / "base/9")
    (pair.tree / "base/2").rename(pair.tree / "base/1")
    (pair.tree / "other/3").rename(pair.tree / "base/2")
    found = pair.check()
    assert {"base/1", "base/2", "base/9"} <= found.keys()


def test_a_directory_renamed(pair: Pair) -> None:
    (pair.tree / "other").rename(pair.tree / "base/further")
    assert "base/further/3" in pair.check()


def test_a_new_file_that_shares_blocks_with_an_old_one(pair: Pair) -> None:
    """As CREATE DATABASE makes it with file_copy_method = clone."""
    if pair.bench.kind.driver == "zfs":
        pytest.skip("not with this cp")
    (pair.tree / "base/2").unlink()
    command("cp", "--reflink=always", pair.tree / "base/1", pair.tree / "base/2")
    assert "base/2" in pair.check()


def test_new_files_and_links(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (pair.tree / "base/new").write_bytes(os.urandom(3 * PAGE))
    (pair.tree / "base/link").symlink_to(tmp_path / "secret")
    (pair.tree / "away").symlink_to(tmp_path)
    (pair.tree / "other/3").unlink()
    (pair.tree / "other").rmdir()
    (pair.tree / "other").symlink_to(pair.old / "other")
    os.mkfifo(pair.tree / "base/fifo")
    found = pair.changed()
    assert found["base/new"] == set(range(3 * PAGE // 512))
    assert not {"base/link", "away/secret", "other/3", "base/fifo"} & found.keys()


def test_only_the_wanted_files(pair: Pair) -> None:
    for name in ("base/1", "base/2", "other/3"):
        pair.write(name, 0, b"x")
    asked = set()

    def wanted(path: str) -> bool:
        asked.add(path)
        return path == "base/2"

    assert pair.changed(wanted).keys() == {"base/2"}
    assert asked == {"base/1", "base/2", "other/3", "small"}


def test_along_snapshots_and_clones(pair: Pair) -> None:
    """Reported is what any of them wrote, since the first of them was made."""
    pair.write("base/1", 0, os.urandom(PAGE))
    pair.descend()
    pair.write("base/1", 2 * MIB, os.urandom(PAGE))
    pair.descend()
    pair.write("base/2", 0, os.urandom(PAGE))
    found = pair.check()
    assert len(found["base/1"]) * 512 <= 2 * RECORD
    assert found.keys() >= {"base/1", "base/2"}


def test_between_a_volume_and_a_nearer_ancestor(pair: Pair) -> None:
    pair.write("base/1", 0, os.urandom(PAGE))
    pair.bench.pool.freeze(pair.volume)
    pair.base, pair.volume = pair.volume, pair.bench.cloned(pair.volume)
    pair.first = pair.volume
    assert "base/1" not in pair.check()
    pair.write("base/1", 3 * MIB, os.urandom(PAGE))
    assert set(range(16)).isdisjoint(pair.check()["base/1"])


def test_siblings_do_not_see_each_other(pair: Pair) -> None:
    sibling = pair.bench.cloned(pair.base)
    pair.write("base/1", 0, os.urandom(PAGE))
    pair.first = pair.volume = sibling
    assert "base/1" not in pair.check()


def test_a_frozen_volume_can_be_asked_about(pair: Pair) -> None:
    pair.write("base/1", PAGE, os.urandom(PAGE))
    pair.bench.pool.freeze(pair.volume)
    assert "base/1" in pair.check()


def test_an_ancestor_that_is_gone_is_an_error(pair: Pair) -> None:
    pair.base = VolumeId("ghost")
    with pytest.raises(StorageError, match="ghost"):
        pair.changed()


def test_searching_leaves_nothing_behind(pair: Pair) -> None:
    before = pair.bench.listed()
    pair.write("base/1", 0, b"x")
    pair.changed()
    assert pair.bench.listed() == before
    assert pair.bench.staged() == []
    pair.bench.pool.destroy(pair.volume)


_steps = itertools.count()


@pytest.mark.parametrize("seed", range(6))
def test_random_work(pair: Pair, seed: int) -> None:
    """Files that grow, shrink, go and come, in several generations."""
    seeded = random.Random(seed)
    for _ in range(seeded.randrange(3, 25)):
        names = sorted(name for name in files(pair.tree) if name != "small")
        name = seeded.choice(names or ["base/1"])
        size = (pair.tree / name).stat().st_size if names else 0
        place = seeded.randrange(size + 1)
        action = seeded.choice("wwwwwwtgprcsdn")
        if action == "w" and names:
            pair.write(name, place, os.urandom(seeded.choice([1, 700, PAGE, 5 * PAGE])))
        elif action == "t" and names:
            os.truncate(pair.tree / name, place)
        elif action == "g" and names:
            os.truncate(pair.tree / name, size + seeded.choice([1, PAGE, 30 * PAGE]))
        elif action == "p" and size > PAGE:
            command("fallocate", "--punch-hole", "--offset", str(place), "--length", "20000",
                    pair.tree / name)  # fmt: skip
        elif action == "r" and names:
            (pair.tree / name).rename(pair.tree / seeded.choice(names))
        elif action == "c" and names:
            (pair.tree / name).unlink()
            (pair.tree / name).write_bytes(os.urandom(place))
        elif action == "s":
            os.sync()
        elif action == "d":
            pair.descend()
        elif action == "n":
            (pair.tree / "base" / str(next(_steps))).write_bytes(os.urandom(3 * PAGE))
    pair.check()
