"""A ZFS dataset made a pool, opened, and made an ordinary dataset again.

A dataset that cowdb makes gets these properties, which its volumes inherit; one that somebody
else made keeps its own.

    recordsize=16k      two pages of Postgres. A first change to a record copies all of it into the
                        branch, so 128k would make each branch cost sixteen times its changes; with
                        8k, compression saves nothing on disks with 4k sectors but whole halves
    compression=lz4     costs less time than the reads and writes that it saves
    logbias=latency     a commit waits for the log; `throughput` writes data where it fragments
    primarycache=all    ZFS caches a block once for all branches that share it, which Postgres's
                        own buffers cannot
    atime=off           reading writes nothing, so a branch that only reads stays empty
    devices=off, setuid=off    who is superuser in a branch decides what files are in it
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from pathlib import Path

from cowdb.agent import system
from cowdb.agent.storage import zfs_command as command
from cowdb.agent.storage import zfs_core as core
from cowdb.agent.storage.kernel import translated
from cowdb.agent.storage.zfs import ZfsPool
from cowdb.agent.storage.zfs_names import FORMAT, FORMAT_OF, PASSING, POOL, dataset_of, zpool_of
from cowdb.agent.storage.zfs_volumes import is_passing
from cowdb.errors import ConflictError, PoolMissingError, StorageError

CHOSEN = {
    "recordsize": "16k",
    "compression": "lz4",
    "logbias": "latency",
    "primarycache": "all",
    "atime": "off",
    "devices": "off",
    "setuid": "off",
}
_MADE = "cowdb:made"  # by cowdb, and so cowdb's to remove
_WANTED = (POOL, FORMAT_OF, PASSING, _MADE, "mountpoint", "mounted", "canmount", "keystatus")


def make(path: str) -> str:
    """Make zfs:POOL/DATASET a pool, or find that it is one; its id.

    :raises StorageError: there is something else in it, or it has no place to be mounted at.
    """
    dataset = dataset_of(path)
    core.check()
    if not core.exists(dataset):
        _refuse_unmountable(_nearest(dataset))
        pool = str(uuid.uuid4())
        command.create(dataset, {**CHOSEN, POOL: pool, FORMAT_OF: FORMAT, _MADE: "yes"})
        return pool
    _refuse_unmountable(dataset)
    (entry,) = command.get(dataset, _WANTED)
    if there := entry.local(POOL):
        return there
    command.mount(dataset)
    beneath = [item.name for item in command.get(dataset, ["type"], beneath=True)][1:]
    with translated(f"{dataset} cannot be examined"):
        beneath += [str(item) for item in Path(entry.value("mountpoint")).iterdir()]
    if beneath:
        raise StorageError(
            f"dataset {dataset} is not empty: {', '.join(beneath[:3])}",
            hint="name a new dataset, or one that is empty",
        )
    pool = str(uuid.uuid4())
    command.set_properties(dataset, {POOL: pool, FORMAT_OF: FORMAT})
    return pool


def identify(path: str) -> str:
    """The id of the pool at zfs:POOL/DATASET.

    :raises PoolMissingError: there is none.
    """
    dataset = dataset_of(path)
    core.check()
    there = command.get(dataset, _WANTED)[0].local(POOL) if core.exists(dataset) else None
    if there is None:
        raise PoolMissingError(
            f"there is no pool at {path}", hint=f"zpool import {zpool_of(dataset)}"
        )
    return there


def _nearest(dataset: str) -> str:
    """The next dataset above that is there."""
    while "/" in dataset:
        dataset = dataset.rpartition("/")[0]
        if core.exists(dataset):
            return dataset
    raise PoolMissingError(f"there is no zpool {dataset!r}", hint="zpool list; zpool import")


def _refuse_unmountable(dataset: str) -> None:
    (entry,) = command.get(dataset, ["mountpoint"])
    if not entry.value("mountpoint").startswith("/"):
        raise StorageError(
            f"dataset {dataset} has the mountpoint {entry.value('mountpoint')!r}, and cowdb's "
            "volumes must be mounted",
            hint=f"zfs create -o mountpoint=/srv/cowdb {zpool_of(dataset)}/cowdb, then cowdb init "
            f"--pool zfs:{zpool_of(dataset)}/cowdb",
        )


def open_pool(path: str, pool: str) -> ZfsPool:
    """The pool at zfs:POOL/DATASET, with all its volumes mounted.

    :raises PoolMissingError: it is not there, or another one is.
    """
    dataset = dataset_of(path)
    if not core.exists(dataset):
        raise PoolMissingError(
            f"pool {pool} is not at {path}: there is none", hint=f"zpool import {zpool_of(dataset)}"
        )
    entries = command.get(dataset, _WANTED, beneath=True)
    if (there := entries[0].local(POOL)) != pool:
        raise PoolMissingError(
            f"pool {pool} is not at {path}: {there or 'nothing of cowdb'} is there",
            hint="cowdb doctor shows what it expects",
        )
    _refuse_unmountable(dataset)
    # After an import nothing may be mounted; parents come before what is beneath them. Branches of
    # an encrypted source wait for its key, and the others need not wait with them.
    for entry in sorted(entries, key=lambda item: len(item.value("mountpoint"))):
        wanted = entry.value("mounted") == "no" and entry.value("canmount") == "on"
        if wanted and (entry.name == dataset or entry.value("keystatus") != "unavailable"):
            command.mount(entry.name)
    _drop_passing(entries)
    return ZfsPool(dataset, pool, Path(entries[0].value("mountpoint")))


def _drop_passing(entries: Sequence[command.Entry]) -> None:
    """Snapshots that an agent took for a moment and was killed before that was over."""
    for entry in entries:
        if is_passing(entry):
            with contextlib.suppress(ConflictError):  # held: still in use
                core.destroy_snapshots([entry.name])


def remove(path: str, pool: str) -> None:
    """Destroy the dataset if cowdb made it, else only take the mark off; no error when gone.

    :raises StorageError: a volume is left in it.
    """
    dataset = dataset_of(path)
    if not core.exists(dataset):
        return
    entries = command.get(dataset, _WANTED, beneath=True)
    if entries[0].local(POOL) != pool:
        return
    if len(entries) > 1:
        raise StorageError(f"{entries[1].name} is still there", hint="cowdb doctor --repair")
    if entries[0].local(_MADE) is None:
        command.inherit(dataset, [POOL, FORMAT_OF])
        return
    root = Path(entries[0].value("mountpoint"))
    if root.is_mount():
        with translated(f"{root} cannot be unmounted"):
            system.detach(root)
    core.destroy(dataset)
    with contextlib.suppress(OSError):  # something else may be in it, beneath the mount
        root.rmdir()
