"""Branches: made, listed, reset, stopped, started, removed, kept."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import replace
from functools import partial

from cowdb.agent import plan, ports
from cowdb.agent.effects.servers import LOOPBACK, process_of
from cowdb.agent.host import Attempt, Report
from cowdb.agent.operations import Intent, Planned
from cowdb.agent.policy import Caller, require_owner
from cowdb.agent.ports import TakenError
from cowdb.agent.requests import CreateBranch
from cowdb.agent.service import fairness, fromsnapshot, garbage, live, promotion, views
from cowdb.agent.service.context import (
    Context,
    dependents,
    find_branch,
    new_id,
    note_protection,
    refuse_dependents,
    require_ready,
    timings,
)
from cowdb.agent.service.garbage import Waited
from cowdb.agent.service.newbranch import record_of
from cowdb.agent.service.snapshots import Snapshots
from cowdb.agent.service.spares import Spares
from cowdb.agent.steps import NoteMark
from cowdb.agent.store import EXPIRING, Transaction
from cowdb.errors import ConflictError, CowdbError, PortError
from cowdb.model import BranchRecord, SnapshotRecord, Wanted
from cowdb.names import branch_name, parse_ref
from cowdb.wire import BranchInfo, RemovedInfo

log = logging.getLogger("cowdb.branches")
_EXPIRY_PATIENCE = 0.1  # seconds: an operation at work on it is waited for by looking again


class Branches:
    def __init__(self, context: Context, snapshots: Snapshots, spares: Spares) -> None:
        self._context, self._snapshots, self._spares = context, snapshots, spares

    def create(self, request: CreateBranch, caller: Caller, report: Report) -> BranchInfo:
        """:raises ConflictError: the name or port is taken. NotFoundError: the origin is not
        there. PoolFullError, ServerError: nothing is left behind."""
        before = time.perf_counter()
        # No user can write a name that begins with "_", so that hidden ones are in nobody's way.
        branch_name(request.name.removeprefix("_") if request.hidden else request.name)
        with self._context.store.transaction() as tx:
            self._require_free(tx, request.name)
            fairness.require_share(tx, self._context.host, caller, hidden=request.hidden)
        ref = parse_ref(request.origin, implicit=True)
        attempt = Attempt(report=report)
        if ref.snapshot is not None:
            asked = partial(self._asked, request, caller)
            if found := self._spares.take(request, asked, caller, attempt, before):
                return found
            fromsnapshot.create(self._context, request, None, caller, attempt, before)
            return self.show(request.name, caller, sizes=False)
        if live.is_of_server(self._context, ref.parent):
            live.create(
                self._context, self._snapshots, request, ref.parent, caller, attempt, before
            )
            return self.show(request.name, caller, sizes=False)
        try:
            implicit = self._snapshots.take_implicit(ref.parent, caller, attempt)
        except Planned as planned:
            raise self._planned(request, planned, caller) from None
        try:
            fromsnapshot.create(self._context, request, implicit, caller, attempt, before)
        except BaseException:
            self._snapshots.discard(implicit, caller)
            raise
        return self.show(request.name, caller, sizes=False)

    def _planned(self, request: CreateBranch, first: Planned, caller: Caller) -> Planned:
        """The plan of a branch of a snapshot that is itself only planned."""
        assert first.snapshot is not None
        with self._context.store.transaction() as tx:
            taken = tx.ports()
        port = request.port or ports.choose(self._context.host.config.ports, taken, LOOPBACK)
        branch = record_of(self._context, request, first.snapshot, new_id("br"), port, caller)
        return Planned([*first.steps, *plan.create_branch(branch, first.snapshot).describe()])

    def _require_free(self, tx: Transaction, name: str) -> None:
        """Say early, before a snapshot is taken for nothing, that the name is taken."""
        taken = tx.owner_of_name(name)
        if taken:
            raise ConflictError(
                f"there is already a {taken[0]} named {name!r}",
                hint=f"choose another name, or: cowdb {taken[0]} rm {name}",
            )

    def _asked(
        self, request: CreateBranch, caller: Caller, snapshot: SnapshotRecord, branch_id: str,
        port: int,
    ) -> BranchRecord:  # fmt: skip
        """What the caller may have and asks for."""
        with self._context.store.transaction() as tx:
            fairness.require_share(tx, self._context.host, caller, hidden=request.hidden)
        return record_of(self._context, request, snapshot, branch_id, port, caller)

    def show(self, name: str, caller: Caller, *, sizes: bool = True) -> BranchInfo:
        with self._context.store.transaction() as tx:
            branch = find_branch(tx, name)
            found = views.branch_info(tx, branch, self._context.host, caller)
        return self._measured(branch, found) if sizes else found

    def listing(self, caller: Caller, *, sizes: bool = False) -> list[BranchInfo]:
        with self._context.store.transaction() as tx:
            known = views.Known(tx)
            found = [
                (branch, views.branch_info(tx, branch, self._context.host, caller, known))
                for branch in tx.branches.all()
                if not branch.hidden
            ]
        return [self._measured(*item) if sizes else item[1] for item in found]

    def states(self) -> dict[str, int]:
        """How many of those that are listed are in which state."""
        with self._context.store.transaction() as tx:
            branches = [branch for branch in tx.branches.all() if not branch.hidden]
        return Counter(views.server_state(branch, self._context.host) for branch in branches)

    def _measured(self, branch: BranchRecord, info: BranchInfo) -> BranchInfo:
        cluster = branch.cluster
        info["used_bytes"] = views.used_bytes(self._context.host, cluster.pool, cluster.volume)
        return info

    def remove(
        self, name: str, caller: Caller, report: Report, *, promote: bool = False
    ) -> RemovedInfo:
        """:param promote: its snapshots pass to what it came from.

        :raises ConflictError: it is protected, or something comes from it."""
        branch = self._owned(name, caller, f"remove branch {name!r}")
        with self._context.claims.hold(branch.id, name):
            self._context.operations.resume(branch.id, forgiving=True)
            with self._context.store.transaction() as tx:
                gone = branch.state == "deleting" and tx.branches.get(branch.id) is None
            if gone:
                return promotion.removed_info()
            attempt = Attempt(report=report)
            if not promote:
                self._remove(branch.id, caller.name, attempt)
                return promotion.removed_info()
            with promotion.holding_snapshots(self._context, branch.id) as held:
                return self._promote(branch.id, held, caller, attempt)

    def _remove(self, branch_id: str, caller: str, attempt: Attempt) -> None:
        def prepare(tx: Transaction, waited: Waited) -> Intent:
            branch = _existing(tx, branch_id)
            keep = f"cowdb branch rm {branch.name} --promote"
            refuse = self._require_removable(branch)
            refuse_dependents(tx, branch.id, refuse, keep=keep)
            last = garbage.after(self._context, tx, branch, waited)
            return self._removal(tx, branch, (), last)

        def commit(tx: Transaction, done: Attempt) -> None:
            promotion.adopt(tx, _existing(tx, branch_id), [])

        garbage.run_removal(self._context, caller, prepare, commit, attempt)

    def _promote(
        self, branch_id: str, held: set[str], caller: Caller, attempt: Attempt
    ) -> RemovedInfo:
        moved: list[promotion.Adoption] = []

        def prepare(tx: Transaction, waited: Waited) -> Intent:
            branch = _existing(tx, branch_id)
            self._require_removable(branch)
            last = garbage.after(self._context, tx, branch, waited)
            moved[:] = promotion.adoptions(tx, branch, last)
            promotion.require_adoptable(tx, branch, moved, held, caller)
            notes = promotion.adoption_notes(tx, moved)
            return self._removal(tx, branch, notes, last)

        def commit(tx: Transaction, done: Attempt) -> None:
            promotion.adopt(tx, _existing(tx, branch_id), moved)

        garbage.run_removal(self._context, caller.name, prepare, commit, attempt)
        return promotion.removed_info(moved)

    def _require_removable(self, branch: BranchRecord) -> str:
        """What a refusal calls it."""
        label = f"branch {branch.name!r}"
        require_ready(branch, label)
        _refuse_protected(branch)
        return label

    def _removal(
        self, tx: Transaction, branch: BranchRecord, notes: tuple[NoteMark, ...],
        last: SnapshotRecord | None,
    ) -> Intent:  # fmt: skip
        """:param last: the snapshot that goes with it."""
        self._context.pools.require_present(branch.cluster.pool)
        tx.branches.put(replace(branch, state="deleting"))
        if last is not None:
            tx.snapshots.put(replace(last, state="deleting"))
        removal = plan.remove_branch(branch, last, notes)
        return Intent("branch rm", branch.name, branch.id, removal)

    def reset(self, name: str, caller: Caller, report: Report) -> BranchInfo:
        """Back to the snapshot, with the same port and DSN."""
        before = time.perf_counter()
        branch_id = self._owned(name, caller, f"reset branch {name!r}").id
        attempt = Attempt(report=report)
        fresh_volume, base = new_id("br"), ""

        def prepare(tx: Transaction) -> Intent:
            nonlocal base
            branch = _existing(tx, branch_id)
            require_ready(branch, f"branch {name!r}")
            _refuse_protected(branch)
            snapshot = tx.snapshots.get(branch.snapshot)
            assert snapshot is not None
            _require_snapshot(branch, snapshot)
            if self._context.pools.get(branch.cluster.pool).clones_depend:
                refuse_dependents(tx, branch.id, f"branch {branch.name!r}", "be reset")
            self._context.pools.require_room(snapshot.pool)
            base = snapshot.settled or snapshot.id
            tx.branches.put(replace(branch, state="resetting"))
            fresh = replace(branch.cluster, volume=fresh_volume, wanted="running")
            return Intent("branch reset", name, branch_id,
                          plan.reset_branch(branch, snapshot, fresh,
                                            running=self._runs(branch)))  # fmt: skip

        def commit(tx: Transaction, done: Attempt) -> None:
            branch = _existing(tx, branch_id)
            cluster = replace(
                branch.cluster, volume=fresh_volume, wanted="running", process=done.process
            )
            took = timings(done.timings, (time.perf_counter() - before) * 1000)
            tx.branches.put(replace(branch, cluster=cluster, base=base, timings=took))

        with self._context.claims.hold(branch_id, name):
            self._context.operations.resume(branch_id)
            try:
                self._context.operations.run(caller.name, prepare, commit, attempt)
            except TakenError as error:
                raise self._not_reset(branch_id, error) from error
        return self.show(name, caller, sizes=False)

    def _not_reset(self, branch_id: str, error: TakenError) -> PortError:
        with self._context.store.transaction() as tx:
            branch = _existing(tx, branch_id)
        name, how = branch.name, "" if self._runs(branch) else ", and does not run now"
        return PortError(
            f"branch {name!r} was not reset{how}: it keeps its port, and {error.message}",
            hint=f"stop that program, then: cowdb branch reset {name}, or, for what it was, "
            f"cowdb branch start {name}",
        )

    def stop(self, name: str, caller: Caller, report: Report) -> BranchInfo:
        return self._switch(name, caller, report, running=False)

    def start(self, name: str, caller: Caller, report: Report) -> BranchInfo:
        """On its own port; raises PortError when something else took it meanwhile."""
        return self._switch(name, caller, report, running=True)

    def _switch(self, name: str, caller: Caller, report: Report, *, running: bool) -> BranchInfo:
        verb = "start" if running else "stop"
        branch_id = self._owned(name, caller, f"{verb} branch {name!r}").id

        def prepare(tx: Transaction) -> Intent:
            branch = _existing(tx, branch_id)
            require_ready(branch, f"branch {name!r}")
            if running:
                self._context.pools.require_present(branch.cluster.pool)
            server, now = plan.server_of(branch), self._runs(branch)
            switch = plan.start_server if running else plan.stop_server
            steps = switch(server, running=now)
            return Intent(f"branch {verb}", name, branch_id, steps)

        def commit(tx: Transaction, done: Attempt) -> None:
            branch = _existing(tx, branch_id)
            wanted: Wanted = "running" if running else "stopped"
            process = done.process or branch.cluster.process
            cluster = replace(branch.cluster, wanted=wanted, process=process)
            tx.branches.put(replace(branch, cluster=cluster))

        with self._context.claims.hold(branch_id, name):
            self._context.operations.run(caller.name, prepare, commit, Attempt(report=report))
        return self.show(name, caller, sizes=False)

    def _runs(self, branch: BranchRecord) -> bool:
        return process_of(plan.server_of(branch), self._context.host) is not None

    def protect(self, name: str, caller: Caller, *, protected: bool) -> BranchInfo:
        branch_id = self._owned(name, caller, f"protect branch {name!r}").id
        with self._context.claims.hold(branch_id, name):
            self._context.operations.resume(branch_id, forgiving=True)
            with self._context.store.transaction() as tx:
                branch = _existing(tx, branch_id)
                mark = promotion.mark_of_branch(tx, replace(branch, protected=protected))
            if branch.protected != protected:
                note_protection(
                    self._context, branch.cluster.pool, branch.cluster.volume, mark,
                    protected=protected,
                )  # fmt: skip
                with self._context.store.transaction() as tx:
                    tx.branches.put(replace(_existing(tx, branch_id), protected=protected))
        return self.show(name, caller, sizes=False)

    def expire(self) -> None:
        """Remove what has outlived its time to live; the protected and those that others come
        from stay until that is no longer so."""
        now = self._context.now()
        with self._context.store.transaction() as tx:
            due = [
                branch for branch in tx.branches.all(EXPIRING)
                if branch.expires_at and branch.expires_at <= now and branch.state == "ready"
                and not branch.protected and not dependents(tx, branch.id)
            ]  # fmt: skip
        for branch in due:
            try:
                with self._context.claims.hold(branch.id, branch.name, _EXPIRY_PATIENCE):
                    self._remove(branch.id, "expiry", Attempt())
            except CowdbError as error:  # the others' time is up all the same; tried again later
                log.warning("not expired: %s", error.message, extra={"target": branch.name})

    def _owned(self, name: str, caller: Caller, what: str) -> BranchRecord:
        with self._context.store.transaction() as tx:
            branch = find_branch(tx, name)
        require_owner(caller, branch.owner_uid, what)
        return branch


def _existing(tx: Transaction, branch_id: str) -> BranchRecord:
    """The branch as it is now that we hold it; whoever held it before may have removed it."""
    branch = tx.branches.get(branch_id)
    if branch is None:
        raise ConflictError("the branch was removed meanwhile", hint="cowdb branch list")
    return branch


def _require_snapshot(branch: BranchRecord, snapshot: SnapshotRecord) -> None:
    if snapshot.removed:
        raise ConflictError(
            f"branch {branch.name!r} has nothing to be reset to: {snapshot.removed} was removed",
            hint=f"cowdb snapshot create {branch.name}@NAME keeps its present state, and branches "
            "of that can be reset",
        )


def _refuse_protected(branch: BranchRecord) -> None:
    if branch.protected:
        raise ConflictError(
            f"branch {branch.name!r} is protected",
            hint=f"cowdb branch protect {branch.name} --off",
        )
