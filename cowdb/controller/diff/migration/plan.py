"""Plans the migration: from what is decided about each object to statements in an order that works.

1. drops, what depends on others first (`_Drops`);
2. what is made and altered, what others depend on first (`_Makes`);
3. what needs all of that: parts of partitioned indexes, owners of sequences, foreign keys;
4. owners, privileges, publications, triggers on events;
5. what was put aside for its values is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from cowdb.controller.diff.migration.decide import decide, misplaced
from cowdb.controller.diff.migration.drops import Drops
from cowdb.controller.diff.migration.facts import Facts
from cowdb.controller.diff.migration.kinds import KINDS, left_alone
from cowdb.controller.diff.migration.makes import Makes
from cowdb.controller.diff.migration.statement import Migration, Statement, undone
from cowdb.controller.diff.migration.world import MADE, Fate, World
from cowdb.controller.diff.model import Described, ObjectKey, Schema, Value

_VIEWS = frozenset({"view", "materialized view"})


def plan(a: Facts, b: Facts, exact: bool = False) -> Migration:
    """What turns `a` into `b`.

    :param exact: also what is cosmetic, or unwise in a database in use: see `World.exact`.
    """
    a, b = _with_view_columns(a, b), _with_view_columns(b, a)
    world = decide(a, b, exact)
    drops, makes = Drops(world), Makes(world)
    dropped = drops.run()
    found = [
        *dropped,
        *makes.run(),
        *drops.clean_up(),
        *_order_of_columns(world),
        *_unnatural(world),
    ]
    before, inside = _split(_once(one for one in found if one.sql))
    left = _once(one for one in found if not one.sql)
    return Migration(tuple(before), tuple(inside), tuple(left))


def _with_view_columns(one: Facts, other: Facts) -> Facts:
    """A view's column is an object only where something was set on it: the same on both sides."""
    missing: Schema = {
        key: Described(_without_comment(key, described), described.inside)
        for key, described in other.schema.items()
        if key.kind in ("column", "rule")
        and key not in one.schema
        and described.inside[0].kind in _VIEWS
        and (
            described.properties.get("definition") is None and described.inside[0] in one.schema
            if key.kind == "rule"
            else _has_column(one, described.inside[0], key)
        )
    }
    return replace(one, schema={**one.schema, **missing}) if missing else one


def _without_comment(key: ObjectKey, described: Described) -> Mapping[str, Value]:
    """What a view's own rule has when nothing was set on it; nothing for a view's column."""
    usual: dict[str, Value] = {"enabled": "enabled"}
    return usual if key.kind == "rule" and "enabled" in described.properties else {}


def _has_column(facts: Facts, view: ObjectKey, column: ObjectKey) -> bool:
    name = column.name[len(view.name) + 1 :]
    columns = facts.get(view, "columns") or []
    return any(item.startswith(f"{name} ") for item in columns)


def _order_of_columns(world: World) -> Iterable[Statement]:
    for key in sorted(world.a.schema.keys() & world.b.schema.keys()):
        if key.kind in ("table", "foreign table") and world.of(key) not in MADE:
            if misplaced(world, key):
                how = "" if world.exact else "; --exact does it"
                yield undone(
                    key,
                    "the order of its columns: only a table that is written anew has another"
                    f" order{how}",
                )
        elif world.of(key) is Fate.ALTER and key.kind not in KINDS:
            yield undone(key, left_alone(key))


def _unnatural(world: World) -> Iterable[Statement]:
    """A child that is made has its parents' columns first. On the other side they may have come to
    the parents later, and so be last."""
    for key in sorted(world.b.schema):
        if world.of(key) not in MADE or world.b.get(key, "partition_of") is not None:
            continue
        parents = world.b.get(key, "inherits") or []
        first = [name for one in parents for name in _columns(world, one)]
        order = world.b.get(key, "column_order") or []
        if parents and order != list(dict.fromkeys([*first, *order])):
            yield undone(key, "the order of its columns: those of its parents come first")


def _columns(world: World, table: str) -> list[str]:
    found = world.b.get(ObjectKey("table", table), "column_order")
    return found or world.b.get(ObjectKey("foreign table", table), "column_order") or []


def _once(statements: Iterable[Statement]) -> list[Statement]:
    """Without what is said twice in a row about one object."""
    found: list[Statement] = []
    said: set[tuple[str, str, str, str]] = set()
    last: tuple[str, str] | None = None
    for one in statements:
        about = (one.kind, one.name)
        if about != last:
            said = set()
            last = about
        mark = (*about, one.sql, one.reason)
        if mark not in said:
            said.add(mark)
            found.append(one)
    return found


def _split(statements: list[Statement]) -> tuple[list[Statement], list[Statement]]:
    """A new label of an enum can be used only after its transaction: where another statement may
    do so, it is added beforehand."""
    before, inside = [], []
    for one in statements:
        if " ADD VALUE " in one.sql and one.kind == "enum":
            label = one.sql.split(" ADD VALUE ", 1)[1]
            label = label.split(" AFTER ")[0].split(" BEFORE ")[0]
            if any(label in other.sql for other in statements if other.kind != "enum"):
                before.append(
                    one.marked(
                        f"the transaction uses {label}, so the label must be committed before it"
                    )
                )
                continue
        inside.append(one)
    return before, inside
