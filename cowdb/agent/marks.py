"""What the mark of each volume says: enough for a store to be rebuilt from the pools alone.

    role, name         what it is and what it is called, for people; a "spare" is nobody's, and has
                       no record
    snapshot|parent|of the id of what it comes from
    record             the record as JSON, without what the disk says better: its state, process,
                       timings, what was cut out, which volume is its settled one
    attached           on a snapshot of an attached source, which has no volume: its record
    raw                the copy had its wires still attached when the volume was made
    replaces           on a branch's copy made by a reset, the volume that goes for it
    removed            on a branch whose snapshot was removed, and so has no volume: its record;
                       with `attached` when that was one of an attached source

Pure. A mark must fit into a property of ZFS (8 KB); where it would not, the records stay out.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TypeVar

import msgspec

from cowdb.agent.storage.protocol import Mark
from cowdb.errors import StorageError
from cowdb.model import BranchRecord, SnapshotRecord, SourceRecord

_LIMIT = 7500  # bytes of the whole mark as JSON
_RECORDS = ("record", "attached", "removed")

Kept = SourceRecord | SnapshotRecord | BranchRecord
Record = TypeVar("Record", SourceRecord, SnapshotRecord, BranchRecord)


def of_branch(
    branch: BranchRecord, *, raw: bool = False, replaces: str = "",
    removed: SnapshotRecord | None = None, attached: SourceRecord | None = None,
) -> dict[str, str]:  # fmt: skip
    """:param removed: its snapshot, where that was removed.
    :param attached: the source of that, when it was one of an attached source."""
    more = {"raw": "yes"} if raw else {}
    more |= {"replaces": replaces} if replaces else {}
    more |= {"removed": _text(removed)} if removed else {}
    more |= {"attached": _text(attached)} if removed and attached else {}
    return _mark("branch", branch.name, branch, snapshot=branch.snapshot, **more)


def of_spare(spare: BranchRecord) -> dict[str, str]:
    """Nothing in it is anybody's, so no record is worth keeping."""
    return {"role": "spare", "name": spare.name, "snapshot": spare.snapshot}


def of_source(source: SourceRecord, *, raw: bool = False) -> dict[str, str]:
    return _mark("source", source.name, source, **({"raw": "yes"} if raw else {}))


def of_snapshot(snapshot: SnapshotRecord, attached: SourceRecord | None = None) -> dict[str, str]:
    """:param attached: the source, when the snapshot was taken of an attached one."""
    more = {"attached": _text(attached)} if attached else {}
    return _mark("snapshot", _label(snapshot), snapshot, parent=snapshot.parent, **more)


def of_settled(snapshot: SnapshotRecord) -> dict[str, str]:
    return {"role": "settled", "name": _label(snapshot), "of": snapshot.id}


def _label(snapshot: SnapshotRecord) -> str:
    return f"{snapshot.parent_name}@{snapshot.name}"


def _mark(role: str, name: str, record: Kept, **more: str) -> dict[str, str]:
    mark = {"role": role, "name": name, **more, "record": _text(record)}
    if len(json.dumps(mark)) > _LIMIT:
        return {key: word for key, word in mark.items() if key not in _RECORDS}
    return mark


def _text(record: Kept) -> str:
    return msgspec.json.encode(_lasting(record)).decode()


def _lasting(record: Kept) -> Kept:
    """What will still be true when the mark is read."""
    if isinstance(record, SnapshotRecord):
        return replace(
            record, state="ready", settled=None, spares=None, branched_at=None, quarantined=(),
            timings={},
        )  # fmt: skip
    if isinstance(record, BranchRecord):
        cluster = replace(record.cluster, process=None)
        return replace(record, state="ready", cluster=cluster, quarantined=(), timings={})
    mine = replace(record.cluster, process=None) if record.cluster else None
    return replace(record, state="ready", cluster=mine, quarantined=(), loader=None, timings={})


def source_in(mark: Mark) -> SourceRecord:
    """:raises StorageError: the mark has no such record."""
    return _decode(mark, "record", SourceRecord)


def attached_in(mark: Mark) -> SourceRecord | None:
    """The attached source that a snapshot was taken of; None for one of another kind."""
    return _decode(mark, "attached", SourceRecord) if "attached" in mark else None


def snapshot_in(mark: Mark) -> SnapshotRecord:
    """:raises StorageError: the mark has no such record."""
    return _decode(mark, "record", SnapshotRecord)


def removed_in(mark: Mark) -> SnapshotRecord | None:
    """The snapshot that a branch came from, when it was removed; None when it is there."""
    return _decode(mark, "removed", SnapshotRecord) if "removed" in mark else None


def branch_in(mark: Mark) -> BranchRecord:
    """:raises StorageError: the mark has no such record."""
    return _decode(mark, "record", BranchRecord)


def _decode(mark: Mark, key: str, kind: type[Record]) -> Record:
    if key not in mark:
        raise StorageError(
            "its mark has no record: an older cowdb made it, or the record was too long"
        )
    try:
        return msgspec.json.decode(mark[key], type=kind)
    except msgspec.DecodeError as error:
        raise StorageError(f"the record in its mark is not valid: {error}") from error
