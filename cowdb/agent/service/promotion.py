"""`rm --promote`: what comes from a branch or snapshot that goes, and stays
(docs/decisions/promote.md).

The records change with the commit. The marks are written before it, so that a pool never speaks of
less than what is in it, and are put back if the operation is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cowdb.agent import journal, marks
from cowdb.agent.policy import Caller, require_owner
from cowdb.agent.service.ancestry import before
from cowdb.agent.service.context import Context, require_ready
from cowdb.agent.steps import NoteMark
from cowdb.agent.store import CLONED_FROM, Transaction
from cowdb.errors import BusyError, ConflictError
from cowdb.model import BranchRecord, SnapshotRecord, SourceRecord
from cowdb.names import LONGEST
from cowdb.wire import RemovedInfo


@dataclass(frozen=True, slots=True)
class Adoption:
    """A snapshot of a branch that goes: as it is, and as one of what the branch came from."""

    before: SnapshotRecord
    after: SnapshotRecord


def reference(snapshot: SnapshotRecord) -> str:
    return f"{snapshot.parent_name}@{snapshot.name}"


def free_name(branch: str, snapshot: str, taken: set[str]) -> str:
    """What `branch@snapshot` is called where the branch is no more. Pure."""
    name = f"{branch.lstrip('_')}.{snapshot}"
    for number in range(1, len(taken) + 2):
        tail = "" if number == 1 else f"-{number}"
        found = name[: LONGEST - len(tail)] + tail
        if found not in taken:
            return found
    raise AssertionError


# --- a branch goes ---------------------------------------------------------------------------


def adoptions(
    tx: Transaction, branch: BranchRecord, garbage: SnapshotRecord | None = None
) -> list[Adoption]:
    """Each snapshot of a branch, and what becomes of it.

    :param garbage: the branch's own snapshot, where that goes with it."""
    found = tx.snapshots.all("parent = ?", branch.id)
    origin = tx.snapshots.get(branch.snapshot)
    assert origin is not None
    came_from = before(tx, garbage) if garbage else origin.id
    taken: set[str] = {item.name for item in tx.snapshots.all("parent = ?", origin.parent)}
    result = []
    for item in found:
        name = item.name if item.implicit else free_name(branch.name, item.name, taken)
        taken.add(name)
        after = replace(
            item, parent=origin.parent, parent_name=origin.parent_name, name=name,
            cloned_from=item.cloned_from or came_from,
        )  # fmt: skip
        result.append(Adoption(item, after))
    return result


def require_adoptable(
    tx: Transaction, branch: BranchRecord, found: list[Adoption], held: set[str], caller: Caller
) -> None:
    """:param held: ids of what no other operation can be at work on.

    :raises BusyError: something is. ConflictError: a snapshot whose name would change is
        protected. NotPermittedError: it is somebody else's.
    """
    for item in found:
        snapshot = item.before
        label = f"snapshot {reference(snapshot)!r}"
        branches = tx.branches.all("snapshot = ?", snapshot.id)
        if snapshot.implicit:
            held_all = {snapshot.id, *(each.id for each in branches)} <= held
            if not branches or not held_all or snapshot.state != "ready":
                raise BusyError(
                    f"a branch of branch {branch.name!r} is being made or removed", hint="try again"
                )
            continue
        require_ready(snapshot, label)
        if snapshot.id not in held:
            raise BusyError(f"{label} was taken meanwhile", hint="try again")
        require_owner(caller, snapshot.owner_uid, f"rename snapshot {reference(snapshot)!r}")
        if snapshot.protected:
            raise ConflictError(
                f"{label} is protected, and it would be renamed to {reference(item.after)!r}",
                hint=f"cowdb snapshot protect {reference(snapshot)} --off",
            )


def adoption_notes(tx: Transaction, found: list[Adoption]) -> tuple[NoteMark, ...]:
    """The marks of snapshots with their new names; of those that were removed themselves the marks
    of the branches that speak of them."""
    notes = []
    for item in found:
        if item.before.removed:
            notes += [
                _branch_note(each, mark_of_branch(tx, each), removed_mark(tx, each, item.after),
                             f"branch {each.name} says that it comes from {item.after.parent_name}")
                for each in tx.branches.all("snapshot = ?", item.before.id)
            ]  # fmt: skip
            continue
        was, name = reference(item.before), reference(item.after)
        notes.append(
            NoteMark(
                pool=item.before.pool,
                volume=item.before.id,
                mark=marks.of_snapshot(item.after, attached_of(tx, item.after)),
                before=marks.of_snapshot(item.before),
                change=f"snapshot {was} becomes {name}",
            )
        )
    return tuple(notes)


def adopt(tx: Transaction, branch: BranchRecord, found: list[Adoption]) -> None:
    """Change the records; what else they say by now stays."""
    for item in found:
        current = tx.snapshots.get(item.before.id)
        assert current is not None
        after = item.after
        tx.snapshots.put(
            replace(
                current,
                parent=after.parent,
                parent_name=after.parent_name,
                name=after.name,
                cloned_from=current.cloned_from or branch.snapshot,
            )
        )
    snapshot = tx.snapshots.get(branch.snapshot)
    if snapshot is not None and snapshot.state == "deleting":  # with its last branch
        pass_over(tx, snapshot)


def pass_over(tx: Transaction, gone: SnapshotRecord) -> None:
    """What was cloned from a snapshot whose record goes comes from the one before it, for all that
    anybody can look up from then on."""
    for item in tx.snapshots.all(CLONED_FROM, gone.id):
        tx.snapshots.put(replace(item, cloned_from=before(tx, gone)))


