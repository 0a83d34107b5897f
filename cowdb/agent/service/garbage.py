"""The implicit snapshot that goes with the last branch that comes of it."""

from __future__ import annotations

from collections.abc import Callable

from cowdb.agent.host import Attempt
from cowdb.agent.operations import Intent
from cowdb.agent.service.context import Context
from cowdb.agent.store import Transaction
from cowdb.model import BranchRecord, SnapshotRecord

_AT_ONCE = 100  # more are never all being removed


class _LastOnesError(Exception):
    """All others that come of the snapshot are being removed, too: whichever ends last takes it."""

    def __init__(self, others: list[BranchRecord]) -> None:
        super().__init__("others go, too")
        self.others = others


def after(tx: Transaction, branch: BranchRecord, *, waited: bool) -> SnapshotRecord | None:
    """The snapshot that nobody but this branch comes of.

    :param waited: for those that are being removed; what could not be is not waited for again, and
        the snapshot stays until the agent starts again.
    :raises _LastOnesError: for `run_removal`."""
    snapshot = tx.snapshots.get(branch.snapshot)
    if snapshot is None or not snapshot.implicit or snapshot.state != "ready":
        return None
    others = tx.branches.count("snapshot = ? and id <> ?", snapshot.id, branch.id)
    if not others:
        return snapshot
    if not waited and others <= _AT_ONCE:
        found = tx.branches.all("snapshot = ? and id <> ?", snapshot.id, branch.id)
        if all(item.state == "deleting" for item in found):
            raise _LastOnesError(found)
    return None


def run_removal(
    context: Context, caller: str, prepare: Callable[[Transaction, bool], Intent],
    commit: Callable[[Transaction, Attempt], None], attempt: Attempt,
) -> None:  # fmt: skip
    """Remove a branch whose claim the caller holds. Of two that wait for each other there is none:
    a branch that waits is not being removed yet, so that nobody waits for it.

    :param prepare: is told whether the last ones that go at the same time were waited for."""
    try:
        context.operations.run(caller, lambda tx: prepare(tx, False), commit, attempt)
    except _LastOnesError as last:
        for other in last.others:
            with context.claims.hold(other.id, other.name):
                pass
        context.operations.run(caller, lambda tx: prepare(tx, True), commit, attempt)
