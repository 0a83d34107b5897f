"""What the volumes of pools are without a store: which records they speak of. Pure.

A record comes back when what it comes from does: sources first, then snapshots of them, branches
of those, snapshots of these. All else is an orphan, with the reason; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from cowdb.agent import marks
from cowdb.agent.storage.protocol import Volume
from cowdb.errors import StorageError
from cowdb.model import BranchRecord, Cluster, SnapshotRecord, SourceRecord


@dataclass(frozen=True, slots=True)
class Orphan:
    """:param why: no record could be made of the volume."""

    pool: str
    volume: Volume
    why: str


@dataclass(slots=True)
class Remains:
    """Records in the order in which they were made, as a store lists them.

    :param raw: volumes that were made with its wires still attached.
    """

    sources: list[SourceRecord] = field(default_factory=list)
    snapshots: list[SnapshotRecord] = field(default_factory=list)
    branches: list[BranchRecord] = field(default_factory=list)
    orphans: list[Orphan] = field(default_factory=list)
    raw: set[str] = field(default_factory=set)

    @property
    def servers(self) -> list[SourceRecord | BranchRecord]:
        """Those that cowdb runs."""
        return [*(item for item in self.sources if item.cluster), *self.branches]


@dataclass(slots=True)
class _Found:
    """Volumes by what they say that they are. Values are (pool, volume, record)."""

    sources: list[tuple[str, Volume, SourceRecord]] = field(default_factory=list)
    snapshots: list[tuple[str, Volume, SnapshotRecord]] = field(default_factory=list)
    branches: list[tuple[str, Volume, BranchRecord]] = field(default_factory=list)
    attached: dict[str, SourceRecord] = field(default_factory=dict)
    removed: dict[str, SnapshotRecord] = field(default_factory=dict)
    settled: list[tuple[str, Volume]] = field(default_factory=list)


def gather(volumes: Iterable[tuple[str, Volume]], runs: Callable[[BranchRecord], bool]) -> Remains:
    """:param volumes: each with the id of the pool that it is in.
    :param runs: whether the server of a branch runs on the volume that its record names."""
    remains = Remains()
    found = _sorted(volumes, remains)
    _one_for_each_branch(found, runs, remains)
    settled = {volume.mark.get("of", ""): (pool, volume) for pool, volume in found.settled}
    _take_sources(found, remains)
    _take_descendants(found, settled, remains)
    known = {item.id for item in remains.snapshots if item.settled}
    for pool, volume in found.settled:
        if volume.mark.get("of") not in known:
            remains.orphans.append(Orphan(pool, volume, "its snapshot is not there"))
    remains.sources.sort(key=lambda record: record.created_at)
    remains.snapshots.sort(key=lambda record: record.created_at)
    remains.branches.sort(key=lambda record: record.created_at)
    return remains


def _sorted(volumes: Iterable[tuple[str, Volume]], remains: Remains) -> _Found:
    found = _Found()
    for pool, volume in volumes:
        try:
            _sort(found, pool, volume, remains)
        except StorageError as error:
            remains.orphans.append(Orphan(pool, volume, error.message))
    return found


def _sort(found: _Found, pool: str, volume: Volume, remains: Remains) -> None:
    """:raises StorageError: the volume cannot be what its mark says."""
    role = volume.mark.get("role")
    if not volume.complete:
        raise StorageError("it was being made or removed")
    if role == "spare":
        raise StorageError("it is a spare, which was nobody's yet")
    if role == "settled":
        if not volume.frozen:
            raise StorageError("it was being settled")
        found.settled.append((pool, volume))
    elif role == "snapshot":
        snapshot = marks.snapshot_in(volume.mark)
        if (snapshot.id, snapshot.pool, volume.frozen) != (volume.id, pool, True):
            raise StorageError("its mark speaks of another volume")
        found.snapshots.append((pool, volume, snapshot))
        _sort_attached(found, volume)
    elif role == "source":
        source = marks.source_in(volume.mark)
        _require_own(source.cluster, pool, volume)
        found.sources.append((pool, volume, source))
    elif role == "branch":
        branch = marks.branch_in(volume.mark)
        _require_own(branch.cluster, pool, volume)
        found.branches.append((pool, volume, branch))
        removed = marks.removed_in(volume.mark)
        if removed is not None:
            found.removed[removed.id] = removed
            _sort_attached(found, volume)
    else:
        raise StorageError(f"its mark says neither source nor snapshot nor branch but {role!r}")
    if volume.mark.get("raw"):
        remains.raw.add(volume.id)


def _sort_attached(found: _Found, volume: Volume) -> None:
    attached = marks.attached_in(volume.mark)
    if attached is not None:
        found.attached[attached.id] = attached


def _require_own(cluster: Cluster | None, pool: str, volume: Volume) -> None:
    """:raises StorageError: the mark was copied from elsewhere."""
    if cluster is None or (cluster.volume, cluster.pool) != (volume.id, pool):
        raise StorageError("its mark speaks of another volume")


def _one_for_each_branch(
    found: _Found, runs: Callable[[BranchRecord], bool], remains: Remains
) -> None:
    """A reset that was under way leaves two copies: the one that runs counts, and when none does
    the older one, which has what somebody wrote."""
    copies: dict[str, list[tuple[str, Volume, BranchRecord]]] = {}
    for each in found.branches:
        copies.setdefault(each[2].id, []).append(each)
    found.branches = []
    for rivals in copies.values():
        older = [each for each in rivals if not _replaces(each[1], rivals)]
        running = [each for each in rivals if len(rivals) > 1 and runs(each[2])]
        best = (running or older or rivals)[0]
        found.branches.append(best)
        why = f"another copy of branch {best[2].name!r} is in volume {best[1].id}"
        remains.orphans += [Orphan(pool, volume, why) for pool, volume, _ in rivals
                            if volume is not best[1]]  # fmt: skip


def _replaces(volume: Volume, rivals: list[tuple[str, Volume, BranchRecord]]) -> bool:
    """Whether it was made to take the place of another one that is still there."""
    return any(volume.mark.get("replaces") == other.id for _, other, _ in rivals)


def _take_sources(found: _Found, remains: Remains) -> None:
    names: set[str] = set()
    for pool, volume, record in found.sources:
        if record.name in names:
            why = f"there are two sources named {record.name!r}"
            remains.orphans.append(Orphan(pool, volume, why))
            continue
        names.add(record.name)
        remains.sources.append(record)
    for record in found.attached.values():
        if record.name not in names:
            names.add(record.name)
            remains.sources.append(record)


def _take_descendants(
    found: _Found, settled: Mapping[str, tuple[str, Volume]], remains: Remains
) -> None:
    """What comes from nothing that is there, and implicit snapshots of nobody, are orphans."""
    origins = {record.id for record in remains.sources}
    names = {record.name for record in remains.sources}
    needed = {record.snapshot for _, _, record in found.branches}
    snapshots, branches = list(found.snapshots), list(found.branches)
    there = {record.id for _, _, record in snapshots}  # removed from a branch, but not yet itself
    removed = [record for record in found.removed.values()
               if record.id in needed - there]  # fmt: skip
    taken: set[str] = set()
    while True:
        next_snapshots = [each for each in snapshots if each[2].parent in origins
                          and (not each[2].implicit or each[2].id in needed)]  # fmt: skip
        for _, volume, snapshot in next_snapshots:
            of = settled.get(snapshot.id)
            remains.snapshots.append(replace(snapshot, settled=of[1].id if of else None))
            taken.add(volume.id)
        next_removed = [record for record in removed if record.parent in origins]
        remains.snapshots += next_removed
        taken |= {record.id for record in next_removed}
        removed = [record for record in removed if record not in next_removed]
        next_branches = [each for each in branches if each[2].snapshot in taken
                         and each[2].name not in names]  # fmt: skip
        for each in list(next_branches):
            branch = each[2]
            if branch.name in names:
                next_branches.remove(each)
                continue
            remains.branches.append(branch)
            origins.add(branch.id)
            names.add(branch.name)
        if not (next_snapshots or next_removed or next_branches):
            break
        snapshots = [each for each in snapshots if each not in next_snapshots]
        branches = [each for each in branches if each not in next_branches]
    for pool, volume, snapshot in snapshots:
        lonely = snapshot.parent in origins
        why = "no branch came from it" if lonely else f"{snapshot.parent_name!r} is not there"
        remains.orphans.append(Orphan(pool, volume, why))
    for pool, volume, branch in branches:
        why = "its snapshot is not there"
        if branch.name in names:
            why = f"there is something else named {branch.name!r}"
        remains.orphans.append(Orphan(pool, volume, why))
