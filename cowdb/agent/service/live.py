"""A branch of a server that cowdb runs, with the snapshot that is taken for it: one operation.

The parent is held until its snapshot is there and it goes on; after that others may have theirs
taken while this branch starts.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from cowdb.agent import plan
from cowdb.agent.host import Attempt
from cowdb.agent.operations import Intent
from cowdb.agent.policy import Caller
from cowdb.agent.requests import CreateBranch
from cowdb.agent.service import fairness
from cowdb.agent.service.context import (
    Context,
    find_parent,
    held_parent,
    new_id,
    timings,
)
from cowdb.agent.service.portchoice import claim_port, on_another_port
from cowdb.agent.service.snapshots import (
    IMPLICIT,
    SNAPSHOT_PATIENCE,
    Snapshots,
    taken,
)
from cowdb.agent.steps import ReadControl, Step
from cowdb.agent.storage.protocol import Forks
from cowdb.agent.store import Transaction
from cowdb.model import BranchRecord, SnapshotRecord

Recorder = Callable[[CreateBranch, SnapshotRecord, str, int, Caller], BranchRecord]


def is_of_server(context: Context, parent: str) -> bool:
    """Whether that name is one of a server that cowdb runs, and not of an attached source."""
    with context.store.transaction() as tx:
        return find_parent(tx, parent).cluster is not None


def create(
    context: Context, snapshots: Snapshots, request: CreateBranch, parent: str, caller: Caller,
    attempt: Attempt, record: Recorder, before: float,
) -> None:  # fmt: skip
    """:param record: makes the branch's. :param before: when the request came, by perf_counter.

    :raises CowdbError: as for a snapshot and a branch; nothing is left behind."""

    def work(current: Attempt) -> None:
        _create(context, snapshots, request, parent, caller, current, record, before)

    on_another_port(request.port, attempt, work)


def _create(
    context: Context, snapshots: Snapshots, request: CreateBranch, parent: str, caller: Caller,
    attempt: Attempt, record: Recorder, before: float,
) -> None:  # fmt: skip
    branch_id, snapshot_id, name = new_id("br"), new_id("sn"), snapshots.implicit_name()
    with context.store.transaction() as tx:
        subject = find_parent(tx, parent).id

    def prepare(tx: Transaction) -> Intent:
        origin = held_parent(tx, parent, subject)
        assert origin.cluster is not None
        fairness.require_share(tx, context.host, caller, hidden=request.hidden)
        tx.claim_name(request.name, "branch", branch_id)
        port = claim_port(context, tx, request.port, branch_id, attempt)
        snapshot = snapshots.record(tx, origin, snapshot_id, name, IMPLICIT, caller)
        branch = record(request, snapshot, branch_id, port, caller)
        tx.branches.put(branch)
        pool = context.pools.get(snapshot.pool)
        steps = plan.branch_cluster(
            branch, snapshot, plan.server_of(origin),
            running=snapshots.require_snapshottable(origin, origin.cluster),
            ordered=pool.ordered, forks=isinstance(pool, Forks),
        )  # fmt: skip
        return Intent("branch create", request.name, branch_id, steps)

    def commit(tx: Transaction, done: Attempt) -> None:
        snapshot = tx.snapshots.get(snapshot_id)
        assert snapshot is not None
        tx.snapshots.put(taken(snapshot, done))
        ready(before, tx, done, branch_id)

    with contextlib.ExitStack() as held:
        held.enter_context(context.claims.hold(subject, parent, SNAPSHOT_PATIENCE))

        def passed(step: Step) -> None:
            if isinstance(step, ReadControl):
                held.close()

        attempt.passed = passed
        context.operations.run(caller.name, prepare, commit, attempt)


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
