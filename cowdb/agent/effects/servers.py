"""Steps on servers that cowdb runs: branches and managed sources."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import psycopg

from cowdb.agent import cgroups, ports, processes
from cowdb.agent.effects import doors
from cowdb.agent.effects.dispatch import do, undo
from cowdb.agent.effects.sources import keep_settings
from cowdb.agent.engines.postgres import (
    admin,
    binaries,
    control,
    freeze,
    imports,
    quarantine,
    replay,
    rooms,
    server,
    standing,
)
from cowdb.agent.engines.postgres.server import Launch
from cowdb.agent.engines.postgres.settings import parse, pins
from cowdb.agent.front.client import BEHIND, OUTSIDE
from cowdb.agent.host import Attempt, Host
from cowdb.agent.secrets import scram_verifier
from cowdb.agent.steps import (
    AdmitClients,
    BaseBackup,
    Checkpoint,
    CreateDatabase,
    FreezeRows,
    InitCluster,
    MakeRooms,
    PauseServer,
    Quarantine,
    RemoveRooms,
    RemoveSettings,
    ResumeServer,
    SealServer,
    Server,
    StartServer,
    StopServer,
)
from cowdb.agent.storage.kernel import syncfs, translated
from cowdb.agent.storage.protocol import Part, VolumeId
from cowdb.errors import NotFoundError, PoolMissingError, ServerError, UnsoundError
from cowdb.model import Cluster, Process
from cowdb.units import major_of

_Answer = TypeVar("_Answer")

LOOPBACK = OUTSIDE
# Nobody works there: what autovacuum notes would only be in the way of what cowdb promises.
ALONE = {"autovacuum": "off"}


def tree_of(target: Server, host: Host) -> Path:
    return host.pool(target.cluster.pool).path(VolumeId(target.cluster.volume))


def _datadir(target: Server, host: Host) -> Path:
    return tree_of(target, host) / target.cluster.data


def launch_of(target: Server, host: Host) -> Launch:
    """How this server is started, whatever its state."""
    cluster = target.cluster
    tools = binaries.pick(host.config.bindirs, cluster.version)
    settings = {
        **pins(tools.major),
        **(ALONE if target.private else {}),
        **(server.SAFE if cluster.durable else server.FAST),
    }
    enter = partial(_enter_group, host, cluster) if cluster.limits.grouped else None
    return Launch(
        datadir=_datadir(target, host),
        rooms=rooms.rooms_of(host.config, cluster.id),
        port=cluster.port,
        host="" if target.private else BEHIND if doors.has_door(target) else LOOPBACK,
        user=host.user,
        binaries=tools,
        superuser=cluster.superuser,
        settings=settings,
        database=cluster.database,
        spare=target.spare,
        enter=enter,
    )


def _enter_group(host: Host, cluster: Cluster, pid: int) -> None:
    cgroups.enter(host.groups.make(cluster.id, cluster.limits), pid)


def process_of(target: Server, host: Host) -> Process | None:
    """The living server, by what was recorded or by what the directory says."""
    if processes.alive(target.cluster.process):
        return target.cluster.process
    try:
        return server.find(_datadir(target, host))
    except (OSError, NotFoundError, PoolMissingError, UnsoundError):
        return None  # no pool, no volume, or something planted where the lock file belongs


def require_whole(target: Server, host: Host) -> None:
    """Refuse a server that ran without fsync when its host went down: any of its pages may be
    old, new or torn, and recovery cannot tell. What was shut down cleanly had been written out.

    :raises ServerError: that is so.
    """
    cluster = target.cluster
    if cluster.durable or cluster.process is None or cluster.process.boot == processes.BOOT:
        return
    datadir, tools = (
        tree_of(target, host) / cluster.data,
        binaries.pick(host.config.bindirs, cluster.version),
    )
    if not control.read_control(datadir, tools, host.user).clean:
        raise ServerError(
            f"the host went down while {target.name!r} ran, and a branch runs without fsync "
            "(--durability fast): its files may be damaged",
            hint=f"cowdb branch reset {target.name}",
        )


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
        major=major_of(step.server.cluster.version) if step.server.branch else None,
    )
    launch = launch_of(step.server, host)
    replay.refuse_tablespaces(launch.datadir, launch.binaries, host.user)
    if step.server.cluster.durable:  # it will be started again after a power cut, as it is
        _write_out(tree)


@do.register
def _(step: InitCluster, host: Host, attempt: Attempt) -> None:
    launch = launch_of(step.server, host)
    imports.initialise(launch.datadir, launch.binaries, host.user, launch.superuser)


@do.register
def _(step: BaseBackup, host: Host, attempt: Attempt) -> None:
    launch = launch_of(step.server, host)
    attempt.quarantined += keep_settings(host, step.server.cluster.id, attempt.settings)
    imports.base_backup(
        launch.datadir,
        launch.binaries,
        host.user,
        imports.Remote(step.conninfo, attempt.secrets.get("password", ""), step.tablespaces),
        attempt.report,
    )


@undo.register
def _(step: BaseBackup, host: Host, attempt: Attempt) -> None:
    host.settings_file(step.server.cluster.id).unlink(missing_ok=True)


@do.register
def _(step: RemoveSettings, host: Host, attempt: Attempt) -> None:
    host.settings_file(step.id).unlink(missing_ok=True)


@do.register
def _(step: StartServer, host: Host, attempt: Attempt) -> None:
    launch = launch_of(step.server, host)
    running = process_of(step.server, host)
    if running is None:
        require_whole(step.server, host)
        if not step.server.private:
            ports.require_free(launch.host, step.server.cluster.port)
        sealing = partial(_sealing, step, host, attempt)
        running = server.start(launch, host.children, host.config.start_timeout, sealing)
    elif step.seal:
        do(SealServer(server=step.server, sever=step.seal.sever), host, attempt)
    attempt.process = running
    doors.open_door(step.server, host)


def _sealing(step: StartServer, host: Host, attempt: Attempt) -> server.Query:
    """The server's first query; what it takes counts apart from the start."""
    if step.seal is None:
        return server.ask
    seal = _seal(step.server, step.seal.sever, host, attempt)

    def query(db: psycopg.Connection[Any]) -> None:
        before = time.perf_counter()
        seal(db)
        took = (time.perf_counter() - before) * 1000
        for name, more in (("SealServer", took), ("StartServer", -took)):
            attempt.timings[name] = attempt.timings.get(name, 0.0) + more

    return query


