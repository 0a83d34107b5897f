"""The JSON that crosses the socket and that `--json` prints: shapes only, no code.

Fields may be added, never renamed. Times are ISO 8601 in UTC, sizes are bytes, durations in
`timings_ms` are milliseconds. docs/json.md shows an example of each.
"""

from __future__ import annotations

from typing import Literal, TypedDict

Mode = Literal["online", "checkpoint", "stop"]
SourceKind = Literal["attached", "managed"]
Durability = Literal["fast", "full"]
ServerState = Literal[
    "creating", "loading", "running", "sleeping", "stopped", "crashed", "resetting", "deleting"
]


class PoolInfo(TypedDict):
    id: str
    driver: str
    path: str
    total_bytes: int | None
    free_bytes: int | None
    state: Literal["ready", "missing"]
    image: str | None
    """The loop file that the pool lies in, when cowdb made it."""


class SourceInfo(TypedDict):
    name: str
    kind: SourceKind
    state: ServerState
    port: int | None
    dsn: str | None
    datadir: str
    pg_version: str
    database: str
    pool: str
    created_at: str
    owner: str
    timings_ms: dict[str, float]


class SparesInfo(TypedDict):
    """Servers that were started before anybody asked for a branch."""

    wanted: int
    ready: int
    automatic: bool
    """Nobody said how many; the agent gives some to what is in use."""


class SparesStatus(TypedDict):
    wanted: int
    ready: int
    memory_bytes: int
    """What they cost the host, as one of each snapshot was measured."""
    memory_limit_bytes: int


class SnapshotInfo(TypedDict):
    ref: str
    mode: Mode
    settled: bool
    frozen: bool
    """Settled, and reading rows in a branch of it dirties no block."""
    lsn: str
    timeline: int
    system_identifier: str
    created_at: str
    used_bytes: int | None
    protected: bool
    pg_version: str
    branches: list[str]
    """Names of the branches that come from this snapshot."""
    consistency: Literal["crash-consistent", "clean", "backup"]
    """What a first start of a clone has to do: replay as after a crash, nothing, or replay to
    the end of a base backup."""
    spares: SparesInfo
    timings_ms: dict[str, float]


class LimitsInfo(TypedDict):
    """What a branch may use at most; null where nothing is set."""

    memory_bytes: int | None
    cpus: float | None
    disk_bytes: int | None


class CapacityInfo(TypedDict):
    """What this host can limit."""

    memory: bool
    cpus: bool
    reason: str
    """Why it cannot limit memory or processor time; else empty."""
    branches_per_user: int | None


class BranchInfo(TypedDict):
    name: str
    source: str
    """The source that the branch descends from, through however many branches."""
    parent: str
    snapshot: str
    """Empty when it was removed: see `removed_snapshot`."""
    removed_snapshot: str | None
    """The reference of the snapshot that it came from, when that was removed with `--promote`."""
    state: ServerState
    port: int
    dsn: str
    """Without its password when the caller is not the owner."""
    datadir: str
    database: str
    pg_version: str
    created_at: str
    expires_at: str | None
    sleep_after: int | None
    """Seconds without a client after which its server stops until the next one comes."""
    protected: bool
    durability: Durability
    """What outlives the host: "full", all that was committed; "fast", nothing is promised."""
    owner: str
    used_bytes: int | None
    limits: LimitsInfo
    quarantined: list[str]
    """What was taken out of the copy before it started, for people to read."""
    spare: bool
    """It was ready before it was asked for."""
    timings_ms: dict[str, float]


class MovedInfo(TypedDict):
    """A snapshot of a branch that was removed."""

    was: str
    ref: str


class RemovedInfo(TypedDict):
    """What a removal with `--promote` changed besides; empty without it."""

    snapshots: list[MovedInfo]
    """Snapshots of a removed branch, and what they are called now."""
    branches: list[str]
    """Branches of a removed snapshot, which have nothing to be reset to any more."""


class OperationInfo(TypedDict):
    id: str
    kind: str
    target: str
    state: Literal["running", "done", "failed", "undone"]
    caller: str
    started_at: str
    finished_at: str | None
    error: str | None
    steps: list[str]


class ChangesInfo(TypedDict):
    """Where two branches can differ: for each relation file (`base/DATABASE/FILENODE`) half-open
    ranges of blocks. What is not named is the same on both. Null when blocks cannot tell."""

    relations: dict[str, list[list[int]]] | None
    reason: str


class WrittenInfo(TypedDict):
    """What branches have written since the snapshot that all of them come from. What is not named
    is in a branch as it is in the snapshot. Where blocks cannot tell, `reason` says why and the
    rest is empty."""

    ancestor: str
    """The frozen volume that all are clones of, or of clones of; never used again for another."""
    snapshot: str | None
    """A reference of which a new branch is a clone of that very volume; null if there is none."""
    relations: list[dict[str, list[list[int]]]]
    """For each branch, in the order asked: by relation file (`base/DATABASE/FILENODE`) half-open
    ranges of the blocks that differ from the snapshot's, or that only one of the two has."""
    counts: dict[str, int]
    """Rows in the snapshot, by relation file, as far as they were counted before."""
    reason: str


class KeptInfo(TypedDict):
    """How many numbers of rows were kept."""

    kept: int


class AncestorInfo(TypedDict):
    """The nearest snapshot that several branches, sources and snapshots descend from."""

    ref: str | None
    reason: str
    """Why there is none; else empty."""


class LogInfo(TypedDict):
    """A piece of what a branch's server has printed: whole lines, but for one that is too long."""

    text: str
    after: int
    """The byte at which it begins; 0 where the log was begun anew since."""
    next: int
    """The byte to ask for next."""
    size: int
    """Bytes of the log at this moment."""


class PlanInfo(TypedDict):
    """What an operation would do (`--dry-run`), one line for each step."""

    plan: list[str]


class Finding(TypedDict):
    """One thing that `cowdb doctor` found."""

    level: Literal["ok", "warning", "problem"]
    subject: str
    message: str
    repair: str
    """What --repair would do, or did; empty when there is nothing to do."""


class StatusInfo(TypedDict):
    version: str
    agent: Literal["daemon", "in-process"]
    pid: int
    pools: list[PoolInfo]
    sources: int
    snapshots: int
    branches: dict[str, int]
    spares: SparesStatus
    ports: dict[str, int]
    """`used` counts those of spares, too."""
    postgres: list[str]
    limits: CapacityInfo


class Progress(TypedDict):
    """One line of an operation's stream, before its result."""

    event: Literal["progress"]
    operation: str
    step: str
    done: int | None
    total: int | None
