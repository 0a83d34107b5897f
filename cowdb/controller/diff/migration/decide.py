"""Decides what becomes of each object: kept, altered, dropped, made, or made again.

First by the object itself, then by what it stands on: what depends on something that goes must go
before it, and comes back if the other side has it. Repeats until nothing more changes.
"""

from __future__ import annotations

from collections.abc import Iterable

from cowdb.controller.diff.migration.facts import Facts
from cowdb.controller.diff.migration.kinds import KINDS
from cowdb.controller.diff.migration.sequences import is_identity
from cowdb.controller.diff.migration.tables import column_keys
from cowdb.controller.diff.migration.types import related, rewrites
from cowdb.controller.diff.migration.words import TYPES
from cowdb.controller.diff.migration.world import GONE, MADE, Fate, World
from cowdb.controller.diff.model import ObjectKey
from cowdb.controller.diff.schema import compare_properties

_TABLES = frozenset({"table", "foreign table"})
# What Postgres refuses to have on a column whose type changes.
_IN_THE_WAY = frozenset({
    "view", "materialized view", "rule", "policy", "trigger", "function", "procedure",
    "window function", "aggregate", "statistics",
})  # fmt: skip
# What a partition has together with its parent, and loses with it.
_TOGETHER = frozenset({"index", "constraint", "column", "trigger"})


def changed_names(world: World, key: ObjectKey) -> frozenset[str]:
    """The compared properties that differ."""
    one, two = world.a.schema[key].properties, world.b.schema[key].properties
    return frozenset(
        name for name in {*one, *two} if one.get(name) != two.get(name) and name != "column_order"
    )


def decide(a: Facts, b: Facts, exact: bool) -> World:
    world = World(a, b, exact)
    for key in sorted(a.schema.keys() - b.schema.keys()):
        world.fate[key] = Fate.DROP
    for key in sorted(b.schema.keys() - a.schema.keys()):
        world.fate[key] = Fate.CREATE
    for key in sorted(a.schema.keys() & b.schema.keys()):
        names = changed_names(world, key)
        if key.kind == "sequence" and is_identity(world, key, "a") != is_identity(world, key, "b"):
            world.fate[key] = Fate.REPLACE
        elif names or (key.kind in _TABLES and misplaced(world, key)):
            fate = _own_fate(world, key, names)
            if world.of(key) not in MADE:
                world.fate[key] = fate
    _Spread(world).run()
    while exact and (tables := [one for one in _common_tables(world) if misplaced(world, one)]):
        for table in tables:
            partitioned = a.get(table, "partition_key") is not None
            foreign = table.kind == "foreign table"
            world.fate[table] = Fate.REPLACE if partitioned or foreign else Fate.REBUILD
        _Spread(world).run()
    return world


def _own_fate(world: World, key: ObjectKey, names: frozenset[str]) -> Fate:
    kind = KINDS.get(key.kind)
    if kind is None:
        return Fate.ALTER
    if kind.decide is not None and (fate := kind.decide(world, key, names)) is not Fate.ALTER:
        return fate
    if kind.replaced_by & names:
        return Fate.REPLACE
    if key.kind == "column" and "inherited" in names:
        _inherit_otherwise(world, key)
    return Fate.ALTER


def _inherit_otherwise(world: World, column: ObjectKey) -> None:
    """A column becomes its parent's alone only when the table is made; it becomes the table's own
    as well when the table leaves its parent for a moment."""
    table = world.b.home(column)
    if world.b.get(table, "partition_of") is not None:
        return
    old, new = world.a.get(column, "inherited"), world.b.get(column, "inherited")
    if new == "only":
        world.fate[table] = Fate.REBUILD
    elif old == "only" and new == "and local":
        world.detached.add(table)


def _common_tables(world: World) -> list[ObjectKey]:
    return [
        key
        for key in sorted(world.a.schema.keys() & world.b.schema.keys())
        if key.kind in _TABLES and world.of(key) not in MADE
    ]


