"""What is decided about each object before any statement is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from cowdb.controller.diff.migration.facts import Facts
from cowdb.controller.diff.migration.statement import Statement
from cowdb.controller.diff.model import ObjectKey, Value


class Fate(Enum):
    KEEP = "keep"
    ALTER = "alter"
    DROP = "drop"
    CREATE = "create"
    REPLACE = "replace"
    """Dropped and made again."""
    REBUILD = "rebuild"
    """A table that is made again and keeps its rows."""


GONE = frozenset({Fate.DROP, Fate.REPLACE})
MADE = frozenset({Fate.CREATE, Fate.REPLACE, Fate.REBUILD})


@dataclass
class World:
    """Both sides and what becomes of each object.

    :param exact: also what is only cosmetic, or unwise in a database in use: the order of columns,
        sequences moved back.
    """

    a: Facts
    b: Facts
    exact: bool = False
    fate: dict[ObjectKey, Fate] = field(default_factory=dict)
    converted: set[ObjectKey] = field(default_factory=set)
    """Columns whose type goes by the same name and is another one, or whose modifier differs."""
    defaults_lost: set[ObjectKey] = field(default_factory=set)
    """Columns whose default must be taken away before something else can change."""
    detached: set[ObjectKey] = field(default_factory=set)
    """Tables that must leave their parents first, and come back where the other side has them."""
    untyped: set[ObjectKey] = field(default_factory=set)
    """Tables OF a type that must leave it first."""
    unpublished: dict[ObjectKey, set[ObjectKey]] = field(default_factory=dict)
    """Tables that must leave a publication first."""
    old_names: dict[ObjectKey, str] = field(default_factory=dict)
    """Qualified names of what was put aside, to be dropped in the end."""

    def of(self, key: ObjectKey) -> Fate:
        return self.fate.get(key, Fate.KEEP)

    def changed(self, key: ObjectKey, name: str) -> bool:
        return bool(self.a.get(key, name) != self.b.get(key, name))

    def is_new(self, table: ObjectKey) -> bool:
        """A table without rows yet: no lock on it is long."""
        return self.of(table) in (Fate.CREATE, Fate.REPLACE)


Make = Callable[[World, ObjectKey], list[Statement]]
Change = Callable[[World, ObjectKey, Value, Value], list[Statement]]


@dataclass(frozen=True)
class Kind:
    """How one kind of object is made, dropped and changed.

    :param changes: by property; one in neither `changes` nor `replaced_by` cannot be expressed.
    :param replaced_by: properties whose change means to drop the object and make it again.
    :param after: properties that `make` leaves out: they are changed from nothing afterwards.
    :param decide: says more exactly whether these changed properties mean to make it again.
    """

    make: Make
    drop: Make
    changes: Mapping[str, Change] = field(default_factory=dict)
    replaced_by: frozenset[str] = frozenset()
    after: tuple[str, ...] = ()
    decide: Callable[[World, ObjectKey, frozenset[str]], Fate] | None = None
