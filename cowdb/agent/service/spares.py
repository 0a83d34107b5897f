"""Spares: servers of settled snapshots that were started before anybody asked. Made and taken
away by the agent alone, as spares.py says; taken by whoever asks for a branch.

A spare has an id, a port and a password of its own from the start, and lets nobody in. Taking it is
one transaction: it either is a spare or somebody's branch.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

from cowdb.agent import plan, priority, processes
from cowdb.agent.host import Attempt
from cowdb.agent.journal import Operation
from cowdb.agent.operations import Intent
from cowdb.agent.policy import Caller, require_owner
from cowdb.agent.requests import CreateBranch, WarmSnapshot
from cowdb.agent.service import views
from cowdb.agent.service.context import (
    Context,
    find_snapshot,
    new_id,
    require_ready,
    timings,
)
from cowdb.agent.service.portchoice import claim_port, on_another_port
from cowdb.agent.spares import Automatic, Budget, Change, can_have, change, granted, wanted
from cowdb.agent.store import NAMED, Transaction
from cowdb.errors import BusyError, ConflictError, CowdbError, StorageError
from cowdb.model import NOBODY, BranchRecord, Process, SnapshotRecord
from cowdb.wire import BranchInfo, SnapshotInfo, SparesStatus

log = logging.getLogger("cowdb.spares")
_COST = 16 * 2**20  # bytes of a server, until one of the snapshot has been measured
_SHARE = 32  # of the host's memory
_PORTS_SHARE = 4  # of the ports that nothing else has
_REST = 30.0  # seconds until one is tried again where it could not be made
_URGENT = 1  # of taking: clients are admitted before the answer, the mark is written after it

Record = Callable[[SnapshotRecord, str, int], BranchRecord]
"""A new branch of a snapshot, by its id and port."""


class Spares:
    """:param ordinary: what a branch is for which nothing special was asked."""

    def __init__(self, context: Context, ordinary: Record) -> None:
        self._context, self._ordinary = context, ordinary
        self._costs: dict[str, int] = {}
        self._resting: dict[str, float] = {}

    # --- taken ---------------------------------------------------------------------------------

    def take(
        self, request: CreateBranch, record: Record, caller: Caller, attempt: Attempt, before: float
    ) -> BranchInfo | None:
        """A branch of a snapshot that was ready before; None when there is none, or when it would
        not be what the request asks for.

        :param record: what the branch is to be.
        :raises ConflictError: the name is taken. NotFoundError: the origin is not there.
        """
        if request.port is not None:
            return None  # a spare runs on its own port already
        for spare in self._ready(request.origin):
            try:
                with self._context.claims.hold(spare.id, spare.name, patience=0):
                    operation, branch = self._take(spare, record, caller, attempt)
            except (BusyError, _NotReadyError):
                continue  # somebody else was first, or it has died
            return self._taken(operation, branch, caller, attempt, before)
        return None

    def _ready(self, origin: str) -> list[BranchRecord]:
        with self._context.store.transaction() as tx:
            snapshot = find_snapshot(tx, origin, implicit=True)
            found = tx.spares.all("snapshot = ?", snapshot.id)
        return [spare for spare in found if spare.state == "ready"]

    def _take(
        self, spare: BranchRecord, record: Record, caller: Caller, attempt: Attempt
    ) -> tuple[Operation, BranchRecord]:
        """:raises _NotReadyError: it went meanwhile, or its server did."""
        made: list[BranchRecord] = []

        def prepare(tx: Transaction) -> Intent:
            snapshot, current = tx.snapshots.get(spare.snapshot), tx.spares.get(spare.id)
            if snapshot is None or current is None or not self._is_sound(current, snapshot):
                raise _NotReadyError
            asked = record(snapshot, spare.id, spare.cluster.port)
            cluster = replace(asked.cluster, process=current.cluster.process)
            if cluster != current.cluster:  # it was started without knowing what would be asked
                raise _NotReadyError
            tx.claim_name(asked.name, "branch", spare.id)
            cut = snapshot.quarantined
            branch = replace(asked, state="ready", cluster=cluster, quarantined=cut, spare=True)
            tx.spares.delete(spare.id)
            tx.branches.put(branch)
            tx.snapshots.put(replace(snapshot, branched_at=branch.created_at))
            made.append(branch)
            return Intent("branch create", branch.name, spare.id, plan.take_spare(branch, current))

        operation = self._context.operations.commit(caller.name, prepare, attempt, urgent=_URGENT)
        return operation, made[0]

    def _taken(
        self, operation: Operation, branch: BranchRecord, caller: Caller, attempt: Attempt,
        before: float,
    ) -> BranchInfo:  # fmt: skip
        with self._context.store.transaction() as tx:
            info = views.branch_info(tx, branch, self._context.host, caller)
        took = timings(attempt.timings, (time.perf_counter() - before) * 1000)
        info["timings_ms"] = took

        def note(tx: Transaction) -> None:
            if current := tx.branches.get(branch.id):
                tx.branches.put(replace(current, timings=took))

        def finish() -> None:
            with self._context.claims.hold(branch.id, branch.name):
                self._context.operations.finish(operation, Attempt(), note, urgent=_URGENT)

        self._context.soon(finish)
        self._context.spares_due.set()
        return info

    # --- asked for -----------------------------------------------------------------------------

    def warm(self, ref: str, request: WarmSnapshot, caller: Caller) -> SnapshotInfo:
        """How many a snapshot is to have. They are made in the background; what is too much is
        gone when this returns."""
        with self._context.store.transaction() as tx:
            snapshot = find_snapshot(tx, ref)
        require_owner(caller, snapshot.owner_uid, f"say how many spares snapshot {ref!r} has")
        with self._context.claims.hold(snapshot.id, ref):
            with self._context.store.transaction() as tx:
                current = find_snapshot(tx, ref)
                require_ready(current, f"snapshot {ref!r}")
                tx.snapshots.put(replace(current, spares=request.spares))
                found = tx.spares.all("snapshot = ?", current.id)
                surplus = found[wishes(self._context, tx).get(current.id, 0) :]
            for spare in surplus:
                self.drop(spare)
        self._resting.pop(snapshot.id, None)
        self._context.spares_due.set()
        with self._context.store.transaction() as tx:
            current = find_snapshot(tx, ref)
            return views.snapshot_info(tx, current, wishes(self._context, tx))

    def status(self) -> SparesStatus:
        with self._context.store.transaction() as tx:
            wanted = sum(wishes(self._context, tx).values())
            ready = [spare for spare in tx.spares.all() if spare.state == "ready"]
        return {
            "wanted": wanted,
            "ready": len(ready),
            "memory_bytes": sum(self._costs.get(spare.snapshot, _COST) for spare in ready),
            "memory_limit_bytes": self._memory(),
        }

    # --- made and taken away -------------------------------------------------------------------

    def tidy(self) -> None:
        """Take away what has died, and what is too much."""
        for spare in self._next()[1]:
            self.drop(spare)

    def refill(self) -> bool:
        """Make the next one that is missing. Whether one was made."""
        snapshot_id = self._next()[0].make
        if snapshot_id is None:
            return False
        try:
            process = self._make(snapshot_id)
        except BusyError:
            return False  # looked at again
        except CowdbError as error:
            self._resting[snapshot_id] = time.monotonic() + _REST
            log.warning("no spare made: %s", error.message, extra={"target": snapshot_id})
            return False
        if process is not None:
            priority.normal([process.pid, *processes.descendants(process.pid)])
            self._costs[snapshot_id] = processes.memory(process)
        return True

    def _next(self) -> tuple[Change, list[BranchRecord]]:
        """What to do, and which go by it."""
        with self._context.store.transaction() as tx:
            snapshots = {item.id: item for item in tx.snapshots.all(NAMED)}
            spares = [item for item in tx.spares.all() if item.state == "ready"]
            others = len(tx.ports()) - len(spares)
            wishing = wishes(self._context, tx)
        unsound = {
            item.id
            for item in spares
            if item.snapshot not in snapshots or not self._is_sound(item, snapshots[item.snapshot])
        }
        for item in spares:
            if item.snapshot not in self._costs and item.cluster.process and item.id not in unsound:
                self._costs[item.snapshot] = processes.memory(item.cluster.process)
        first, last = self._context.host.config.ports
        ports = max(0, (last - first + 1 - others) // _PORTS_SHARE)
        budget = Budget(self._memory(), ports, self._costs, _COST)
        now = time.monotonic()
        resting = {item for item, until in self._resting.copy().items() if until > now}
        found = change(granted(wishing, budget), snapshots, spares, unsound, resting)
        return found, [item for item in spares if item.id in found.drop]

    def _memory(self) -> int:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return self._context.host.config.spares_memory or total // _SHARE

    def _make(self, snapshot_id: str) -> Process | None:
        """:raises CowdbError: nothing of it is left."""
        with self._context.claims.hold(snapshot_id, snapshot_id, patience=0):
            return on_another_port(None, Attempt(), partial(self._run_make, snapshot_id))

    def _run_make(self, snapshot_id: str, attempt: Attempt) -> Process | None:
        before, spare_id = time.perf_counter(), new_id("br")

        def prepare(tx: Transaction) -> Intent:
            snapshot = tx.snapshots.get(snapshot_id)
            if snapshot is None or not can_have(snapshot):
                raise ConflictError("its snapshot went meanwhile")
            self._context.pools.require_room(snapshot.pool)
            port = claim_port(self._context, tx, None, spare_id, attempt)
            ordinary = self._ordinary(snapshot, spare_id, port)
            spare = replace(ordinary, owner_uid=NOBODY, spare=True)
            tx.spares.put(spare)
            label = f"{snapshot.parent_name}@{snapshot.name}"
            return Intent("spare make", label, spare_id, plan.make_spare(spare, snapshot))

        def commit(tx: Transaction, done: Attempt) -> None:
            spare = tx.spares.get(spare_id)
            assert spare is not None
            cluster = replace(spare.cluster, process=done.process)
            took = timings(done.timings, (time.perf_counter() - before) * 1000)
            tx.spares.put(replace(spare, state="ready", cluster=cluster, timings=took))

        self._context.operations.run("agent", prepare, commit, attempt)
        return attempt.process

    def unsound(self) -> list[BranchRecord]:
        """Those that nobody would be given."""
        with self._context.store.transaction() as tx:
            found = [(item, tx.snapshots.get(item.snapshot)) for item in tx.spares.all()
                     if item.state == "ready"]  # fmt: skip
        return [
            item
            for item, snapshot in found
            if snapshot is None or not self._is_sound(item, snapshot) or not self._is_there(item)
        ]

    def _is_sound(self, spare: BranchRecord, snapshot: SnapshotRecord) -> bool:
        """Its server is the very process that was started, on the snapshot's present copy, and as
        one would be started now."""
        if not can_have(snapshot) or snapshot.settled != spare.base:
            return False
        cluster = spare.cluster
        usual = self._ordinary(snapshot, spare.id, cluster.port).cluster
        return replace(usual, process=cluster.process) == cluster and (
            spare.state == "ready" and processes.alive(cluster.process)
        )

    def _is_there(self, spare: BranchRecord) -> bool:
        """Also where the pool is not: that is said elsewhere."""
        try:
            listed = self._context.pools.get(spare.cluster.pool).list()
        except StorageError:
            return True
        return any(item.id == spare.cluster.volume and item.complete for item in listed)

    def drop(self, spare: BranchRecord) -> bool:
        """Whether it went; not when somebody takes it at this moment."""

        def prepare(tx: Transaction) -> Intent:
            current = tx.spares.get(spare.id)
            if current is None or current.state != "ready":
                raise ConflictError("the spare was taken meanwhile")
            tx.spares.put(replace(current, state="deleting"))
            return Intent("spare rm", spare.name, spare.id, plan.remove_spare(current))

        try:
            with self._context.claims.hold(spare.id, spare.name, patience=0):
                self._context.operations.run("agent", prepare, lambda tx, done: None, Attempt())
        except CowdbError as error:
            log.warning("spare not removed: %s", error.message, extra={"target": spare.name})
            return False
        return True


class _NotReadyError(Exception):
    """Another one has to be looked for."""


def wishes(context: Context, tx: Transaction) -> dict[str, int]:
    """How many spares each snapshot is to have, as far as there is room for them."""
    config = context.host.config
    # Where branches sleep unless told otherwise, hardly any would be given away.
    automatic = Automatic(
        0 if config.sleep_after else config.auto_spares, config.auto_spares_snapshots,
        timedelta(seconds=config.auto_spares_seconds),
    )  # fmt: skip
    return wanted(tx.snapshots.all(NAMED), automatic, context.now())


@contextlib.contextmanager
def holding(context: Context, snapshot_id: str) -> Iterator[None]:
    """Nobody takes a spare of a snapshot, or takes one away. Whoever asks holds the snapshot's
    claim, so that none is made.

    :raises BusyError: somebody does, for long.
    """
    with context.store.transaction() as tx:
        spares = tx.spares.all("snapshot = ?", snapshot_id)
    with contextlib.ExitStack() as stack:
        for spare in spares:
            stack.enter_context(context.claims.hold(spare.id, spare.name))
        yield
