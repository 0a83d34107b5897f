"""Run a plan under the journal: intent, steps, commit, cleanup; or everything taken back.

prepare(tx)  checks the request, changes the records, returns the intent; one transaction
             with the journal's entry
steps        effects, in order; a failure undoes those that began, newest first
commit(tx)   the records as they are now; one transaction with "committed"
cleanup      effects that only go forward; without any, "committed" is "done"
complete(tx) what was to be removed goes, one transaction with "done"; after an undo
restore(tx)  the records as they were before, one transaction with "undone"
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cowdb.agent import effects, journal
from cowdb.agent.host import Attempt, Host
from cowdb.agent.journal import Operation, State
from cowdb.agent.steps import AdmitClients, AnyStep, NoteMark, Plan
from cowdb.agent.store import Store, Transaction
from cowdb.errors import BusyError, CowdbError, StorageError
from cowdb.model import SnapshotRecord

log = logging.getLogger("cowdb.operations")

_NOT_UNDONE = "; not undone: "
PATIENCE = 60.0  # seconds that an operation waits for another one on the same object


planning: ContextVar[bool] = ContextVar("planning", default=False)
"""Set for a request that only wants to see its plan (`--dry-run`)."""


class Planned(Exception):
    """The plan that was asked for; its records are rolled back, nothing has happened.

    :param snapshot: the record of the snapshot that the plan would take, if it would take one.
    """

    def __init__(self, steps: Sequence[str], snapshot: SnapshotRecord | None = None) -> None:
        super().__init__("planned")
        self.steps = tuple(steps)
        self.snapshot = snapshot


@dataclass(frozen=True, slots=True)
class Intent:
    """:param target: the name that people know; `subject`: the id of the record."""

    kind: str
    target: str
    subject: str
    plan: Plan


class Claims:
    """One operation at a time on each object. In memory: there is one agent on a host."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._waiting: Counter[str] = Counter()
        self._changed = threading.Condition()

    def waiting(self, subject: str) -> int:
        """How many wait for it."""
        return self._waiting[subject]

    def held(self, subject: str) -> bool:
        return subject in self._held

    @contextlib.contextmanager
    def hold(self, subject: str, name: str, patience: float = PATIENCE) -> Iterator[None]:
        """:raises BusyError: somebody else held it for longer than `patience` seconds."""
        with self._changed:
            self._waiting[subject] += 1
            try:
                free = self._changed.wait_for(lambda: subject not in self._held, patience)
            finally:
                self._waiting[subject] -= 1
                if not self._waiting[subject]:
                    del self._waiting[subject]
            if not free:
                raise BusyError(
                    f"another operation is at work on {name!r}", hint="try again when it is done"
                )
            self._held.add(subject)
        try:
            yield
        finally:
            with self._changed:
                self._held.discard(subject)
                self._changed.notify_all()


