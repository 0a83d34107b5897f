"""The second half of a migration: what is made and altered, then what needs all of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cowdb.controller.diff.migration import tables
from cowdb.controller.diff.migration.columns import set_default
from cowdb.controller.diff.migration.common import join_extension, listed
from cowdb.controller.diff.migration.decide import known_changes
from cowdb.controller.diff.migration.kinds import KINDS, left_alone
from cowdb.controller.diff.migration.order import needs_of, ordered
from cowdb.controller.diff.migration.ranks import rank
from cowdb.controller.diff.migration.sequences import is_identity, owned_by, position
from cowdb.controller.diff.migration.statement import EXCLUSIVE, Statement, about, undone
from cowdb.controller.diff.migration.world import GONE, MADE, Fate, World
from cowdb.controller.diff.model import ObjectKey, Value

_TABLES = frozenset({"table", "foreign table"})
_LAST = ("publication", "subscription", "event trigger", "default privileges")
# Said in the end: what comes before may need the owner that was.
_OWNERSHIP = ("owner", "privileges")


class Makes:
    """Walks the other side's objects, what others depend on first."""

    def __init__(self, world: World) -> None:
        self._world = world
        needs = self._needs()
        self._order = ordered(needs, needs, lambda key: rank(world.b, key))

    def run(self) -> list[Statement]:
        world = self._world
        first = [key for key in self._order if key.kind not in _LAST and not self._is_late(key)]
        homes = [key for key in first if key.kind == "schema"]
        first = [key for key in first if key.kind != "schema"]
        late = [key for key in self._order if self._is_late(key)]
        last = [key for key in self._order if key.kind in _LAST]
        return [
            *(one for key in homes for one in self._of(key)),
            *self._shells(),
            *(one for key in first for one in self._of(key)),
            *(one for key in self._order for one in self._joined(key)),
            *(one for key in late for one in self._of(key)),
            *(one for key in self._order for one in self._ownership(key)),
            *(one for key in last for one in self._of(key)),
            *(one for key in last for one in self._ownership(key, last=True)),
            *(
                one
                for key in self._order
                if key.kind == "sequence" and key in world.b.schema
                for one in position(world, key)
            ),
        ]

    def _needs(self) -> dict[ObjectKey, set[ObjectKey]]:
        world = self._world
        facts = world.b
        needs = needs_of(facts)
        for key in facts.schema:
            if key.kind == "sequence" and not is_identity(world, key, "b"):
                needs[key] = {need for need in needs[key] if need.kind not in ("column", "table")}
        for key in facts.schema:
            if key.kind != "column":
                continue
            home = facts.home(key)
            default = needs.get(ObjectKey("default", key.name), set())
            if world.of(key) in MADE:
                needs[key] |= {need for need in default if need != key}
            if world.of(home) in MADE and home.kind in _TABLES:
                needs[home] |= {
                    need for need in needs[key] if not self._is_of(need, home) and need != home
                }
        for key, described in facts.schema.items():
            for parent in described.inside:
                # A child that is made takes its parents' columns as they are then.
                if key.kind == parent.kind == "column" and world.of(facts.home(key)) in MADE:
                    needs[facts.home(key)] |= {parent, ObjectKey("default", parent.name)}
        for key in facts.schema:
            if key.kind in _TABLES and self._attaches(key):
                self._add_attach(key, needs)
        return needs

    def _is_of(self, key: ObjectKey, table: ObjectKey) -> bool:
        facts = self._world.b
        if key.kind == "default":
            key = ObjectKey("column", key.name)
        if key not in facts.schema or not facts.schema[key].inside:
            return False
        home = facts.home(key)
        return home == table or self._is_of(home, table)

    def _add_attach(self, key: ObjectKey, needs: dict[ObjectKey, set[ObjectKey]]) -> None:
        """A table joins its parents when it is complete, before they get new checks."""
        world = self._world
        facts = world.b
        attach = ObjectKey("attach", key.name)
        needs[attach] = {key, *(need for need in needs[key] if need.kind in _TABLES)}
        parents = {need for need in needs[key] if need.kind in _TABLES}
        for one, described in facts.schema.items():
            if not described.inside:
                continue
            home = described.inside[0]
            kind = facts.get(one, "type") if one.kind == "constraint" else one.kind
            of_its_own = kind != "foreign key" and one.kind in ("column", "index", "constraint")
            mine = home == key and of_its_own and not self._is_implied(one)
            if mine or (home in parents and kind == "column"):
                needs[attach].add(one)
            elif home in parents and kind == "check" and world.of(one) in MADE:
                needs[one].add(attach)

    def _attaches(self, key: ObjectKey) -> bool:
        world = self._world
        if world.b.get(key, "partition_of") is not None:
            return (
                world.of(key) in MADE
                or key in world.detached
                or world.changed(key, "partition_of")
                or world.changed(key, "partition_bound")
            )
        if not listed(world.b.get(key, "inherits")) or world.of(key) in MADE:
            return False
        return key in world.detached or bool(tables.joined_parents(world, key))

    def _is_late(self, key: ObjectKey) -> bool:
        return key.kind == "constraint" and self._world.b.get(key, "type") == "foreign key"

    def _shells(self) -> Iterator[Statement]:
        """A base type is announced before the functions that it is made of."""
        for key in self._order:
            if key.kind == "base type" and self._world.of(key) in MADE:
                yield about(key, f"CREATE TYPE {key.name}")

    def _of(self, key: ObjectKey) -> Iterator[Statement]:
        world = self._world
        fate = world.of(key)
        if key.kind == "attach":
            yield from self._attach(ObjectKey("table", key.name))
        elif key.kind == "default":
            yield from self._default(ObjectKey("column", key.name))
        elif key not in world.b.schema:
            return
        elif key.kind not in KINDS:
            if fate in MADE:
                yield undone(key, left_alone(key))
        elif fate in MADE:
            yield from self._make(key)
        elif fate is Fate.ALTER:
            yield from self._alter(key)

    def _make(self, key: ObjectKey) -> Iterator[Statement]:
        world = self._world
        kind = KINDS[key.kind]
        if not self._is_implied(key):
            yield from kind.make(world, key)
        elif key.kind == "column" and (parent := self._column_parent(key)) is not None:
            base = world.b.schema[parent].properties
            for name in ("default", "not_null"):
                if world.b.get(key, name) != base.get(name):
                    change = set_default(world, key) if name == "default" else kind.changes[name](
                        world, key, base.get(name), world.b.get(key, name)
                    )  # fmt: skip
                    yield from change
        if key.kind == "table" and world.of(key) is Fate.REBUILD:
            yield from tables.copy_rows(world, key)
        yield from self._finish(key, [name for name in kind.after if name not in _OWNERSHIP])

    def _finish(self, key: ObjectKey, names: Iterable[str]) -> Iterator[Statement]:
        """What making the object left out."""
        world = self._world
        kind = KINDS[key.kind]
        described: Mapping[str, Value] = world.b.schema[key].properties
        if key.kind == "column" and world.b.home(key).kind not in _TABLES:
            names = ["default", "compression", *names]
        for name in names:
            value = described.get(name)
            if value not in (None, False, []) and name in kind.changes:
                yield from kind.changes[name](world, key, None, value)

    def _alter(self, key: ObjectKey) -> Iterator[Statement]:
        world = self._world
        kind = KINDS[key.kind]
        names = known_changes(world, key)
        if key in world.converted and "type" not in names:
            names.insert(0, "type")
        if key in world.unpublished and "tables" not in names:
            names.append("tables")
        for name in names:
            if key.kind != "default privileges" and name in _OWNERSHIP:
                continue
            if self._is_told_elsewhere(key, name):
                continue
            old, new = world.a.get(key, name), world.b.get(key, name)
            change = kind.changes.get(name)
            if name == "extension" and key in world.a.schema:
                yield from join_extension(world, key)
            elif change is None:
                yield undone(key, f"its {name.replace('_', ' ')} cannot be changed")
            else:
                yield from change(world, key, old, new)

    def _is_told_elsewhere(self, key: ObjectKey, name: str) -> bool:
        world = self._world
        if key.kind in ("column",) and world.b.home(key).kind in _TABLES:
            if name == "default":
                if world.b.get(key, "default") is not None:
                    return True
                return key in world.defaults_lost
            if name in ("type", "collation", "not_null", "not_null_constraint"):
                return self._follows_parent(key, name)
        if key.kind == "constraint" and name in ("definition", "validated"):
            parents = [place for place in world.b.schema[key].inside if place.kind == "constraint"]
            return any(world.changed(place, name) for place in parents)
        return False

    def _follows_parent(self, key: ObjectKey, name: str) -> bool:
        """Whether a change of the parent's column reaches this one."""
        world = self._world
        parent = self._column_parent(key)
        if parent is None or parent not in world.a.schema or world.of(parent) in MADE:
            return False
        if world.a.get(key, "inherited") is None or self._attaches(world.b.home(key)):
            return False
        if name in ("type", "collation"):
            return any(world.changed(parent, one) for one in ("type", "collation"))
        return world.changed(parent, name) and world.b.get(parent, name) == world.b.get(key, name)

    def _column_parent(self, key: ObjectKey) -> ObjectKey | None:
        for place in self._world.b.schema[key].inside:
            if place.kind == "column":
                return place
        return None

    def _default(self, column: ObjectKey) -> Iterator[Statement]:
        world = self._world
        if column not in world.b.schema or world.of(column) in MADE:
            return
        if world.b.home(column).kind not in _TABLES or world.b.get(column, "default") is None:
            return
        if column in world.defaults_lost or world.changed(column, "default"):
            yield from set_default(world, column)

    def _attach(self, table: ObjectKey) -> Iterator[Statement]:
        world = self._world
        key = table if table in world.b.schema else ObjectKey("foreign table", table.name)
        if world.b.get(key, "partition_of") is not None:
            yield from tables.attach(world, key)
            return
        names = tables.joined_parents(world, key)
        if key in world.detached:
            names = listed(world.b.get(key, "inherits"))
        for name in names:
            yield about(key, f"ALTER TABLE {key.name} INHERIT {name}", EXCLUSIVE)

    def _is_implied(self, key: ObjectKey) -> bool:
        """Whether it comes with what it is part of."""
        world = self._world
        inside = world.b.schema[key].inside
        home = inside[0] if inside else None
        if home is None:
            return False
        if key.kind == "column":
            if home.kind not in _TABLES or world.of(home) in MADE:
                return True
            parent = self._column_parent(key)
            if parent is None or world.b.get(key, "inherited") != "only":
                return False
            return (
                world.of(parent) in MADE
                and world.of(world.b.home(parent)) not in MADE
                and not self._attaches(home)
            )
        if key.kind == "sequence":
            return is_identity(world, key, "b") and world.of(home) in MADE
        parents = [place for place in inside[1:] if place.kind == key.kind]
        if key.kind == "trigger":
            return bool(parents)
        if key.kind == "constraint" and parents:
            return self._is_inherited_constraint(key, home, parents)
        return False

    def _is_inherited_constraint(
        self, key: ObjectKey, home: ObjectKey, parents: list[ObjectKey]
    ) -> bool:
        world = self._world
        kind = world.b.get(key, "type")
        if kind == "foreign key":
            return True
        if kind != "check" or world.b.get(key, "inherited") == "and local":
            return False
        if any(world.of(parent) in MADE for parent in parents):
            return True
        return world.b.get(home, "partition_of") is None and world.of(home) in MADE

    def _joined(self, key: ObjectKey) -> Iterator[Statement]:
        """What needs everything to be there."""
        world = self._world
        if key not in world.b.schema:
            return
        fate = world.of(key)
        if key.kind == "index":
            for place in world.b.schema[key].inside:
                if place.kind == "index" and self._must_join(key, place):
                    sql = f"ALTER INDEX {place.name} ATTACH PARTITION {key.name}"
                    yield about(key, sql)
        elif key.kind == "sequence":
            yield from self._owned_by(key)
        elif key.kind in ("table", "materialized view"):
            kind = world.b.get(key, "of_type")
            if kind is not None and (
                fate in MADE or key in world.untyped or world.changed(key, "of_type")
            ):
                yield about(key, f"ALTER TABLE {key.name} OF {kind}", EXCLUSIVE)
            old, new = world.a.get(key, "replica_identity"), world.b.get(key, "replica_identity")
            again = fate in MADE or self._identity_index_made(key, str(new))
            if old != new or (again and new not in (None, "default")):
                yield from tables.replica_identity(world, key, old, new)

    def _identity_index_made(self, table: ObjectKey, identity: str) -> bool:
        if not identity.startswith("index "):
            return False
        world = self._world
        return any(
            one.kind == "index"
            and world.of(one) in MADE
            and described.inside[0] == table
            and one.name.endswith("." + identity[6:])
            for one, described in world.b.schema.items()
        )

    def _must_join(self, index: ObjectKey, parent: ObjectKey) -> bool:
        world = self._world
        return (
            world.of(index) in MADE
            or world.changed(index, "partition_of")
            or world.of(parent) in MADE
            or self._attaches(world.b.home(index))
        )

    def _owned_by(self, key: ObjectKey) -> Iterator[Statement]:
        world = self._world
        new = world.b.get(key, "owned_by")
        old = world.a.get(key, "owned_by")
        let_go = old is not None and world.of(ObjectKey("column", old)) in GONE
        made = world.of(key) in MADE
        if new is None:
            if old is not None and not made and not let_go:
                yield from owned_by(world, key, old, new)
            return
        if not is_identity(world, key, "b") and (made or let_go or old != new):
            table = world.b.home(ObjectKey("column", new))
            owner = world.a.get(table, "owner")
            if world.of(table) in MADE:
                owner = None if made else "CURRENT_USER"
            if owner is not None:  # a sequence must have the owner of its table
                yield about(key, f"ALTER SEQUENCE {key.name} OWNER TO {owner}", EXCLUSIVE)
            yield from owned_by(world, key, old, new)

    def _ownership(self, key: ObjectKey, last: bool = False) -> Iterator[Statement]:
        world = self._world
        if key not in world.b.schema or key.kind not in KINDS or (key.kind in _LAST) != last:
            return
        kind = KINDS[key.kind]
        if world.of(key) in MADE:
            yield from self._finish(key, [name for name in _OWNERSHIP if name in kind.after])
        elif world.of(key) is Fate.ALTER and key.kind != "default privileges":
            for name in _OWNERSHIP:
                if world.changed(key, name):
                    change = kind.changes.get(name)
                    old, new = world.a.get(key, name), world.b.get(key, name)
                    yield from (
                        [undone(key, f"its {name} cannot be changed")]
                        if change is None
                        else change(world, key, old, new)
                    )
