"""The steps that plans are made of: frozen values that can be printed, compared and journaled.

What a step does and how it is undone stands in effects/. Each is safe to run again and safe to
undo when it never ran, since a crash may come between any two instructions. No step holds a
secret: the journal keeps them all.
"""

from __future__ import annotations

import msgspec

from cowdb.model import Cluster
from cowdb.units import size_text
from cowdb.wire import Mode


class Step(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One effect on the host."""

    def describe(self) -> str:
        raise NotImplementedError


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A server of cowdb's own.

    :param branch: its settings are a branch's, not a source's.
    :param private: no TCP port; reached through its Unix socket by the agent alone.
    :param spare: it is nobody's yet: it lets nobody in over TCP, and starts behind everything else.
    """

    name: str
    cluster: Cluster
    branch: bool
    private: bool = False
    spare: bool = False


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """An attached source: somebody else's server."""

    name: str
    datadir: str
    superuser: str


class CreateVolume(Step, frozen=True, kw_only=True):
    pool: str
    volume: str
    mark: dict[str, str]

    def describe(self) -> str:
        return f"create volume {self.volume}"


class CloneVolume(Step, frozen=True, kw_only=True):
    pool: str
    snapshot: str
    volume: str
    mark: dict[str, str]

    def describe(self) -> str:
        return f"clone {self.snapshot} as {self.volume}"


class SnapshotVolume(Step, frozen=True, kw_only=True):
    pool: str
    origin: str
    volume: str
    mark: dict[str, str]

    def describe(self) -> str:
        return f"snapshot volume {self.origin} as {self.volume}"


class ForkVolume(Step, frozen=True, kw_only=True):
    """SnapshotVolume and CloneVolume in one, of a volume that nobody writes to for the moment."""

    pool: str
    origin: str
    snapshot: str
    mark: dict[str, str]
    volume: str
    clone_mark: dict[str, str]

    def describe(self) -> str:
        return f"snapshot volume {self.origin} as {self.snapshot}, cloned as {self.volume}"


class SnapshotSource(Step, frozen=True, kw_only=True):
    """The directories of an attached source, in one atomic snapshot; where the driver copies
    file by file, between pg_backup_start and pg_backup_stop."""

    pool: str
    source: Foreign
    volume: str
    mark: dict[str, str]
    mode: Mode

    def describe(self) -> str:
        return f"snapshot {self.source.datadir} as {self.volume}"


class LimitVolume(Step, frozen=True, kw_only=True):
    """:param size: bytes that a clone may take beyond what it shares."""

    pool: str
    volume: str
    size: int

    def describe(self) -> str:
        return f"limit volume {self.volume} to {size_text(self.size)}"


class FreezeVolume(Step, frozen=True, kw_only=True):
    pool: str
    volume: str

    def describe(self) -> str:
        return f"freeze volume {self.volume}"


class DestroyVolume(Step, frozen=True, kw_only=True):
    """:param promote: what comes from it stays, also where volumes depend on each other; else
    the volume must have no dependents there."""

    pool: str
    volume: str
    promote: bool = False

    def describe(self) -> str:
        return f"destroy volume {self.volume}"


class NoteMark(Step, frozen=True, kw_only=True):
    """A volume's mark written anew; undone by writing the one that it had.

    :param change: what the mark says from then on, for people.
    """

    pool: str
    volume: str
    mark: dict[str, str]
    before: dict[str, str]
    change: str

    def describe(self) -> str:
        return self.change


class Quarantine(Step, frozen=True, kw_only=True):
    """Cut a copy's outgoing wires before its first start.

    :param parts: (where it was, where it is in the volume) of each directory of an attached
        source, so that links to them can be led to the copy; a relative "where it was" is
        relative to the volume's tree.
    :param settings_of: the snapshot whose captured settings of an attached source apply.
    """

    server: Server
    parts: tuple[tuple[str, str], ...] = ()
    settings_of: str | None = None

    def describe(self) -> str:
        return f"quarantine {self.server.name}"


class InitCluster(Step, frozen=True, kw_only=True):
    server: Server

    def describe(self) -> str:
        return f"initdb {self.server.name}"


class BaseBackup(Step, frozen=True, kw_only=True):
    """:param conninfo: without its password, which travels beside the plan.
    :param tablespaces: (where it is on the remote host, where it goes in the volume)."""

    server: Server
    conninfo: str
    tablespaces: tuple[tuple[str, str], ...] = ()

    def describe(self) -> str:
        return f"pg_basebackup into {self.server.name}"


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the quarantine that needs SQL, and the server's own password.

    :param sever: subscriptions may still point at their publishers.
    """

    sever: bool = True


class StartServer(Step, frozen=True, kw_only=True):
    """:param again: it ran before the operation, so undoing this step lets it run.
    :param seal: what its first query does."""

    server: Server
    again: bool = False
    seal: Seal | None = None

    def describe(self) -> str:
        where = "privately" if self.server.private else f"on port {self.server.cluster.port}"
        return f"start {'and seal ' if self.seal else ''}{self.server.name} {where}"


class SealServer(Step, frozen=True, kw_only=True):
    """What `Seal` is, done to a server that runs."""

    server: Server
    sever: bool = True

    def describe(self) -> str:
        return f"seal {self.server.name}"


class FreezeRows(Step, frozen=True, kw_only=True):
    """Freeze every row, so that reading them in a clone writes nothing."""

    server: Server

    def describe(self) -> str:
        return f"freeze the rows of {self.server.name}"


class AdmitClients(Step, frozen=True, kw_only=True):
    """A spare that is somebody's now lets in who has a password."""

    server: Server

    def describe(self) -> str:
        return f"admit clients to {self.server.name} on port {self.server.cluster.port}"


class CreateDatabase(Step, frozen=True, kw_only=True):
    server: Server

    def describe(self) -> str:
        return f"create database {self.server.cluster.database} in {self.server.name}"


class StopServer(Step, frozen=True, kw_only=True):
    """:param immediate: without a shutdown checkpoint, for what is to be thrown away.
    :param restart: undoing this step starts the server again.
    :param idle: only if no client is connected, or comes, until it has stopped."""

    server: Server
    immediate: bool = False
    restart: bool = False
    idle: bool = False

    def describe(self) -> str:
        return f"stop {self.server.name}"


class HoldPort(Step, frozen=True, kw_only=True):
    """Have the front hold a server's port; undone by giving it up."""

    server: Server

    def describe(self) -> str:
        return f"hold port {self.server.cluster.port} for {self.server.name}"


class ReleasePort(Step, frozen=True, kw_only=True):
    """:param why: for clients that wait there."""

    server: Server
    why: str

    def describe(self) -> str:
        return f"give up port {self.server.cluster.port} of {self.server.name}"


class Checkpoint(Step, frozen=True, kw_only=True):
    server: Server

    def describe(self) -> str:
        return f"checkpoint {self.server.name}"


class PauseServer(Step, frozen=True, kw_only=True):
    """Stand every process of a server still, so that the files do not change under a snapshot
    that the filesystem does not take in write order."""

    server: Server

    def describe(self) -> str:
        return f"pause {self.server.name}"


class ResumeServer(Step, frozen=True, kw_only=True):
    server: Server

    def describe(self) -> str:
        return f"resume {self.server.name}"


class StopSource(Step, frozen=True, kw_only=True):
    """Stop an attached source through what runs it; undone by starting it again.

    :param snapshot: the volume under whose name its settings are noted while it still runs.
    """

    source: Foreign
    snapshot: str

    def describe(self) -> str:
        return f"stop source {self.source.name}"


class StartSource(Step, frozen=True, kw_only=True):
    source: Foreign

    def describe(self) -> str:
        return f"start source {self.source.name}"


class ReadControl(Step, frozen=True, kw_only=True):
    """Note what pg_control in a volume says."""

    pool: str
    volume: str
    data: str
    version: str

    def describe(self) -> str:
        return f"read pg_control of {self.volume}"


class MakeRooms(Step, frozen=True, kw_only=True):
    """Where a server's log and socket go; undone by removing them."""

    server: Server

    def describe(self) -> str:
        return f"make room for the log and socket of {self.server.name}"


class RemoveRooms(Step, frozen=True, kw_only=True):
    id: str

    def describe(self) -> str:
        return f"remove log and socket of {self.id}"


class RemoveSettings(Step, frozen=True, kw_only=True):
    """The captured settings of another server, once its copy has them."""

    id: str

    def describe(self) -> str:
        return f"remove captured settings of {self.id}"


AnyStep = (
    CreateVolume
    | CloneVolume
    | SnapshotVolume
    | ForkVolume
    | SnapshotSource
    | LimitVolume
    | FreezeVolume
    | DestroyVolume
    | NoteMark
    | Quarantine
    | InitCluster
    | BaseBackup
    | StartServer
    | SealServer
    | FreezeRows
    | AdmitClients
    | CreateDatabase
    | StopServer
    | HoldPort
    | ReleasePort
    | Checkpoint
    | PauseServer
    | ResumeServer
    | StopSource
    | StartSource
    | ReadControl
    | MakeRooms
    | RemoveRooms
    | RemoveSettings
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation will do.

    :param steps: run in order; after a failure or a crash undone in reverse.
    :param cleanup: run once the outcome is committed; after a crash finished, never undone.
    """

    steps: tuple[AnyStep, ...] = ()
    cleanup: tuple[AnyStep, ...] = ()

    def describe(self) -> list[str]:
        return [step.describe() for step in (*self.steps, *self.cleanup)]
