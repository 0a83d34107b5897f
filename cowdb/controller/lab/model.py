"""What a lab run finds out: the shape of `cowdb lab run --json`, of what is kept of it, and of
every report. Fields may be added, never renamed.

Times within a run are milliseconds since its strategy began, and negative before (`at_ms`);
durations are milliseconds (`_ms`), sizes bytes.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from cowdb.controller.diff.model import Report

Verdict = Literal["pass", "warn", "fail"]
LockMode = Literal[
    "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
    "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
]  # fmt: skip


class Spread(TypedDict):
    """Of a figure over the runs of one strategy; all alike where there was one."""

    median: float
    least: float
    most: float
    values: list[float]


class Reason(TypedDict):
    """:param code: what it is about, such as "max_lock_ms" or "rewrite".
    :param statement: the number of the statement that did it, where that is known."""

    level: Literal["note", "warn", "fail"]
    code: str
    text: str
    statement: int | None


class Statement(TypedDict):
    """One statement as the server ran it.

    :param exact: from the server's log or the lab's own clock; else from samples.
    :param file: with `line`, where it stands in an SQL file that the lab ran itself."""

    number: int
    text: str
    """Shortened, and without literals in statements that may hold a password."""
    file: str | None
    line: int | None
    at_ms: float
    duration_ms: float
    exact: bool
    waited_ms: float
    """For locks that others held."""
    wal_bytes: int | None
    rewrote: list[str]
    scanned: list[str]
    """Tables that it read whole, as far as it is DDL."""
    error: str | None


class Lock(TypedDict):
    """One lock that the strategy held on a relation that was there before, of a mode that makes
    somebody else wait.

    :param at_ms: when it was got; it was asked for `waited_ms` earlier.
    :param blocks: who has to wait: those who only read, those who write, or only DDL.
    :param exact: begin and end are known from events; else they are the first and the last sample,
        and the real ones lie less than `sampling.interval_ms` outside."""

    relation: str
    mode: LockMode
    blocks: Literal["reads", "writes", "ddl"]
    at_ms: float
    held_ms: float
    waited_ms: float
    """How long it was asked for before it was got; whoever came after queued behind it."""
    statement: int | None
    exact: bool


class Locked(TypedDict):
    """All locks of one mode on one relation."""

    relation: str
    mode: LockMode
    blocks: Literal["reads", "writes", "ddl"]
    total_ms: float
    longest_ms: float
    waited_ms: float
    times: int


class Wait(TypedDict):
    """Somebody who waited for the strategy, or whom it waited for."""

    at_ms: float
    waited_ms: float
    relation: str | None
    mode: str
    who: Literal["strategy", "load", "other"]
    behind: list[str]
    """The chain: what each one in front of it was doing."""


class Sampling(TypedDict):
    """How finely locks were looked at, and what that cost.

    :param overhead: the share of one processor core that looking took on the server."""

    interval_ms: float
    samples: int
    longest_gap_ms: float
    overhead: float


class Disk(TypedDict):
    """:param logical_bytes: growth of the database; `cow_bytes`: blocks that the branch really took
    on the pool; `temp_bytes`: temporary files."""

    logical_bytes: int
    cow_bytes: int | None
    temp_bytes: int
    wal_bytes: int
    wal_bytes_per_second: float
    """In the busiest second: what a replica would have to keep up with."""


class Checked(TypedDict):
    """A validation query and its answer."""

    name: str
    passed: bool
    value: str | None
    error: str | None


class Leftover(TypedDict):
    """Something half done that the strategy left."""

    kind: Literal["invalid index", "not valid constraint"]
    name: str


class Second(TypedDict):
    """A slice of the load's time line.

    :param at_ms: where it begins."""

    at_ms: float
    answered: int
    errors: int
    p50_ms: float | None
    p99_ms: float | None
    longest_ms: float | None


class Traffic(TypedDict):
    """What users of the database would have felt."""

    phase: Literal["before", "during", "after"]
    transactions: int
    per_second: float
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    longest_ms: float | None
    stall_ms: float
    """The longest time in which nobody got an answer."""


class LoadResult(TypedDict):
    phases: list[Traffic]
    line: list[Second]
    errors: dict[str, int]
    """How often, by message."""


class Run(TypedDict):
    """One strategy, once, on a branch of its own."""

    branch: str
    kept: bool
    connect: str | None
    """The command that connects to it, where it was kept."""
    started_at: str
    duration_ms: float
    exit_code: int | None
    """None: it was ended, or nothing was started."""
    error: str | None
    output: str
    """The last lines of what the command printed."""
    statements: list[Statement]
    locks: list[Lock]
    locked: list[Locked]
    waits: list[Wait]
    sampling: Sampling
    rewritten: list[str]
    """Tables and materialised views with rows whose files were written anew."""
    scanned: list[str]
    """Tables that were read whole."""
    disk: Disk
    lost: list[str]
    """Columns and tables that held values and are gone, as sentences."""
    leftovers: list[Leftover]
    validations: list[Checked]
    difference: Report
    """Against the checkpoint."""
    same_as_checkpoint: bool | None
    """In schema and rows; None where that was not asked for."""
    load: LoadResult | None
    notes: list[str]
    """What could not be measured and why, and what else has to be known to read the rest."""


class StrategyResult(TypedDict):
    name: str
    words: str
    """Its command, or its files."""
    verdict: Verdict
    reasons: list[Reason]
    runs: list[Run]
    duration_ms: Spread
    locked_ms: Spread
    """Of each run: the longest time for which one lock would have made readers or writers wait,
    its own waiting included, since whoever comes after it queues behind it."""
    expect: Literal["same-as-checkpoint"] | None
    """What it was meant to end as; a way back is never recommended as the way to go."""
    limits: dict[str, object]
    """Those that held for it."""


class Ends(TypedDict):
    """Whether strategies that are not rolled back end in the same database.

    :param groups: names of strategies that end alike."""

    schema: bool | None
    rows: bool | None
    groups: list[list[str]]


class Recommendation(TypedDict):
    """:param strategy: None where none can be recommended."""

    strategy: str | None
    sentence: str


class LabReport(TypedDict):
    id: str
    name: str
    version: str
    file: str
    checkpoint: str
    database: str
    pg_version: str
    started_at: str
    total_ms: float
    verdict: Verdict
    strategies: list[StrategyResult]
    ends: Ends
    recommendation: Recommendation
    limits: dict[str, object]
