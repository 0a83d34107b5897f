"""The nearest snapshot that several branches, sources and snapshots descend from.

A state's history is a line of snapshots: those taken of it, the newest first, then the snapshot
that it was cloned from and those taken of that one's parent before, and so on. Histories are paths
of one tree, so the first snapshot of one that is in all others is the nearest. Only the records are
asked: of a branch that was removed (`--promote`) those of its snapshots say what it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cowdb.agent.requests import Ancestor as Request
from cowdb.agent.service.context import Context, find_parent, find_snapshot
from cowdb.agent.store import Transaction
from cowdb.model import BranchRecord, SnapshotRecord, SourceRecord
from cowdb.names import parse_ref
from cowdb.wire import AncestorInfo


class Ancestry:
    def __init__(self, context: Context) -> None:
        self._context = context

    def common(self, request: Request) -> AncestorInfo:
        """:raises NotFoundError: one of the names stands for nothing."""
        with self._context.store.transaction() as tx:
            histories = [list(history(tx, _find(tx, name))) for name in request.names]
            found = nearest(histories)
            if found is not None:
                return {"ref": f"{found.parent_name}@{found.name}", "reason": ""}
            return {"ref": None, "reason": _reason(tx, request.names, histories)}


def _find(tx: Transaction, name: str) -> BranchRecord | SourceRecord | SnapshotRecord:
    if parse_ref(name, implicit=True).snapshot is None:
        return find_parent(tx, name)
    return find_snapshot(tx, name, implicit=True)


def nearest(histories: list[list[SnapshotRecord]]) -> SnapshotRecord | None:
    """The first of one that all others hold, too. Pure."""
    first, *others = histories
    known = [{item.id for item in other} for other in others]
    return next((item for item in first if all(item.id in ids for ids in known)), None)


def history(
    tx: Transaction, subject: BranchRecord | SourceRecord | SnapshotRecord
) -> Iterator[SnapshotRecord]:
    """The snapshots that a state descends from, the nearest first; a snapshot's own is itself."""
    if isinstance(subject, SnapshotRecord):
        snapshot: SnapshotRecord | None = subject
    else:
        taken = tx.snapshots.all("parent = ?", subject.id)
        volume = subject.cluster.volume if subject.cluster is not None else ""
        yield from line(item for item in taken if item.origin == volume)
        # A source came from nowhere.
        snapshot = tx.snapshots.get(subject.snapshot) if isinstance(subject, BranchRecord) else None
    seen: set[str] = set()
    while snapshot is not None and snapshot.id not in seen:
        seen.add(snapshot.id)
        siblings = tx.snapshots.all("parent = ?", snapshot.parent)
        alike = [item for item in siblings if item.origin == snapshot.origin]
        yield from line(item for item in alike if item.created_at <= snapshot.created_at)
        snapshot = _came_from(tx, snapshot)


def _came_from(tx: Transaction, snapshot: SnapshotRecord) -> SnapshotRecord | None:
    """What the server was cloned from that this was taken of. A branch is reset to the very
    snapshot that it was made of, so that its present one holds for each of its volumes. Whatever a
    branch has as its snapshots, its own or passed on to it, descends from that one, too."""
    passed_on = tx.snapshots.get(snapshot.cloned_from) if snapshot.cloned_from else None
    parent = tx.branches.get(snapshot.parent)
    return passed_on or (tx.snapshots.get(parent.snapshot) if parent else None)


def before(tx: Transaction, snapshot: SnapshotRecord) -> str | None:
    """The id of the nearest snapshot that one descends from."""
    return next((item.id for item in history(tx, snapshot) if item.id != snapshot.id), None)


def line(taken: Iterable[SnapshotRecord]) -> Iterator[SnapshotRecord]:
    """Snapshots of one server in the order of its life, the newest first, as far as it is one
    life: a cluster that was restored or set back from outside ends the line. What was removed has
    only a record left: it tells of that life, and is nothing to compare with. Pure."""
    known = sorted((item for item in taken if item.state != "creating"),
                   key=lambda item: item.created_at, reverse=True)  # fmt: skip
    for newer, item in zip([None, *known], known, strict=False):
        if newer is not None and not _one_life(item, newer):
            return
        if item.state == "ready" and not item.removed:
            yield item


def _one_life(older: SnapshotRecord, newer: SnapshotRecord) -> bool:
    same = (older.system_identifier, older.timeline) == (newer.system_identifier, newer.timeline)
    return same and _position(older.lsn) <= _position(newer.lsn)


def _position(lsn: str) -> tuple[int, int]:
    """A place in the WAL, such as 0/16B3748."""
    high, _, low = lsn.partition("/")
    return int(high or "0", 16), int(low or "0", 16)


def _reason(tx: Transaction, names: list[str], histories: list[list[SnapshotRecord]]) -> str:
    for name, found in zip(names, histories, strict=True):
        if not found:
            return f"no snapshot is kept that {name!r} descends from"
    sources = {found[0].source for found in histories}
    if len(sources) > 1:
        labels = [source.name for source in map(tx.sources.get, sorted(sources)) if source]
        return f"they come from different sources ({', '.join(sorted(labels))})"
    return "no snapshot is kept that all of them descend from"
