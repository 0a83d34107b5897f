"""Changed ranges on ZFS where that is more than the shared contract: parts, keys, what is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cowdb.agent.storage import zfs_core
from cowdb.agent.storage.pools import open_pool
from cowdb.agent.storage.protocol import Descent, VolumeId
from cowdb.errors import StorageError
from tests.contract.storage.fixture import MARK, Bench, record
from tests.loopfs import MIB, command, filesystems, zpool_of

pytestmark = pytest.mark.skipif(
    "zfs" not in filesystems(), reason="no ZFS here: hostprep/test zfs runs these in a guest"
)
PAGE = 8192


def names(bench: Bench) -> list[str]:
    zpool = zpool_of(bench.mountpoint)
    return command("zfs", "list", "-H", "-t", "all", "-o", "name", "-r", zpool).split()


def changed(bench: Bench, volume: VolumeId, base: VolumeId) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for item in bench.pool.changed(Descent(volume, volume, base), lambda path: True):
        found.setdefault(str(item.path), []).append((item.start, item.length))
    return found


def write(path: Path, position: int, data: bytes) -> None:
    with open(path, "r+b", buffering=0) as file:
        file.seek(position)
        file.write(data)


def test_several_datasets(zfs: Bench) -> None:
    zpool, root = zpool_of(zfs.mountpoint), zfs.mountpoint / "many"
    command("zfs", "create", "-o", "recordsize=8k", f"{zpool}/many")
    command("zfs", "create", "-o", f"mountpoint={root / 'inner'}", f"{zpool}/further")
    (root / "f").write_bytes(os.urandom(MIB))
    (root / "inner" / "g").write_bytes(os.urandom(MIB))
    base = zfs.new()
    zfs.pool.snapshot(zfs.pool.enclose([root, root / "inner"]), base, MARK)
    branch = zfs.cloned(base)
    tree = zfs.pool.path(branch)
    (inner,) = [path.parent for path in tree.rglob("g")]
    (outer,) = [path.parent for path in tree.rglob("f")]
    before = names(zfs)
    write(inner / "g", 5 * PAGE, os.urandom(10))
    found = changed(zfs, branch, base)
    inside = str((inner / "g").relative_to(tree))
    assert [path for path, ranges in found.items() if ranges] == [inside]
    assert all(start <= 5 * PAGE < start + length for start, length in found[inside])
    write(outer / "f", 0, os.urandom(10))
    assert str((outer / "f").relative_to(tree)) in changed(zfs, branch, base)
    assert names(zfs) == before
    for volume in (branch, base):
        zfs.pool.destroy(volume)
    command("zfs", "destroy", f"{zpool}/further")
    command("zfs", "destroy", f"{zpool}/many")


def test_an_encrypted_source(zfs: Bench) -> None:
    zpool, root = zpool_of(zfs.mountpoint), zfs.mountpoint / "secret"
    key = zfs.mountpoint / "key"
    key.write_bytes(os.urandom(32))
    command("zfs", "create", "-o", "encryption=on", "-o", "keyformat=raw", "-o",
            f"keylocation=file://{key}", f"{zpool}/secret")  # fmt: skip
    (root / "f").write_bytes(os.urandom(MIB))
    base = zfs.new()
    zfs.pool.snapshot(zfs.pool.enclose([root]), base, MARK)
    branch = zfs.cloned(base)
    (file,) = zfs.pool.path(branch).rglob("f")
    write(file, MIB // 2, b"x")
    ((start, length),) = changed(zfs, branch, base)["f"]
    assert start <= MIB // 2 < start + length <= start + 128 * 1024
    for volume in (branch, base):
        zfs.pool.destroy(volume)
    command("zfs", "destroy", f"{zpool}/secret")


@pytest.mark.parametrize(
    "content", [b"\0" * PAGE, b"a" * PAGE, os.urandom(PAGE)], ids=["zeros", "tiny", "random"]
)
def test_blocks_that_compress_to_nothing_or_into_their_pointer(zfs: Bench, content: bytes) -> None:
    base = zfs.new()
    zfs.pool.create(base, MARK)
    (zfs.pool.path(base) / "f").write_bytes(os.urandom(MIB))
    zfs.pool.freeze(base)
    branch = zfs.cloned(base)
    write(zfs.pool.path(branch) / "f", 0, content * 4)
    assert any((start == 0 and length >= 4 * PAGE) or start == 0
               for start, length in changed(zfs, branch, base)["f"])  # fmt: skip
    covered = {page for start, length in changed(zfs, branch, base)["f"]
               for page in range(start // PAGE, -(-(start + length) // PAGE))}  # fmt: skip
    assert set(range(4)) <= covered <= set(range(16))


def test_large_records(zfs: Bench) -> None:
    base = zfs.new()
    zfs.pool.create(base, MARK)
    command("zfs", "set", "recordsize=1M", f"{zfs.pool.dataset}/{base}")
    (zfs.pool.path(base) / "f").write_bytes(os.urandom(8 * MIB))
    zfs.pool.freeze(base)
    branch = zfs.cloned(base)
    write(zfs.pool.path(branch) / "f", 5 * MIB + 7, b"x")
    assert changed(zfs, branch, base)["f"] == [(5 * MIB, MIB)]


def test_no_descent_is_an_error_and_leaves_nothing(zfs: Bench) -> None:
    one, other = zfs.filled(), zfs.filled()
    branch = zfs.cloned(one)
    before = names(zfs)
    with pytest.raises(StorageError, match="cannot be sent"):
        changed(zfs, branch, other)
    assert names(zfs) == before


KILLED = """
import os, sys
from cowdb.agent.storage import zfs_core
names = sys.argv[2:]
properties = {"cowdb:passing": names[0].partition("@")[2]}
if sys.argv[1] == "early":
    zfs_core.snapshot(names, properties)
else:
    zfs_core.passing_snapshots(names, properties).__enter__()
os.kill(os.getpid(), 9)
"""


def die(when: str, *snapshots: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, when, *snapshots], check=False)
    assert done.returncode == -9


def test_a_search_that_is_killed_leaves_no_snapshot(zfs: Bench) -> None:
    branch = zfs.cloned(zfs.filled())
    before = names(zfs)
    die("late", f"{zfs.pool.dataset}/{branch}@passing-1")
    zfs.eventually(lambda: names(zfs) == before)


def test_one_killed_too_early_for_that_is_cleaned_up(zfs: Bench) -> None:
    branch = zfs.cloned(zfs.filled())
    left = f"{zfs.pool.dataset}/{branch}@passing-2"
    before = names(zfs)
    die("early", left)
    assert left in names(zfs)
    assert branch in zfs.listed()
    spec = Path(f"zfs:{zfs.pool.dataset}")
    open_pool(record(zfs.pool._pool, "zfs", spec))
    assert names(zfs) == before
    die("early", left)
    zfs.pool.destroy(branch)
    assert left not in names(zfs)


def test_somebody_elses_snapshot_of_that_name_stays(zfs: Bench) -> None:
    branch = zfs.cloned(zfs.filled())
    foreign = f"{zfs.pool.dataset}/{branch}@passing-3"
    command("zfs", "snapshot", foreign)
    open_pool(record(zfs.pool._pool, "zfs", Path(f"zfs:{zfs.pool.dataset}")))
    assert foreign in names(zfs)
    zfs_core.destroy_snapshots([foreign])
