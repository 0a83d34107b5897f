"""The steps that plans are made of: frozen values that can be printed, compared and journaled.

What a step does and how it is undone stands in effects/. Each is safe to run again and safe to
undo when it never ran, since a crash may come between any two instructions. No step holds a
secret: the journal keeps them all.
"""

from __future__ import annotations

import msgspec

from cowdb.agent.steps.doors import (
    HoldPort,
    ReleasePort,
)
from cowdb.agent.steps.servers import (
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
    Seal,
    SealServer,
    StartServer,
    StopServer,
)
from cowdb.agent.steps.sources import (
    SnapshotSource,
    StartSource,
    StopSource,
)
from cowdb.agent.steps.step import (
    Foreign,
    Server,
    Step,
)
from cowdb.agent.steps.volumes import (
    CloneVolume,
    CreateVolume,
    DestroyVolume,
    ForkVolume,
    FreezeVolume,
    LimitVolume,
    NoteMark,
    ReadControl,
    SnapshotVolume,
)

__all__ = [
    "AdmitClients",
    "AnyStep",
    "BaseBackup",
    "Checkpoint",
    "CloneVolume",
    "CreateDatabase",
    "CreateVolume",
    "DestroyVolume",
    "Foreign",
    "ForkVolume",
    "FreezeRows",
    "FreezeVolume",
    "HoldPort",
    "InitCluster",
    "LimitVolume",
    "MakeRooms",
    "NoteMark",
    "PauseServer",
    "Plan",
    "Quarantine",
    "ReadControl",
    "ReleasePort",
    "RemoveRooms",
    "RemoveSettings",
    "ResumeServer",
    "Seal",
    "SealServer",
    "Server",
    "SnapshotSource",
    "SnapshotVolume",
    "StartServer",
    "StartSource",
    "Step",
    "StopServer",
    "StopSource",
]

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
