"""Sequences: of their own, owned by a column, or part of an identity column."""

from __future__ import annotations

from cowdb.controller.diff.migration.common import AFTER, GRANTED
from cowdb.controller.diff.migration.statement import EXCLUSIVE, Statement, about, undone
from cowdb.controller.diff.migration.words import alter_table, literal, own_name
from cowdb.controller.diff.migration.world import GONE, MADE, Fate, Kind, World
from cowdb.controller.diff.model import ObjectKey, Value


def is_identity(world: World, key: ObjectKey, side: str) -> bool:
    """Whether the sequence is part of an identity column, on side `a` or `b`."""
    facts = world.a if side == "a" else world.b
    owner = facts.get(key, "owned_by")
    return owner is not None and facts.get(ObjectKey("column", owner), "identity") is not None


def _numbers(world: World, key: ObjectKey) -> str:
    get = world.b.get
    return (
        f"START WITH {get(key, 'start')} INCREMENT BY {get(key, 'increment')}"
        f" MINVALUE {get(key, 'minimum')} MAXVALUE {get(key, 'maximum')}"
        f" CACHE {get(key, 'cache')}{'' if get(key, 'cycle') else ' NO'} CYCLE"
    )


def identity_options(world: World, key: ObjectKey) -> str:
    return f"SEQUENCE NAME {key.name} {_numbers(world, key)}"


def _make(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    if is_identity(world, key, "b"):
        column = ObjectKey("column", get(key, "owned_by"))
        how = str(world.b.get(column, "identity")).upper()
        start = alter_table(world.b.home(column))
        name = own_name(column, world.b)
        sql = f"{start} ALTER COLUMN {name} ADD GENERATED {how} AS IDENTITY"
        return [about(key, f"{sql} ({identity_options(world, key)})", EXCLUSIVE)]
    word = "UNLOGGED SEQUENCE" if get(key, "persistence") == "unlogged" else "SEQUENCE"
    return [about(key, f"CREATE {word} {key.name} AS {get(key, 'type')} {_numbers(world, key)}")]


def _drop(world: World, key: ObjectKey) -> list[Statement]:
    if is_identity(world, key, "a"):
        column = ObjectKey("column", world.a.get(key, "owned_by"))
        start = alter_table(world.a.home(column))
        sql = f"{start} ALTER COLUMN {own_name(column, world.a)} DROP IDENTITY"
        return [about(key, sql, EXCLUSIVE)]
    return [about(key, f"DROP SEQUENCE {key.name}", EXCLUSIVE)]


def _change(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    """All numbers in one statement; the plan drops what is said twice."""
    kind = world.b.get(key, "type")
    return [about(key, f"ALTER SEQUENCE {key.name} AS {kind} {_numbers(world, key)}", EXCLUSIVE)]


def _persistence(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    if world.b.get(key, "owned_by") is not None and _goes_with_table(world, key):
        return []
    how = "UNLOGGED" if new == "unlogged" else "LOGGED"
    return [about(key, f"ALTER SEQUENCE {key.name} SET {how}", EXCLUSIVE)]


def _goes_with_table(world: World, key: ObjectKey) -> bool:
    column = ObjectKey("column", world.b.get(key, "owned_by"))
    table = world.b.home(column)
    return world.changed(table, "persistence") or world.of(table) in MADE


def owned_by(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    """Said once everything is there: the sequence comes before the column that uses it."""
    if is_identity(world, key, "b"):
        return []
    return [about(key, f"ALTER SEQUENCE {key.name} OWNED BY {new or 'NONE'}", EXCLUSIVE)]


def position(world: World, key: ObjectKey) -> list[Statement]:
    """Moves the sequence to where the other side's stands; back only when asked for."""
    value, called = world.b.get(key, "last_value"), world.b.get(key, "is_called")
    if value is None:
        return []
    fresh = world.of(key) in MADE or world.of(key) in GONE
    old, was_called = world.a.get(key, "last_value"), world.a.get(key, "is_called")
    if fresh:
        start = (world.b.get(key, "start"), False)
        if old is not None:  # the rows stay, and so must what was given out
            forward = _ahead(world, key, (old, was_called), (value, called))
            value, called = (value, called) if forward or world.exact else (old, was_called)
        if (value, called) == start and world.of(key) is Fate.CREATE:
            return []
    elif (old, was_called) == (value, called):
        return []
    sql = f"SELECT pg_catalog.setval({literal(key.name)}, {value}, {'true' if called else 'false'})"
    if fresh or _ahead(world, key, (old, was_called), (value, called)):
        return [about(key, sql)]
    if not world.exact:
        return [
            undone(
                key,
                f"it would move back to {value}: it could give out values that are in use;"
                " --exact does it",
            )
        ]
    return [about(key, sql).marked("moves back: values that are in use may be given out again",
                                   loses_data=True)]  # fmt: skip


def _ahead(world: World, key: ObjectKey, old: tuple[int, bool], new: tuple[int, bool]) -> bool:
    """Whether the new position is at or beyond the old one, in the direction of counting."""
    if world.b.get(key, "increment") < 0:
        return (-new[0], new[1]) >= (-old[0], old[1])
    return new >= old


def _decide(world: World, key: ObjectKey, names: frozenset[str]) -> Fate:
    if is_identity(world, key, "a") != is_identity(world, key, "b"):
        return Fate.REPLACE
    if is_identity(world, key, "a") and "owned_by" in names:
        return Fate.REPLACE
    if "persistence" in names and world.a.major < 15:
        return Fate.REPLACE
    return Fate.ALTER


def _nothing(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return []


_NUMBERS = dict.fromkeys(
    ("type", "start", "increment", "minimum", "maximum", "cache", "cycle"), _change
)

SEQUENCE_KINDS = {
    "sequence": Kind(
        _make, _drop,
        {**_NUMBERS, "persistence": _persistence, "owned_by": _nothing, "last_value": _nothing,
         "is_called": _nothing, **GRANTED},
        after=AFTER, decide=_decide,
    ),
}  # fmt: skip
