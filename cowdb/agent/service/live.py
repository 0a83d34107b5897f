"""A branch of a server that cowdb runs, with the snapshot that is taken for it: one operation.

The parent is held until its snapshot is there and it goes on; after that others may have theirs
taken while this branch starts. Where several wait for it, one snapshot is taken for all of them.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from cowdb.agent import plan
from cowdb.agent.effects.servers import process_of, standing_of
from cowdb.agent.host import Attempt
from cowdb.agent.operations import Intent, planning
from cowdb.agent.policy import Caller
from cowdb.agent.requests import CreateBranch
from cowdb.agent.service import fairness, fromsnapshot, settling
from cowdb.agent.service.context import (
    Context,
    find_parent,
    held_parent,
    new_id,
)
from cowdb.agent.service.fromsnapshot import GoneError
from cowdb.agent.service.newbranch import record_of
from cowdb.agent.service.portchoice import claim_port, on_another_port
from cowdb.agent.service.recent import Incarnation, Taken
from cowdb.agent.service.snapshots import (
    IMPLICIT,
    SNAPSHOT_PATIENCE,
    Snapshots,
    taken,
)
from cowdb.agent.steps import ReadControl, Server, Step
from cowdb.agent.storage.protocol import Forks
from cowdb.agent.store import Transaction
from cowdb.errors import ServerError


def is_of_server(context: Context, parent: str) -> bool:
    """Whether that name is one of a server that cowdb runs, and not of an attached source."""
    with context.store.transaction() as tx:
        return find_parent(tx, parent).cluster is not None


def create(
    context: Context, snapshots: Snapshots, request: CreateBranch, parent: str, caller: Caller,
    attempt: Attempt, before: float,
) -> None:  # fmt: skip
    """:param before: when the request came, by perf_counter.

    :raises CowdbError: as for a snapshot and a branch; nothing is left behind."""

    def work(current: Attempt) -> None:
        _create(context, snapshots, request, parent, caller, current, before)

    on_another_port(request.port, attempt, work)


def _create(
    context: Context, snapshots: Snapshots, request: CreateBranch, parent: str, caller: Caller,
    attempt: Attempt, before: float,
) -> None:  # fmt: skip
    with context.store.transaction() as tx:
        subject = find_parent(tx, parent).id
    while True:
        with contextlib.ExitStack() as held:
            held.enter_context(context.claims.hold(subject, parent, SNAPSHOT_PATIENCE))
            snapshot = None if planning.get() else _good(context, parent, subject, before)
            if snapshot is None and not context.claims.waiting(subject):
                _fork(context, snapshots, request, parent, subject, caller, attempt, before,
                      held.close)  # fmt: skip
                return
            if snapshot is None:
                snapshot = _take(context, snapshots, parent, subject, caller, attempt)
        try:
            fromsnapshot.once(context, request, snapshot, caller, attempt, before)
            settling.soon_if_shared(context, snapshot)
            return
        except GoneError:
            continue  # with the last branch that came from it
        except BaseException:
            snapshots.discard(snapshot, caller)
            raise


def _good(context: Context, parent: str, subject: str, arrived: float) -> str | None:
    """The id of a snapshot that has what was committed when somebody asked for a branch."""
    taken = context.recent.of(subject)
    if taken is None:
        return None
    try:
        with context.store.transaction() as tx:
            origin = held_parent(tx, parent, subject)
            fromsnapshot.still_there(tx, taken.snapshot)
    except GoneError:
        context.recent.forget(subject)
        return None
    server = plan.server_of(origin)
    with contextlib.suppress(ServerError):  # taking a snapshot will say so, too
        if taken.serves(
            arrived, lambda: _incarnation(context, server),
            lambda: standing_of(server, context.host),
        ):  # fmt: skip
            return taken.snapshot
    return None


def _incarnation(context: Context, server: Server) -> Incarnation:
    return Incarnation(server.cluster.volume, process_of(server, context.host))


def _noted(context: Context, server: Server, snapshot: str, begun: float, done: Attempt) -> None:
    taken = Taken(snapshot, begun, _incarnation(context, server), done.standing)
    context.recent.note(server.cluster.id, taken)


def _take(
    context: Context, snapshots: Snapshots, parent: str, subject: str, caller: Caller,
    attempt: Attempt,
) -> str:  # fmt: skip
    """A snapshot for everybody who waits for the parent by now."""
    begun = time.perf_counter()
    with context.store.transaction() as tx:
        server = plan.server_of(held_parent(tx, parent, subject))
    name = snapshots.implicit_name()
    made = snapshots.take_held(parent, subject, name, IMPLICIT, caller, attempt)
    _noted(context, server, made, begun, attempt)
    return made


def _fork(
    context: Context, snapshots: Snapshots, request: CreateBranch, parent: str, subject: str,
    caller: Caller, attempt: Attempt, before: float, release: Callable[[], None],
) -> None:  # fmt: skip
    """Snapshot and branch at once.

    :param release: lets others have theirs."""
    begun = time.perf_counter()
    branch_id, snapshot_id, name = new_id("br"), new_id("sn"), snapshots.implicit_name()
    server: Server | None = None

    def prepare(tx: Transaction) -> Intent:
        nonlocal server
        origin = held_parent(tx, parent, subject)
        assert origin.cluster is not None
        server = plan.server_of(origin)
        fairness.require_share(tx, context.host, caller, hidden=request.hidden)
        tx.claim_name(request.name, "branch", branch_id)
        port = claim_port(context, tx, request.port, branch_id, attempt)
        snapshot = snapshots.record(tx, origin, snapshot_id, name, IMPLICIT, caller)
        branch = record_of(context, request, snapshot, branch_id, port, caller)
        tx.branches.put(branch)
        pool = context.pools.get(snapshot.pool)
        steps = plan.branch_cluster(
            branch, snapshot, server,
            running=snapshots.require_snapshottable(origin, origin.cluster),
            ordered=pool.ordered, forks=isinstance(pool, Forks),
        )  # fmt: skip
        return Intent("branch create", request.name, branch_id, steps)

    def commit(tx: Transaction, done: Attempt) -> None:
        snapshot = tx.snapshots.get(snapshot_id)
        assert snapshot is not None
        tx.snapshots.put(taken(snapshot, done))
        fromsnapshot.ready(before, tx, done, branch_id)

    def passed(step: Step) -> None:
        if isinstance(step, ReadControl):
            release()

    attempt.passed = passed
    context.operations.run(caller.name, prepare, commit, attempt)
    assert server is not None
    _noted(context, server, snapshot_id, begun, attempt)