@undo.register
def _(step: StartServer, host: Host, attempt: Attempt) -> None:
    if not step.again:
        _halt(step.server, host, immediate=True)
        doors.asleep(step.server, host)


@do.register
def _(step: SealServer, host: Host, attempt: Attempt) -> None:
    seal = _seal(step.server, step.sever, host, attempt)
    with _session(step.server, host) as db:
        seal(db)


def _seal(target: Server, sever: bool, host: Host, attempt: Attempt) -> server.Query:
    """:raises psycopg.Error: when it is run, what the server refuses."""
    cluster = target.cluster
    verifier = scram_verifier(host.keyring.password(cluster.id))

    def query(db: psycopg.Connection[Any]) -> None:
        if sever:
            attempt.quarantined += admin.sever_subscriptions(db)
        admin.set_password(db, cluster.superuser, verifier)

    return query


@do.register
def _(step: FreezeRows, host: Host, attempt: Attempt) -> None:
    with _session(step.server, host) as db:
        names = freeze.databases(db)
    for name in names:
        attempt.report(f"freeze the rows of {step.server.name}: {name}", None, None)
        with _session(step.server, host, name) as db:
            freeze.freeze(db)


@do.register
def _(step: AdmitClients, host: Host, attempt: Attempt) -> None:
    """A postmaster that is signalled reads its files before it takes the next connection."""
    rooms.admit(rooms.rooms_of(host.config, step.server.cluster.id))
    if process := process_of(step.server, host):
        processes.send(process, signal.SIGHUP)


@do.register
def _(step: CreateDatabase, host: Host, attempt: Attempt) -> None:
    with _session(step.server, host) as db:
        admin.create_database(db, step.server.cluster.database)


@do.register
def _(step: Checkpoint, host: Host, attempt: Attempt) -> None:
    def query(db: psycopg.Connection[Any]) -> standing.Standing | None:
        admin.checkpoint(db)
        return standing.standing(db, _datadir(step.server, host))

    attempt.standing = _asked(step.server, host, query)


