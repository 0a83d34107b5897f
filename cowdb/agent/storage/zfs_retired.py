"""Volumes on ZFS that were removed while others come from them (docs/decisions/promote.md).

They stay as datasets and snapshots with the property cowdb:retired, and go when nothing comes from
them any more. The last heir of one takes its snapshot over (`zfs promote`), so that it need not
wait for that. Each step leaves what the next sweep understands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from cowdb.agent.storage import zfs_command as command
from cowdb.agent.storage import zfs_core as core
from cowdb.agent.storage import zfs_removal as removal
from cowdb.agent.storage.protocol import VolumeId
from cowdb.agent.storage.zfs_names import HOLD, RETIRED
from cowdb.agent.storage.zfs_volumes import Found
from cowdb.errors import ConflictError, StorageError

Volumes = Mapping[VolumeId, Found]


def retire(found: Found, is_ours: Callable[[str], bool]) -> None:
    """Mark a volume as removed, and give back what only it has.

    :raises ConflictError: something beneath it is not cowdb's; nothing was changed.
    """
    removal.refuse_others(found, is_ours)
    if not found.retired:
        command.set_properties(found.head, {RETIRED: found.volume.id})
    if found.volume.frozen:
        return
    core.destroy_snapshots(found.passing)  # the newest there is; a rollback would stop at it
    for dataset in found.datasets:
        if any(name.startswith(f"{dataset}@") for name in found.strangers):
            core.rollback(dataset)


def sweep(
    survey: Callable[[], Volumes], pool: str, root: Path, is_ours: Callable[[str], bool]
) -> None:
    """Remove whatever is retired and not needed.

    :param survey: all volumes as they are now.
    """
    while True:
        volumes = survey()
        retired = [each for each in volumes.values() if each.retired]
        idle = [each for each in retired if not _is_needed(each, volumes)]
        gone = [each for each in idle if _goes(each, pool, root, is_ours)]
        if not gone and not any(_hand_over(each, volumes) for each in retired):
            return


def _is_needed(found: Found, volumes: Volumes) -> bool:
    """Something comes from it, or is a snapshot of it."""
    return bool(found.strangers) or any(
        piece.origin in found.origins
        for other in volumes.values() if other is not found
        for piece in other.pieces
    )  # fmt: skip


def _goes(found: Found, pool: str, root: Path, is_ours: Callable[[str], bool]) -> bool:
    """Whether it could be removed. What keeps it (somebody's own clone or hold, a shell that works
    in it) is no fault of the operation that looked; the next one looks again."""
    try:
        removal.remove(found, pool, root, is_ours)
    except (ConflictError, StorageError):
        return False
    return True


def _hand_over(found: Found, volumes: Volumes) -> bool:
    """Have the only clone of its only snapshot own that snapshot; False where it is not so."""
    snapshot = _only_snapshot(found, volumes)
    heir = _only_heir(snapshot, volumes) if snapshot else None
    if snapshot is None or heir is None:
        return False
    last = snapshot.rpartition("@")[2]
    (piece,) = found.pieces
    above = [piece.origin] if piece.origin else []
    try:
        command.set_properties(snapshot, {RETIRED: last})
        if above:
            core.hold(above, HOLD + heir.volume.id)
        core.promote(heir.head)
    except (ConflictError, StorageError):  # the heir has a snapshot of that name, or is going
        return False
    core.release(above, [HOLD + found.volume.id])
    return True


def _only_snapshot(found: Found, volumes: Volumes) -> str | None:
    """The snapshot of a retired dataset, when it has one only, and that is retired, too."""
    if found.is_snapshot or found.has_parts or found.taken:
        return None
    snapshots = [*found.strangers]
    if found.volume.frozen:
        snapshots += found.origins
    if len(snapshots) != 1 or "@" not in snapshots[0]:
        return None
    if snapshots[0] not in found.origins:
        other = volumes.get(VolumeId(snapshots[0].rpartition("@")[2]))
        if other is None or other.head != snapshots[0] or not other.retired:
            return None
    return snapshots[0]


def _only_heir(snapshot: str, volumes: Volumes) -> Found | None:
    """The volume of one dataset that is the only clone of a snapshot."""
    clones = removal.clones_of(snapshot)
    heirs = [each for each in volumes.values() if clones == [each.head] and not each.has_parts]
    # What it took over would count as its own: one with a limit inherits nothing.
    free = [each for each in heirs if not _is_limited(each)]
    return free[0] if free else None


def _is_limited(found: Found) -> bool:
    return any(entry.local("quota") for entry in command.get(found.head, ["quota"]))
