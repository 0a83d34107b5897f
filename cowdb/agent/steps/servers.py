"""Steps on servers that cowdb runs: branches and managed sources."""

from __future__ import annotations

import msgspec

from cowdb.agent.steps.step import Server, Step


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


class RemoveSettings(Step, frozen=True, kw_only=True):
    """The captured settings of another server, once its copy has them."""

    id: str

    def describe(self) -> str:
        return f"remove captured settings of {self.id}"


class MakeRooms(Step, frozen=True, kw_only=True):
    """Where a server's log and socket go; undone by removing them."""

    server: Server

    def describe(self) -> str:
        return f"make room for the log and socket of {self.server.name}"


class RemoveRooms(Step, frozen=True, kw_only=True):
    id: str

    def describe(self) -> str:
        return f"remove log and socket of {self.id}"


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
