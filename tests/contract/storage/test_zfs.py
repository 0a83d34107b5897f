"""What only ZFS can show."""

from __future__ import annotations

import contextlib
import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from cowdb.agent.storage.pools import open_pool
from cowdb.agent.storage.protocol import VolumeId
from cowdb.errors import (
    ConflictError,
    StorageError,
    UnsoundError,
)
from tests.contract.storage.fixture import MARK, Bench, Kind, record
from tests.loopfs import MIB, command, filesystems, mounted, need_filesystem, zpool_of

pytestmark = pytest.mark.skipif(
    "zfs" not in filesystems(), reason="no ZFS here: hostprep/test zfs runs these in a guest"
)
SMALL = Kind("zfs", "zfs", "zfs", 96 * MIB)


def names(bench: Bench) -> set[str]:
    """Everything in the zpool."""
    zpool = zpool_of(bench.mountpoint)
    return set(command("zfs", "list", "-H", "-t", "all", "-o", "name", "-r", zpool).split())


def spec(bench: Bench) -> Path:
    return Path(f"zfs:{bench.pool.dataset}")


@contextlib.contextmanager
def small() -> Iterator[Bench]:
    need_filesystem("zfs")
    with mounted("zfs", SMALL.size) as mountpoint:
        pool = SMALL.pool(mountpoint)
        yield Bench(SMALL, mountpoint, pool, pool.root)


# --- several datasets ----------------------------------------------------------------------------


@pytest.fixture
def spread(zfs: Bench) -> Iterator[tuple[Path, Path, Path]]:
    """A data directory with a dataset mounted inside it, and a directory on a third dataset."""
    zpool, root = zpool_of(zfs.mountpoint), zfs.mountpoint / "srv"
    command("zfs", "create", "-o", "recordsize=8k", "-o", "compression=off", f"{zpool}/srv")
    for name in ("srv/data", "srv/space"):
        command("zfs", "create", f"{zpool}/{name}")
    data, wal, space = root / "data" / "15", root / "data" / "15" / "pg_wal", root / "space" / "one"
    wal.mkdir(parents=True)
    space.mkdir()
    command("zfs", "create", "-o", f"mountpoint={wal}", f"{zpool}/srv/wal")
    yield data, wal, space
    for name in ("srv/wal", "srv/data", "srv/space", "srv"):
        command("zfs", "destroy", f"{zpool}/{name}")


def test_several_datasets_are_one_instant_and_one_volume(
    zfs: Bench, spread: tuple[Path, Path, Path]
) -> None:
    data, wal, space = spread
    zpool, pool = zpool_of(zfs.mountpoint), zfs.pool
    # One process writes the same number to all three, in this order, for ever.
    places = [str(path / "n") for path in (wal, space, data)]
    code = (
        "import sys\nfiles = [open(name, 'r+b' , 0) for name in sys.argv[1:]]\nn = 0\n"
        "while True:\n n += 1\n for f in files: f.seek(0); f.write(b'%12d' % n)\n"
    )
    for name in places:
        Path(name).write_bytes(b"%12d" % 0)
    writer = subprocess.Popen([sys.executable, "-c", code, *places])
    try:
        enclosure = pool.enclose([data, space])
        pool.snapshot(enclosure, VolumeId("sn-1"), {"role": "snapshot"})
    finally:
        writer.kill()
        writer.wait()
    inside = [part.inside for part in enclosure.parts]
    assert inside == [PurePosixPath("part0/15"), PurePosixPath("part1/one")]
    tree = pool.path(VolumeId("sn-1"))
    seen = [tree / inside[0] / "pg_wal" / "n", tree / inside[1] / "n", tree / inside[0] / "n"]
    numbers = [int(path.read_text()) for path in seen]
    assert sorted(numbers, reverse=True) == numbers, "a prefix of all writes"
    assert numbers[0] - numbers[2] <= 1
    made = {name for name in names(zfs) if name.endswith("@cowdb-sn-1")}
    assert made == {f"{zpool}/srv/{name}@cowdb-sn-1" for name in ("data", "space", "wal")}
    with pytest.raises(OSError) as caught:
        seen[0].write_text("x")
    assert caught.value.errno == errno.EROFS

    pool.clone(VolumeId("sn-1"), VolumeId("br-1"), MARK)
    branch = pool.path(VolumeId("br-1"))
    for path, number in zip(seen, numbers, strict=True):
        copy = branch / path.relative_to(tree)
        assert int(copy.read_text()) == number
        copy.write_text("branch")
    shown = command(
        "zfs", "get", "-H", "-o", "value", "recordsize,compression", f"{pool.dataset}/br-1/part0"
    )
    assert shown.split() == ["8K", "off"], "as in the dataset that it comes from"

    pool.snapshot(VolumeId("br-1"), VolumeId("sn-2"), MARK)  # of a branch, likewise all at once
    pool.freeze(VolumeId("br-1"))
    pool.clone(VolumeId("br-1"), VolumeId("br-2"), MARK)
    pool.clone(VolumeId("sn-2"), VolumeId("br-3"), MARK)
    for name in ("br-2", "br-3"):
        assert (pool.path(VolumeId(name)) / inside[0] / "pg_wal" / "n").read_text() == "branch"
    assert all(volume.complete for volume in pool.list())
    for name in ("sn-1", "br-1", "sn-2"):
        with pytest.raises(ConflictError, match="come from it"):
            pool.destroy(VolumeId(name))
    for name in ("br-3", "sn-2", "br-2", "br-1", "sn-1"):
        pool.destroy(VolumeId(name))
    assert zfs.listed() == set()
    assert not any("@" in name for name in names(zfs))
    assert list(zfs.root.iterdir()) == []


