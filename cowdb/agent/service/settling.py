"""Settle snapshots: recover a scratch clone once, so that branches start without replaying WAL."""

from __future__ import annotations

import logging
from dataclasses import replace

from cowdb.agent import plan
from cowdb.agent.host import Attempt, Report
from cowdb.agent.operations import Intent
from cowdb.agent.service.context import Context, new_id
from cowdb.agent.store import NAMED, Transaction
from cowdb.errors import ConflictError, CowdbError

log = logging.getLogger("cowdb.snapshots")
SHARED_BY = 4
"""Branches of a running server's snapshot from which on it pays: each that starts from the raw one
takes 20 ms of work more, and to settle it takes 80."""


def settle(context: Context, snapshot_id: str, report: Report) -> None:
    """:raises CowdbError: it does not recover, or was removed; branches start from the raw one."""
    settled = new_id("se")
    with context.store.transaction() as tx:
        found = tx.snapshots.get(snapshot_id)
        if found is None or found.settled or found.state != "ready":
            return
        label = f"{found.parent_name}@{found.name}"

    def prepare(tx: Transaction) -> Intent:
        snapshot = tx.snapshots.get(snapshot_id)
        if snapshot is None or snapshot.state != "ready":
            raise ConflictError(f"snapshot {label!r} was removed meanwhile")
        context.pools.require_room(snapshot.pool)
        return Intent("snapshot settle", label, snapshot_id, plan.settle(snapshot, settled))

    def commit(tx: Transaction, done: Attempt) -> None:
        snapshot = tx.snapshots.get(snapshot_id)
        assert snapshot is not None
        cut = (*snapshot.quarantined, *done.quarantined)
        tx.snapshots.put(replace(snapshot, settled=settled, quarantined=cut))

    with context.claims.hold(snapshot_id, label):
        context.operations.run("agent", prepare, commit, Attempt(report=report))
    context.spares_due.set()


def soon(context: Context, snapshot_id: str) -> None:
    """In the background."""
    context.in_background(lambda: _quietly(context, snapshot_id))


def soon_if_shared(context: Context, snapshot_id: str) -> None:
    """Where several branches came of a snapshot that was taken for one, more will come."""
    with context.store.transaction() as tx:
        found = tx.snapshots.get(snapshot_id)
        if found is None or found.settled or found.state != "ready":
            return
        shared = tx.branches.count("snapshot = ?", snapshot_id) >= SHARED_BY
    if shared and context.recent.to_settle(snapshot_id):
        soon(context, snapshot_id)


def all_left(context: Context) -> None:
    """What an agent that ended did not get to."""
    with context.store.transaction() as tx:
        waiting = [item.id for item in tx.snapshots.all(NAMED)
                   if not item.settled and item.state == "ready"]  # fmt: skip
    for snapshot_id in waiting:
        _quietly(context, snapshot_id)


def _quietly(context: Context, snapshot_id: str) -> None:
    """Nobody waits for the outcome: the journal and the log keep it."""
    try:
        settle(context, snapshot_id, lambda what, done, total: None)
    except CowdbError as error:
        log.warning("not settled: %s", error.message, extra={"target": snapshot_id})
