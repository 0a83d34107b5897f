"""`cowdb doctor`: what was meant beside what is, and the way to make them agree.

Repair removes only what carries cowdb's mark for this pool and belongs to no record.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from cowdb.agent import doors, journal, plan, processes, recover
from cowdb.agent.effects import do
from cowdb.agent.effects.servers import require_whole
from cowdb.agent.engines.postgres import binaries
from cowdb.agent.host import Attempt
from cowdb.agent.policy import Caller, require_root
from cowdb.agent.remains import gather
from cowdb.agent.service import views
from cowdb.agent.service.context import Context
from cowdb.agent.service.fairness import refuses_disk_limits
from cowdb.agent.service.findings import fixed, ok, problem, warning
from cowdb.agent.service.spares import Spares
from cowdb.agent.steps import DestroyVolume, RemoveRooms, RemoveSettings
from cowdb.agent.storage.protocol import LimitsDisk, Volume, VolumeId
from cowdb.agent.system import group_id
from cowdb.errors import CowdbError, ServerError, StorageError
from cowdb.model import BranchRecord, SourceRecord
from cowdb.wire import Finding

_FULL = 0.95
_REBUILD = "cowdb doctor --rebuild --pool PATH"
_PATIENCE = 5.0  # seconds that a server may take to end


class Doctor:
    def __init__(self, context: Context, spares: Spares) -> None:
        self._context, self._spares = context, spares

    def examine(self, caller: Caller, *, repair: bool) -> list[Finding]:
        if repair:
            require_root(caller, "repair")
        checks: tuple[Callable[[bool], Iterator[Finding]], ...] = (
            self._installation, self._pools, self._operations, self._volumes,
            self._records, self._rooms, self._servers, self._idle, self._doors,
        )  # fmt: skip
        return [finding for check in checks for finding in check(repair)]

    def _installation(self, repair: bool) -> Iterator[Finding]:
        config = self._context.host.config
        found = binaries.find(config.bindirs)
        versions = ", ".join(item.version for _, item in sorted(found.items()))
        if found:
            yield ok("postgres", f"server binaries: {versions}")
        else:
            yield problem("postgres", "no server binaries", "apt-get install postgresql")
        if group_id(config.group) is None:
            yield warning(
                f"group {config.group}",
                "does not exist, so only root can reach the agent",
                f"groupadd --system {config.group}",
            )
        yield self._limits()

    def _limits(self) -> Finding:
        """What a host cannot limit is no fault, unless its configuration wants it."""
        groups, config = self._context.host.groups, self._context.host.config
        if not groups.reason:
            return ok("limits", f"memory and processors of branches: {groups.base}")
        wanted = config.branch_memory is not None or config.branch_cpus is not None
        say = warning if wanted or config.cgroup else ok
        return say(
            "limits", f"not all of memory and processors can be limited: {groups.reason}", ""
        )

    def _pools(self, repair: bool) -> Iterator[Finding]:
        if repair:
            recover.mount_images(self._context)
        records = self._context.pools.records()
        if not records:
            yield warning("pool", "this host has none", "cowdb init")
        for record in records:
            try:
                pool = self._context.pools.get(record.id)
                space = pool.space()
                slowed = pool.slowed_by() if isinstance(pool, LimitsDisk) else None
            except StorageError as error:
                yield problem(f"pool {record.path}", error.message, error.hint)
                continue
            used = 1 - space.free / space.total
            say = warning if used > _FULL else ok
            yield say(f"pool {record.path}", f"{record.driver}, {used:.0%} used", "")
            if slowed is not None:
                yield warning(f"pool {record.path}", *slowed)
            if self._context.host.config.branch_disk is not None:
                reason = refuses_disk_limits(pool)
                if reason:
                    message = f"the disk of its branches cannot be limited: {reason}"
                    yield warning(f"pool {record.path}", message, "")

    def _operations(self, repair: bool) -> Iterator[Finding]:
        if repair:
            for fault in recover.finish_operations(self._context):
                yield problem("operation", fault, "see the agent's log")
            return
        for operation in journal.unfinished(self._context.store):
            if not self._context.operations.at_work(operation):
                label = f"operation {operation.id} ({operation.kind} {operation.target})"
                yield problem(label, operation.error or "not finished", "cowdb doctor --repair")

    def _volumes(self, repair: bool) -> Iterator[Finding]:
        """Volumes with cowdb's mark that no record knows."""
        lost = self._lost()
        for record in self._context.pools.records():
            try:
                volumes = self._context.pools.get(record.id).list()
            except StorageError:
                continue  # said above
            known = self._known_volumes()
            for volume in volumes:
                if volume.id in known or not self._is_there(record.id, volume.id):
                    continue
                label = f"volume {volume.id} ({volume.mark.get('name', 'no name')})"
                if volume.id in lost:
                    yield problem(label, "the store is empty and was not when it was made",
                                  _REBUILD)  # fmt: skip
                    continue
                if repair:
                    self._end_within(Path(record.path) / "volumes", volume.id)
                    step = DestroyVolume(pool=record.id, volume=volume.id)
                    yield self._repaired(label, "no record knows it", step)
                else:
                    yield problem(label, "no record knows it", "cowdb doctor --repair removes it")

    def _lost(self) -> set[str]:
        """Where the store knows no source: ids of volumes, and of servers, that had a record
        once, and so are no rubbish."""
        with self._context.store.transaction() as tx:
            if tx.sources.all():
                return set()
        volumes: list[tuple[str, Volume]] = []
        for record in self._context.pools.records():
            with contextlib.suppress(StorageError):  # said above
                listed = self._context.pools.get(record.id).list()
                volumes += [(record.id, volume) for volume in listed]
        remains = gather(volumes, lambda branch: False)
        orphans = {item.volume.id for item in remains.orphans}
        servers = {record.id for record in remains.servers}
        return servers | {volume.id for _, volume in volumes if volume.id not in orphans}

    def _is_there(self, pool: str, volume: VolumeId) -> bool:
        """Still: what an operation at work removed since we looked is no finding."""
        return any(item.id == volume for item in self._context.pools.get(pool).list())

    def _end_within(self, base: Path, volume: str) -> None:
        """End the server of a volume that no record knows: it would hold its port on."""
        processes.end(
            lambda: [pid for pid, place in _working_beneath(base) if place == volume], _PATIENCE
        )

    def _known_volumes(self) -> set[str]:
        """Of records, and of operations at work, which may be ahead of the records."""
        with self._context.store.transaction() as tx:
            known = {item.cluster.volume for item in (*tx.branches.all(), *tx.spares.all())}
            known |= {item.cluster.volume for item in tx.sources.all() if item.cluster}
            for snapshot in tx.snapshots.all():
                known |= {snapshot.id} | ({snapshot.settled} if snapshot.settled else set())
        for operation in journal.unfinished(self._context.store):
            for step in (*operation.plan.steps, *operation.plan.cleanup):
                known.add(getattr(step, "volume", ""))
        return known

    def _records(self, repair: bool) -> Iterator[Finding]:
        """Records whose volume is not there."""
        with self._context.store.transaction() as tx:
            wanted = [(item.name, item.cluster.pool, item.cluster.volume, item.id)
                      for item in tx.branches.all() if item.state == "ready"]  # fmt: skip
            wanted += [(f"{item.parent_name}@{item.name}", item.pool, item.id, item.id)
                       for item in tx.snapshots.all()
                       if item.state == "ready" and not item.removed]  # fmt: skip
            wanted += [(item.name, item.pool, item.cluster.volume, item.id)
                       for item in tx.sources.all()
                       if item.cluster and item.state == "ready"]  # fmt: skip
        there = {pool: self._listed(pool) for pool in {pool for _, pool, _, _ in wanted}}
        for name, pool, volume, record in wanted:
            listed = there[pool]
            if listed is None or volume in listed:
                continue
            if repair and self._forget(record):
                yield fixed(name, "its volume is gone", "forgot it")
            else:
                yield problem(name, "its volume is gone", "cowdb doctor --repair forgets it")

    def _listed(self, pool: str) -> set[str] | None:
        """Complete volumes; None when the pool is missing, which was said before."""
        try:
            return {item.id for item in self._context.pools.get(pool).list() if item.complete}
        except CowdbError:
            return None

    def _forget(self, record: str) -> bool:
        """Drop a record that nothing else depends on."""
        with self._context.store.transaction() as tx:
            spares = tx.spares.all("snapshot = ?", record)
        for spare in spares:
            self._spares.drop(spare)
        with self._context.store.transaction() as tx:
            come = (tx.snapshots.all("parent = ?", record), tx.branches.all("snapshot = ?", record),
                    tx.spares.all("snapshot = ?", record))  # fmt: skip
            if any(come):
                return False
            for table in (tx.branches, tx.snapshots, tx.sources):
                table.delete(record)
            tx.release(record)
        do(RemoveRooms(id=record), self._context.host, Attempt())
        return True

    def _rooms(self, repair: bool) -> Iterator[Finding]:
        """Logs, sockets and settings of servers and snapshots that are no more."""
        config = self._context.host.config
        with self._context.store.transaction() as tx:
            known = {item.id for item in (*tx.branches.all(), *tx.spares.all())}
            known |= {item.id for item in tx.sources.all()}
        known |= self._known_volumes() | self._lost()
        places: tuple[tuple[Path, Callable[[str], RemoveRooms | RemoveSettings]], ...] = (
            (config.state_dir / "servers", lambda name: RemoveRooms(id=name)),
            (config.run_dir / "servers", lambda name: RemoveRooms(id=name)),
            (config.state_dir / "snapshots", lambda name: RemoveSettings(id=name)),
        )
        for base, step in places:
            for entry in sorted(base.iterdir()) if base.is_dir() else ():
                name = entry.name.removesuffix(".conf")
                if name in known or not entry.exists():
                    continue
                if repair:
                    yield self._repaired(str(entry), "no record knows it", step(name))
                else:
                    yield problem(
                        str(entry), "no record knows it", "cowdb doctor --repair removes it"
                    )

    def _servers(self, repair: bool) -> Iterator[Finding]:
        """Processes that work in a pool and belong to no record; servers that should run."""
        if repair:
            recover.adopt_servers(self._context)
        known, lost = self._known_volumes(), self._lost()
        for record in self._context.pools.records():
            try:
                base = self._context.pools.get(record.id).volumes
            except StorageError:
                continue  # said above
            for pid, volume in _working_beneath(base):
                if volume not in known and volume not in lost:
                    yield problem(
                        f"process {pid}", f"works in volume {volume}, which no record knows",
                        "cowdb doctor --repair ends it and removes the volume",
                    )  # fmt: skip
        yield from self._crashed()

    def _idle(self, repair: bool) -> Iterator[Finding]:
        """Spares that would not be given to anybody any more."""
        for spare in self._spares.unsound():
            label = f"spare {spare.id}"
            message = "its server has died, its volume is gone, or it is of another state"
            if repair and self._spares.drop(spare):
                yield fixed(label, message, "removed it")
            else:
                yield warning(label, message, "the agent replaces it; cowdb doctor --repair")

    def _doors(self, repair: bool) -> Iterator[Finding]:
        """Branches that may sleep, and whose clients find nobody there. (Repairing has had the
        agent and the front agree, with the servers.)"""
        with self._context.store.transaction() as tx:
            branches = [item for item in tx.branches.all()
                        if item.state == "ready" and doors.wants_door(item)]  # fmt: skip
        try:
            held = {door.id for door in self._context.host.front.doors()}
        except CowdbError as error:
            yield problem("front", error.message, error.hint)
            return
        for branch in branches:
            if branch.id not in held:
                message = f"nobody holds its port {branch.cluster.port}"
                yield problem(branch.name, message, "cowdb doctor --repair has it held")

    def _crashed(self) -> Iterator[Finding]:
        host = self._context.host
        with self._context.store.transaction() as tx:
            records: list[BranchRecord | SourceRecord] = [*tx.branches.all()]
            records += [item for item in tx.sources.all() if item.cluster]
        for record in records:
            try:
                if views.server_state(record, host) != "crashed":
                    continue
                require_whole(plan.server_of(record), host)
            except ServerError as error:
                yield warning(record.name, error.message, error.hint)
            except CowdbError:
                continue  # the pool is missing, which was said above
            else:
                noun = "branch" if isinstance(record, BranchRecord) else "source"
                message = f"{noun} {record.name}: its server should run and does not"
                yield warning(record.name, message, f"cowdb {noun} start {record.name}")

    def _repaired(
        self, label: str, message: str, step: DestroyVolume | RemoveRooms | RemoveSettings
    ) -> Finding:
        try:
            do(step, self._context.host, Attempt())
        except (CowdbError, OSError) as error:
            return problem(label, f"{message}, and it could not be removed: {error}", "")
        return fixed(label, message, "removed it")


def _working_beneath(base: Path) -> Iterator[tuple[int, str]]:
    """(pid, volume) of processes whose working directory lies beneath a pool's volumes."""
    beneath = f"{base}/"
    for pid, place in processes.places():
        if place.startswith(beneath):
            yield pid, place.removeprefix(beneath).partition("/")[0]
