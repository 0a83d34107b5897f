"""A pool that is not where it was is noticed by every operation, and nothing is written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cowdb.agent.storage.pools import make_pool, open_pool
from cowdb.agent.storage.protocol import Pool, VolumeId
from cowdb.errors import PoolMissingError
from tests.contract.storage.fixture import MARK, Bench, record
from tests.loopfs import command

V = VolumeId("v")
OPERATIONS: dict[str, Callable[[Pool, Path], object]] = {
    "create": lambda pool, _: pool.create(V, MARK),
    "snapshot": lambda pool, _: pool.snapshot(V, VolumeId("w"), MARK),
    "clone": lambda pool, _: pool.clone(V, VolumeId("w"), MARK),
    "freeze": lambda pool, _: pool.freeze(V),
    "destroy": lambda pool, _: pool.destroy(V),
    "list": lambda pool, _: pool.list(),
    "space": lambda pool, _: pool.space(),
    "used_bytes": lambda pool, _: pool.used_bytes(V),
    "enclose": lambda pool, path: pool.enclose([path]),
}


def test_an_unmounted_pool(own_bench: Bench, tmp_path: Path) -> None:
    mountpoint, pool = own_bench.mountpoint, own_bench.pool
    pool.create(V, MARK)
    command("umount", mountpoint)
    for call in OPERATIONS.values():
        with pytest.raises(PoolMissingError, match=str(own_bench.root)):
            call(pool, tmp_path)
    own_bench.root.mkdir()  # also where the directory is there, but nothing in it
    for call in OPERATIONS.values():
        with pytest.raises(PoolMissingError, match=r"\.cowdb-pool is not there"):
            call(pool, tmp_path)
    assert list(mountpoint.rglob("*")) == [own_bench.root]
    own_bench.root.rmdir()


def test_a_pool_that_is_unmounted_is_let_go(own_bench: Bench) -> None:
    own_bench.filled()
    own_bench.pool.list()
    command("umount", own_bench.mountpoint)  # fails where a descriptor was left open


def test_another_pool_in_its_place(bench: Bench, tmp_path: Path) -> None:
    bench.needs_directories()
    bench.filled()
    mark = bench.root / ".cowdb-pool"
    before = mark.read_text()
    mark.write_text(json.dumps({**json.loads(before), "id": "another"}))
    try:
        seen = sorted(bench.root.rglob("*"))
        for call in OPERATIONS.values():
            with pytest.raises(PoolMissingError, match="is another, not"):
                call(bench.pool, tmp_path)
        assert sorted(bench.root.rglob("*")) == seen
    finally:
        mark.write_text(before)


def test_a_record_is_compared_with_what_is_there(bench: Bench, tmp_path: Path) -> None:
    bench.needs_directories()
    facts = make_pool(bench.root)
    with pytest.raises(PoolMissingError, match=f"{facts.id} is there"):
        open_pool(record("expected", facts.driver, bench.root))
    with pytest.raises(PoolMissingError, match="there is none"):
        open_pool(record(facts.id, facts.driver, tmp_path))
    assert open_pool(record(facts.id, facts.driver, bench.root)).driver == bench.kind.driver


def test_unmounted_in_the_middle_writes_nothing_beneath(own_bench: Bench) -> None:
    """The pool goes after it was looked at: a lazy unmount leaves only open descriptors."""
    mountpoint, pool = own_bench.mountpoint, own_bench.pool
    with pool._layout.present() as base:
        command("umount", "--lazy", mountpoint)
        (base / "volumes" / "late").mkdir()
    assert list(mountpoint.iterdir()) == []
    # Let the loop device go before the file is deleted.
    os.sync()