def test_one_dataset_of_somebody_else(zfs: Bench) -> None:
    zpool, origin = zpool_of(zfs.mountpoint), zfs.mountpoint / "other"
    command("zfs", "create", f"{zpool}/other")
    (origin / "data").mkdir()
    (origin / "data" / "f").write_text("one")
    enclosure = zfs.pool.enclose([origin / "data"])
    zfs.pool.snapshot(enclosure, VolumeId("sn"), MARK)
    command("zfs", "unmount", f"{zpool}/other")  # what we have does not depend on that
    zfs.pool.clone(VolumeId("sn"), VolumeId("br"), MARK)
    for name in ("sn", "br"):
        assert (zfs.pool.path(VolumeId(name)) / "data" / "f").read_text() == "one"
    command("zfs", "mount", f"{zpool}/other")
    refused = subprocess.run(["zfs", "destroy", "-r", f"{zpool}/other"], capture_output=True)
    assert refused.returncode != 0
    assert zfs.listed() == {"sn", "br"}
    zfs.pool.destroy(VolumeId("br"))
    zfs.pool.destroy(VolumeId("sn"))
    command("zfs", "destroy", f"{zpool}/other")  # fails if we left a snapshot on it


def test_datasets_of_two_zpools_are_refused(zfs: Bench, tmp_path: Path) -> None:
    first = zfs.kind.origin(zfs.mountpoint)
    with small() as other:
        second = other.kind.origin(other.mountpoint)
        with pytest.raises(UnsoundError, match=f"{second} lies outside the zpool"):
            zfs.pool.enclose([first, second])
        with pytest.raises(StorageError, match="not on the filesystem of the pool"):
            zfs.pool.enclose([second])


# --- the marks, what depends, holds --------------------------------------------------------------


def test_the_pool_describes_itself(zfs: Bench) -> None:
    """Nothing but the disk is asked by a driver that was just made."""
    mark = {"role": "branch", "name": "tab\tnewline\nquote\"'ü", "snapshot": "sn"}
    zfs.pool.create(VolumeId("so"), {"role": "source", "name": "main"})
    zfs.pool.snapshot(VolumeId("so"), VolumeId("sn"), {"role": "snapshot", "name": "main@x"})
    zfs.pool.clone(VolumeId("sn"), VolumeId("br"), mark)
    again = open_pool(record(zfs.pool._pool, "zfs", spec(zfs)))
    seen = {volume.id: volume for volume in again.list()}
    assert seen["br"].mark == mark
    assert seen["sn"].mark["name"] == "main@x"
    assert [seen[name].frozen for name in ("br", "sn", "so")] == [False, True, False]
    assert again.path(VolumeId("sn")) == zfs.root / "so" / ".zfs" / "snapshot" / "sn"
    assert again.path(VolumeId("br")) == zfs.root / "br"
    # Marks are inherited by what somebody else makes there: that does not make it ours.
    command("zfs", "create", f"{zfs.pool.dataset}/stranger")
    command("zfs", "snapshot", f"{zfs.pool.dataset}/br@theirs")
    assert {volume.id for volume in again.list()} == {"so", "sn", "br"}
    with pytest.raises(StorageError, match="does not carry the mark"):
        again.destroy(VolumeId("stranger"))
    with pytest.raises(ConflictError, match="br@theirs is not cowdb's"):
        again.destroy(VolumeId("br"))
    with pytest.raises(ConflictError, match="sn come from it"):
        again.destroy(VolumeId("so"))
    assert zfs.listed() == {"so", "sn", "br"}
    assert (again.path(VolumeId("br"))).is_mount()
    command("zfs", "destroy", f"{zfs.pool.dataset}/br@theirs")
    command("zfs", "destroy", f"{zfs.pool.dataset}/stranger")


