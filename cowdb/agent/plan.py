"""Plans, made from records alone: pure, so that they can be printed (`--dry-run`), compared and
tested without a filesystem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cowdb.agent import marks
from cowdb.agent.steps import (
    AdmitClients,
    AnyStep,
    BaseBackup,
    Checkpoint,
    CloneVolume,
    CreateDatabase,
    CreateVolume,
    DestroyVolume,
    Foreign,
    ForkVolume,
    FreezeRows,
    FreezeVolume,
    HoldPort,
    InitCluster,
    LimitVolume,
    MakeRooms,
    NoteMark,
    PauseServer,
    Plan,
    Quarantine,
    ReadControl,
    ReleasePort,
    RemoveRooms,
    RemoveSettings,
    ResumeServer,
    Seal,
    Server,
    SnapshotSource,
    SnapshotVolume,
    StartServer,
    StartSource,
    StopServer,
    StopSource,
)
from cowdb.model import NOBODY, BranchRecord, Cluster, SnapshotRecord, SourceRecord

SETTLE_PORT = 5432  # only names the socket file in a private directory


def server_of(record: BranchRecord | SourceRecord) -> Server:
    """The server of a branch, a spare or a managed source."""
    if isinstance(record, BranchRecord):
        spare = record.owner_uid == NOBODY
        return Server(name=record.name, cluster=record.cluster, branch=True, spare=spare)
    assert record.cluster is not None
    return Server(name=record.name, cluster=record.cluster, branch=False)


def foreign_of(source: SourceRecord) -> Foreign:
    return Foreign(name=source.name, datadir=source.datadir, superuser=source.superuser)


def create_branch(branch: BranchRecord, snapshot: SnapshotRecord) -> Plan:
    """From the settled volume where there is one, else from the raw one with all that a first
    start needs."""
    server = server_of(branch)
    return Plan(
        steps=(
            *_fresh_copy(server, snapshot, marks.of_branch(branch, raw=not snapshot.settled)),
            MakeRooms(server=server),
            *_hold(server),
            StartServer(server=server, seal=Seal(sever=snapshot.settled is None)),
        )
    )


def make_spare(spare: BranchRecord, snapshot: SnapshotRecord) -> Plan:
    """A branch of a settled snapshot that is nobody's yet."""
    assert snapshot.settled is not None
    server = server_of(spare)
    return Plan(
        steps=(
            *_fresh_copy(server, snapshot, marks.of_spare(spare)),
            MakeRooms(server=server),
            StartServer(server=server, seal=Seal(sever=False)),
        )
    )


def take_spare(branch: BranchRecord, spare: BranchRecord) -> Plan:
    """The records say that it is somebody's, and nothing of that is undone: the rest follows."""
    cluster = branch.cluster
    note = NoteMark(
        pool=cluster.pool,
        volume=cluster.volume,
        mark=marks.of_branch(branch),
        before=marks.of_spare(spare),
        change=f"spare {spare.id} becomes {branch.name}",
    )
    return Plan(cleanup=(AdmitClients(server=server_of(branch)), note))


def remove_spare(spare: BranchRecord) -> Plan:
    return Plan(cleanup=_remove_server(server_of(spare)))


def _hold(server: Server) -> tuple[AnyStep, ...]:
    return (HoldPort(server=server),) if server.cluster.sleep_after else ()


def _release(server: Server, why: str) -> tuple[AnyStep, ...]:
    return (ReleasePort(server=server, why=why),) if server.cluster.sleep_after else ()


def _fresh_copy(
    server: Server, snapshot: SnapshotRecord, mark: dict[str, str]
) -> tuple[AnyStep, ...]:
    clone = CloneVolume(
        pool=snapshot.pool,
        snapshot=snapshot.settled or snapshot.id,
        volume=server.cluster.volume,
        mark=mark,
    )
    copy: tuple[AnyStep, ...] = (clone,)
    if server.cluster.limits.disk is not None:
        size = server.cluster.limits.disk
        limit = LimitVolume(pool=snapshot.pool, volume=server.cluster.volume, size=size)
        copy = (clone, limit)
    if snapshot.settled:
        return copy
    return (*copy, Quarantine(server=server, parts=snapshot.parts, settings_of=snapshot.id))


