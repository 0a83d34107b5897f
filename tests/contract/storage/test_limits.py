"""A limit on the disk of one volume: real quotas, and a plain refusal where there are none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cowdb.agent.storage import btrfs_quota
from cowdb.agent.storage.btrfs_tree import filesystem_of
from cowdb.agent.storage.protocol import LimitsDisk, VolumeId
from cowdb.errors import LimitsUnavailableError
from tests.contract.storage.fixture import Bench, write
from tests.loopfs import MIB

LIMIT = 16 * MIB
_FULL = {errno.EDQUOT, errno.ENOSPC}
_FULL_TEXT = "|".join(os.strerror(code) for code in _FULL)


def _quotas(bench: Bench) -> LimitsDisk:
    """The pool, with quotas turned on where an administrator would have to."""
    if not isinstance(bench.pool, LimitsDisk):
        pytest.skip(f"the {bench.kind.driver} driver has no quotas")
    if bench.kind.driver == "btrfs" and not btrfs_quota.is_on(filesystem_of(bench.root) or b""):
        assert bench.pool.refuses_limits()
        with pytest.raises(LimitsUnavailableError, match=r"cannot be limited: .*quotas"):
            bench.pool.limit(bench.cloned(bench.filled()), LIMIT)
        if not btrfs_quota.is_simple_known():
            pytest.skip("this kernel has no simple quotas for btrfs")
        fd = os.open(bench.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            btrfs_quota.turn_on(fd)
        finally:
            os.close(fd)
    assert not bench.pool.refuses_limits()
    return bench.pool


def _fills_up_at(path: Path, most: int) -> int:
    """Bytes that could be written and synced before the filesystem refused."""
    written = 0
    with pytest.raises(OSError, match=_FULL_TEXT) as error, open(path, "wb", buffering=0) as file:
        while written <= most:
            written += file.write(os.urandom(256 * 1024))
            os.fsync(file.fileno())
    assert error.value.errno in _FULL
    return written


def test_a_clone_takes_so_much_and_no_more(bench: Bench) -> None:
    """What it shares does not count, what it rewrites does, and no other volume notices."""
    pool = _quotas(bench)
    origin = bench.new()
    bench.pool.create(origin, {"role": "test"})
    write(bench.pool.path(origin) / "shared", 24 * MIB)  # more than the limit
    bench.pool.freeze(origin)
    limited, other = bench.cloned(origin), bench.cloned(origin)
    pool.limit(limited, LIMIT)
    tree = bench.pool.path(limited)
    with open(tree / "shared", "r+b", buffering=0) as file:
        file.write(os.urandom(4 * MIB))
        os.fsync(file.fileno())
    assert LIMIT // 4 < _fills_up_at(tree / "more", 4 * LIMIT) <= LIMIT
    write(bench.pool.path(other) / "more", 2 * LIMIT)
    (tree / "more").unlink()
    bench.eventually(lambda: _writable(tree / "again"))
    bench.pool.destroy(limited)
    assert limited not in bench.listed()


def _writable(path: Path) -> bool:
    try:
        write(path, MIB)
    except OSError as error:
        assert error.errno in _FULL
        return False
    return True


def test_a_full_volume_can_go(bench: Bench) -> None:
    pool = _quotas(bench)
    volume: VolumeId = bench.cloned(bench.filled())
    pool.limit(volume, LIMIT)
    _fills_up_at(bench.pool.path(volume) / "f", 4 * LIMIT)
    bench.pool.destroy(volume)
    assert volume not in bench.listed()


def test_a_driver_without_quotas_has_not_got_the_power(reflink: Bench) -> None:
    assert not isinstance(reflink.pool, LimitsDisk)
