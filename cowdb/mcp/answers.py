"""The shapes of what tools return. They become the tools' output schemas, docstrings included."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cowdb.mcp.bounds import Cut


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CutAnswer(Answer):
    """Something that was too long: ask db_read_result for the rest of it."""

    place: str
    shown: int
    of: int


def cuts_of(cuts: list[Cut]) -> list[CutAnswer]:
    return [CutAnswer(place=cut.place, shown=cut.shown, of=cut.of) for cut in cuts]


class BranchAnswer(Answer):
    name: str
    source: str
    snapshot: str = Field(description="What a reset goes back to; empty: it cannot be reset.")
    parent: str
    state: str
    port: int
    database: str
    pg_version: str
    owner: str
    protected: bool
    created_at: str
    expires_at: str | None


class BranchesAnswer(Answer):
    branches: list[BranchAnswer]
    of: int = Field(description="How many there are.")
    next: int | None = Field(description="What to give as `after` for more; null: that is all.")


class SnapshotAnswer(Answer):
    ref: str = Field(description="SOURCE@NAME or BRANCH@NAME: what other tools take.")
    settled: bool
    protected: bool
    created_at: str
    pg_version: str
    consistency: str
    branches: list[str] = Field(description="Made of it; the first 20.")


class SnapshotsAnswer(Answer):
    snapshots: list[SnapshotAnswer]
    of: int
    next: int | None


class SourceAnswer(Answer):
    name: str
    kind: Literal["attached", "managed"]
    state: str
    database: str
    pg_version: str
    owner: str
    created_at: str


class SourcesAnswer(Answer):
    sources: list[SourceAnswer]
    of: int
    next: int | None


class RemovedAnswer(Answer):
    removed: str


class ConnectionAnswer(Answer):
    branch: str
    url: str = Field(description="Holds the branch's password: for DATABASE_URL, not for a file.")
    psql: str = Field(description="The command that connects without showing the password.")


class ColumnAnswer(Answer):
    name: str
    type: str


class RowsAnswer(Answer):
    """Rows of one statement; values as PostgreSQL prints them."""

    result: str | None = Field(description="For db_read_result, where there are more rows.")
    columns: list[ColumnAnswer]
    rows: list[list[str | None]]
    of: int = Field(description="How many rows there are to be read.")
    next: int | None = Field(description="What to give as `after` for more; null: that is all.")
    cut_values: bool = Field(description="Some values are longer: db_read_result has more of them.")
    dropped: int = Field(description="Rows beyond what is kept: narrow the query to see them.")


class StatementAnswer(Answer):
    number: int
    line: int
    status: str = Field(description='The server\'s words, such as "UPDATE 3".')
    duration_ms: float
    rows: RowsAnswer | None


class SqlAnswer(Answer):
    branch: str
    statements: list[StatementAnswer] = Field(description="The last 50 that ran.")
    statement_count: int
    rolled_back: bool = Field(description="Nothing of it was kept.")
    notices: list[str]


class PlanAnswer(Answer):
    branch: str
    plan: str
    analyzed: bool = Field(description="It was really run, and rolled back.")
    cut: list[CutAnswer]
    result: str | None


class SchemaAnswer(Answer):
    branch: str
    objects: list[dict[str, Any]] = Field(
        description="kind, name, details; what belongs to a table is in its details: contains."
    )
    of: int
    cut: list[CutAnswer]
    result: str = Field(description="For db_read_result: all objects are at the place '' there.")
    notes: list[str]


class ComparisonAnswer(Answer):
    sides: list[str]
    identical: bool
    schema_changes: int
    tables_counted_differently: int
    rows_added: int
    rows_removed: int
    rows_changed: int
    conflicts: int | None = Field(
        description="What two sides changed to different ends since their common snapshot."
    )
    not_compared: list[str]
    report: dict[str, Any] = Field(description="As `cowdb diff --json`, cut where `cut` says so.")
    cut: list[CutAnswer]
    result: str = Field(description="For db_read_result: the whole report.")


class StrategyAnswer(Answer):
    name: str
    verdict: Literal["pass", "warn", "fail"]
    reasons: list[str]
    duration_ms: float
    locked_ms: float = Field(
        description="The longest time for which readers or writers would have had to wait."
    )
    rewritten: list[str]
    wal_bytes: int
    lost: list[str]
    failed_validations: list[str]
    same_as_checkpoint: bool | None
    error: str | None
    kept_branches: list[str]


class MigrationTestAnswer(Answer):
    run: str = Field(description="For `cowdb lab show`.")
    checkpoint: str
    verdict: Literal["pass", "warn", "fail"]
    recommended: str | None
    recommendation: str
    strategies: list[StrategyAnswer]
    text: str = Field(description="The report for people, cut where `cut` says so.")
    cut: list[CutAnswer]
    result: str = Field(
        description="For db_read_result: /report is the whole report, with each statement, lock, "
        "wait and difference; /text is the text."
    )
    warnings: list[str]


class PreparedAnswer(Answer):
    migration: str = Field(description="For complete_migration.")
    source: str
    checkpoint: str
    branch: str = Field(description="Where it was tried; kept for you to look at.")
    verdict: Literal["pass", "warn", "fail"]
    can_be_completed: bool
    why_not: str
    evidence: MigrationTestAnswer


class CompletedAnswer(Answer):
    migration: str
    source: str
    state: Literal["prepared", "applying", "applied", "failed"]
    error: str | None
    statements: list[StatementAnswer]
    statement_count: int
    notices: list[str]


class PartAnswer(Answer):
    result: str
    place: str
    value: Any = Field(description="Items, fields, rows or characters, from number `after` on.")
    next: int | None = Field(description="What to give as `after` for more; null: that is all.")
    of: int
    cut: list[CutAnswer]
