"""Snapshots: taken of sources and branches, settled in the background, kept, removed."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from cowdb.agent import marks, plan
from cowdb.agent.effects.servers import process_of, require_whole
from cowdb.agent.engines.postgres import attached
from cowdb.agent.engines.postgres.quarantine import inspect_links
from cowdb.agent.host import Attempt, Report
from cowdb.agent.operations import Intent
from cowdb.agent.policy import Caller, require_owner
from cowdb.agent.requests import CreateSnapshot
from cowdb.agent.service import promotion, settling, views
from cowdb.agent.service.context import (
    Context,
    find_parent,
    find_snapshot,
    held_parent,
    new_id,
    note_protection,
    require_ready,
    timings,
)
from cowdb.agent.service.spares import holding, wishes
from cowdb.agent.steps import NoteMark, Plan
from cowdb.agent.storage.protocol import VolumeId
from cowdb.agent.store import NAMED, Transaction
from cowdb.errors import BusyError, ConflictError, UnsoundError
from cowdb.model import BranchRecord, Cluster, SnapshotRecord, SourceRecord
from cowdb.names import SnapshotName, parse_snapshot_ref
from cowdb.wire import Mode, RemovedInfo, SnapshotInfo

log = logging.getLogger("cowdb.snapshots")
SNAPSHOT_PATIENCE = 600.0  # seconds: snapshots of one parent are taken one after the other


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a snapshot is to be."""

    mode: Mode
    protected: bool = False
    freeze: bool = False


IMPLICIT = Wishes("checkpoint")


