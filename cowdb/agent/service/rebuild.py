"""`cowdb doctor --rebuild`: an empty store filled again from nothing but the pools.

The marks say what was recorded, the disk says the rest: which volumes are settled, what pg_control
has, which servers run. Nothing is removed; what no record can be made of is reported.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import psycopg

from cowdb.agent import marks, plan, ports, recover
from cowdb.agent.beneath import Beneath
from cowdb.agent.effects import do
from cowdb.agent.effects.servers import LOOPBACK, process_of, tree_of
from cowdb.agent.engines.postgres import binaries, control, rooms
from cowdb.agent.host import Attempt, Host
from cowdb.agent.policy import Caller, require_root
from cowdb.agent.remains import Orphan, Remains, gather
from cowdb.agent.secrets import KEY_FILE
from cowdb.agent.service.context import Context
from cowdb.agent.service.findings import ok, problem, warning
from cowdb.agent.service.hostpools import default_image, default_pool
from cowdb.agent.steps import (
    Quarantine,
    ReadControl,
    SealServer,
    Server,
    StartServer,
    StopServer,
)
from cowdb.agent.storage import pools as drivers
from cowdb.agent.storage.protocol import VolumeId
from cowdb.agent.store import Transaction
from cowdb.errors import ConflictError, CowdbError, InvalidError, ServerError, StorageError
from cowdb.model import BranchRecord, Cluster, PoolRecord, Process, SnapshotRecord, SourceRecord
from cowdb.wire import Finding

Kept = SourceRecord | BranchRecord
_UNKNOWN = Process(pid=0, started=0, boot="")  # it ran, and nobody knows since which boot


class Rebuild:
    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def _host(self) -> Host:
        return self._context.host

    def run(self, places: Sequence[str], caller: Caller) -> list[Finding]:
        """:raises ConflictError: the store knows something already.
        :raises PoolMissingError: there is no pool at one of the places."""
        require_root(caller, "rebuild the store")
        with self._context.claims.hold("rebuild", "the store"):
            with self._context.store.transaction() as tx:
                _require_empty(tx)
            pools = [self._find(place) for place in places] or [self._find_default()]
            with self._context.store.transaction() as tx:
                for pool in pools:
                    tx.pools.put(tx.pools.get(pool.id) or pool)
            volumes = [(pool.id, volume) for pool in pools
                       for volume in self._context.pools.get(pool.id).list()]  # fmt: skip
            remains = gather(volumes, self._runs)
            findings = [ok(f"pool {pool.path}", f"{pool.driver}, found again") for pool in pools]
            return [*findings, *self._restore(remains)]

    def _find_default(self) -> PoolRecord:
        state = self._host.config.state_dir
        if default_image(state).exists():
            drivers.attach_image(default_image(state), default_pool(state).parent)
        return self._find(str(default_pool(state)))

    def _find(self, place: str) -> PoolRecord:
        if not place.startswith(("/", "zfs:")):
            raise InvalidError(
                f"--pool {place!r} is neither an absolute path nor zfs:POOL/DATASET",
                hint="begin it with / or with zfs:",
            )
        state = self._host.config.state_dir
        facts = drivers.find_pool(Path(place))
        image = default_image(state)
        ours = Path(place) == default_pool(state) and image.exists()
        return PoolRecord(
            id=facts.id,
            driver=facts.driver,
            path=place,
            image=str(image) if ours else None,
            created_at=self._context.now(),
        )

    def _runs(self, record: Kept) -> bool:
        return process_of(plan.server_of(record), self._host) is not None

    def _restore(self, remains: Remains) -> Iterator[Finding]:
        for snapshot in list(remains.snapshots):
            if not snapshot.removed:
                yield from self._examine_snapshot(snapshot, remains)
        yield from self._examine_servers(remains)
        with self._context.store.transaction() as tx:
            _require_empty(tx)
            _put(tx, remains)
        recover.adopt_servers(self._context)
        yield from self._seal(remains)
        yield from _found(remains)
        for orphan in remains.orphans:
            yield self._orphaned(orphan)
        yield warning(
            "not known any more",
            "attached sources without a snapshot; the timings of all, and what was taken out of "
            "each copy before it first started",
            "cowdb source add NAME --attach DIR",
        )

    def _orphaned(self, orphan: Orphan) -> Finding:
        volume, repair = orphan.volume, "cowdb doctor --repair removes it"
        if volume.complete:
            repair += f"; its files are in {self._context.pools.get(orphan.pool).path(volume.id)}"
        label = f"volume {volume.id} ({volume.mark.get('name', 'no name')})"
        return problem(label, f"not taken up: {orphan.why}", repair)

    # --- snapshots -----------------------------------------------------------------------------

    def _examine_snapshot(self, snapshot: SnapshotRecord, remains: Remains) -> Iterator[Finding]:
        """What pg_control says of it; and whether it is whole."""
        label, attempt = f"snapshot {snapshot.parent_name}@{snapshot.name}", Attempt()
        step = ReadControl(
            pool=snapshot.pool, volume=snapshot.id, data=snapshot.data, version=snapshot.version
        )
        try:
            do(step, self._host, attempt)
            begun = self._has_label(snapshot)
        except (CowdbError, OSError) as error:
            yield warning(label, f"its pg_control cannot be read: {error}", "")
            return
        seen = attempt.control
        assert seen is not None
        index = remains.snapshots.index(snapshot)
        attached, pool = bool(snapshot.parts), self._context.pools.get(snapshot.pool)
        if attached and not (pool.atomic or begun or seen.clean):
            # Copied file by file from a running server, and pg_backup_stop never came. Nothing
            # can come from it: its operation did not end.
            del remains.snapshots[index]
            volume = next(item for item in pool.list() if item.id == snapshot.id)
            remains.orphans.append(Orphan(snapshot.pool, volume, "it was being copied"))
            return
        remains.snapshots[index] = replace(
            snapshot,
            lsn=seen.lsn,
            timeline=seen.timeline,
            system_identifier=seen.system_identifier,
            consistency="backup" if attached and begun and not pool.atomic
            else "clean" if seen.clean else "crash-consistent",
        )  # fmt: skip
        if attached and not self._host.settings_file(snapshot.id).exists():
            yield warning(
                label, "its source's settings at that time are lost: branches run with defaults", ""
            )

    def _has_label(self, snapshot: SnapshotRecord) -> bool:
        tree = self._context.pools.get(snapshot.pool).path(VolumeId(snapshot.id))
        with Beneath(tree) as beneath:
            return beneath.kind(PurePosixPath(snapshot.data) / "backup_label") is not None

    # --- servers -------------------------------------------------------------------------------

    def _examine_servers(self, remains: Remains) -> Iterator[Finding]:
        """Those that run keep their ports; the others get theirs unless somebody took it."""
        clusters: dict[str, Cluster] = {}
        idle: list[tuple[Kept, Cluster]] = []
        for record in remains.servers:
            assert record.cluster is not None
            process = process_of(plan.server_of(record), self._host)
            if process is None:
                idle.append((record, record.cluster))
            else:
                clusters[record.id] = replace(record.cluster, process=process)
        snapshots = {item.id: item for item in remains.snapshots}
        attached = {item.id: item for item in remains.sources if item.kind == "attached"}
        taken = {cluster.port for cluster in clusters.values()}
        held = {(door.id, door.port) for door in self._host.front.doors()}
        for record, cluster in idle:
            if cluster.volume in remains.raw:
                yield from self._quarantine_again(record, snapshots)
            cluster = yield from self._at_rest(record, cluster)
            if (cluster.id, cluster.port) not in held:  # the front outlived the store
                cluster = yield from self._with_port(record, cluster, taken, snapshots, attached)
            taken.add(cluster.port)
            clusters[record.id] = cluster
        for _, cluster in idle:
            room = rooms.rooms_of(self._host.config, cluster.id)
            if not (room.hba.exists() and room.sockets.exists()):
                rooms.make(room, cluster.superuser, self._host.user)
        remains.sources = [replace(item, cluster=clusters.get(item.id)) for item in remains.sources]
        remains.branches = [replace(item, cluster=clusters[item.id]) for item in remains.branches]

    def _quarantine_again(
        self, record: Kept, snapshots: dict[str, SnapshotRecord]
    ) -> Iterator[Finding]:
        """A copy that was made with its wires attached, and that may never have come as far as
        having them cut: its rooms, which are made after that, are not there."""
        server = plan.server_of(record)
        if rooms.rooms_of(self._host.config, server.cluster.id).hba.exists():
            return
        origin = snapshots.get(record.snapshot) if isinstance(record, BranchRecord) else None
        step = Quarantine(
            server=server,
            parts=origin.parts if origin else (),
            settings_of=origin.id if origin else None,
        )
        do(step, self._host, Attempt())
        yield warning(
            _label(record), "its outgoing wires were cut again, and its settings written anew", ""
        )

    def _at_rest(self, record: Kept, cluster: Cluster) -> Generator[Finding, None, Cluster]:
        """A server that was shut down was meant to be; one that was not should run, and one
        without fsync only if its host stayed up, which nobody knows any more."""
        server = plan.server_of(record)
        try:
            tools = binaries.pick(self._host.config.bindirs, cluster.version)
            datadir = tree_of(server, self._host) / cluster.data
            clean = control.read_control(datadir, tools, self._host.user).clean
        except (CowdbError, OSError) as error:
            yield warning(_label(record), f"its pg_control cannot be read: {error}", "")
            clean = True
        if clean:
            return replace(cluster, wanted="sleeping" if cluster.sleep_after else "stopped")
        return replace(cluster, process=None if cluster.durable else _UNKNOWN)

    def _with_port(
        self, record: Kept, cluster: Cluster, taken: set[int],
        snapshots: dict[str, SnapshotRecord], attached: dict[str, SourceRecord],
    ) -> Generator[Finding, None, Cluster]:  # fmt: skip
        if cluster.port not in taken and ports.is_free(LOOPBACK, cluster.port):
            return cluster
        port = ports.choose(self._host.config.ports, taken, LOOPBACK)
        moved = replace(cluster, port=port)
        changed = replace(record, cluster=moved)
        if isinstance(changed, SourceRecord):
            mark = marks.of_source(changed)
        else:
            origin = snapshots.get(changed.snapshot)
            removed = origin if origin and origin.removed else None
            source = attached.get(removed.parent) if removed else None
            mark = marks.of_branch(changed, removed=removed, attached=source)
        with contextlib.suppress(StorageError):  # no room: the next rebuild looks for the old port
            self._context.pools.get(cluster.pool).set_mark(VolumeId(cluster.volume), mark)
        yield warning(
            _label(record), f"port {cluster.port} is somebody else's now; it has {port}, and so "
            "another DSN", "",
        )  # fmt: skip
        return moved

    def _seal(self, remains: Remains) -> Iterator[Finding]:
        """With another secret.key than the one that their passwords came from, servers get new
        passwords; those at rest are started for that."""
        records = remains.servers
        key = (self._host.config.state_dir / KEY_FILE).stat().st_mtime
        if not any(key > record.created_at.timestamp() for record in records):
            return
        for record in records:
            server = plan.server_of(record)
            try:
                self._give_password(server)
            except (CowdbError, OSError, psycopg.Error) as error:
                yield warning(
                    _label(record), f"its DSN may not work, since secret.key is newer: {error}",
                    f"cowdb branch reset {record.name}" if server.branch else "",
                )  # fmt: skip
            else:
                yield warning(
                    _label(record), "secret.key is newer than it; its password was set again", ""
                )

    def _give_password(self, server: Server) -> None:
        seal = SealServer(server=server, sever=False)
        if process_of(server, self._host) is not None:
            do(seal, self._host, Attempt())
        elif server.cluster.wanted != "running":
            do(StartServer(server=server), self._host, Attempt())
            try:
                do(seal, self._host, Attempt())
            finally:
                do(StopServer(server=server), self._host, Attempt())
        else:
            raise ServerError("its server does not run")


def _require_empty(tx: Transaction) -> None:
    known = [item.name for item in tx.sources.all()]
    known += [item.name for item in tx.branches.all()]
    if known:
        raise ConflictError(
            f"the store is not empty: it knows {known[0]!r}",
            hint="cowdb doctor --repair compares it with the pools; to make it anew, stop the "
            "agent, move store.db away with what begins with its name, and start the agent",
        )


def _put(tx: Transaction, remains: Remains) -> None:
    for source in remains.sources:
        tx.claim_name(source.name, "source", source.id)
        if source.cluster:
            tx.claim_port(source.cluster.port, source.id)
        tx.sources.put(source)
    for snapshot in remains.snapshots:
        tx.snapshots.put(snapshot)
    for branch in remains.branches:
        tx.claim_name(branch.name, "branch", branch.id)
        tx.claim_port(branch.cluster.port, branch.id)
        tx.branches.put(branch)


def _label(record: Kept) -> str:
    return f"{'branch' if isinstance(record, BranchRecord) else 'source'} {record.name}"


def _found(remains: Remains) -> Iterator[Finding]:
    records: list[Kept] = [*remains.sources, *remains.branches]
    for record in records:
        yield ok(_label(record), "found again")
    for snapshot in remains.snapshots:
        if not snapshot.implicit:
            yield ok(f"snapshot {snapshot.parent_name}@{snapshot.name}", "found again")