def reset_branch(
    branch: BranchRecord, snapshot: SnapshotRecord, fresh: Cluster, *, running: bool
) -> Plan:
    """The new copy is complete before the old server stops, and the old copy goes only once the
    new one answers: a full pool leaves the branch as it was.

    :param running: its server runs now, and is to run again if this fails.
    """
    old = server_of(branch)
    new = Server(name=branch.name, cluster=replace(fresh, process=None), branch=True)
    mark = marks.of_branch(
        replace(branch, cluster=fresh), raw=not snapshot.settled, replaces=old.cluster.volume
    )
    return Plan(
        steps=(
            *_fresh_copy(new, snapshot, mark),
            StopServer(server=old, immediate=True, restart=running),
            StartServer(server=new, seal=Seal(sever=snapshot.settled is None)),
        ),
        cleanup=(DestroyVolume(pool=old.cluster.pool, volume=old.cluster.volume),),
    )


def remove_branch(
    branch: BranchRecord, garbage: SnapshotRecord | None, notes: tuple[NoteMark, ...] = ()
) -> Plan:
    """:param garbage: the implicit snapshot that only this branch came from.
    :param notes: what says of itself that it comes from the branch, and stays."""
    cleanup = _remove_server(server_of(branch), promote=bool(notes))
    if garbage is not None:
        cleanup += remove_snapshot(garbage).cleanup
    return Plan(steps=notes, cleanup=cleanup)


def _remove_server(server: Server, *, promote: bool = False) -> tuple[AnyStep, ...]:
    cluster = server.cluster
    return (
        *_release(server, f"branch {server.name!r} was removed"),
        StopServer(server=server, immediate=True),
        DestroyVolume(pool=cluster.pool, volume=cluster.volume, promote=promote),
        RemoveRooms(id=cluster.id),
    )


def snapshot_cluster(
    snapshot: SnapshotRecord, server: Server, *, running: bool, ordered: bool
) -> Plan:
    """A snapshot of a server that cowdb runs.

    :param ordered: the pool's snapshots keep the order of writes; else the server stands still
        for the moment of the snapshot, since it may run without fsync.
    """
    take = SnapshotVolume(
        pool=snapshot.pool,
        origin=server.cluster.volume,
        volume=snapshot.id,
        mark=marks.of_snapshot(snapshot),
    )
    steps: tuple[AnyStep, ...] = (take,)
    if running and snapshot.mode == "stop":
        stop = StopServer(server=server, restart=True)
        steps = (stop, take, StartServer(server=server, again=True))
    elif running:
        if not ordered:
            steps = (PauseServer(server=server), take, ResumeServer(server=server))
        if snapshot.mode == "checkpoint":
            steps = (Checkpoint(server=server), *steps)
    return Plan(steps=(*steps, _read_control(snapshot)))


def branch_cluster(
    branch: BranchRecord, snapshot: SnapshotRecord, origin: Server, *,
    running: bool, ordered: bool, forks: bool,
) -> Plan:  # fmt: skip
    """A snapshot of a server that cowdb runs and a branch of it, for which alone it is taken.

    :param forks: the pool makes both at once, while the server stands still.
    """
    taking = snapshot_cluster(snapshot, origin, running=running, ordered=ordered).steps
    making = create_branch(branch, snapshot).steps
    if forks:
        taking = tuple(_forked(step, branch, snapshot) for step in taking)
        making = tuple(step for step in making if not isinstance(step, CloneVolume))
    return Plan(steps=(*taking, *making))


def _forked(step: AnyStep, branch: BranchRecord, snapshot: SnapshotRecord) -> AnyStep:
    if not isinstance(step, SnapshotVolume):
        return step
    return ForkVolume(
        pool=step.pool,
        origin=step.origin,
        snapshot=snapshot.id,
        mark=step.mark,
        volume=branch.cluster.volume,
        clone_mark=marks.of_branch(branch, raw=True),
    )


def _read_control(snapshot: SnapshotRecord) -> ReadControl:
    return ReadControl(
        pool=snapshot.pool, volume=snapshot.id, data=snapshot.data, version=snapshot.version
    )


def snapshot_attached(snapshot: SnapshotRecord, record: SourceRecord) -> Plan:
    """A snapshot of a source that somebody else runs."""
    source = foreign_of(record)
    take = SnapshotSource(
        pool=snapshot.pool,
        source=source,
        volume=snapshot.id,
        mark=marks.of_snapshot(snapshot, record),
        mode=snapshot.mode,
    )
    steps: tuple[AnyStep, ...] = (take,)
    if snapshot.mode == "stop":
        steps = (
            StopSource(source=source, snapshot=snapshot.id),
            take,
            StartSource(source=source),
        )
    return Plan(steps=(*steps, _read_control(snapshot)))