class Snapshots:
    def __init__(self, context: Context) -> None:
        self._context = context

    def create(self, request: CreateSnapshot, caller: Caller, report: Report) -> SnapshotInfo:
        """:raises UnsoundError: no snapshot of this could be recovered to a sound database."""
        parent, name = parse_snapshot_ref(request.ref)
        if request.mode == "stop":
            with self._context.store.transaction() as tx:
                owner = find_parent(tx, parent).owner_uid
            require_owner(caller, owner, f"stop {parent!r} for a snapshot")
        how = Wishes(request.mode, request.protected, request.freeze)
        made = self._take(parent, name, how, caller, Attempt(report=report))
        if request.settle:
            settling.settle(self._context, made, report)
        else:
            settling.soon(self._context, made)
        with self._context.store.transaction() as tx:
            snapshot = tx.snapshots.get(made)
            assert snapshot is not None
            return views.snapshot_info(tx, snapshot, wishes(self._context, tx))

    def take_implicit(self, parent: str, caller: Caller, attempt: Attempt) -> str:
        """A snapshot for one branch; goes when that goes. Returns its id."""
        return self._take(parent, self.implicit_name(), IMPLICIT, caller, attempt)

    def implicit_name(self) -> SnapshotName:
        """One that no user can write."""
        return SnapshotName(f"_{self._context.now():%Y%m%dT%H%M%S}-{new_id('i')}")

    def _take(
        self, parent: str, name: SnapshotName, wishes: Wishes, caller: Caller, attempt: Attempt
    ) -> str:
        with self._context.store.transaction() as tx:
            subject = find_parent(tx, parent).id
        with self._context.claims.hold(subject, parent, SNAPSHOT_PATIENCE):
            return self.take_held(parent, subject, name, wishes, caller, attempt)

    def take_held(
        self, parent: str, subject: str, name: SnapshotName, wishes: Wishes, caller: Caller,
        attempt: Attempt,
    ) -> str:  # fmt: skip
        """:param subject: the parent's id, whose claim the caller holds."""
        before, snapshot_id = time.perf_counter(), new_id("sn")

        def prepare(tx: Transaction) -> Intent:
            origin = held_parent(tx, parent, subject)
            if tx.snapshots.all("parent = ? and name = ?", origin.id, name):
                raise ConflictError(
                    f"there is already a snapshot {parent}@{name}",
                    hint=f"cowdb snapshot rm {parent}@{name}, or choose another name",
                )
            snapshot = self.record(tx, origin, snapshot_id, name, wishes, caller)
            steps = self._plan(origin, snapshot)
            return Intent("snapshot create", f"{parent}@{name}", snapshot_id, steps)

        def commit(tx: Transaction, done: Attempt) -> None:
            snapshot = tx.snapshots.get(snapshot_id)
            assert snapshot is not None
            took = timings(done.timings, (time.perf_counter() - before) * 1000)
            cut = tuple(done.quarantined)
            tx.snapshots.put(replace(taken(snapshot, done), quarantined=cut, timings=took))
            _note_restart(tx, parent, done)

        self._context.operations.run(caller.name, prepare, commit, attempt)
        return snapshot_id

    def record(
        self, tx: Transaction, origin: SourceRecord | BranchRecord, snapshot_id: str, name: str,
        wishes: Wishes, caller: Caller,
    ) -> SnapshotRecord:  # fmt: skip
        """A new record, in the store; raises PoolFullError where there is no room for it."""
        made = self._made(tx, origin, snapshot_id, name, wishes, caller)
        self._context.pools.require_room(made.pool)
        tx.snapshots.put(made)
        return made

    def _made(
        self, tx: Transaction, origin: SourceRecord | BranchRecord, snapshot_id: str, name: str,
        wishes: Wishes, caller: Caller,
    ) -> SnapshotRecord:  # fmt: skip
        cluster = origin.cluster
        if isinstance(origin, BranchRecord):
            ancestor = tx.snapshots.get(origin.snapshot)
            assert ancestor is not None
            source = ancestor.source
        else:
            source = origin.id
        if cluster is None:
            assert isinstance(origin, SourceRecord)
            pool, data, parts = self._survey(origin)
            known: SourceRecord | Cluster = origin
        else:
            pool, data, parts = cluster.pool, cluster.data, ()
            known = cluster
        return SnapshotRecord(
            id=snapshot_id,
            name=name,
            parent=origin.id,
            parent_name=origin.name,
            source=source,
            state="creating",
            pool=pool,
            data=data,
            parts=parts,
            origin=cluster.volume if cluster else "",
            mode=wishes.mode,
            consistency="crash-consistent",
            implicit=name.startswith("_"),
            protected=wishes.protected,
            freeze=wishes.freeze,
            version=known.version,
            superuser=known.superuser,
            database=known.database,
            owner_uid=caller.uid,
            created_at=self._context.now(),
        )

    def _survey(self, source: SourceRecord) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        """(pool, data directory in the volume, parts) of an attached source as it is now."""
        territory = attached.territory(attached.resolve(Path(source.datadir)))
        record, enclosure = self._context.pools.for_paths(territory.paths)
        parts = tuple((str(part.origin), str(part.inside)) for part in enclosure.parts)
        return record.id, parts[0][1], parts

    def _plan(self, origin: SourceRecord | BranchRecord, snapshot: SnapshotRecord) -> Plan:
        if origin.cluster is None:
            assert isinstance(origin, SourceRecord)
            return plan.snapshot_attached(snapshot, origin)
        running = self.require_snapshottable(origin, origin.cluster)
        ordered = self._context.pools.get(snapshot.pool).ordered
        server = plan.server_of(origin)
        return plan.snapshot_cluster(snapshot, server, running=running, ordered=ordered)

    def require_snapshottable(self, origin: SourceRecord | BranchRecord, cluster: Cluster) -> bool:
        """Whether its server runs.

        :raises UnsoundError: it keeps files outside its volume. ServerError: they may be torn."""
        server = plan.server_of(origin)
        tree = self._context.pools.get(cluster.pool).path(VolumeId(cluster.volume))
        if outside := inspect_links(tree, PurePosixPath(cluster.data)):
            raise UnsoundError(
                f"{origin.name!r} keeps files outside its volume: {outside[0]}",
                hint="move that tablespace into the default one, or drop it",
            )
        running = process_of(server, self._context.host) is not None
        if not running:
            require_whole(server, self._context.host)
        return running

    def remove(
        self, ref: str, caller: Caller, report: Report, *, promote: bool = False
    ) -> RemovedInfo:
        """:param promote: branches that come from it stay, and cannot be reset any more.

        :raises ConflictError: it is protected, or branches come from it."""
        with self._context.store.transaction() as tx:
            snapshot = promotion.half_removed(self._context, tx, ref) or find_snapshot(tx, ref)
        require_owner(caller, snapshot.owner_uid, f"remove snapshot {ref!r}")
        with self._context.claims.hold(snapshot.id, ref), holding(self._context, snapshot.id):
            self._context.operations.resume(snapshot.id)
            with self._context.store.transaction() as tx:
                now = tx.snapshots.get(snapshot.id)
            if snapshot.removed or (snapshot.state == "deleting" and (not now or now.removed)):
                return promotion.removed_info()
            attempt = Attempt(report=report)
            if not promote:
                self._remove(snapshot.id, caller.name, attempt)
                return promotion.removed_info()
            with promotion.holding_branches(self._context, snapshot.id) as held:
                return self._promote(snapshot.id, held, caller, attempt)

    def _remove(self, snapshot_id: str, caller: str, attempt: Attempt) -> None:
        def prepare(tx: Transaction) -> Intent:
            snapshot = _removable(tx, snapshot_id)
            if branches := tx.branches.all("snapshot = ?", snapshot_id):
                label = promotion.reference(snapshot)
                names = ", ".join(branch.name for branch in branches)
                raise ConflictError(
                    f"snapshot {label!r} cannot go: branch {names} comes from it",
                    hint=f"cowdb branch rm {branches[0].name}; to keep it: "
                    f"cowdb snapshot rm {label} --promote",
                )
            return self._removal(tx, snapshot, ())

        def commit(tx: Transaction, done: Attempt) -> None:
            promotion.give_up(tx, snapshot_id)

        self._context.operations.run(caller, prepare, commit, attempt)

    def _promote(
        self, snapshot_id: str, held: set[str], caller: Caller, attempt: Attempt
    ) -> RemovedInfo:
        branches: list[BranchRecord] = []

        def prepare(tx: Transaction) -> Intent:
            snapshot = _removable(tx, snapshot_id)
            branches.extend(tx.branches.all("snapshot = ?", snapshot_id))
            promotion.require_independent(snapshot, branches, held, caller)
            notes = promotion.independence_notes(tx, snapshot, branches)
            return self._removal(tx, snapshot, notes)

        def commit(tx: Transaction, done: Attempt) -> None:
            promotion.give_up(tx, snapshot_id, needed=bool(branches))

        self._context.operations.run(caller.name, prepare, commit, attempt)
        return promotion.removed_info(branches=branches)

    def _removal(
        self, tx: Transaction, snapshot: SnapshotRecord, notes: tuple[NoteMark, ...]
    ) -> Intent:
        self._context.pools.require_present(snapshot.pool)
        tx.snapshots.put(replace(snapshot, state="deleting"))
        spares = tx.spares.all("snapshot = ?", snapshot.id)
        for spare in spares:
            tx.spares.put(replace(spare, state="deleting"))
        removal = plan.remove_snapshot(snapshot, notes, spares)
        return Intent("snapshot rm", promotion.reference(snapshot), snapshot.id, removal)

    def discard(self, snapshot_id: str, caller: Caller) -> None:
        """Remove an implicit snapshot whose branch was not made, unless others come from it."""
        with (
            self._context.claims.hold(snapshot_id, snapshot_id),
            contextlib.suppress(ConflictError, BusyError),
        ):
            self._remove(snapshot_id, caller.name, Attempt())

    def protect(self, ref: str, caller: Caller, *, protected: bool) -> SnapshotInfo:
        with self._context.store.transaction() as tx:
            snapshot = find_snapshot(tx, ref)
        require_owner(caller, snapshot.owner_uid, f"protect snapshot {ref!r}")
        with self._context.claims.hold(f"mark of {snapshot.id}", ref):
            with self._context.store.transaction() as tx:
                current = replace(find_snapshot(tx, ref), protected=protected)
                attached = promotion.attached_of(tx, current)
            if current.state == "ready":  # else its volume may not be there
                note_protection(
                    self._context, current.pool, current.id, marks.of_snapshot(current, attached),
                    protected=protected,
                )  # fmt: skip
            with self._context.store.transaction() as tx:
                changed = replace(find_snapshot(tx, ref), protected=protected)
                tx.snapshots.put(changed)
                return views.snapshot_info(tx, changed, wishes(self._context, tx))

    def show(self, ref: str, caller: Caller) -> SnapshotInfo:
        with self._context.store.transaction() as tx:
            snapshot = find_snapshot(tx, ref)
            found = views.snapshot_info(tx, snapshot, wishes(self._context, tx))
        return self._measured(snapshot, found)

    def listing(self, *, sizes: bool = False) -> list[SnapshotInfo]:
        with self._context.store.transaction() as tx:
            wanted = wishes(self._context, tx)
            found = [
                (snapshot, views.snapshot_info(tx, snapshot, wanted))
                for snapshot in tx.snapshots.all(NAMED)
            ]
        return [self._measured(*item) if sizes else item[1] for item in found]

    def _measured(self, snapshot: SnapshotRecord, info: SnapshotInfo) -> SnapshotInfo:
        info["used_bytes"] = views.used_bytes(self._context.host, snapshot.pool, snapshot.id)
        return info