def test_holds_name_the_branches(zfs: Bench) -> None:
    snapshot = zfs.filled()
    branch, second = zfs.cloned(snapshot), zfs.cloned(snapshot)
    gone = zfs.cloned(snapshot)
    zfs.pool.destroy(gone)
    source = f"{zfs.pool.dataset}/{snapshot}@frozen-{snapshot}"
    shown = command("zfs", "holds", "-H", source).split("\n")
    assert sorted(line.split("\t")[1] for line in shown if line) == [
        f"cowdb:{name}" for name in sorted((branch, second))
    ]
    # ZFS takes the clones when somebody insists, but not what cowdb holds for them.
    refused = subprocess.run(["zfs", "destroy", "-R", source], capture_output=True, text=True)
    assert "busy" in refused.stderr
    assert zfs.listed() == {snapshot}
    zfs.pool.destroy(snapshot)  # by now its holds are those of volumes that are no more
    assert zfs.listed() == set()


def test_a_strangers_hold_is_respected(zfs: Bench) -> None:
    snapshot = zfs.filled()
    source = f"{zfs.pool.dataset}/{snapshot}@frozen-{snapshot}"
    command("zfs", "hold", "backup", source)
    with pytest.raises(ConflictError, match="is held") as caught:
        zfs.pool.destroy(snapshot)
    assert "zfs holds" in caught.value.hint
    assert zfs.cloned(snapshot) in zfs.listed()
    command("zfs", "release", "backup", source)


def test_a_busy_dataset_says_so_and_stays(zfs: Bench) -> None:
    branch = zfs.cloned(zfs.filled())
    with open(zfs.pool.path(branch) / "f"):
        with pytest.raises(StorageError, match="dataset is busy") as caught:
            zfs.pool.destroy(branch)
        assert "fuser" in caught.value.hint
        assert branch in zfs.listed()
    zfs.pool.destroy(branch)
    assert branch not in zfs.listed()


def test_what_was_interrupted_is_incomplete_and_goes(zfs: Bench) -> None:
    dataset = zfs.pool.dataset
    frozen = zfs.filled()
    half = zfs.cloned(frozen)
    command("zfs", "set", "readonly=on", f"{dataset}/{half}")  # a freeze that did not come through
    parts = 'cowdb:parts=[["part0", "x/y@z"], ["part1", "x/z@z"]]'
    command(
        "zfs", "create", "-o", "cowdb:volume=set", "-o", "cowdb:set=set", "-o", parts,
        f"{dataset}/set",
    )  # fmt: skip
    seen = {volume.id: volume.complete for volume in zfs.pool.list()}
    assert seen == {frozen: True, half: False, "set": False}
    for name in ("set", half):
        zfs.pool.destroy(VolumeId(name))
    assert zfs.listed() == {frozen}


# --- encryption ----------------------------------------------------------------------------------


def test_an_encrypted_source(zfs: Bench, tmp_path: Path) -> None:
    zpool, key = zpool_of(zfs.mountpoint), tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    command(
        "zfs", "create", "-o", "encryption=on", "-o", "keyformat=raw",
        "-o", f"keylocation=file://{key}", f"{zpool}/secret",
    )  # fmt: skip
    data = zfs.mountpoint / "secret" / "data"
    data.mkdir()
    (data / "f").write_text("one")
    zfs.pool.snapshot(zfs.pool.enclose([data]), VolumeId("sn"), MARK)
    zfs.pool.clone(VolumeId("sn"), VolumeId("br"), MARK)
    (zfs.pool.path(VolumeId("br")) / "data" / "f").write_text("branch")
    root = command("zfs", "get", "-H", "-o", "value", "encryptionroot", f"{zfs.pool.dataset}/br")
    assert root.strip() == f"{zpool}/secret"
    zfs.pool.destroy(VolumeId("br"))
    for name in (f"{zfs.pool.dataset}/sn/part0", f"{zpool}/secret"):
        command("zfs", "unmount", name)
    command("zfs", "unload-key", f"{zpool}/secret")
    with pytest.raises(StorageError, match="encryption key is not loaded") as caught:
        zfs.pool.clone(VolumeId("sn"), VolumeId("br"), MARK)
    assert "zfs load-key" in caught.value.hint
    assert zfs.listed() == {"sn"}
    again = open_pool(record(zfs.pool._pool, "zfs", spec(zfs)))
    assert {volume.id for volume in again.list()} == {"sn"}, "the others need not wait for the key"
    zfs.pool.destroy(VolumeId("sn"))
    command("zfs", "destroy", f"{zpool}/secret")
