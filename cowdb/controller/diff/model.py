"""The values of a comparison: what was read, what was asked for, and the report in its JSON shape.

Pure and light: rendering a report imports this module and no database driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NotRequired, TypeAlias, TypedDict

Value: TypeAlias = str | int | float | bool | list[str] | None
Change = Literal["added", "removed", "changed"]
Method = Literal["unchanged-blocks", "changed-blocks", "full-scan"]
METHODS: tuple[Method, ...] = ("unchanged-blocks", "changed-blocks", "full-scan")
"""From the one that reads the least to the one that reads the most."""
Progress: TypeAlias = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and how much there is; may come from any thread."""


@dataclass(frozen=True, order=True)
class ObjectKey:
    """Names one object; the name is qualified and quoted where SQL would need it."""

    kind: str
    name: str


@dataclass(frozen=True)
class Described:
    """An object's properties and the objects that it comes and goes with.

    :param inside: the objects whose coming or going takes this one along: the table of a column,
        the constraint of an index, the parent's column of an inherited column.
    """

    properties: Mapping[str, Value]
    inside: tuple[ObjectKey, ...] = ()


Schema: TypeAlias = dict[ObjectKey, Described]


@dataclass(frozen=True)
class Side:
    """One database to compare: how to call it and how to reach it.

    :param dsn: a libpq connection string or URL; may hold a password, so it is never shown.
    """

    label: str
    dsn: str = field(repr=False)
    branch: str | None = None
    """The branch's name, where the host's agent knows this database as one."""


@dataclass(frozen=True)
class Wanted:
    """What to compare. Patterns in `tables` are shell globs on `schema.table` and on `table`."""

    schema: bool = True
    counts: bool = True
    rows: bool = False
    tables: tuple[str, ...] = ()


Changes: TypeAlias = Callable[[str, str], tuple[Mapping[str, Sequence[Sequence[int]]] | None, str]]
"""Asks the host where two branches can differ: block ranges by relation file, or None and why."""


class PropertyChange(TypedDict):
    property: str
    values: list[Value]
    """On the first side, and on the other."""


class Contained(TypedDict):
    """Part of an added or removed object, told in the object's details under `contains`."""

    kind: str
    name: str
    details: dict[str, Value]


Details: TypeAlias = list[PropertyChange] | dict[str, Value | list[Contained]]


class SchemaChange(TypedDict):
    kind: str
    name: str
    change: Change
    side: str
    """The side that differs from the first one."""
    details: Details
    """Changed: a list of properties with both values. Added or removed: the properties, and under
    `contains` what came or went with the object."""


class TableCounts(TypedDict):
    table: str
    counts: list[int | None]
    """For each side; None where the table does not exist."""
    exact: bool
    method: Method
    """What was read for it, on the side where that was the most."""


class RowChange(TypedDict):
    """One row; values as their type's output function prints them, None for null."""

    change: Change
    key: dict[str, str | None]
    row: NotRequired[dict[str, str | None]]
    """Of an added or removed row: all its values."""
    columns: NotRequired[dict[str, list[str | None]]]
    """Of a changed row: the columns that differ, each with both values."""


class RowChanges(TypedDict):
    """One table whose rows differ, seen from the first side: `added` rows are only on the other."""

    table: str
    side: str
    """The side that differs from the first one."""
    key: list[str]
    """The columns that rows were matched by; empty where they were compared as a multiset."""
    added: int
    removed: int
    changed: int
    columns: dict[str, int]
    """In how many of the changed rows each column differs."""
    sample: list[RowChange]
    """The first few, in an order that says nothing."""


class Renamed(TypedDict):
    """One table under two names; everything else tells of it by the first."""

    kind: str
    side: str
    """The side that differs from the first one."""
    names: list[str]
    """On the first side, and on the other."""


class Report(TypedDict):
    sides: list[str]
    identical: bool
    """Nothing that was compared differs, and each table asked for could be read."""
    schema: list[SchemaChange]
    counts: list[TableCounts]
    rows: list[RowChanges]
    method: dict[str, Method]
    why_full_scan: dict[str, str]
    """For tables that were read whole although the host told which blocks have changed."""
    renamed: list[Renamed]
    not_compared: list[str]
    timings_ms: dict[str, float]
