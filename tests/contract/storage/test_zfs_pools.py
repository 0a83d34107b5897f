"""ZFS's answers to what test_full, test_missing and test_pools ask of directories."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cowdb.agent.storage.pools import make_pool, open_pool, remove_pool
from cowdb.agent.storage.protocol import VolumeId
from cowdb.errors import (
    InvalidError,
    PoolFullError,
    PoolMissingError,
    StorageError,
)
from tests.contract.storage.fixture import MARK, Bench, record, write
from tests.contract.storage.test_missing import OPERATIONS
from tests.contract.storage.test_zfs import names, small, spec
from tests.loopfs import MIB, command, filesystems, zpool_of

pytestmark = pytest.mark.skipif(
    "zfs" not in filesystems(), reason="no ZFS here: hostprep/test zfs runs these in a guest"
)


def test_a_pool_at_100_percent() -> None:
    with small() as bench:
        pool, snapshot = bench.pool, bench.filled()
        filler = f"{zpool_of(bench.mountpoint)}/filler"
        command("zfs", "create", "-o", "compression=off", filler)
        with pytest.raises(OSError) as caught, open(bench.mountpoint / "filler" / "f", "wb") as to:
            for _ in range(200):
                to.write(bytes(MIB))
        assert caught.value.errno == errno.ENOSPC
        command("zpool", "sync", zpool_of(bench.mountpoint))
        for call in (
            lambda: pool.clone(snapshot, VolumeId("no-room"), MARK),
            lambda: pool.create(VolumeId("no-room"), MARK),
        ):
            with pytest.raises(PoolFullError, match="the pool is full") as full:
                call()
            assert full.value.__cause__ is not None
            assert bench.listed() == {snapshot}
        assert pool.space().free < 2 * MIB
        assert not (bench.root / "no-room").exists()
        pool.destroy(snapshot)
        assert bench.listed() == set()


def test_a_quota_reached(zfs: Bench) -> None:
    pool, snapshot = zfs.pool, zfs.filled()
    branch = zfs.cloned(snapshot)
    command("zfs", "set", "quota=2M", pool.dataset)
    assert 0 < pool.space().free < 2 * MIB
    with pytest.raises(OSError) as caught:
        write(pool.path(branch) / "big", 3 * MIB)
    assert caught.value.errno == errno.EDQUOT
    command("zpool", "sync", zpool_of(zfs.mountpoint))
    assert pool.space().free < MIB
    pool.destroy(branch)  # room is made while there is none
    assert zfs.listed() == {snapshot}
    command("zfs", "set", "quota=none", pool.dataset)


def test_an_exported_or_unmounted_pool(tmp_path: Path) -> None:
    with small() as bench:
        zpool, dataset, pool_id = zpool_of(bench.mountpoint), bench.pool.dataset, bench.pool._pool
        bench.pool.create(VolumeId("v"), MARK)
        (bench.pool.path(VolumeId("v")) / "f").write_text("kept")
        command("zpool", "export", zpool)
        for call in OPERATIONS.values():
            with pytest.raises(PoolMissingError, match=str(bench.root)):
                call(bench.pool, tmp_path)
        with pytest.raises(PoolMissingError, match="there is none"):
            open_pool(record(pool_id, "zfs", spec(bench)))
        command("zpool", "import", "-N", "-d", bench.mountpoint.parent, zpool)
        with pytest.raises(PoolMissingError, match="is not mounted"):
            bench.pool.list()
        again = open_pool(record(pool_id, "zfs", spec(bench)))  # mounts what is its own
        assert (again.path(VolumeId("v")) / "f").read_text() == "kept"
        with pytest.raises(PoolMissingError, match=f"{pool_id} is there"):
            open_pool(record("another", "zfs", spec(bench)))
        command("zfs", "set", "cowdb:pool=another", dataset)
        with pytest.raises(PoolMissingError, match="is another, not"):
            bench.pool.list()
        command("zfs", "set", "cowdb:format=2", f"cowdb:pool={pool_id}", dataset)
        with pytest.raises(StorageError, match="has format 2"):
            bench.pool.list()


def test_pools_made_found_and_removed(zfs: Bench) -> None:
    zpool, mountpoint = zpool_of(zfs.mountpoint), zfs.mountpoint
    facts = make_pool(spec(zfs))
    assert (facts.id, facts.driver, facts.shares_blocks) == (zfs.pool._pool, "zfs", True)
    shown = command("zfs", "get", "-H", "-o", "value", "recordsize,atime,setuid", zfs.pool.dataset)
    assert shown.split() == ["16K", "off", "off"]
    for path in ("zfs:tank", "zfs:a b/c", "zfs:/x/y", "zfs:x/y@z"):
        with pytest.raises(InvalidError, match="is not zfs:POOL/DATASET"):
            make_pool(Path(path))
    with pytest.raises(InvalidError, match="does not fit"):
        make_pool(mountpoint / "x", "zfs")
    with pytest.raises(PoolMissingError, match="no zpool 'nowhere'"):
        make_pool(Path("zfs:nowhere/cowdb"))
    command("zfs", "create", "-o", "mountpoint=none", f"{zpool}/none")
    with pytest.raises(StorageError, match="has the mountpoint 'none'"):
        make_pool(Path(f"zfs:{zpool}/none/cowdb"))
    command("zfs", "create", "-o", "recordsize=64k", f"{zpool}/theirs")
    (mountpoint / "theirs" / "f").write_text("f")
    with pytest.raises(StorageError, match="is not empty"):
        make_pool(Path(f"zfs:{zpool}/theirs"))
    (mountpoint / "theirs" / "f").unlink()
    theirs = make_pool(Path(f"zfs:{zpool}/theirs"))
    properties = ("zfs", "get", "-H", "-o", "value", "recordsize,cowdb:pool", f"{zpool}/theirs")
    assert command(*properties).split() == ["64K", theirs.id], "what is theirs is left alone"
    ours = make_pool(Path(f"zfs:{zpool}/deep/ours"))
    open_pool(record(ours.id, "zfs", ours.path)).create(VolumeId("v"), MARK)
    with pytest.raises(StorageError, match="ours/v is still there"):
        remove_pool(ours.path, ours.id)
    open_pool(record(ours.id, "zfs", ours.path)).destroy(VolumeId("v"))
    for pool in (ours, theirs, ours):
        remove_pool(pool.path, pool.id)
    assert command(*properties).split() == ["64K", "-"]
    assert f"{zpool}/deep/ours" not in names(zfs)
    for name in ("deep", "theirs", "none"):
        command("zfs", "destroy", f"{zpool}/{name}")


def test_the_wrong_pyzfs_is_refused(tmp_path: Path) -> None:
    """A module that is imported and fails in the call, as PyPI's 0.2.3 does."""
    fake = tmp_path / "libzfs_core"
    fake.mkdir()
    (fake / "exceptions.py").write_text("class HoldFailure(Exception): errno = 2\n")
    (fake / "__init__.py").write_text(
        "from . import exceptions\ndef lzc_hold(holds): return holds.iteritems()\n"
    )
    code = (
        "from cowdb.agent.storage import zfs_core\nfrom cowdb.errors import StorageError\n"
        "try: zfs_core.check()\nexcept StorageError as error: print(error, error.hint)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', Path.cwd())}"},
    )  # fmt: skip
    assert "is broken" in done.stdout, done.stderr
    assert "python3-pyzfs" in done.stdout
