"""The values of a comparison: what was read, what was asked for, and the report in its JSON shape.

Pure and light: rendering a report imports this module and no database driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NotRequired, TypeAlias, TypedDict

from cowdb.errors import InvalidError

Value: TypeAlias = str | int | float | bool | list[str] | None
Change = Literal["added", "removed", "changed"]
Method = Literal["unchanged-blocks", "changed-blocks", "full-scan"]
SAMPLE = 20
"""Differing rows of each table that a report keeps, unless asked for another number."""
MOST_SAMPLE = 10_000
"""The most that can be asked for: the report, with whole rows in it, is held in memory."""
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
    held: bool = False
    """It is a source that cowdb holds and runs."""


@dataclass(frozen=True)
class Origin:
    """The common ancestor to tell changes from, or why there is none."""

    side: Side | None
    reason: str = ""


NO_ORIGIN = Origin(None, "not asked for (--ancestor)")


@dataclass(frozen=True)
class Wanted:
    """What to compare. Patterns in `tables` are shell globs on `schema.table` and on `table`."""

    schema: bool = True
    counts: bool = True
    rows: bool = False
    tables: tuple[str, ...] = ()
    sql: bool = False
    """Also the statements that make the first side's schema the second's."""
    exact: bool = False
    """With `sql`: also what is cosmetic, or unwise in a database in use."""
    sample: int = SAMPLE
    """How many differing rows of each table the report keeps, 0 to `MOST_SAMPLE`."""
    whether: bool = False
    """Only whether rows of a table differ: its numbers are then no more than that they do."""

    def __post_init__(self) -> None:
        """:raises InvalidError: the sample is out of its range."""
        if not 0 <= self.sample <= MOST_SAMPLE:
            raise InvalidError(
                f"a sample of {self.sample} rows of each table is out of range",
                hint=f"--sample takes 0 to {MOST_SAMPLE}: the report is held in memory",
            )


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
    """As many as were asked for (`Wanted.sample`), in an order that says nothing."""


class ObjectGroup(TypedDict):
    """Sides on which one object is the same."""

    sides: list[str]
    values: dict[str, Value] | None
    """The properties in which the groups differ; None where there is no such object."""


class ObjectGroups(TypedDict):
    """An object that is not the same on every side."""

    kind: str
    name: str
    groups: list[ObjectGroup]


class CountGroup(TypedDict):
    sides: list[str]
    count: int | None


class CountGroups(TypedDict):
    table: str
    groups: list[CountGroup]


class RowGroup(TypedDict):
    """Sides on which one row is the same."""

    sides: list[str]
    values: dict[str, str | None] | None
    """The columns in which the groups differ; None where there is no such row."""
    more: NotRequired[int]
    """Of a table without a key: how many more of this row there are than on the first side."""


class RowGroups(TypedDict):
    key: dict[str, str | None]
    """Of a table without a key: all values of the row."""
    groups: list[RowGroup]


class Pattern(TypedDict):
    groups: list[list[str]]
    rows: int
    """How many rows have just these groups of sides."""


class TableGroups(TypedDict):
    """A table whose rows are not the same on every side that has it."""

    table: str
    key: list[str]
    """The columns that rows were matched by on all sides; empty: as a multiset."""
    sides: list[str]
    """Those that have the table."""
    different: int
    patterns: list[Pattern]
    """The most frequent first."""
    sample: list[RowGroups]


class Matrix(TypedDict):
    """Which of three or more sides agree with which. A group is named by its sides in the order
    of the comparison, the first side's group first; what is the same everywhere is left out."""

    schema: list[ObjectGroups]
    counts: list[CountGroups]
    rows: list[TableGroups]


class Against(TypedDict):
    """What another side did to an object, which the change at hand collides with."""

    side: str
    kind: str
    name: str
    change: Change


class ObjectSince(TypedDict):
    """An object that at least one side has changed since the common ancestor."""

    kind: str
    name: str
    by: list[str]
    """The sides that changed it."""
    conflict: bool
    """Two sides changed it to different ends, or one changed what lies in a thing that another
    removed (then see `against`)."""
    was: dict[str, Value] | None
    """Changed: the properties that some side changed, as they were. Removed: all. Added: None."""
    became: dict[str, dict[str, Value] | None]
    """The same for each side in `by`; None where it was removed."""
    collide: list[str]
    """Properties that two sides changed to different ends: empty where they changed different
    properties, or where one side removed what another changed."""
    against: list[Against]
    contains: list[str]
    """What came or went with it, as "kind name"."""


class CountSince(TypedDict):
    """A table whose number of rows has changed on some side since the common ancestor."""

    table: str
    by: list[str]
    conflict: bool
    """A side removed the table while another changed how many rows it has."""
    was: int | None
    became: dict[str, int | None]
    """For each side in `by`; None where there is no such table."""


class RowSince(TypedDict):
    """One row that at least one side has changed since the common ancestor."""

    key: dict[str, str | None]
    """Of a table without a key: all values of the row."""
    by: list[str]
    conflict: bool | None
    """Two sides changed it to different ends. None: without a key nobody can tell."""
    was: dict[str, str | None] | None
    """Changed: the columns that some side changed, as they were. Removed: all. Added: None."""
    became: dict[str, dict[str, str | None] | None]
    """The same for each side in `by`; None where it was removed."""
    collide: list[str]
    """Columns that two sides set to different ends."""
    more: NotRequired[dict[str, int]]
    """Of a table without a key: by how many of this row each side in `by` has more or fewer."""


class Tally(TypedDict):
    added: int
    removed: int
    changed: int


class TableSince(TypedDict):
    """A table whose rows at least one side has changed since the common ancestor."""

    table: str
    key: list[str]
    by: list[str]
    conflict: bool | None
    """Some row is in conflict, or `against` names something. None: without a key nobody can tell
    (and `against` is empty)."""
    changes: dict[str, Tally]
    """What each side in `by` did to the ancestor's rows."""
    conflicts: int | None
    """Rows that two sides changed to different ends."""
    agreed: int | None
    """Rows that two sides or more changed, all to the same end."""
    columns: dict[str, int]
    """In how many of the conflicts two sides set each column to different ends."""
    against: list[Against]
    """Changes of the table, or of a column that was written, which another side made."""
    sample: list[RowSince]
    """As many as were asked for, conflicts before all others."""


class Since(TypedDict):
    """Who changed what since the common ancestor. What nobody changed is left out."""

    conflicts: int
    """Objects, rows, and tables whose rows are `against` something."""
    schema: list[ObjectSince]
    counts: list[CountSince]
    rows: list[TableSince]


class Ancestor(TypedDict):
    """What `since` is told from."""

    ref: str | None
    reason: str
    """Why there is none; else empty."""


class Renamed(TypedDict):
    """One table under two names; everything else tells of it by the first."""

    kind: str
    side: str
    """The side that differs from the first one."""
    names: list[str]
    """On the first side, and on the other."""


class StatementEntry(TypedDict):
    """One statement of a migration; an empty one is something that is not done, and why."""

    statement: str
    kind: str
    name: str
    loses_data: bool
    lock: str
    """The strongest lock on a relation that exists already; empty for none."""
    long_lock: bool
    rewrites: bool
    in_transaction: bool
    reason: str


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
    matrix: Matrix | None
    """Of three sides or more."""
    ancestor: Ancestor
    since: Since | None
    """Where there is an ancestor."""
    sql: NotRequired[list[StatementEntry]]
    """In the order in which they run; with `--sql`."""