def misplaced(world: World, table: ObjectKey) -> bool:
    """Whether the columns would end up in another order than the other side's."""
    old, new = column_keys(world, table, "a"), column_keys(world, table)
    stay = [key for key in old if world.of(key) not in GONE]
    come = [key for key in new if world.of(key) in MADE]
    return stay + come != new


class _Spread:
    """Carries each fate on to what depends on it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._users: dict[ObjectKey, set[ObjectKey]] = {}
        for key, needs in world.a.edges.items():
            for need in needs:
                self._users.setdefault(need, set()).add(key)
        self._parts: dict[ObjectKey, set[ObjectKey]] = {}
        for key, described in world.a.schema.items():
            for place in described.inside:
                self._parts.setdefault(place, set()).add(key)
        self._done: set[tuple[ObjectKey, str]] = set()
        self._todo: list[ObjectKey] = []

    def run(self) -> None:
        self._todo = sorted(self._world.a.schema)
        while self._todo:
            self._visit(self._todo.pop())

    def _visit(self, key: ObjectKey) -> None:
        world = self._world
        fate = world.of(key)
        if fate in GONE or fate is Fate.REBUILD:
            mark = key, fate.value
        elif key.kind == "column" and key in world.b.schema and self._retyped(key):
            mark = key, "type"
        else:
            return
        if mark not in self._done:
            self._done.add(mark)
            if mark[1] == "type":
                self._in_the_way(key)
            else:
                self._gone(key)

    def _retyped(self, key: ObjectKey) -> bool:
        world = self._world
        return (
            key in world.converted or world.changed(key, "type") or world.changed(key, "collation")
        )

    def _lose(self, key: ObjectKey) -> None:
        """The object cannot stay as it is."""
        world = self._world
        if key not in world.a.schema or world.of(key) in (*GONE, Fate.REBUILD):
            return
        world.fate[key] = Fate.REPLACE if key in world.b.schema else Fate.DROP
        has_rows = key.kind == "table" and world.a.get(key, "partition_key") is None
        if has_rows and world.fate[key] is Fate.REPLACE:
            world.fate[key] = Fate.REBUILD
        self._todo.append(key)

    def _gone(self, key: ObjectKey) -> None:
        for part in sorted(self._parts.get(key, ())):
            self._lose_part(part, key)
        for user in sorted(self._users.get(key, ())):
            self._lose_user(user, key)
        if key.kind == "index":
            for place in self._world.a.schema[key].inside:
                if place.kind == "index" and self._world.of(key) is Fate.REPLACE:
                    self._lose(place)
        if key.kind in TYPES and key in self._world.b.schema:
            for user in self._users.get(key, ()):
                if user.kind == "column":
                    self._convert(user)

    def _lose_part(self, part: ObjectKey, whole: ObjectKey) -> None:
        """What is inside: goes along, unless it is a partition's and the partition stays."""
        world = self._world
        home = world.a.schema[part].inside[0]
        if part.kind == "sequence" and not is_identity(world, part, "a"):
            column_stays = world.of(whole) is not Fate.DROP
            if part in world.b.schema and not (column_stays and is_identity(world, part, "b")):
                return  # it is let go of before, and keeps its position
        if home != whole:
            if whole.kind in _TABLES or world.of(world.a.home(whole)) in (*GONE, Fate.REBUILD):
                if part.kind != "trigger":
                    return
            elif world.a.get(part, "inherited") == "and local":
                return
        self._lose(part)

    def _lose_user(self, user: ObjectKey, need: ObjectKey) -> None:
        world = self._world
        if user.kind == "default":
            self._lose_default(ObjectKey("column", user.name))
        elif user.kind == "column":
            home = world.a.schema[user].inside[0] if user in world.a.schema else need
            if home != need and home.kind in _TABLES:
                self._convert(user)
            elif home.kind not in _TABLES and home != need:
                self._lose(home)
        elif user.kind in _TABLES:
            self._lose_table(user, need)
        elif user.kind == "publication":
            if need.kind in _TABLES or need.kind == "column":
                self._unpublish(user, need)
            else:
                self._lose(user)
        elif user.kind == "sequence" or (
            user.kind == "operator family" and need.kind == "operator class"
        ):
            return
        elif (
            user.kind == "composite type"
            and need.kind in TYPES
            and world.of(need) is Fate.DROP
            and user in world.b.schema
            and world.of(user) is Fate.ALTER
        ):
            return  # the attribute is dropped first
        else:
            self._lose(user)

    def _lose_table(self, user: ObjectKey, need: ObjectKey) -> None:
        world = self._world
        if need.kind in _TABLES:
            if user in world.b.schema:
                world.detached.add(user)
                plain = world.a.get(user, "partition_of") is None
                if plain and need in world.b.schema:
                    # INHERIT would leave columns that are both inherited and local.
                    self._lose(user)
        elif need.kind == "composite type":
            world.untyped.add(user)
        else:
            self._lose(user)

    def _lose_default(self, column: ObjectKey) -> None:
        world = self._world
        if world.a.get(column, "generated") is not None:
            self._lose(column)
        elif column in world.a.schema:
            home = world.a.home(column)
            if home.kind in _TABLES:
                world.defaults_lost.add(column)

    def _convert(self, column: ObjectKey) -> None:
        """The column's type is made again under its name."""
        world = self._world
        if column not in world.b.schema or world.of(column) in GONE:
            return
        if world.a.get(column, "generated") is not None:
            self._lose(column)
            return
        if column not in world.converted:
            world.converted.add(column)
            world.fate.setdefault(column, Fate.ALTER)
            self._todo.append(column)

    def _in_the_way(self, column: ObjectKey) -> None:
        world = self._world
        was, now = str(world.a.get(column, "type")), str(world.b.get(column, "type"))
        heavy = column in world.converted or rewrites(was, now)
        if world.a.get(column, "default") is not None:
            world.defaults_lost.add(column)
        if world.a.get(column, "generated") is not None:
            self._lose(column)
        home = world.a.home(column)
        name = column.name[len(home.name) + 1 :]
        if name in (world.a.more(home, "partition_columns") or []):
            self._lose(home)
        for child in self._children(column):
            if child in world.b.schema and world.of(child) not in GONE:
                self._visit(child)
        strange = column in world.converted or not related(was, now)
        for user in sorted(self._users.get(column, ())):
            if user.kind in _IN_THE_WAY:
                self._lose(user)
            elif user.kind == "default":
                if world.a.get(ObjectKey("column", user.name), "generated") is not None:
                    self._lose(ObjectKey("column", user.name))
            elif user.kind == "constraint":
                # Postgres builds the others anew by itself.
                if strange or (heavy and world.a.get(user, "type") == "foreign key"):
                    self._lose(user)
            elif user.kind == "index" and world.a.get(user, "constraint") is None:
                # What Postgres builds anew loses the targets of its statistics.
                if strange or world.a.get(user, "statistics"):
                    self._lose(user)
            elif user.kind == "publication":
                self._unpublish(user, column)

    def _children(self, column: ObjectKey) -> Iterable[ObjectKey]:
        return sorted(part for part in self._parts.get(column, ()) if part.kind == "column")

    def _unpublish(self, publication: ObjectKey, need: ObjectKey) -> None:
        world = self._world
        table = world.a.home(need) if need.kind == "column" else need
        if publication in world.b.schema and world.of(publication) not in GONE:
            world.unpublished.setdefault(publication, set()).add(table)
            world.fate.setdefault(publication, Fate.ALTER)


def known_changes(world: World, key: ObjectKey) -> list[str]:
    """The changed properties in the order in which they are compared."""
    return [
        change["property"]
        for change in compare_properties(
            key.kind, world.a.schema[key].properties, world.b.schema[key].properties
        )
    ]
