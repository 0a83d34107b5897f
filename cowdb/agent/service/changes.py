"""Which blocks of relations branches have written, without reading them.

Clones of one frozen volume share the blocks that none of them has written since. A block that is
reported for none is therefore the same in all, byte by byte, and equal to their ancestor's.
docs/diff.md proves what follows for rows and for their number; the conditions that only the host
can check are here.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cowdb.agent.beneath import Beneath
from cowdb.agent.effects import do
from cowdb.agent.effects.servers import process_of
from cowdb.agent.engines.postgres import binaries, control
from cowdb.agent.host import Attempt
from cowdb.agent.plan import server_of
from cowdb.agent.policy import Caller, require_owner
from cowdb.agent.requests import Changes as Request
from cowdb.agent.requests import KeepCounts, Written
from cowdb.agent.service.context import Context, find_branch
from cowdb.agent.service.relations import (
    BLOCK,
    SEGMENT,
    MainForks,
    Ranges,
    beyond_the_end,
    blocks,
    joined,
)
from cowdb.agent.steps import Checkpoint
from cowdb.agent.storage.protocol import ChangedRange, Descent, ReportsChangedBlocks, VolumeId
from cowdb.agent.store import Transaction
from cowdb.agent.system import user_of
from cowdb.errors import BusyError, NotFoundError, StorageError
from cowdb.model import BranchRecord, SnapshotRecord
from cowdb.wire import ChangesInfo, KeptInfo, WrittenInfo

Blocks = dict[str, list[list[int]]]


@dataclass(frozen=True, slots=True)
class Ancestry:
    """:param volume: the nearest frozen one that all branches descend from.
    :param firsts: for each branch, the clone of it that the branch is or descends from."""

    volume: str
    firsts: tuple[str, ...]


class NotComparable(Exception):
    """Why blocks say nothing about these."""


class Changes:
    def __init__(self, context: Context) -> None:
        self._context = context

    def between(self, request: Request, caller: Caller) -> ChangesInfo:
        """Changed block ranges of every relation file in `base`, in either of two branches.

        Call it once the transactions whose snapshots are to be compared have begun: everything
        they see is flushed here and so reported. Without a common ancestor or where a condition
        does not hold, `reason` says so and `relations` is null.
        """
        found = self.written(Written(branches=[request.first, request.other]), caller)
        if found["reason"]:
            return {"relations": None, "reason": found["reason"]}
        either: Ranges = {}
        for side in found["relations"]:
            for name, ranges in side.items():
                either.setdefault(name, []).extend((low, high) for low, high in ranges)
        return {"relations": _listed(either), "reason": ""}

    def written(self, request: Written, caller: Caller) -> WrittenInfo:
        """What each of several branches has written since the snapshot that all come from; see
        `between`. With it the numbers of rows in that snapshot which this caller may trust: their
        own, and root's."""
        branches = self._branches(request.branches)
        for branch in branches:
            require_owner(caller, branch.owner_uid, f"look into branch {branch.name!r}")
        try:
            with self._held(branches):
                # As they are now that nobody can reset or remove them.
                branches = self._branches(request.branches)
                ancestry = self._ancestry(branches)
                searched = self._searched(branches, ancestry) if request.search else []
        except NotComparable as why:
            return {"ancestor": "", "snapshot": None, "relations": [], "counts": {},
                    "reason": str(why)}  # fmt: skip
        with self._context.store.transaction() as tx:
            snapshot = snapshot_of(tx, ancestry.volume)
            counts = tx.counts.known(ancestry.volume, caller.uid)
        return {
            "ancestor": ancestry.volume,
            "snapshot": _branchable(snapshot, ancestry.volume),
            "relations": searched,
            "counts": counts,
            "reason": "",
        }

    def keep(self, request: KeepCounts, caller: Caller) -> KeptInfo:
        """Remember numbers of rows of a snapshot, for this caller (root's are for everybody).

        :raises NotFoundError: no snapshot has that volume any more."""
        with self._context.store.transaction() as tx:
            snapshot = snapshot_of(tx, request.ancestor)
            if snapshot is None:
                raise NotFoundError(f"no snapshot has the volume {request.ancestor!r}")
            tx.counts.keep(snapshot.id, request.ancestor, caller.uid, request.counts)
        return {"kept": len(request.counts)}

    def _branches(self, names: Sequence[str]) -> list[BranchRecord]:
        with self._context.store.transaction() as tx:
            return [find_branch(tx, name) for name in names]

    @contextlib.contextmanager
    def _held(self, branches: Sequence[BranchRecord]) -> Iterator[None]:
        """Nobody resets or removes them meanwhile."""
        with contextlib.ExitStack() as stack:
            try:
                # In one order, so that two of these never wait for each other.
                for subject, name in sorted({(branch.id, branch.name) for branch in branches}):
                    stack.enter_context(self._context.claims.hold(subject, name))
            except BusyError as error:
                raise NotComparable(error.message) from error
            yield

    def _ancestry(self, branches: Sequence[BranchRecord]) -> Ancestry:
        first = branches[0].cluster
        pool = self._context.pools.get(first.pool)
        if any(branch.cluster.pool != first.pool for branch in branches):
            raise NotComparable("they lie in different pools")
        if not isinstance(pool, ReportsChangedBlocks):
            raise NotComparable(f"the {pool.driver} driver does not report changed blocks")
        with self._context.store.transaction() as tx:
            found = common_ancestors([list(lineage(tx, branch)) for branch in branches])
        reasons = []
        # One that is not settled may come from one that is: then more has changed, but not all.
        for ancestry in found:
            if not (why := self._obstacle(ancestry.volume, branches[0])):
                return ancestry
            reasons.append(why)
        raise NotComparable(reasons[0] if reasons else "they do not come from one snapshot")

    def _searched(self, branches: Sequence[BranchRecord], ancestry: Ancestry) -> list[Blocks]:
        pool = self._context.pools.get(branches[0].cluster.pool)
        assert isinstance(pool, ReportsChangedBlocks)
        with ThreadPoolExecutor(len(branches), thread_name_prefix="cowdb-flush") as threads:
            list(threads.map(self._flush, branches))
        ancestor = VolumeId(ancestry.volume)
        base = _sizes(pool.path(ancestor) / branches[0].cluster.data)
        searched = []
        for branch, first in zip(branches, ancestry.firsts, strict=True):
            volume, forks = VolumeId(branch.cluster.volume), MainForks(branch.cluster.data)
            found: Ranges = {}
            for item in _changed(pool, Descent(volume, VolumeId(first), ancestor), forks):
                named = forks.named(str(item.path))
                if named is not None:
                    relation, start = named
                    found.setdefault(relation, []).append(blocks(item.start, item.length, start))
            beyond_the_end(found, _sizes(pool.path(volume) / branch.cluster.data), base)
            searched.append(_listed(found))
        return searched

    def _obstacle(self, ancestor: str, branch: BranchRecord) -> str:
        """Why the blocks of an ancestor do not tell; empty when they do.

        Its transactions must all be over: one that is still open may end differently in the two
        clones without touching a block.
        """
        cluster = branch.cluster
        pool = self._context.pools.get(cluster.pool)
        datadir = pool.path(VolumeId(ancestor)) / cluster.data
        tools = binaries.pick(self._context.host.config.bindirs, cluster.version)
        try:
            owner = user_of(datadir.stat().st_uid)
        except FileNotFoundError:
            return "their common snapshot is no longer there"
        found = control.read_control(datadir, tools, owner)
        if not found.over:
            return "their common snapshot has not been settled yet"
        if found.layout != (BLOCK, SEGMENT):
            return "their server was built with blocks of another size"
        with Beneath(datadir) as directory:
            if directory.names("pg_twophase"):
                return "their common snapshot holds a prepared transaction"
        return ""

    def _flush(self, branch: BranchRecord) -> None:
        server = server_of(branch)
        if process_of(server, self._context.host) is None:
            raise NotComparable(f"the server of {branch.name!r} does not run")
        do(Checkpoint(server=server), self._context.host, Attempt())


