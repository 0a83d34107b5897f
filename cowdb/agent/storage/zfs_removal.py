"""How a volume on ZFS goes: what depends on it is looked for first, and nothing goes recursively.

Snapshots go before what can no longer be undone, since ZFS refuses them where they have clones.
What is interrupted half-way is an incomplete volume, and goes by the same way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from cowdb.agent import system
from cowdb.agent.storage import zfs_command as command
from cowdb.agent.storage import zfs_core as core
from cowdb.agent.storage.kernel import translated
from cowdb.agent.storage.protocol import VolumeId
from cowdb.agent.storage.zfs_names import HOLD, frozen, holder
from cowdb.agent.storage.zfs_volumes import Found, part_name
from cowdb.errors import CommandError, ConflictError, StorageError

_BUSY_ATTEMPTS = 7  # 20 ms, doubled each time: what a server that was killed leaves open


def remove(found: Found, pool: str, root: Path, is_ours: Callable[[str], bool]) -> None:
    """Destroy a volume.

    :param pool: the pool's dataset; :param root: where it is mounted.
    :param is_ours: whether a snapshot is, or was taken for, a volume of the pool.
    :raises ConflictError: something depends on it; nothing was changed.
    :raises StorageError: it is busy.
    """
    volume = found.volume.id
    if found.is_snapshot:
        _drop_snapshots(volume, [found.head], pool)
        return
    _refuse_strangers(found, is_ours)
    core.destroy_snapshots(found.passing)
    own = {piece.dataset for piece in found.pieces}
    clones = [name for taken in found.taken for name in clones_of(taken) if name not in own]
    if clones:
        raise _depended(volume, clones)
    _drop_snapshots(volume, [frozen(dataset, volume) for dataset in found.datasets], pool)
    for place in _mount_points(found):
        _unmount(root / volume / place, volume)
    for dataset in reversed(found.datasets):
        core.destroy(dataset)
    origins = [piece.origin for piece in found.pieces if piece.origin]
    core.release(origins, [HOLD + volume])
    _drop_snapshots(volume, found.taken, pool)
    with translated(f"{root / volume} is left behind"), contextlib.suppress(FileNotFoundError):
        (root / volume).rmdir()


def _refuse_strangers(found: Found, is_ours: Callable[[str], bool]) -> None:
    """Snapshots and datasets beneath it that are volumes of their own, or nobody's we know."""
    refuse_others(found, is_ours)
    if found.strangers:
        names = ", ".join(name.rpartition("@")[2] for name in found.strangers)
        raise ConflictError(
            f"volume {found.volume.id!r} cannot go: {names} come from it", hint="remove those first"
        )


def refuse_others(found: Found, is_ours: Callable[[str], bool]) -> None:
    """:raises ConflictError: what nobody we know made is beneath a volume."""
    others = [name for name in found.strangers if not is_ours(name)]
    if others:
        raise ConflictError(
            f"volume {found.volume.id!r} cannot go: {others[0]} is not cowdb's",
            hint=f"if nobody needs it: zfs destroy {others[0]}",
        )


def _drop_snapshots(volume: VolumeId, snapshots: Sequence[str], pool: str) -> None:
    """Destroy all of them, or none: those that have clones stay."""
    present = [name for name in snapshots if core.exists(name)]
    for name in present:
        stale = [tag for tag in core.holds(name) if _is_stale(tag, name, volume, pool)]
        core.release([name], stale)
    try:
        core.destroy_snapshots(present)
    except ConflictError as error:
        clones = [clone for name in present for clone in clones_of(name)]
        if not clones:
            raise
        raise _depended(volume, clones) from error


def _is_stale(tag: str, snapshot: str, volume: VolumeId, pool: str) -> bool:
    """A hold by the volume that goes, by one that was never finished or is gone, or by the one
    that took the snapshot over when it was promoted and no longer comes from it."""
    held_by = holder(tag)
    return held_by is not None and (
        held_by == volume
        or snapshot.startswith(f"{pool}/{held_by}@")
        or not core.exists(f"{pool}/{held_by}")
    )


def clones_of(snapshot: str) -> list[str]:
    """Datasets that come from a snapshot; none when it is not there."""
    try:
        (entry,) = command.get(snapshot, ["clones"])
    except CommandError:
        return []
    return [name for name in entry.value("clones").split(",") if name not in ("", "-")]


def _depended(volume: VolumeId, clones: Sequence[str]) -> ConflictError:
    return ConflictError(
        f"volume {volume!r} cannot go: {', '.join(sorted(clones))} come from it",
        hint="remove those first",
    )


def _mount_points(found: Found) -> list[PurePosixPath]:
    """Where its datasets are mounted, in its directory, the innermost first."""
    here, first = PurePosixPath("."), PurePosixPath(part_name(0))
    places = {here, first, *(piece.place for piece in found.pieces)}
    return sorted(places, key=lambda place: len(place.parts), reverse=True)


def _unmount(path: Path, volume: VolumeId) -> None:
    """Unmount what is mounted there; nothing being mounted is no error."""
    for attempt in range(_BUSY_ATTEMPTS):
        try:
            system.detach(path)
            return
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return
            if error.errno != errno.EBUSY:
                reason = os.strerror(error.errno or 0)
                raise StorageError(f"{path} cannot be unmounted: {reason}") from error
            if attempt == _BUSY_ATTEMPTS - 1:
                raise StorageError(
                    f"volume {volume!r} cannot be destroyed: the dataset is busy, something "
                    f"still works in {path}",
                    hint=f"fuser -vm {path}",
                ) from error
        time.sleep(0.02 * 2**attempt)  # the kernel gives no event for a file's last close
