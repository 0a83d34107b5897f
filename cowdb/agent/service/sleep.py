"""Branches fall asleep when nobody uses them, and wake when somebody comes: the front says when,
the agent does it, as operations like any other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from cowdb.agent import doors, plan
from cowdb.agent.effects.servers import process_of
from cowdb.agent.host import Attempt
from cowdb.agent.operations import Intent
from cowdb.agent.service.context import Context, require_ready
from cowdb.agent.store import Transaction
from cowdb.errors import ConflictError, CowdbError
from cowdb.model import BranchRecord, Wanted

log = logging.getLogger("cowdb.sleep")
_WAKERS = 32  # at once; each waits for a server, or for the operation that holds its branch
_DOZE_PATIENCE = 0.1  # seconds: the front mentions again what stays idle


class Sleep:
    def __init__(self, context: Context) -> None:
        self._context = context
        # Apart, so that nobody who waits for a branch waits for others to fall asleep.
        self._wakers = ThreadPoolExecutor(_WAKERS, "wake")
        self._lullers = ThreadPoolExecutor(2, "sleep")

    def start(self) -> None:
        """Listen to the front from now on."""
        self._context.host.front.serve(self._heard, self._lost)

    def stop(self) -> None:
        """Listen no more; what is under way is finished."""
        self._context.host.front.close()
        self._wakers.shutdown(cancel_futures=True)
        self._lullers.shutdown(cancel_futures=True)
        self._context.host.front.close()

    def _heard(self, event: str, branch_id: str) -> None:
        work = {"wake": (self._wakers, self.wake), "idle": (self._lullers, self.doze)}.get(event)
        if work is not None:
            _later(work[0], lambda: work[1](branch_id))

    def _lost(self) -> None:
        log.warning("the front has died; sessions through it are lost, another one is started")
        _later(self._lullers, lambda: doors.after_a_loss(self._context))

    def doze(self, branch_id: str) -> None:
        """Stop a server that nobody uses."""
        branch = self._branch(branch_id)
        if branch is None:
            return
        try:
            with self._context.claims.hold(branch_id, branch.name, _DOZE_PATIENCE):
                self._switch(branch, "sleep")
        except ConflictError as error:  # in use after all, or being changed
            log.info("stays awake: %s", error.message, extra={"target": branch.name})

    def wake(self, branch_id: str) -> None:
        """Start the server for which clients wait, or tell them why not."""
        front = self._context.host.front
        branch = self._branch(branch_id)
        if branch is None:
            front.release(branch_id, "this branch was removed")
            return
        try:
            with self._context.claims.hold(branch_id, branch.name):
                now = self._branch(branch_id)
                if now is None or not doors.wants_door(now):
                    front.release(branch_id, f"branch {branch.name!r} is stopped")
                elif process_of(plan.server_of(now), self._context.host) is not None:
                    front.open(branch_id, now.cluster.port, now.cluster.sleep_after)
                else:
                    self._switch(now, "wake")
        except CowdbError as error:
            log.warning("not woken: %s", error.message, extra={"target": branch.name})
            said = error.message.partition("\n")[0]
            front.refuse(branch_id, f"branch {branch.name!r} cannot be woken: {said}", error.hint)
        except BaseException:
            front.refuse(branch_id, f"branch {branch.name!r} cannot be woken", "cowdb doctor")
            raise

    def _switch(self, branch: BranchRecord, verb: str) -> None:
        """The caller holds the branch."""
        wanted: Wanted = "running" if verb == "wake" else "sleeping"

        def prepare(tx: Transaction) -> Intent:
            current = tx.branches.get(branch.id)
            if current is None:
                raise ConflictError(f"branch {branch.name!r} was removed meanwhile")
            require_ready(current, f"branch {branch.name!r}")
            server = plan.server_of(current)
            if verb == "wake":
                self._context.pools.require_present(current.cluster.pool)
                return Intent("branch wake", branch.name, branch.id, plan.wake(server))
            if process_of(server, self._context.host) is None:
                raise ConflictError(f"branch {branch.name!r} does not run")
            return Intent("branch sleep", branch.name, branch.id, plan.sleep(server))

        def commit(tx: Transaction, done: Attempt) -> None:
            current = tx.branches.get(branch.id)
            assert current is not None
            process = done.process or current.cluster.process
            cluster = replace(current.cluster, wanted=wanted, process=process)
            tx.branches.put(replace(current, cluster=cluster))

        self._context.operations.run("agent", prepare, commit, Attempt())

    def _branch(self, branch_id: str) -> BranchRecord | None:
        with self._context.store.transaction() as tx:
            return tx.branches.get(branch_id)


def _later(pool: ThreadPoolExecutor, work: Callable[[], None]) -> None:
    def quietly() -> None:
        try:
            work()
        except Exception:
            log.exception("unforeseen")

    try:
        pool.submit(quietly)
    except RuntimeError:  # shut down: the next agent is told
        log.info("not taken up any more")