class Operations:
    def __init__(self, store: Store, host: Host) -> None:
        self.store, self.host = store, host
        self._at_work: set[str] = set()
        self._deferred: dict[str, Operation] = {}  # by the id of what they are about

    def at_work(self, operation: Operation) -> bool:
        """Whether a thread of this agent runs it now or in a moment, so that nobody else may
        touch it."""
        waiting = self._deferred.get(operation.subject)
        return operation.id in self._at_work or bool(waiting and waiting.id == operation.id)

    @property
    def busy(self) -> bool:
        """Whether any operation is under way."""
        return bool(self._at_work)

    def run(
        self,
        caller: str,
        prepare: Callable[[Transaction], Intent],
        commit: Callable[[Transaction, Attempt], None],
        attempt: Attempt,
    ) -> None:
        """:raises CowdbError: what a step raised, after everything was taken back."""
        operation = self._begin(caller, prepare, "running")
        try:
            _say(operation, "begun", caller=caller)
            self._forward(operation, commit, attempt)
            if operation.plan.cleanup:
                self.clean_up(operation, attempt)
            else:
                _say(operation, "done")
        finally:
            self._at_work.discard(operation.id)

    def commit(
        self, caller: str, prepare: Callable[[Transaction], Intent], attempt: Attempt, *,
        urgent: int,
    ) -> Operation:  # fmt: skip
        """An operation whose whole outcome is what `prepare` writes: it is committed with its
        intent, by one sync, and nothing of it is ever undone. `finish` has to follow.

        :param urgent: how many steps of its cleanup come first; the others can wait.
        """
        operation = self._begin(caller, prepare, "committed")
        self._deferred[operation.subject] = operation
        _say(operation, "begun", caller=caller)
        try:
            for step in operation.plan.cleanup[:urgent]:
                self._do(step, attempt)
        except BaseException:  # nobody will finish it: doctor and the next start are to see it
            self._deferred.pop(operation.subject, None)
            raise
        finally:
            self._at_work.discard(operation.id)
        return operation

    def finish(
        self, operation: Operation, attempt: Attempt, after: Callable[[Transaction], None], *,
        urgent: int,
    ) -> None:  # fmt: skip
        """The rest of what `commit` began, unless somebody else has done it since. The caller
        holds the object's claim.

        :param after: changes what the record says of how it went.
        """
        if self._deferred.pop(operation.subject, None) is operation:
            self._at_work.add(operation.id)
            try:
                self.clean_up(operation, attempt, done=urgent, after=after)
            finally:
                self._at_work.discard(operation.id)

    def _begin(
        self, caller: str, prepare: Callable[[Transaction], Intent], state: State
    ) -> Operation:
        with self.store.transaction() as tx:
            intent = prepare(tx)
            if planning.get():
                raise Planned(intent.plan.describe(), tx.snapshots.get(intent.subject))
            operation = journal.begin(
                tx, intent.kind, intent.target, intent.subject, caller, intent.plan,
                datetime.now(UTC), state,
            )  # fmt: skip
            self._at_work.add(operation.id)
        return operation

    def _forward(
        self,
        operation: Operation,
        commit: Callable[[Transaction, Attempt], None],
        attempt: Attempt,
    ) -> None:
        begun: list[AnyStep] = []
        try:
            for step in operation.plan.steps:
                begun.append(step)
                self._do(step, attempt)
            with self.store.transaction() as tx:
                commit(tx, attempt)
                if operation.plan.cleanup:
                    journal.mark(tx, operation, "committed")
                else:
                    _finish(tx, operation)
        except BaseException as error:
            self.take_back(operation, begun, attempt, _reason(error))
            raise

    def _do(self, step: AnyStep, attempt: Attempt) -> None:
        attempt.report(step.describe(), None, None)
        before = time.perf_counter()
        effects.do(step, self.host, attempt)
        took = (time.perf_counter() - before) * 1000
        name = type(step).__name__
        attempt.timings[name] = attempt.timings.get(name, 0.0) + took
        attempt.passed(step)

    def take_back(
        self, operation: Operation, begun: Sequence[AnyStep], attempt: Attempt, reason: str
    ) -> None:
        """Undo newest first. A step that cannot be undone stops nothing: the others are undone
        all the same, and the journal keeps the operation as failed for doctor."""
        faults = []
        reason = reason.partition(_NOT_UNDONE)[0]  # of an earlier attempt
        for step in reversed(begun):
            try:
                effects.undo(step, self.host, attempt)
            except Exception as error:
                faults.append(f"{step.describe()}: {_reason(error)}")
                log.warning("undo failed", extra={"operation": operation.id, "reason": faults[-1]})
        with self.store.transaction() as tx:
            if faults:
                attempt.stuck = True
                journal.mark(tx, operation, "failed", f"{reason}{_NOT_UNDONE}{'; '.join(faults)}")
            else:
                restore(tx, operation.subject)
                journal.mark(tx, operation, "undone", reason)
        _say(operation, "failed" if faults else "undone", reason=reason)

    def clean_up(
        self, operation: Operation, attempt: Attempt, *, done: int = 0,
        after: Callable[[Transaction], None] = lambda tx: None,
    ) -> None:  # fmt: skip
        """Finish a committed operation. What fails here stays committed: the next start, or
        doctor, tries again. "Done" is not synced by itself: without it, all this is done again.

        :param done: how many steps of the cleanup have been done.
        """
        for step in operation.plan.cleanup[done:]:
            self._do(step, attempt)
        with self.store.transaction(lazy=True) as tx:
            _finish(tx, operation)
            after(tx)
        _say(operation, "done")

    def resume(self, subject: str, *, forgiving: bool = False) -> None:
        """Clean up after a committed operation on this object that could not do it itself (a
        quota, a pool that was away), or has not yet (`finish`). The caller holds the object's
        claim.

        :param forgiving: what only tells of the object may be left for later: it may be about to
            go, and that is what makes room in a full pool.
        :raises CowdbError: it still cannot.
        """
        if planning.get():
            return
        found = [item for item in journal.unfinished(self.store)
                 if item.subject == subject and item.state == "committed"
                 and item.id not in self._at_work]  # fmt: skip
        self._deferred.pop(subject, None)
        for operation in found:
            try:
                self.clean_up(operation, Attempt())
            except StorageError:
                if not (forgiving and _only_tells(operation.plan)):
                    raise