def settle(snapshot: SnapshotRecord, settled: str) -> Plan:
    """A scratch clone recovers, loses its wires, has its rows frozen where that is wanted, and
    shuts down cleanly; read-only, it is what branches are cloned from. The original stays."""
    server = Server(
        name=f"{snapshot.parent_name}@{snapshot.name}",
        cluster=settling_cluster(snapshot, settled),
        branch=True,
        private=True,
    )
    return Plan(
        steps=(
            CloneVolume(
                pool=snapshot.pool,
                snapshot=snapshot.id,
                volume=settled,
                mark=marks.of_settled(snapshot),
            ),
            Quarantine(server=server, parts=snapshot.parts, settings_of=snapshot.id),
            MakeRooms(server=server),
            StartServer(server=server, seal=Seal()),
            *((FreezeRows(server=server),) if snapshot.freeze else ()),
            StopServer(server=server),
            FreezeVolume(pool=snapshot.pool, volume=settled),
        ),
        cleanup=(RemoveRooms(id=settled),),
    )


def settling_cluster(snapshot: SnapshotRecord, settled: str) -> Cluster:
    return Cluster(
        id=settled,
        pool=snapshot.pool,
        volume=settled,
        data=snapshot.data,
        port=SETTLE_PORT,
        version=snapshot.version,
        superuser=snapshot.superuser,
        database=snapshot.database,
        durable=True,  # branches will trust it after a power cut, too
    )


def remove_snapshot(
    snapshot: SnapshotRecord, notes: tuple[NoteMark, ...] = (),
    spares: Sequence[BranchRecord] = (),
) -> Plan:  # fmt: skip
    """Its volumes may be needed although no branch comes from it: by a snapshot of one that came
    from it and was removed itself.

    :param notes: the branches that come from it, and stay.
    :param spares: all that it has; they go first.
    """
    volumes = [snapshot.settled, snapshot.id] if snapshot.settled else [snapshot.id]
    if snapshot.removed:
        volumes = []
    return Plan(
        steps=notes,
        cleanup=(
            *(step for spare in spares for step in remove_spare(spare).cleanup),
            *(DestroyVolume(pool=snapshot.pool, volume=volume, promote=True)
              for volume in volumes),
        ),
    )  # fmt: skip


def create_managed(source: SourceRecord) -> Plan:
    """An empty source with one empty database."""
    server = server_of(source)
    return Plan(
        steps=(
            _source_volume(source),
            InitCluster(server=server),
            MakeRooms(server=server),
            StartServer(server=server, seal=Seal(sever=False)),
            CreateDatabase(server=server),
        )
    )


def copy_managed(
    source: SourceRecord, conninfo: str, tablespaces: tuple[tuple[str, str], ...]
) -> Plan:
    """A source copied from another server by pg_basebackup, its wires cut like a branch's.

    :param conninfo: without a password.
    :param tablespaces: (where it is on the remote host, where it goes in the volume).
    """
    server = server_of(source)
    return Plan(
        steps=(
            _source_volume(source, raw=True),
            BaseBackup(server=server, conninfo=conninfo, tablespaces=tablespaces),
            Quarantine(
                server=server,
                parts=tuple((inside, inside) for _, inside in tablespaces),
                settings_of=source.id,
            ),
            MakeRooms(server=server),
            StartServer(server=server, seal=Seal()),
        ),
        cleanup=(RemoveSettings(id=source.id),),
    )


def _source_volume(source: SourceRecord, *, raw: bool = False) -> CreateVolume:
    """:param raw: it is filled with a copy of another server."""
    assert source.cluster is not None
    return CreateVolume(
        pool=source.pool, volume=source.cluster.volume, mark=marks.of_source(source, raw=raw)
    )


def remove_source(source: SourceRecord) -> Plan:
    """An attached source is only forgotten; it was never cowdb's."""
    return Plan(cleanup=_remove_server(server_of(source)) if source.cluster else ())


def start_server(server: Server, *, running: bool) -> Plan:
    """:param running: it runs already."""
    stopped = server.cluster.wanted == "stopped"  # else its port is held
    return Plan(
        steps=(*(_hold(server) if stopped else ()), StartServer(server=server, again=running))
    )


def stop_server(server: Server, *, running: bool) -> Plan:
    """:param running: it runs now, and is to run again if this fails."""
    return Plan(
        steps=(StopServer(server=server, restart=running),),
        cleanup=_release(server, f"branch {server.name!r} was stopped"),
    )


def sleep(server: Server) -> Plan:
    """Stop it while its port stays open; if a client comes first, nothing happens."""
    return Plan(steps=(StopServer(server=server, restart=True, idle=True),))


def wake(server: Server) -> Plan:
    """Start it for the clients that wait. There is nothing to undo: a server that did not start is
    gone, and one that did may run."""
    return Plan(steps=(StartServer(server=server, again=True),))