def _removable(tx: Transaction, snapshot_id: str) -> SnapshotRecord:
    """:raises ConflictError: it is protected, or gone."""
    snapshot = tx.snapshots.get(snapshot_id)
    if snapshot is None or snapshot.removed:
        raise ConflictError("the snapshot was removed meanwhile", hint="cowdb snapshot list")
    label = promotion.reference(snapshot)
    require_ready(snapshot, f"snapshot {label!r}")
    if snapshot.protected:
        raise ConflictError(
            f"snapshot {label!r} is protected", hint=f"cowdb snapshot protect {label} --off"
        )
    return snapshot


def taken(snapshot: SnapshotRecord, done: Attempt) -> SnapshotRecord:
    """The record of a snapshot that is there."""
    assert done.control is not None
    return replace(
        snapshot,
        state="ready",
        lsn=done.control.lsn,
        timeline=done.control.timeline,
        system_identifier=done.control.system_identifier,
        consistency=_consistency(done),
    )


def _consistency(done: Attempt) -> Literal["crash-consistent", "clean", "backup"]:
    if done.backup:
        return "backup"
    return "clean" if done.control and done.control.clean else "crash-consistent"


def _note_restart(tx: Transaction, parent: str, done: Attempt) -> None:
    """A snapshot by stopping leaves a new server process behind."""
    if done.process is None:
        return
    origin = find_parent(tx, parent)
    if origin.cluster is None:
        return
    cluster = replace(origin.cluster, process=done.process)
    if isinstance(origin, BranchRecord):
        tx.branches.put(replace(origin, cluster=cluster))
    else:
        tx.sources.put(replace(origin, cluster=cluster))
