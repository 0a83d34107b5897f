"""What changes things on ZFS: libzfs_core through pyzfs, its errors in cowdb's words.

Each call is one ioctl: it happens whole or not at all, and is on disk when it returns. They give
up the interpreter lock. pyzfs is Debian's python3-pyzfs; what PyPI carries under that name (0.2.3)
can be imported and is broken, so a call is tried before anything is entrusted to it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType

from cowdb.agent.storage.kernel import storage_error
from cowdb.agent.storage.zfs_names import zpool_of
from cowdb.errors import ConflictError, PoolFullError, StorageError

Properties = Mapping[str, str | int]
"""Text for user properties and paths; the number for sizes and for what is chosen from a list."""

_INSTALL = (
    "apt-get install python3-pyzfs (Debian's contrib), and a venv that sees it: "
    "python3 -m venv --upgrade --system-site-packages VENV, without any pyzfs of PyPI in it"
)


@functools.cache
def _core() -> ModuleType:
    """libzfs_core, known to work.

    :raises StorageError: there is none, or it is the broken one, or the kernel has no ZFS.
    """
    try:
        import libzfs_core
    except (ImportError, OSError) as error:
        raise StorageError(f"pyzfs cannot be loaded: {error}", hint=_INSTALL) from error
    core: ModuleType = libzfs_core
    _try_a_call(core)
    return core


def _try_a_call(core: ModuleType) -> None:
    try:
        core.lzc_hold({b"cowdb-probe/none@none": b"cowdb"})
    except core.exceptions.HoldFailure as error:
        if error.errno == errno.ENOENT:
            return  # right: there is no such zpool
        raise StorageError(f"ZFS does not answer: {error}", hint="modprobe zfs") from error
    except (AttributeError, TypeError, NotImplementedError) as error:
        raise StorageError(
            f"the pyzfs in {core.__path__[0]} is broken: lzc_hold fails with {error!r}",
            hint=_INSTALL,
        ) from error
    except Exception as error:
        raise StorageError(f"ZFS does not answer: {error}", hint="modprobe zfs") from error
    raise StorageError(f"the pyzfs in {core.__path__[0]} is broken: it made a hold on nothing")


def check() -> None:
    """Raise StorageError unless ZFS can be worked with."""
    _core()


def exists(name: str) -> bool:
    """Whether there is such a dataset or snapshot."""
    return bool(_core().lzc_exists(name.encode()))


def create(dataset: str, properties: Properties) -> None:
    with _explained(f"dataset {dataset} cannot be made"):
        _core().lzc_create(dataset.encode(), props=_packed(properties))


def snapshot(names: Sequence[str], properties: Properties) -> None:
    """All snapshots in one instant, or none; they are of one zpool."""
    with _explained(f"snapshot {names[0]} cannot be taken"):
        _core().lzc_snapshot([name.encode() for name in names], _packed(properties))


def clone(dataset: str, origin: str, properties: Properties) -> None:
    with _explained(f"dataset {dataset} cannot be cloned from {origin}"):
        _core().lzc_clone(dataset.encode(), origin.encode(), _packed(properties))


def destroy(dataset: str) -> None:
    """Remove an unmounted dataset that has neither snapshots nor children; no error when gone."""
    core = _core()
    with (
        _explained(f"dataset {dataset} cannot be destroyed"),
        contextlib.suppress(core.exceptions.DatasetNotFound),
    ):
        core.lzc_destroy(dataset.encode())


def destroy_snapshots(names: Sequence[str]) -> None:
    """Remove all of them or none; those that are not there are no error.

    :raises ConflictError: one has clones, or is held.
    """
    if names:
        with _explained(f"snapshot {names[0]} cannot be destroyed"):
            _core().lzc_destroy_snaps([name.encode() for name in names], False)


def rollback(dataset: str) -> None:
    """Take back what was written to a dataset since its latest snapshot; it may be mounted."""
    with _explained(f"dataset {dataset} cannot be rolled back"):
        _core().lzc_rollback(dataset.encode())


def promote(dataset: str) -> None:
    """Have a clone own the snapshot that it came from, with all earlier ones of the same dataset;
    that dataset comes from the clone then. Both may be mounted and in use.

    :raises StorageError: the clone has a snapshot of the same name; nothing was changed.
    """
    with _explained(f"dataset {dataset} cannot be promoted"):
        _core().lzc_promote(dataset.encode())


def hold(snapshots: Sequence[str], tag: str) -> None:
    """Protect snapshots from being destroyed; no error when held by that tag already."""
    core = _core()
    with _explained(f"snapshot {snapshots[0]} cannot be held"):
        try:
            missing = core.lzc_hold({name.encode(): tag.encode() for name in snapshots})
        except core.exceptions.HoldFailure as error:
            if all(isinstance(item, core.exceptions.HoldExists) for item in error.errors):
                return
            raise
        if missing:
            raise StorageError(f"snapshot {missing[0].decode()} is gone")


def release(snapshots: Sequence[str], tags: Sequence[str]) -> None:
    """Take holds back; no error where there are none."""
    if snapshots and tags:
        core = _core()
        packed = [tag.encode() for tag in tags]
        with (
            _explained(f"the hold on {snapshots[0]} cannot be released"),
            contextlib.suppress(core.exceptions.DatasetNotFound),
        ):
            core.lzc_release({name.encode(): packed for name in snapshots})


def holds(snapshot: str) -> list[str]:
    """Tags of the holds on a snapshot; none when there is no such snapshot."""
    core = _core()
    with _explained(f"snapshot {snapshot} cannot be examined"):
        try:
            return sorted(tag.decode() for tag in core.lzc_get_holds(snapshot.encode()))
        except core.exceptions.DatasetNotFound:
            return []


@contextlib.contextmanager
def passing_snapshots(names: Sequence[str], properties: Properties) -> Iterator[None]:
    """Snapshots for the length of a block, all of one instant.

    They are destroyed at once but for a hold that the kernel takes back when this process closes
    a descriptor, or ends; after a crash of the host the next import does. Only a process that is
    killed before it has destroyed them leaves them behind.
    """
    core = _core()
    packed = [name.encode() for name in names]
    snapshot(names, properties)
    holder = None
    try:
        with _explained(f"snapshot {names[0]} cannot be held"):
            holder = os.open("/dev/zfs", os.O_RDWR | os.O_EXCL)
            core.lzc_hold(dict.fromkeys(packed, b"cowdb-passing"), holder)
            core.lzc_destroy_snaps(packed, True)
        yield
    finally:
        if holder is not None:
            os.close(holder)
        destroy_snapshots(names)  # what the kernel has not


def send(snapshot: str, since: str, fd: int) -> None:
    """Write an incremental stream; blocks as they are on disk, compressed, but never encrypted."""
    with _explained(f"{snapshot} cannot be sent from {since}"):
        _core().lzc_send(
            snapshot.encode(), since.encode(), fd, ["large_blocks", "embedded_data", "compress"]
        )


def write_out(name: str) -> None:
    """Have all that was written in the zpool of `name` on disk, and counted."""
    with _explained(f"zpool {zpool_of(name)} cannot be written out"):
        _core().lzc_sync(zpool_of(name).encode())


def _packed(properties: Properties) -> dict[bytes, bytes | int]:
    return {
        name.encode(): value.encode() if isinstance(value, str) else value
        for name, value in properties.items()
    }


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Native errors of the block by their code, as ours."""
    core = _core()
    try:
        yield
    except core.exceptions.ZFSError as error:
        raise _translated(what, error, core.exceptions) from error


