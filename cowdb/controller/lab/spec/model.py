"""The shape of a lab file. Field names are its keys, docstrings its help in an editor.

Durations are text such as "5s" or "10m"; `seconds` reads them. Validation that needs two fields
stands in reading.py, which knows their lines.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,59}$")]
"""Becomes part of a branch's name."""
Duration = Annotated[str, msgspec.Meta(pattern=r"^[0-9]+(ms|s|m|h)$", examples=["500ms", "10m"])]
Forbidden = Literal[
    "rewrite", "data-loss", "invalid-index", "not-valid-constraint", "schema-left", "blocked-reads",
    "blocked-writes",
]  # fmt: skip
"""rewrite: a table with rows was written anew. data-loss: rows or columns that held values are gone
without having been named. blocked-reads, blocked-writes: somebody who only reads (writes) would
have waited. schema-left: a rollback left the schema unlike the checkpoint's."""
Setting = str | int | float | bool


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping in the file."""


class Postgres(Section, frozen=True, kw_only=True):
    """:param databases: the first one is where commands are led; default: the snapshot's.
    :param settings: of the branches' servers, as in postgresql.conf."""

    databases: list[str] = []
    settings: dict[str, Setting] = {}


class PostgresService(Section, frozen=True, kw_only=True):
    config: Postgres = Postgres()


class Services(Section, frozen=True, kw_only=True):
    postgres: PostgresService = PostgresService()


class Limits(Section, frozen=True, kw_only=True):
    """What a strategy may not exceed; null for no limit.

    :param max_lock_ms: the longest time for which others would have waited for one lock.
    :param max_duration: of the whole strategy.
    :param max_stall_ms: the longest time in which no query of the load got an answer.
    :param forbid: what fails a strategy.
    :param warn: what is worth a warning."""

    max_lock_ms: Annotated[int, msgspec.Meta(ge=0)] | None = 1000
    max_duration: Duration | None = None
    max_stall_ms: Annotated[int, msgspec.Meta(ge=0)] | None = None
    forbid: tuple[Forbidden, ...] = ("data-loss", "invalid-index", "schema-left")
    warn: tuple[Forbidden, ...] = ("rewrite", "not-valid-constraint")


class OwnLimits(Section, frozen=True, kw_only=True):
    """Limits of one branch: what is given here holds instead of the file's."""

    max_lock_ms: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType | None = msgspec.UNSET
    max_duration: Duration | msgspec.UnsetType | None = msgspec.UNSET
    max_stall_ms: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType | None = msgspec.UNSET
    forbid: tuple[Forbidden, ...] | msgspec.UnsetType = msgspec.UNSET
    warn: tuple[Forbidden, ...] | msgspec.UnsetType = msgspec.UNSET

    def over(self, limits: Limits) -> Limits:
        """The limits that hold for the branch."""
        given = msgspec.structs.asdict(self).items()
        return msgspec.structs.replace(
            limits, **{name: value for name, value in given if value is not msgspec.UNSET}
        )


class Strategy(Section, frozen=True, kw_only=True):
    """One way to make the change, tried on a branch of its own.

    :param command: run by a shell in the file's directory, with DATABASE_URL and PG* set.
    :param sql: instead of a command: one file or several, statement by statement.
    :param expect: same-as-checkpoint says that up and down again leave nothing behind.
    :param timeout: after this it is ended, and has failed.
    :param limits: of this branch; those that are not given are the file's.
    :param environment: more variables for the command."""

    name: Name
    command: str | None = None
    sql: str | list[str] | None = None
    expect: Literal["same-as-checkpoint"] | None = None
    limits: OwnLimits = OwnLimits()
    timeout: Duration = "1h"
    environment: dict[str, str] = {}

    @property
    def files(self) -> list[str]:
        return [self.sql] if isinstance(self.sql, str) else list(self.sql or [])


class Validation(Section, frozen=True, kw_only=True):
    """A query whose first value must be true once a strategy has ended."""

    name: str
    sql: str


class Query(Section, frozen=True, kw_only=True):
    """:param sql: one statement; :name is a random number of 1 to the variable's value in
    `variables`.
    :param file: a file with it, instead.
    :param weight: how often it comes, against the others."""

    name: str
    sql: str | None = None
    file: str | None = None
    weight: Annotated[int, msgspec.Meta(ge=1)] = 1


class Load(Section, frozen=True, kw_only=True):
    """Traffic while a strategy runs: queries, or a pgbench script.

    :param pgbench: a script file of pgbench's, instead of queries.
    :param variables: of the queries, each the largest number that it takes.
    :param clients: connections at once.
    :param rate: transactions a second of all together; default: as fast as they are answered.
    :param before: how long it runs before the strategy begins, to compare with.
    :param after: and after it has ended."""

    queries: list[Query] = []
    pgbench: str | None = None
    variables: dict[str, Annotated[int, msgspec.Meta(ge=1)]] = {}
    clients: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    rate: Annotated[float, msgspec.Meta(gt=0)] | None = None
    before: Duration = "3s"
    after: Duration = "3s"


class Migration(Section, frozen=True, kw_only=True):
    """:param checkpoint: a snapshot, such as main@production-loaded; a name alone where only one
    source has such a snapshot.
    :param runs: how often each is tried, on a fresh branch every time.
    :param parallel: strategies at once; default: one, since others on the same
        machine are in each other's times.
    :param keep: branches kept when they are done."""

    checkpoint: str
    branches: Annotated[list[Strategy], msgspec.Meta(min_length=1)]
    validate: list[Validation] = []
    load: Load | None = None
    limits: Limits = Limits()
    runs: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    parallel: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    keep: Literal["failed", "all", "none"] = "failed"


class Tests(Section, frozen=True, kw_only=True):
    migration: Migration


class Lab(Section, frozen=True, kw_only=True):
    """A lab file."""

    name: str
    version: str | int | float = ""
    services: Services = Services()
    tests: Tests


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(duration: str) -> float:
    """Of a Duration."""
    number = duration.rstrip("msh")
    return int(number) * _UNITS[duration[len(number) :]]
