"""Statements that many kinds have: DROP, owner, comment, privileges."""

from __future__ import annotations

from cowdb.controller.diff.migration import privileges
from cowdb.controller.diff.migration.statement import EXCLUSIVE, Statement, about, undone
from cowdb.controller.diff.migration.words import RELATIONS, literal, phrase
from cowdb.controller.diff.migration.world import Change, World
from cowdb.controller.diff.model import ObjectKey, Value


def lock_of(key: ObjectKey) -> str:
    return EXCLUSIVE if key.kind in RELATIONS or key.kind in ("index", "sequence") else ""


def drop(world: World, key: ObjectKey) -> list[Statement]:
    return [about(key, f"DROP {phrase(key, world.a)}", lock_of(key))]


def owner(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    if new is None or old == new:
        return []
    return [about(key, f"ALTER {phrase(key, world.b)} OWNER TO {new}", lock_of(key))]


def comment(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    text = "NULL" if new is None else literal(str(new))
    return [about(key, f"COMMENT ON {phrase(key, world.b)} IS {text}")]


def grants(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return privileges.changed(key, listed(old), listed(new), world.b, world.a)


def listed(value: Value) -> list[str]:
    return value if isinstance(value, list) else []


def impossible(reason: str) -> Change:
    def refuse(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
        return [undone(key, reason)]

    return refuse


COMMENT = {"comment": comment}
OWNED = {"owner": owner, "comment": comment}
GRANTED = {"owner": owner, "comment": comment, "privileges": grants}
AFTER = ("owner", "comment", "privileges")


def leave_extension(world: World, key: ObjectKey) -> list[Statement]:
    """Before anything is dropped: an extension holds its members fast."""
    name = world.a.get(key, "extension")
    if name is None or key not in world.b.schema or not world.changed(key, "extension"):
        return []
    return [about(key, f"ALTER EXTENSION {name} DROP {phrase(key, world.a)}")]


def join_extension(world: World, key: ObjectKey) -> list[Statement]:
    name = world.b.get(key, "extension")
    if name is None:
        return []
    return [about(key, f"ALTER EXTENSION {name} ADD {phrase(key, world.b)}")]


def depends(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    """Which extensions take the object along when they are dropped."""
    start = f"ALTER {phrase(key, world.b)}"
    had, has = listed(old), listed(new)
    return [
        *(about(key, f"{start} NO DEPENDS ON EXTENSION {name}") for name in had if name not in has),
        *(about(key, f"{start} DEPENDS ON EXTENSION {name}") for name in has if name not in had),
    ]


DEPENDING = {"depends_on_extensions": depends}
