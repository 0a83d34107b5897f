"""What the agent remembers: pools, sources, snapshots, branches. Values, no I/O.

A *cluster* is a Postgres data directory inside a volume that cowdb runs itself: a managed source
or a branch. An attached source is not one, since somebody else runs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from cowdb.wire import Mode, SourceKind

NOBODY = -1
"""The owner of what belongs to no OS user."""

Wanted = Literal["running", "stopped", "sleeping"]
Lifecycle = Literal["creating", "loading", "ready", "resetting", "deleting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRecord:
    id: str
    driver: str
    path: str
    image: str | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A server process: the number alone could be anybody's by now.

    :param started: clock ticks after boot, field 22 of /proc/PID/stat.
    :param boot: the kernel's boot id.
    """

    pid: int
    started: int
    boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a branch may use at most; None where nothing is set.

    :param memory: bytes, the page cache of its files included.
    :param cpus: processors' worth of time.
    :param disk: bytes of the pool that it may take, beyond what it shares with its snapshot.
    """

    memory: int | None = None
    cpus: float | None = None
    disk: int | None = None

    @property
    def grouped(self) -> bool:
        """Its server runs in a control group of its own."""
        return self.memory is not None or self.cpus is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A server that cowdb runs.

    :param id: names the run directory and the derived password; stays through resets.
    :param volume: holds the data now; a reset moves the cluster to a fresh one.
    :param data: the data directory, relative to the volume's tree.
    :param superuser: the bootstrap superuser's role name.
    :param process: the latest server of this volume, dead or alive; its boot tells whether the
        host went down under it.
    :param sleep_after: seconds without a client after which it stops until one comes; 0: never.
        Such a server is reached through the front, which holds its port.
    """

    id: str
    pool: str
    volume: str
    data: str
    port: int
    version: str
    superuser: str
    database: str
    durable: bool
    wanted: Wanted = "running"
    sleep_after: int = 0
    process: Process | None = None
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """:param datadir: for an attached source, where somebody else keeps it; else empty.
    :param cluster: for a managed source."""

    id: str
    name: str
    kind: SourceKind
    state: Lifecycle
    pool: str
    version: str
    database: str
    superuser: str
    owner_uid: int
    created_at: datetime
    datadir: str = ""
    cluster: Cluster | None = None
    quarantined: tuple[str, ...] = ()
    loader: Process | None = None
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRecord:
    """:param data: the data directory, relative to the volume's tree.
    :param parent: id of the source or branch it was taken of; names may be used again, ids not.
    :param parts: (where it was, where it is in the volume) of each directory of an attached
        source: the data directory, then pg_wal and the tablespaces when they lie elsewhere.
    :param origin: the volume that it is a snapshot of; empty for an attached source's.
    :param cloned_from: id of the snapshot that `origin` comes from, where that is not the parent's:
        the branch that it was taken of was removed (`--promote`).
    :param settled: id of the settled volume, once there is one.
    :param freeze: its rows are frozen there.
    :param removed: the reference that it had until it was removed while branches came from it; such
        a record is implicit, has no volume, and goes with the last of those. Else empty.
    :param spares: how many spares it is to have; None leaves that to the agent.
    :param branched_at: when a branch was last made of it."""

    id: str
    name: str
    parent: str
    parent_name: str
    source: str
    state: Lifecycle
    pool: str
    data: str
    mode: Mode
    consistency: Literal["crash-consistent", "clean", "backup"]
    implicit: bool
    protected: bool
    version: str
    superuser: str
    database: str
    lsn: str = ""
    timeline: int = 0
    system_identifier: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    origin: str = ""
    cloned_from: str | None = None
    settled: str | None = None
    freeze: bool = False
    removed: str = ""
    spares: int | None = None
    branched_at: datetime | None = None
    quarantined: tuple[str, ...] = ()
    owner_uid: int
    created_at: datetime
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchRecord:
    """:param base: the frozen volume that its own was cloned from: the snapshot's, or its
        settled one.
    :param hidden: made by cowdb for itself (one side of a diff); not listed.
    :param spare: made before anybody asked for it. Until somebody does, it is nobody's: it has no
        name that could be found, and is kept apart from the branches."""

    id: str
    name: str
    snapshot: str
    base: str = ""
    state: Lifecycle
    cluster: Cluster
    owner_uid: int
    created_at: datetime
    expires_at: datetime | None = None
    protected: bool = False
    hidden: bool = False
    spare: bool = False
    quarantined: tuple[str, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
