"""No room left: PoolFullError, and nothing of the attempt stays behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cowdb.agent.storage.pools import make_pool, open_pool
from cowdb.agent.storage.protocol import VolumeId
from cowdb.errors import PoolFullError
from tests.contract.storage.fixture import MARK, Bench, record, write
from tests.loopfs import MIB, command


def fill(folder: Path) -> None:
    """Write until not even a small file fits, with large files first."""
    folder.mkdir()
    for size in (16 * MIB, MIB, 64 * 1024, 4096, 1):
        for number in range(20_000):
            try:
                write(folder / f"{size}-{number}", size)
            except OSError as error:
                assert error.errno == errno.ENOSPC
                break
    os.sync()


def test_a_full_pool_says_so_and_keeps_nothing(own_bench: Bench) -> None:
    pool = own_bench.pool
    volume = own_bench.new()
    pool.create(volume, MARK)
    for number in range(1500):  # so that a copy of the tree needs room for its names
        (pool.path(volume) / f"{number:0100}").write_text("x")
    pool.freeze(volume)
    fill(own_bench.mountpoint / "filler")
    for _ in range(3):
        with pytest.raises(PoolFullError, match="full") as caught:
            pool.clone(volume, VolumeId("no-room"), MARK)
        assert isinstance(caught.value.__cause__, OSError)
        assert own_bench.listed() == {volume}
    assert list((own_bench.root / "staging").iterdir()) == []
    pool.destroy(volume)
    assert own_bench.listed() == set()


def test_a_quota_says_so_and_keeps_nothing(own_bench: Bench) -> None:
    if not own_bench.kind.on_btrfs:
        pytest.skip("quotas of a directory are tried on btrfs")
    mountpoint = own_bench.mountpoint
    facts = make_pool(mountpoint / "limited", own_bench.kind.driver)
    pool = open_pool(record(facts.id, facts.driver, facts.path))
    command("btrfs", "quota", "enable", mountpoint)
    command("btrfs", "quota", "rescan", "-w", mountpoint)
    command("btrfs", "qgroup", "limit", "1M", facts.path)
    with pytest.raises(OSError) as refused:
        write(facts.path / "filler", 2 * MIB)
    assert refused.value.errno == errno.EDQUOT
    with pytest.raises(PoolFullError, match="quota") as caught:
        for number in range(2000):
            pool.create(VolumeId(f"v{number}"), {"role": "x" * 4000})
    assert caught.value.__cause__.errno == errno.EDQUOT
    failed = len(pool.list())
    assert [volume.id for volume in pool.list() if not volume.complete] == []
    assert not pool.path(VolumeId(f"v{failed}")).parent.exists()
    command("btrfs", "qgroup", "limit", "none", facts.path)
    pool.create(VolumeId(f"v{failed}"), MARK)