@contextlib.contextmanager
def holding_snapshots(context: Context, branch_id: str) -> Iterator[set[str]]:
    """Nobody else works on the snapshots of a branch, nor on branches that could take one of them
    along when they go. Gives their ids.

    :raises BusyError: somebody does, for long.
    """
    with context.store.transaction() as tx:
        snapshots = tx.snapshots.all("parent = ?", branch_id)
        branches = [branch for item in snapshots if item.implicit
                    for branch in tx.branches.all("snapshot = ?", item.id)]  # fmt: skip
    with contextlib.ExitStack() as stack:
        for branch in branches:
            stack.enter_context(context.claims.hold(branch.id, branch.name))
            context.operations.resume(branch.id)
        for item in snapshots:
            label = reference(item)
            stack.enter_context(context.claims.hold(item.id, label))
            stack.enter_context(context.claims.hold(f"mark of {item.id}", label))
        yield {item.id for item in snapshots} | {branch.id for branch in branches}


# --- a snapshot goes -------------------------------------------------------------------------


def remnant(snapshot: SnapshotRecord) -> SnapshotRecord:
    """What the store keeps of a snapshot that was removed while branches come from it."""
    return replace(
        snapshot,
        name=f"_removed-{snapshot.id}",  # no user can write this name
        state="ready",
        implicit=True,
        protected=False,
        settled=None,
        parts=(),
        quarantined=(),
        removed=reference(snapshot),
    )


def give_up(tx: Transaction, snapshot_id: str, *, needed: bool = False) -> None:
    """Change the record of a snapshot whose removal is certain.

    :param needed: branches come from it, and stay."""
    snapshot = tx.snapshots.get(snapshot_id)
    assert snapshot is not None
    if needed:
        tx.snapshots.put(remnant(snapshot))
    else:
        pass_over(tx, snapshot)


def half_removed(context: Context, tx: Transaction, ref: str) -> SnapshotRecord | None:
    """What is left of a snapshot whose volumes could not be removed yet, and that whoever asks
    again for its removal means."""
    left = {item.id: item for item in tx.snapshots.all() if item.removed == ref}
    waiting = journal.unfinished(context.store) if left else []
    return next((left[each.subject] for each in waiting if each.subject in left), None)


def require_independent(
    snapshot: SnapshotRecord, branches: list[BranchRecord], held: set[str], caller: Caller
) -> None:
    """:param branches: those of the snapshot, which could be reset no more.

    :raises BusyError, ConflictError, NotPermittedError: as `require_adoptable`.
    """
    for branch in branches:
        label, what = f"branch {branch.name!r}", f"take its snapshot from branch {branch.name!r}"
        require_ready(branch, label)
        if branch.id not in held:
            raise BusyError(f"{label} was made meanwhile", hint="try again")
        require_owner(caller, branch.owner_uid, what)
        if branch.protected:
            raise ConflictError(
                f"{label} is protected, and without {reference(snapshot)} it could not be reset",
                hint=f"cowdb branch protect {branch.name} --off",
            )


def independence_notes(
    tx: Transaction, snapshot: SnapshotRecord, branches: list[BranchRecord]
) -> tuple[NoteMark, ...]:
    """Each branch's mark with what its snapshot's said so far."""
    left = remnant(snapshot)
    return tuple(
        _branch_note(
            branch, marks.of_branch(branch),
            marks.of_branch(branch, removed=left, attached=attached_of(tx, left)),
            f"branch {branch.name} stands without a snapshot",
        )
        for branch in branches
    )  # fmt: skip


@contextlib.contextmanager
def holding_branches(context: Context, snapshot_id: str) -> Iterator[set[str]]:
    """Nobody else works on the branches of a snapshot. Gives their ids."""
    with context.store.transaction() as tx:
        branches = tx.branches.all("snapshot = ?", snapshot_id)
    with contextlib.ExitStack() as stack:
        for branch in branches:
            stack.enter_context(context.claims.hold(branch.id, branch.name))
            context.operations.resume(branch.id)
        yield {branch.id for branch in branches}


# --- what marks say --------------------------------------------------------------------------


def attached_of(tx: Transaction, snapshot: SnapshotRecord) -> SourceRecord | None:
    """The attached source that is a snapshot's parent: it has no volume, and so no mark."""
    source = tx.sources.get(snapshot.parent)
    return source if source and source.kind == "attached" else None


def mark_of_branch(tx: Transaction, branch: BranchRecord) -> dict[str, str]:
    snapshot = tx.snapshots.get(branch.snapshot)
    if snapshot is None or not snapshot.removed:
        return marks.of_branch(branch)
    return removed_mark(tx, branch, snapshot)


def removed_mark(tx: Transaction, branch: BranchRecord, snapshot: SnapshotRecord) -> dict[str, str]:
    return marks.of_branch(branch, removed=snapshot, attached=attached_of(tx, snapshot))


def _branch_note(
    branch: BranchRecord, before: dict[str, str], mark: dict[str, str], change: str
) -> NoteMark:
    cluster = branch.cluster
    return NoteMark(
        pool=cluster.pool, volume=cluster.volume, mark=mark, before=before, change=change
    )


def removed_info(
    moved: Sequence[Adoption] = (), branches: Sequence[BranchRecord] = ()
) -> RemovedInfo:
    return {
        "snapshots": [{"was": reference(item.before), "ref": reference(item.after)}
                      for item in moved if not item.before.implicit],
        "branches": [branch.name for branch in branches if not branch.hidden],
    }  # fmt: skip
