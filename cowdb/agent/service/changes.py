"""Which blocks of relations differ between two branches, without reading them.

Two clones of one frozen volume share the blocks that neither has written since. A block that is
reported for neither is therefore the same in both, byte by byte, and equal to their ancestor's.
docs/diff.md proves what follows for rows; the conditions that only the host can check are here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cowdb.agent.beneath import Beneath
from cowdb.agent.effects import do
from cowdb.agent.effects.servers import process_of
from cowdb.agent.engines.postgres import binaries, control
from cowdb.agent.host import Attempt
from cowdb.agent.plan import server_of
from cowdb.agent.policy import Caller, require_owner
from cowdb.agent.requests import Changes as Request
from cowdb.agent.service.context import Context, find_branch
from cowdb.agent.steps import Checkpoint
from cowdb.agent.storage.protocol import ReportsChangedBlocks, VolumeId
from cowdb.agent.store import Transaction
from cowdb.agent.system import user_of
from cowdb.model import BranchRecord
from cowdb.wire import ChangesInfo

BLOCK = 8192
SEGMENT = 2**30 // BLOCK  # blocks of one file; _check_ancestor holds both against pg_control
_RELATION = re.compile(r"(base/\d+/\d+)(?:\.(\d+))?")

Ranges = dict[str, list[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Generation:
    """:param volume: of a side. :param since: the volume below the common ancestor."""

    volume: str
    since: str


class NotComparable(Exception):
    """Why blocks say nothing about these two."""


class Changes:
    def __init__(self, context: Context) -> None:
        self._context = context

    def between(self, request: Request, caller: Caller) -> ChangesInfo:
        """Changed block ranges of every relation file in `base`, in either of two branches.

        Call it once the transactions whose snapshots are to be compared have begun: everything
        they see is flushed here and so reported. Without a common ancestor or where a condition
        does not hold, `reason` says so and `relations` is null.
        """
        with self._context.store.transaction() as tx:
            branches = [find_branch(tx, name) for name in (request.first, request.other)]
        for branch in branches:
            require_owner(caller, branch.owner_uid, f"look into branch {branch.name!r}")
        try:
            return {"relations": self._ranges(branches[0], branches[1]), "reason": ""}
        except NotComparable as why:
            return {"relations": None, "reason": str(why)}

    def _ranges(self, first: BranchRecord, other: BranchRecord) -> dict[str, list[list[int]]]:
        pool = self._context.pools.get(first.cluster.pool)
        if first.cluster.pool != other.cluster.pool:
            raise NotComparable("they lie in different pools")
        if not isinstance(pool, ReportsChangedBlocks):
            raise NotComparable(f"the {pool.driver} driver does not report changed blocks")
        with self._context.store.transaction() as tx:
            ancestor, sides = common_ancestor(list(lineage(tx, first)), list(lineage(tx, other)))
        self._check_ancestor(ancestor, first)
        for branch in (first, other):
            self._flush(branch)
        found: Ranges = {}
        for branch, side in zip((first, other), sides, strict=True):
            for item in pool.changed(VolumeId(side.volume), VolumeId(side.since)):
                _add(found, item.path, branch.cluster.data, item.start, item.length)
        trees = [self._datadir(branch) for branch in (first, other)]
        for name, low, high in _beyond_the_end(_sizes(trees[0]), _sizes(trees[1])):
            found.setdefault(name, []).append((low, high))
        return {name: [list(item) for item in joined(ranges)] for name, ranges in found.items()}

    def _datadir(self, branch: BranchRecord) -> Path:
        cluster = branch.cluster
        pool = self._context.pools.get(cluster.pool)
        return pool.path(VolumeId(cluster.volume)) / cluster.data

    def _check_ancestor(self, ancestor: str, branch: BranchRecord) -> None:
        """Its transactions must all be over: one that is still open may end differently in the
        two clones without touching a block."""
        cluster = branch.cluster
        pool = self._context.pools.get(cluster.pool)
        datadir = pool.path(VolumeId(ancestor)) / cluster.data
        tools = binaries.pick(self._context.host.config.bindirs, cluster.version)
        owner = user_of(datadir.stat().st_uid)
        found = control.read_control(datadir, tools, owner)
        if not found.clean:
            raise NotComparable("their common snapshot has not been settled yet")
        if found.layout != (BLOCK, SEGMENT):
            raise NotComparable("their server was built with blocks of another size")
        with Beneath(datadir) as directory:
            if directory.names("pg_twophase"):
                raise NotComparable("their common snapshot holds a prepared transaction")

    def _flush(self, branch: BranchRecord) -> None:
        server = server_of(branch)
        if process_of(server, self._context.host) is None:
            raise NotComparable(f"the server of {branch.name!r} does not run")
        do(Checkpoint(server=server), self._context.host, Attempt())


def lineage(tx: Transaction, branch: BranchRecord) -> Iterator[str]:
    """The volume of a branch and those that it descends from, the nearest first, as far as the
    records know; ends where a parent has been reset since."""
    yield branch.cluster.volume
    base = branch.base
    seen = {branch.snapshot}
    snapshot = tx.snapshots.get(branch.snapshot)
    while snapshot is not None and base:
        yield base
        if base != snapshot.id:
            yield snapshot.id
        parent = tx.branches.get(snapshot.parent)
        if parent is None or parent.cluster.volume != snapshot.origin or parent.id in seen:
            return
        seen.add(parent.id)
        yield parent.cluster.volume
        base, snapshot = parent.base, tx.snapshots.get(parent.snapshot)


def common_ancestor(
    first: list[str], other: list[str]
) -> tuple[str, tuple[Generation, Generation]]:
    """(the nearest frozen volume that both descend from, what each wrote since).

    :raises NotComparable: there is none.
    """
    for place, volume in enumerate(first[1:], 1):
        if volume in other[1:] and not volume.startswith("br-"):
            below = other[other.index(volume) - 1]
            return volume, (
                Generation(first[0], first[place - 1]), Generation(other[0], below),
            )  # fmt: skip
    raise NotComparable("they do not come from one snapshot")


def _add(found: Ranges, path: PurePosixPath, data: str, start: int, length: int) -> None:
    """Note a byte range of a file as blocks of its relation's main fork."""
    if not path.is_relative_to(data):
        return
    match = _RELATION.fullmatch(str(path.relative_to(data)))
    if match is None:
        return
    base = int(match[2] or 0) * SEGMENT
    low, high = start // BLOCK, -(-(start + length) // BLOCK)
    found.setdefault(match[1], []).append((base + low, base + high))


def joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Half-open ranges in order, without overlap or touching neighbours. Pure."""
    result: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if result and low <= result[-1][1]:
            result[-1] = (result[-1][0], max(high, result[-1][1]))
        else:
            result.append((low, high))
    return result


def _sizes(datadir: Path) -> dict[str, int]:
    """Blocks of each relation's main fork."""
    sizes: dict[str, int] = {}
    with Beneath(datadir) as directory, directory.directory("base") as base:
        for folder, _, files, fd in os.fwalk(".", dir_fd=base, follow_symlinks=False):
            for name in files:
                match = _RELATION.fullmatch(f"base/{PurePosixPath(folder, name)}")
                if match is None:
                    continue
                size = os.stat(name, dir_fd=fd, follow_symlinks=False).st_size
                sizes[match[1]] = sizes.get(match[1], 0) + -(-size // BLOCK)
    return sizes


def _beyond_the_end(
    first: Mapping[str, int], other: Mapping[str, int]
) -> Iterator[tuple[str, int, int]]:
    """Blocks that only one side has: what a truncation took is no extent any more."""
    for name in first.keys() | other.keys():
        low, high = sorted((first.get(name, 0), other.get(name, 0)))
        if low != high:
            yield name, low, high
