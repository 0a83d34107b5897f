"""Each driver's filesystem is made once for the session; each test has a pool of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cowdb.errors import ConflictError
from tests.contract.storage.fixture import KINDS, Bench, Kind
from tests.loopfs import MIB, mounted

Filesystems = Callable[[Kind], Path]
ZFS = [kind for kind in KINDS if kind.driver == "zfs"]
BTRFS = [kind for kind in KINDS if kind.driver == "btrfs"]
REFLINK = [kind for kind in KINDS if kind.driver == "reflink"]


@pytest.fixture(scope="session")
def filesystems() -> Iterator[Filesystems]:
    """Where a kind's filesystem is mounted; made when first asked for."""
    made: dict[str, Path] = {}
    with contextlib.ExitStack() as stack:

        def mountpoint(kind: Kind) -> Path:
            if kind.name not in made:
                made[kind.name] = stack.enter_context(mounted(kind.filesystem, kind.size))
            return made[kind.name]

        yield mountpoint


@contextlib.contextmanager
def fresh(kind: Kind, mountpoint: Path) -> Iterator[Bench]:
    pool = kind.pool(mountpoint)
    yield Bench(kind, mountpoint, pool, pool.root)
    # Where clones depend on their origins the last that was made goes first.
    while left := sorted(pool.list(), key=lambda volume: (len(volume.id), volume.id), reverse=True):
        for volume in left:
            with contextlib.suppress(ConflictError):
                pool.destroy(volume.id)
        assert len(pool.list()) < len(left)


@pytest.fixture(scope="session", params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture
def bench(kind: Kind, filesystems: Filesystems) -> Iterator[Bench]:
    with fresh(kind, filesystems(kind)) as made:
        yield made


@pytest.fixture(params=BTRFS, ids=lambda kind: kind.name)
def btrfs(request: pytest.FixtureRequest, filesystems: Filesystems) -> Iterator[Bench]:
    with fresh(request.param, filesystems(request.param)) as made:
        yield made


@pytest.fixture(params=REFLINK, ids=lambda kind: kind.name)
def reflink(request: pytest.FixtureRequest, filesystems: Filesystems) -> Iterator[Bench]:
    with fresh(request.param, filesystems(request.param)) as made:
        yield made


@pytest.fixture(params=ZFS, ids=lambda kind: kind.name)
def zfs(request: pytest.FixtureRequest, filesystems: Filesystems) -> Iterator[Bench]:
    with fresh(request.param, filesystems(request.param)) as made:
        yield made


@pytest.fixture
def own_bench(kind: Kind) -> Iterator[Bench]:
    """A bench on a small filesystem of its own, for tests that fill or unmount it."""
    if kind.filesystem == "zfs":
        pytest.skip("test_zfs_pools.py fills and exports zpools")
    size = 320 * MIB if kind.filesystem == "xfs" else 128 * MIB
    with mounted(kind.filesystem, size, mkfs=kind.mkfs) as mountpoint:
        pool = kind.pool(mountpoint)
        yield Bench(kind, mountpoint, pool, pool.root)
