"""What the whole server shares: roles, their memberships and settings, and labels.

A role is made without its password, which is never printed.
"""

from __future__ import annotations

from cowdb.controller.diff.migration import privileges
from cowdb.controller.diff.migration.common import comment, grants, impossible, listed
from cowdb.controller.diff.migration.statement import Statement, about, undone
from cowdb.controller.diff.migration.words import literal, setting, split_option
from cowdb.controller.diff.migration.world import Kind, World
from cowdb.controller.diff.model import ObjectKey, Value

_FLAGS = {
    "superuser": "SUPERUSER", "inherit": "INHERIT", "create_role": "CREATEROLE",
    "create_db": "CREATEDB", "login": "LOGIN", "replication": "REPLICATION",
    "bypass_rls": "BYPASSRLS",
}  # fmt: skip


def _role_options(world: World, key: ObjectKey) -> str:
    get = world.b.get
    parts = [word if get(key, name) else f"NO{word}" for name, word in _FLAGS.items()]
    limit = get(key, "connection_limit")
    parts.append(f"CONNECTION LIMIT {-1 if limit is None else limit}")
    parts.append(f"VALID UNTIL {literal(str(get(key, 'valid_until') or 'infinity'))}")
    return " ".join(parts)


def _is_predefined(key: ObjectKey) -> bool:
    """Every server has it: it is told where something was set on it."""
    return key.name.startswith("pg_")


def _make_role(world: World, key: ObjectKey) -> list[Statement]:
    if _is_predefined(key):
        return []
    made = [about(key, f"CREATE ROLE {key.name} {_role_options(world, key)}")]
    if world.b.get(key, "password") is not None:
        made.append(undone(key, "its password is never printed: set it with \\password"))
    return made


def _change_role(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return [about(key, f"ALTER ROLE {key.name} {_role_options(world, key)}")]


def _drop_role(world: World, key: ObjectKey) -> list[Statement]:
    if _is_predefined(key):
        return [about(key, f"COMMENT ON ROLE {key.name} IS NULL")]
    return [
        undone(
            key,
            f"DROP ROLE {key.name} belongs to the whole server: other databases may need the role",
        )
    ]


def _make_membership(world: World, key: ObjectKey) -> list[Statement]:
    member, group = (place.name for place in world.b.schema[key].inside[:2])
    options = []
    for name, word in (("admin", "ADMIN"), ("inherit", "INHERIT"), ("set", "SET")):
        value = world.b.get(key, name)
        if value is not None and (world.b.major >= 16 or (name == "admin" and value)):
            options.append(f"{word} {'TRUE' if value else 'FALSE'}")
    how = f" WITH {', '.join(options)}" if world.b.major >= 16 else ""
    if world.b.major < 16 and options:
        how = " WITH ADMIN OPTION"
    grantor = world.b.get(key, "grantor")
    by = f" GRANTED BY {grantor}" if grantor else ""
    return [about(key, f"GRANT {group} TO {member}{how}{by}")]


def _drop_membership(world: World, key: ObjectKey) -> list[Statement]:
    member, group = (place.name for place in world.a.schema[key].inside[:2])
    grantor = world.a.get(key, "grantor")
    by = f" GRANTED BY {grantor}" if grantor and world.a.major >= 16 else ""
    return [about(key, f"REVOKE {group} FROM {member}{by}")]


def _setting_of(key: ObjectKey) -> tuple[str, str]:
    name, role = key.name.split(" for ", 1)
    return name, role


def _make_setting(world: World, key: ObjectKey) -> list[Statement]:
    _, role = _setting_of(key)
    name, value = split_option(str(world.b.get(key, "setting")))
    return [about(key, f"ALTER ROLE {role} SET {setting(name, value)}")]


def _drop_setting(world: World, key: ObjectKey) -> list[Statement]:
    name, role = _setting_of(key)
    return [about(key, f"ALTER ROLE {role} RESET {name}")]


def _change_setting(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return _make_setting(world, key)


def _make_nothing(world: World, key: ObjectKey) -> list[Statement]:
    return []


def _drop_parameter(world: World, key: ObjectKey) -> list[Statement]:
    """It is told where privileges were granted on it."""
    return privileges.changed(key, listed(world.a.get(key, "privileges")), [], world.a, world.a)


def _make_label(world: World, key: ObjectKey) -> list[Statement]:
    return [_label(key, literal(str(world.b.get(key, "label"))))]


def _drop_label(world: World, key: ObjectKey) -> list[Statement]:
    return [_label(key, "NULL")]


def _label(key: ObjectKey, label: str) -> Statement:
    provider, target = key.name.split(" on ", 1)
    kind, column, name = target.partition("column ")
    # A column is named with the kind of its table: `table column public.t.a`.
    if column and kind.strip() in _WITH_COLUMNS:
        target = f"COLUMN {name}"
    return about(key, f"SECURITY LABEL FOR {provider} ON {target} IS {label}")


_WITH_COLUMNS = frozenset({"table", "view", "materialized view", "foreign table", "composite type"})


def _change_label(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return _make_label(world, key)


_NO_PASSWORD = impossible("a password is never printed")

CLUSTER_KINDS = {
    "role": Kind(
        _make_role, _drop_role,
        {**dict.fromkeys((*_FLAGS, "connection_limit", "valid_until"), _change_role),
         "password": _NO_PASSWORD, "comment": comment},
        after=("comment",),
    ),
    "role membership": Kind(
        _make_membership, _drop_membership, {},
        frozenset({"admin", "inherit", "set", "grantor"}),
    ),
    "role setting": Kind(_make_setting, _drop_setting, {"setting": _change_setting}),
    "parameter": Kind(
        _make_nothing, _drop_parameter, {"privileges": grants}, after=("privileges",)
    ),
    "security label": Kind(_make_label, _drop_label, {"label": _change_label}),
}  # fmt: skip