def _translated(what: str, error: Exception, kinds: ModuleType) -> StorageError | ConflictError:
    """Several snapshots fail with a list of errors; the first tells enough."""
    first = next(iter(getattr(error, "errors", ())), error)
    code, reason = getattr(first, "errno", None), getattr(first, "message", None) or str(first)
    if isinstance(first, kinds.SnapshotIsCloned):
        return ConflictError(f"{what}: it has clones", hint="remove what was cloned from it first")
    if isinstance(first, kinds.SnapshotIsHeld):
        return ConflictError(f"{what}: it is held", hint="zfs holds shows by whom")
    if code in (errno.ENOSPC, errno.EDQUOT):
        full = storage_error(what, OSError(code, reason))
        return PoolFullError(full.message, hint=full.hint)
    if code == errno.EBUSY:
        return StorageError(
            f"{what}: the dataset is busy", hint="`fuser -vm MOUNTPOINT` shows what uses it"
        )
    if isinstance(first, kinds.SuspendedPool):
        return StorageError(f"{what}: the zpool is suspended", hint="zpool status")
    if isinstance(first, kinds.EncryptionKeyNotLoaded):
        return StorageError(f"{what}: its encryption key is not loaded", hint="zfs load-key")
    return StorageError(f"{what}: {reason}")
