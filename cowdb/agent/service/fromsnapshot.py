"""A branch of a snapshot that is there: one operation."""

from __future__ import annotations

import time
from dataclasses import replace

from cowdb.agent import plan
from cowdb.agent.host import Attempt
from cowdb.agent.operations import Intent
from cowdb.agent.policy import Caller
from cowdb.agent.requests import CreateBranch
from cowdb.agent.service import fairness
from cowdb.agent.service.context import Context, find_snapshot, new_id, require_ready, timings
from cowdb.agent.service.newbranch import record_of
from cowdb.agent.service.portchoice import claim_port, on_another_port
from cowdb.agent.store import Transaction
from cowdb.model import SnapshotRecord


class GoneError(Exception):
    """The snapshot was removed since it was chosen."""


def still_there(tx: Transaction, snapshot_id: str) -> SnapshotRecord:
    """:raises GoneError: it is not."""
    snapshot = tx.snapshots.get(snapshot_id)
    if snapshot is None or snapshot.state != "ready" or snapshot.removed:
        raise GoneError
    return snapshot


def create(
    context: Context, request: CreateBranch, implicit: str | None, caller: Caller,
    attempt: Attempt, before: float,
) -> None:  # fmt: skip
    """:param implicit: the snapshot that was taken for this branch; else the request names one.
    :param before: when the request came, by perf_counter.

    :raises CowdbError: nothing is left behind, but for the implicit snapshot."""

    def work(current: Attempt) -> None:
        once(context, request, implicit, caller, current, before)

    on_another_port(request.port, attempt, work)


def once(
    context: Context, request: CreateBranch, implicit: str | None, caller: Caller,
    attempt: Attempt, before: float,
) -> None:  # fmt: skip
    """:raises TakenError: somebody else has its port.
    :raises GoneError: the implicit snapshot was removed since."""
    branch_id = new_id("br")

    def prepare(tx: Transaction) -> Intent:
        if implicit is None:
            snapshot = find_snapshot(tx, request.origin, implicit=True)
            require_ready(snapshot, f"snapshot {request.origin!r}")
        else:
            snapshot = still_there(tx, implicit)
        context.pools.require_room(snapshot.pool)
        fairness.require_share(tx, context.host, caller, hidden=request.hidden)
        tx.claim_name(request.name, "branch", branch_id)
        port = claim_port(context, tx, request.port, branch_id, attempt)
        branch = record_of(context, request, snapshot, branch_id, port, caller)
        tx.branches.put(branch)
        tx.snapshots.put(replace(snapshot, branched_at=branch.created_at))
        return Intent("branch create", request.name, branch_id,
                      plan.create_branch(branch, snapshot))  # fmt: skip

    def commit(tx: Transaction, done: Attempt) -> None:
        ready(before, tx, done, branch_id)

    context.operations.run(caller.name, prepare, commit, attempt)
    if implicit is None:  # no other kind has spares
        context.spares_due.set()


def ready(before: float, tx: Transaction, done: Attempt, branch_id: str) -> None:
    """The branch was made, since `before`."""
    branch = tx.branches.get(branch_id)
    assert branch is not None
    snapshot = tx.snapshots.get(branch.snapshot)
    took = timings(done.timings, (time.perf_counter() - before) * 1000)
    tx.branches.put(
        replace(
            branch,
            state="ready",
            cluster=replace(branch.cluster, process=done.process),
            quarantined=(*(snapshot.quarantined if snapshot else ()), *done.quarantined),
            timings=took,
        )
    )