def _only_tells(plan: Plan) -> bool:
    return all(isinstance(step, NoteMark | AdmitClients) for step in plan.cleanup)


def _finish(tx: Transaction, operation: Operation) -> None:
    complete(tx, operation.subject)
    journal.mark(tx, operation, "done")


def complete(tx: Transaction, subject: str) -> None:
    """Bring the records of a finished operation to rest: what was being removed goes, a branch
    with the implicit snapshot that only it came from; what was being changed is ready."""
    branch = tx.branches.get(subject)
    if branch is not None and branch.state == "resetting":
        tx.branches.put(replace(branch, state="ready"))
    for spare in tx.spares.all("snapshot = ?", subject):  # gone with their snapshot
        if spare.state == "deleting":
            tx.spares.delete(spare.id)
            tx.release(spare.id)
    for table in (tx.spares, tx.branches, tx.snapshots, tx.sources):
        record = table.get(subject)
        if record is not None and record.state == "deleting":
            table.delete(subject)
            tx.release(subject)
            journal.close(tx, subject)
    garbage = tx.snapshots.get(branch.snapshot) if branch and branch.state == "deleting" else None
    if garbage is not None and garbage.state == "deleting":
        tx.snapshots.delete(garbage.id)


def restore(tx: Transaction, subject: str) -> None:
    """Bring the records of an operation that was taken back to what they were before it: what
    was being made goes, what was being changed or removed stays."""
    branch = tx.branches.get(subject)
    if branch is not None and branch.state in ("resetting", "deleting"):
        tx.branches.put(replace(branch, state="ready"))
    snapshots = [tx.snapshots.get(subject), tx.snapshots.get(branch.snapshot) if branch else None]
    for snapshot in snapshots:
        if snapshot is not None and snapshot.state == "deleting":
            tx.snapshots.put(replace(snapshot, state="ready"))
    source = tx.sources.get(subject)
    if source is not None and source.state == "deleting":
        tx.sources.put(replace(source, state="loading" if source.loader else "ready"))
    made_for_it = snapshots[1] if branch and branch.state == "creating" else None
    for spare in tx.spares.all("snapshot = ? or id = ?", subject, subject):
        if spare.state == "deleting":
            tx.spares.put(replace(spare, state="ready"))
    for table in (tx.spares, tx.branches, tx.snapshots, tx.sources):
        record = table.get(subject)
        if record is not None and record.state == "creating":
            table.delete(subject)
            tx.release(subject)
    if made_for_it is not None and made_for_it.state == "creating":
        tx.snapshots.delete(made_for_it.id)


def _reason(error: BaseException) -> str:
    return error.message if isinstance(error, CowdbError) else f"{type(error).__name__}: {error}"


def _say(operation: Operation, event: str, **more: str) -> None:
    log.info(
        "%s %s %s", operation.kind, operation.target, event,
        extra={"operation": operation.id, "kind": operation.kind,
               "target": operation.target, **more},
    )  # fmt: skip
