"""The first half of a migration: what goes, and what must be out of the way for a while."""

from __future__ import annotations

from collections.abc import Iterator

from cowdb.controller.diff.migration import tables
from cowdb.controller.diff.migration.columns import drop_default
from cowdb.controller.diff.migration.common import leave_extension, listed
from cowdb.controller.diff.migration.kinds import KINDS, left_alone
from cowdb.controller.diff.migration.order import needs_of, ordered
from cowdb.controller.diff.migration.ranks import rank
from cowdb.controller.diff.migration.sequences import is_identity
from cowdb.controller.diff.migration.statement import EXCLUSIVE, Statement, about, undone
from cowdb.controller.diff.migration.words import TYPES, alter_table, last_part, own_name
from cowdb.controller.diff.migration.world import GONE, MADE, Fate, World
from cowdb.controller.diff.model import ObjectKey

_TABLES = frozenset({"table", "foreign table"})


class Drops:
    """Walks the first side's objects, dependants before what they depend on."""

    def __init__(self, world: World) -> None:
        self._world = world
        facts = world.a
        needs = needs_of(facts)
        self._order = ordered(needs, needs, lambda key: rank(facts, key))[::-1]
        self._users: dict[ObjectKey, set[ObjectKey]] = {}
        for key, edges in facts.edges.items():
            for need in edges:
                self._users.setdefault(need, set()).add(key)
        self._name_what_stays_a_while()

    def run(self) -> list[Statement]:
        self._take_default_privileges_away()
        foreign = [key for key in self._order if self._world.a.get(key, "type") == "foreign key"]
        rest = [key for key in self._order if self._world.a.get(key, "type") != "foreign key"]
        return [
            *(one for key in self._order for one in leave_extension(self._world, key)),
            *(one for key in foreign for one in self._of(key)),
            *(one for key in rest if key.kind in _TABLES for one in self._leave(key)),
            *(one for key in rest for one in self._of(key)),
        ]

    def clean_up(self) -> list[Statement]:
        return [
            one
            for key in self._order
            if key in self._world.old_names
            for one in tables.drop_old(self._world, key)
        ]

    def _take_default_privileges_away(self) -> None:
        """They would change what is made: so they go first and are given again in the end."""
        world = self._world
        if any(fate in MADE for fate in world.fate.values()):
            for key in sorted(world.a.schema):
                if key.kind == "default privileges":
                    world.fate[key] = Fate.REPLACE if key in world.b.schema else Fate.DROP

    def _name_what_stays_a_while(self) -> None:
        world = self._world
        taken = {key.name for key in (*world.a.schema, *world.b.schema)}
        number = 0
        # Users come first in this order, so that a type learns of types put aside that use it.
        for key in self._order:
            rebuilt = world.of(key) is Fate.REBUILD
            if not rebuilt and not (world.of(key) in GONE and self._must_stay(key)):
                continue
            schema = key.name[: -len(last_part(key.name)) - 1]
            number += 1
            while (name := f"{schema}.cowdb_old_{number}") in taken:
                number += 1
            world.old_names[key] = name

    def _must_stay(self, key: ObjectKey) -> bool:
        """A type that columns have until their values were converted."""
        world = self._world
        if key.kind not in ("enum", "domain", "composite type", "collation"):
            return False
        for user in self._users.get(key, ()):
            if user.kind == "column" and user in world.a.schema:
                home = world.a.home(user)
                if home.kind not in _TABLES:
                    continue
                if world.of(home) is Fate.REBUILD:
                    return True
                if world.of(home) not in GONE and world.of(user) not in GONE:
                    return True
            if user.kind in TYPES and user in world.old_names:
                return True
        return False

    def _of(self, key: ObjectKey) -> Iterator[Statement]:
        world = self._world
        fate = world.of(key)
        if key.kind == "default":
            yield from self._default(ObjectKey("column", key.name))
        elif key.kind == "publication" and fate not in GONE:
            yield from self._unpublish(key)
        elif key.kind == "sequence" and fate not in GONE and self._is_let_go(key):
            yield about(key, f"ALTER SEQUENCE {key.name} OWNED BY NONE", EXCLUSIVE)
        if key.kind == "column" and self._goes_by_text(key):
            start = f"{alter_table(world.a.home(key))} ALTER COLUMN {own_name(key, world.a)}"
            one = about(key, f"{start} TYPE text", EXCLUSIVE)
            yield one.marked("as text until its type is there again", rewrites=True, long_lock=True)
        if fate is Fate.REBUILD or key in world.old_names:
            yield from tables.set_aside(world, key)
        elif fate in GONE and not self._is_implied(key):
            kind = KINDS.get(key.kind)
            if kind is not None:
                yield from kind.drop(world, key)
            elif fate is Fate.DROP:
                yield undone(key, left_alone(key))

    def _goes_by_text(self, column: ObjectKey) -> bool:
        world = self._world
        if column not in world.converted or world.of(world.a.home(column)) is Fate.REBUILD:
            return False
        return any(
            need.kind in ("range type", "base type") and world.of(need) in GONE
            for need in world.a.edges.get(column, ())
        )

    def _default(self, column: ObjectKey) -> Iterator[Statement]:
        world = self._world
        if column not in world.defaults_lost:
            return
        home = world.a.home(column)
        if world.of(home) is Fate.REBUILD or (
            world.of(home) not in GONE and world.of(column) not in GONE
        ):
            yield from drop_default(world, column)

    def _unpublish(self, key: ObjectKey) -> Iterator[Statement]:
        world = self._world
        for table in sorted(world.unpublished.get(key, ())):
            if world.of(table) in GONE:
                continue
            names = [item.split(" ", 1)[0] for item in listed(world.a.get(key, "tables"))]
            if table.name in names:
                yield about(key, f"ALTER PUBLICATION {key.name} DROP TABLE {table.name}")

    def _is_let_go(self, key: ObjectKey) -> bool:
        world = self._world
        owner = world.a.get(key, "owned_by")
        if owner is None or is_identity(world, key, "a"):
            return False
        return world.of(ObjectKey("column", owner)) in GONE

    def _leave(self, key: ObjectKey) -> Iterator[Statement]:
        """Out of the parents and off the type, where they change or go."""
        world = self._world
        fate = world.of(key)
        if fate in GONE:
            return
        typed = world.a.get(key, "of_type") is not None and world.changed(key, "of_type")
        if (typed or key in world.untyped) and fate is not Fate.REBUILD:
            yield about(key, f"{alter_table(key)} NOT OF", EXCLUSIVE)
        if not tables.leaves(world, key):
            return
        if (
            world.a.get(key, "partition_of") is not None
            or fate is Fate.REBUILD
            or key in world.detached
        ):
            yield from tables.detach(world, key)
        else:
            for name in tables.left_parents(world, key):
                yield about(key, f"{alter_table(key)} NO INHERIT {name}", EXCLUSIVE)

    def _is_implied(self, key: ObjectKey) -> bool:
        """Whether it goes with what it is part of."""
        world = self._world
        inside = world.a.schema[key].inside
        if key.kind == "function":
            return self._makes_a_type(key)
        if not inside:
            return False
        home = inside[0]
        if key.kind == "column" and world.of(home) is Fate.REBUILD:
            return world.a.get(key, "generated") is None
        if key.kind == "sequence":
            table = world.a.home(home)
            if world.of(table) is Fate.REBUILD:
                return not is_identity(world, key, "a") and key not in world.b.schema
            return world.of(home) in GONE
        if world.of(home) in GONE:
            return not self._points_outside(key, home)
        for place in inside[1:]:
            if world.of(place) not in GONE:
                continue
            if place.kind == key.kind != "trigger" and tables.leaves(world, home):
                continue
            if place.kind == "constraint" and key.kind == "index":
                return True
            stays = world.of(world.a.home(place)) not in (*GONE, Fate.REBUILD)
            local = world.a.get(key, "inherited") == "and local"
            if key.kind == "trigger" or (stays and not local):
                return True
        return False

    def _makes_a_type(self, function: ObjectKey) -> bool:
        """Input, output and their like: they go with their type."""
        edges = self._world.a.edges
        return any(
            need.kind == "base type"
            and self._world.of(need) in GONE
            and function in edges.get(need, ())
            for need in edges.get(function, ())
        )

    def _points_outside(self, key: ObjectKey, home: ObjectKey) -> bool:
        """A foreign key of a table that goes, to another one that goes: it goes first."""
        world = self._world
        if world.a.get(key, "type") != "foreign key":
            return False
        if any(place.kind == "constraint" for place in world.a.schema[key].inside):
            return False
        return any(
            need.kind == "table" and need != home and world.of(need) in (*GONE, Fate.REBUILD)
            for need in self._homes(key)
        )

    def _homes(self, key: ObjectKey) -> Iterator[ObjectKey]:
        for need in self._world.a.edges.get(key, ()):
            yield need
            if need in self._world.a.schema and self._world.a.schema[need].inside:
                yield self._world.a.home(need)
