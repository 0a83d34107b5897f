"""What the use cases share: the store, the host, and the way operations run."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from cowdb.agent.host import Host
from cowdb.agent.operations import Claims, Operations
from cowdb.agent.pools import Pools
from cowdb.agent.service.recent import Recent
from cowdb.agent.storage.protocol import Mark, VolumeId
from cowdb.agent.store import Store, Transaction
from cowdb.errors import BusyError, ConflictError, NotFoundError, StorageError
from cowdb.model import BranchRecord, SnapshotRecord, SourceRecord
from cowdb.names import parse_ref, parse_snapshot_ref

STEP_NAMES = {
    "CloneVolume": "clone",
    "ForkVolume": "clone",
    "SnapshotVolume": "snapshot",
    "SnapshotSource": "snapshot",
    "StartServer": "start",
    "StopServer": "stop",
    "SealServer": "seal",
    "AdmitClients": "admit",
    "Quarantine": "quarantine",
    "Checkpoint": "checkpoint",
    "InitCluster": "initdb",
    "BaseBackup": "copy",
    "CreateVolume": "volume",
    "DestroyVolume": "destroy",
}


@dataclass(frozen=True, slots=True)
class Context:
    """:param now: the clock, in UTC.
    :param in_background: runs something later; at once where nobody would run it later.
    :param soon: the same, for what takes a moment and never waits behind what takes long.
    :param spares_due: set when there may be a spare to make or to take away."""

    store: Store
    host: Host
    pools: Pools
    operations: Operations
    claims: Claims
    now: Callable[[], datetime]
    in_background: Callable[[Callable[[], None]], None]
    soon: Callable[[Callable[[], None]], None] = lambda task: task()
    spares_due: threading.Event = field(default_factory=threading.Event)
    recent: Recent = field(default_factory=Recent)


def note_protection(
    context: Context, pool: str, volume: str, mark: Mark, *, protected: bool
) -> None:
    """Into the volume's mark, before the record says so: a store rebuilt from the pool is not to
    lose a protection. Lifting one must be possible in a full pool, or none could be emptied; a
    rebuilt store then protects more than was asked.

    :raises StorageError: it cannot be written, and protecting is what was asked.
    """
    try:
        context.pools.get(pool).set_mark(VolumeId(volume), mark)
    except StorageError:
        if protected:
            raise


def new_id(kind: str) -> str:
    """An id for a record and its volume, never used again."""
    return f"{kind}-{secrets.token_hex(6)}"


def timings(steps: dict[str, float], total: float) -> dict[str, float]:
    """Milliseconds by the names that `timings_ms` promises."""
    named = {STEP_NAMES[step]: round(took, 2) for step, took in steps.items() if step in STEP_NAMES}
    return {"total": round(total, 2), **named}


def find_branch(tx: Transaction, name: str) -> BranchRecord:
    owner = tx.owner_of_name(name)
    branch = tx.branches.get(owner[1]) if owner and owner[0] == "branch" else None
    if branch is None:
        raise NotFoundError(f"there is no branch {name!r}", hint="cowdb branch list")
    return branch


def find_source(tx: Transaction, name: str) -> SourceRecord:
    owner = tx.owner_of_name(name)
    source = tx.sources.get(owner[1]) if owner and owner[0] == "source" else None
    if source is None:
        raise NotFoundError(f"there is no source {name!r}", hint="cowdb source list")
    return source


def find_parent(tx: Transaction, name: str) -> SourceRecord | BranchRecord:
    """What a bare name in a reference stands for."""
    owner = tx.owner_of_name(name)
    if owner is None:
        raise NotFoundError(
            f"there is no source or branch {name!r}",
            hint="cowdb source list, or cowdb branch list",
        )
    return find_source(tx, name) if owner[0] == "source" else find_branch(tx, name)


def held_parent(tx: Transaction, name: str, subject: str) -> SourceRecord | BranchRecord:
    """What has that name, and is the one that the caller holds; ready."""
    origin = find_parent(tx, name)
    if origin.id != subject:
        raise ConflictError(f"{name!r} was replaced meanwhile", hint="try again")
    require_ready(origin, f"{name!r}")
    return origin


def find_snapshot(tx: Transaction, ref: str, *, implicit: bool = False) -> SnapshotRecord:
    """By its reference.

    :param implicit: it may be one that cowdb took by itself.
    """
    named = parse_ref(ref, implicit=implicit)
    if named.snapshot is None:
        parse_snapshot_ref(ref)  # says what is missing
    parent = find_parent(tx, named.parent)
    found = tx.snapshots.all("parent = ? and name = ?", parent.id, str(named.snapshot))
    if not found:
        raise NotFoundError(f"there is no snapshot {ref!r}", hint="cowdb snapshot list")
    return found[0]


def require_ready(record: SourceRecord | BranchRecord | SnapshotRecord, label: str) -> None:
    """:raises BusyError: it is being made, changed or removed."""
    if record.state != "ready":
        raise BusyError(f"{label} is {record.state} right now", hint="try again when it is done")


def dependents(tx: Transaction, parent: str) -> list[str]:
    """What comes from a source or branch: "snapshot main@s", "branch a" (of an implicit one)."""
    found = []
    for snapshot in tx.snapshots.all("parent = ?", parent):
        if not snapshot.implicit:
            found.append(f"snapshot {snapshot.parent_name}@{snapshot.name}")
        else:
            found += [f"branch {item.name}" for item in
                      tx.branches.all("snapshot = ?", snapshot.id)]  # fmt: skip
    return found


def refuse_dependents(
    tx: Transaction, parent: str, label: str, what: str = "go", keep: str = ""
) -> None:
    """:param keep: the command that does it all the same, and keeps what comes from it.

    :raises ConflictError: something comes from it. BusyError: something will in a moment."""
    if found := dependents(tx, parent):
        kind, name = found[0].split(" ", 1)
        raise ConflictError(
            f"{label} cannot {what}: {', '.join(found)} {'come' if len(found) > 1 else 'comes'} "
            "from it",
            hint=f"cowdb {kind} rm {name}" + (f"; to keep it: {keep}" if keep else ""),
        )
    if tx.snapshots.all("parent = ?", parent):
        raise BusyError(f"a branch of {label} is being made or removed", hint="try again")