def standing_of(target: Server, host: Host) -> standing.Standing | None:
    """Where a running server stands.

    :raises ServerError, PoolFullError: it refused, or died of it."""
    return _asked(target, host, lambda db: standing.standing(db, _datadir(target, host)))


def _asked(
    target: Server, host: Host, query: Callable[[psycopg.Connection[Any]], _Answer]
) -> _Answer:
    """What a running server answers, in a session that stays for the next one who asks.

    :raises ServerError, PoolFullError: it refused, or died of it."""
    process = process_of(target, host)
    with _explained(target, host, process) as place:
        if process is None:
            raise ServerError(f"the server of {target.name!r} does not run")
        return host.sessions.ask(place, process, query)


@contextlib.contextmanager
def _session(target: Server, host: Host, dbname: str = "") -> Iterator[psycopg.Connection[Any]]:
    """:raises ServerError, PoolFullError: it refused, or died of it."""
    process = process_of(target, host)
    with (
        _explained(target, host, process) as place,
        admin.session(place, process, dbname) as db,
    ):
        yield db


@contextlib.contextmanager
def _explained(target: Server, host: Host, process: Process | None) -> Iterator[admin.Place]:
    """Where a server is asked; what it refuses there is raised with what its log says."""
    cluster, room = target.cluster, rooms.rooms_of(host.config, target.cluster.id)
    before = rooms.log_size(room)
    try:
        yield admin.Place(room.sockets, cluster.port, cluster.superuser, major_of(cluster.version))
    except psycopg.Error as error:
        if process and not (room.sockets / f".s.PGSQL.{target.cluster.port}").exists():
            raise ServerError(
                f"the server of {target.name!r} runs, but its socket in {room.sockets} is gone",
                hint="stop it and start it again, and it makes a new one",
            ) from error
        said = f"the server of {target.name!r} refused: {server.first_line(error)}"
        raise server.explained(said, rooms.log_since(room, before)) from error


@do.register
def _(step: StopServer, host: Host, attempt: Attempt) -> None:
    doors.shut(step.server, host, idle=step.idle)
    try:
        _halt(step.server, host, immediate=step.immediate)
    finally:
        doors.asleep(step.server, host)
    if not step.immediate and not step.server.cluster.durable:
        _write_out(tree_of(step.server, host))


def _write_out(tree: Path) -> None:
    """A server without fsync leaves its shutdown to the page cache: "shut down cleanly" has to
    hold after a power cut, too."""
    with translated(f"{tree} cannot be written out"):
        handle = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            syncfs(handle)
        finally:
            os.close(handle)


@undo.register
def _(step: StopServer, host: Host, attempt: Attempt) -> None:
    if step.restart:
        # What is not there again is shown as "crashed", and its start says who has its port.
        with contextlib.suppress(ports.TakenError):
            do(StartServer(server=step.server), host, attempt)


def _halt(target: Server, host: Host, *, immediate: bool) -> None:
    datadir = _datadir(target, host)
    if datadir.is_dir() or target.cluster.process:
        process = process_of(target, host)
        server.stop(datadir, host.user, process, host.children, immediate=immediate)
        host.groups.end(target.cluster.id)


@do.register
def _(step: PauseServer, host: Host, attempt: Attempt) -> None:
    if process := process_of(step.server, host):
        processes.pause(process)


@do.register
def _(step: ResumeServer, host: Host, attempt: Attempt) -> None:
    if process := process_of(step.server, host):
        processes.resume(process)
    attempt.resumed = True


@undo.register
def _(step: PauseServer, host: Host, attempt: Attempt) -> None:
    if not attempt.resumed:  # else somebody else may have paused it since, for their snapshot
        do(ResumeServer(server=step.server), host, attempt)


@do.register
def _(step: MakeRooms, host: Host, attempt: Attempt) -> None:
    cluster = step.server.cluster
    room = rooms.rooms_of(host.config, cluster.id)
    rooms.make(room, cluster.superuser, host.user, closed=step.server.spare)


@undo.register
def _(step: MakeRooms, host: Host, attempt: Attempt) -> None:
    do(RemoveRooms(id=step.server.cluster.id), host, attempt)


@do.register
def _(step: RemoveRooms, host: Host, attempt: Attempt) -> None:
    host.groups.remove(step.id)
    rooms.remove(rooms.rooms_of(host.config, step.id))