def lineage(tx: Transaction, branch: BranchRecord) -> Iterator[str]:
    """The volume of a branch and those that it descends from, the nearest first, as far as the
    records know; ends where a parent has been reset or removed since, or a snapshot removed."""
    yield branch.cluster.volume
    base = branch.base
    seen = {branch.snapshot}
    snapshot = tx.snapshots.get(branch.snapshot)
    while snapshot and not snapshot.removed and base in (snapshot.id, snapshot.settled):
        yield base
        if base != snapshot.id:
            yield snapshot.id
        parent = tx.branches.get(snapshot.parent)
        if parent is None or parent.cluster.volume != snapshot.origin or parent.id in seen:
            return
        seen.add(parent.id)
        yield parent.cluster.volume
        base, snapshot = parent.base, tx.snapshots.get(parent.snapshot)


def common_ancestors(lineages: Sequence[Sequence[str]]) -> list[Ancestry]:
    """The frozen volumes that all descend from, the nearest first."""
    return [
        Ancestry(volume, tuple(line[line.index(volume) - 1] for line in lineages))
        for volume in lineages[0][1:]
        if not volume.startswith("br-") and all(volume in line[1:] for line in lineages)
    ]


def snapshot_of(tx: Transaction, volume: str) -> SnapshotRecord | None:
    """The snapshot whose content a frozen volume has: its own, or its settled one."""
    known = (item for item in tx.snapshots.all() if not item.removed)
    return next((item for item in known if volume in (item.id, item.settled)), None)


def _branchable(snapshot: SnapshotRecord | None, volume: str) -> str | None:
    """How to name the snapshot for a new branch that is a clone of this very volume."""
    if snapshot is None or snapshot.implicit or volume != (snapshot.settled or snapshot.id):
        return None
    return f"{snapshot.parent_name}@{snapshot.name}"


def _changed(
    pool: ReportsChangedBlocks, descent: Descent, forks: MainForks
) -> Sequence[ChangedRange]:
    try:
        return pool.changed(descent, forks.wanted)
    except StorageError as error:  # reading everything needs no answer
        raise NotComparable(f"what they have changed cannot be told: {error.message}") from error


def _listed(ranges: Ranges) -> Blocks:
    return {name: [list(item) for item in joined(each)] for name, each in ranges.items()}


def _sizes(datadir: Path) -> dict[str, int]:
    """Blocks of each relation's main fork."""
    sizes: dict[str, int] = {}
    forks = MainForks(".")
    with Beneath(datadir) as directory, directory.directory("base") as base:
        for folder, _, files, fd in os.fwalk(".", dir_fd=base, follow_symlinks=False):
            prefix = "base/" + folder.removeprefix("./")
            for name in files:
                if (named := forks.named(f"{prefix}/{name}")) is None:
                    continue
                with contextlib.suppress(FileNotFoundError):  # dropped while we look
                    size = os.stat(name, dir_fd=fd, follow_symlinks=False).st_size
                    sizes[named[0]] = sizes.get(named[0], 0) + -(-size // BLOCK)
    return sizes
