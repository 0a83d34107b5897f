"""The implicit snapshot that goes with the last branch that comes of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

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


class _SettlingError(Exception):
    """The snapshot that would go is being settled."""

    def __init__(self, snapshot: SnapshotRecord) -> None:
        super().__init__("it is being settled")
        self.snapshot = snapshot


@dataclass(frozen=True, slots=True)
class Waited:
    """What a removal has waited for, and does not wait for again.

    :param others: that were being removed; if one could not be, the snapshot stays until the agent
        starts again.
    :param snapshot: whose claim it holds by now."""

    others: bool = False
    snapshot: str | None = None


def after(
    context: Context, tx: Transaction, branch: BranchRecord, waited: Waited
) -> SnapshotRecord | None:
    """The snapshot that nobody but this branch comes of.

    :raises _LastOnesError, _SettlingError: for `run_removal`."""
    snapshot = tx.snapshots.get(branch.snapshot)
    if snapshot is None or not snapshot.implicit or snapshot.state != "ready":
        return None
    others = tx.branches.count("snapshot = ? and id <> ?", snapshot.id, branch.id)
    if not others:
        if waited.snapshot != snapshot.id and context.claims.held(snapshot.id):
            raise _SettlingError(snapshot)
        return snapshot
    if not waited.others and others <= _AT_ONCE:
        found = tx.branches.all("snapshot = ? and id <> ?", snapshot.id, branch.id)
        if all(item.state == "deleting" for item in found):
            raise _LastOnesError(found)
    return None


def run_removal(
    context: Context, caller: str, prepare: Callable[[Transaction, Waited], Intent],
    commit: Callable[[Transaction, Attempt], None], attempt: Attempt,
) -> None:  # fmt: skip
    """Remove a branch whose claim the caller holds. Of two that wait for each other there is none:
    a branch that waits is not being removed yet, so that nobody waits for it, and who settles a
    snapshot waits for no branch."""
    waited = Waited()
    with contextlib.ExitStack() as held:
        while True:
            try:
                context.operations.run(caller, lambda tx: prepare(tx, waited), commit, attempt)  # noqa: B023
                return
            except _LastOnesError as last:
                for other in last.others:
                    with context.claims.hold(other.id, other.name):
                        pass
                waited = Waited(True, waited.snapshot)
            except _SettlingError as settling:
                name, one = settling.snapshot.parent_name, settling.snapshot.id
                held.enter_context(context.claims.hold(one, name))
                waited = Waited(waited.others, one)
