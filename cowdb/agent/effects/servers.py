"""Steps on servers that cowdb runs: branches and managed sources."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from cowdb.agent import ports, processes
from cowdb.agent.effects.dispatch import do, undo
from cowdb.agent.engines.postgres import admin, binaries, imports, quarantine, rooms, server
from cowdb.agent.engines.postgres.server import Launch
from cowdb.agent.engines.postgres.settings import parse, pins
from cowdb.agent.host import Attempt, Host
from cowdb.agent.steps import (
    BaseBackup,
    Checkpoint,
    CreateDatabase,
    InitCluster,
    MakeRooms,
    PauseServer,
    Quarantine,
    RemoveRooms,
    ResumeServer,
    SealServer,
    Server,
    StartServer,
    StopServer,
)
from cowdb.agent.storage.protocol import Part, VolumeId
from cowdb.model import Process

LOOPBACK = "127.0.0.1"


def tree_of(target: Server, host: Host) -> Path:
    return host.pool(target.cluster.pool).path(VolumeId(target.cluster.volume))


def launch_of(target: Server, host: Host) -> Launch:
    """How this server is started, whatever its state."""
    cluster = target.cluster
    tools = binaries.pick(host.config.bindirs, cluster.version)
    settings = {**pins(tools.major), **({} if cluster.durable else server.FAST)}
    return Launch(
        datadir=tree_of(target, host) / cluster.data,
        rooms=rooms.rooms_of(host.config, cluster.id),
        port=cluster.port,
        host="" if target.private else LOOPBACK,
        user=host.user,
        binaries=tools,
        superuser=cluster.superuser,
        settings=settings,
    )


def process_of(target: Server, host: Host) -> Process | None:
    """The living server, by what was recorded or by what the directory says."""
    if processes.alive(target.cluster.process):
        return target.cluster.process
    try:
        return server.find(tree_of(target, host) / target.cluster.data)
    except OSError:
        return None


@do.register
def _(step: Quarantine, host: Host, attempt: Attempt) -> None:
    captured = host.settings_file(step.settings_of) if step.settings_of else None
    settings = parse(captured.read_text()).settings if captured and captured.exists() else None
    tree = tree_of(step.server, host)
    attempt.quarantined += quarantine.quarantine(
        tree,
        PurePosixPath(step.server.cluster.data),
        parts=[Part(tree / origin, PurePosixPath(inside)) for origin, inside in step.parts],
        settings=settings,
        branch_settings=host.config.branch_settings if step.server.branch else {},
        keep_preload=host.config.keep_preload_libraries,
        owner=host.user,
    )


@do.register
def _(step: InitCluster, host: Host, attempt: Attempt) -> None:
    launch = launch_of(step.server, host)
    imports.initialise(launch.datadir, launch.binaries, host.user, launch.superuser)


@do.register
def _(step: BaseBackup, host: Host, attempt: Attempt) -> None:
    launch = launch_of(step.server, host)
    imports.base_backup(
        launch.datadir,
        launch.binaries,
        host.user,
        imports.Remote(step.conninfo, attempt.secrets.get("password", ""), step.tablespaces),
        attempt.report,
    )


@do.register
def _(step: StartServer, host: Host, attempt: Attempt) -> None:
    launch = launch_of(step.server, host)
    running = process_of(step.server, host)
    if running is None:
        if not step.server.private:
            ports.require_free(LOOPBACK, step.server.cluster.port)
        running = server.start(launch, host.children, host.config.start_timeout)
    attempt.process = running


@undo.register
def _(step: StartServer, host: Host, attempt: Attempt) -> None:
    _halt(step.server, host, immediate=True)


@do.register
def _(step: SealServer, host: Host, attempt: Attempt) -> None:
    cluster = step.server.cluster
    with _session(step.server, host) as db:
        if step.sever:
            attempt.quarantined += admin.sever_subscriptions(db)
        admin.set_password(db, cluster.superuser, host.keyring.password(cluster.id))


@do.register
def _(step: CreateDatabase, host: Host, attempt: Attempt) -> None:
    with _session(step.server, host) as db:
        admin.create_database(db, step.server.cluster.database)


@do.register
def _(step: Checkpoint, host: Host, attempt: Attempt) -> None:
    with _session(step.server, host) as db:
        admin.checkpoint(db)


def _session(target: Server, host: Host) -> admin.Session:
    room = rooms.rooms_of(host.config, target.cluster.id)
    process = process_of(target, host)
    return admin.session(room.sockets, target.cluster.port, target.cluster.superuser, process)


@do.register
def _(step: StopServer, host: Host, attempt: Attempt) -> None:
    _halt(step.server, host, immediate=step.immediate)


@undo.register
def _(step: StopServer, host: Host, attempt: Attempt) -> None:
    if step.restart:
        do(StartServer(server=step.server), host, attempt)


def _halt(target: Server, host: Host, *, immediate: bool) -> None:
    if (tree_of(target, host) / target.cluster.data).is_dir() or target.cluster.process:
        launch = launch_of(target, host)
        server.stop(launch, process_of(target, host), host.children, immediate=immediate)


@do.register
def _(step: PauseServer, host: Host, attempt: Attempt) -> None:
    if process := process_of(step.server, host):
        processes.pause(process)


@do.register
def _(step: ResumeServer, host: Host, attempt: Attempt) -> None:
    if process := process_of(step.server, host):
        processes.resume(process)


@undo.register
def _(step: PauseServer, host: Host, attempt: Attempt) -> None:
    do(ResumeServer(server=step.server), host, attempt)


@do.register
def _(step: MakeRooms, host: Host, attempt: Attempt) -> None:
    cluster = step.server.cluster
    rooms.make(rooms.rooms_of(host.config, cluster.id), cluster.superuser, host.user)


@undo.register
def _(step: MakeRooms, host: Host, attempt: Attempt) -> None:
    rooms.remove(rooms.rooms_of(host.config, step.server.cluster.id))


@do.register
def _(step: RemoveRooms, host: Host, attempt: Attempt) -> None:
    rooms.remove(rooms.rooms_of(host.config, step.id))
