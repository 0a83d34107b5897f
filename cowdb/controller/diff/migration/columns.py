"""Columns of tables, and what can be set on a column of a view."""

from __future__ import annotations

import re

from cowdb.controller.diff.migration.common import comment, grants, listed
from cowdb.controller.diff.migration.sequences import identity_options
from cowdb.controller.diff.migration.statement import (
    EXCLUSIVE,
    SHARE_UPDATE,
    Statement,
    about,
    undone,
)
from cowdb.controller.diff.migration.types import conversion, narrows, rewrites
from cowdb.controller.diff.migration.words import (
    alter_table,
    changed_options,
    changed_outside_options,
    last_part,
    literal,
    outside_options,
    own_name,
)
from cowdb.controller.diff.migration.world import Fate, Kind, World
from cowdb.controller.diff.model import ObjectKey, Value

_VOLATILE = re.compile(r"\b(random|clock_timestamp|nextval|gen_random_uuid|timeofday|uuidv[47])\b")


def clause(world: World, key: ObjectKey) -> str:
    """The column as CREATE TABLE and ADD COLUMN want it."""
    get = world.b.get
    sql = f"{own_name(key, world.b)} {get(key, 'type')}"
    options, _ = outside_options(listed(get(key, "server_options")))
    sql += f" OPTIONS ({options})" if options else ""
    sql += f" COLLATE {get(key, 'collation')}" if get(key, "collation") else ""
    if get(key, "compression"):
        sql += f" COMPRESSION {get(key, 'compression')}"
    if get(key, "generated") is not None:
        expression, how = str(get(key, "generated")).rsplit(" ", 1)
        sql += f" GENERATED ALWAYS AS ({expression}) {how.upper()}"
    elif get(key, "identity") and (sequence := identity_sequence(world, key)):
        sql += f" GENERATED {get(key, 'identity').upper()} AS IDENTITY"
        sql += f" ({identity_options(world, sequence)})"
    elif get(key, "default") is not None:
        sql += f" DEFAULT {get(key, 'default')}"
    constraint = _named_not_null(world, key)
    if constraint:
        name, more = constraint
        if "NOT VALID" not in more:
            sql += f" CONSTRAINT {name} NOT NULL{more}"
    elif get(key, "not_null"):
        if world.b.major >= 18 and world.of(world.b.home(key)) is Fate.REBUILD:
            # Left to itself the server takes a name that the table put aside does not have.
            sql += f" CONSTRAINT {usual_null_name(world, key)}"
        sql += " NOT NULL"
    return sql


def usual_null_name(world: World, key: ObjectKey) -> str:
    """What the server calls the NOT NULL of a column."""
    parts = (last_part(world.b.home(key).name), own_name(key, world.b))
    bare = "_".join(part[1:-1] if part.startswith('"') else part for part in parts)
    usual = f"{bare}_not_null"
    return usual if all(not part.startswith('"') for part in parts) else f'"{usual}"'


def hidden_options(world: World, key: ObjectKey) -> list[Statement]:
    """A note for each option of the column that its clause does not print."""
    _, hidden = outside_options(listed(world.b.get(key, "server_options")))
    return [undone(key, f"the value of {name} is not printed") for name in hidden]


def identity_sequence(world: World, key: ObjectKey) -> ObjectKey | None:
    """The sequence that the column brings along on the other side."""
    for one, described in world.b.schema.items():
        if one.kind == "sequence" and described.properties.get("owned_by") == key.name:
            return one
    return None


_NOT_NULL = re.compile(
    r'^("(?:[^"]|"")*"|[^ ]+) NOT NULL ("(?:[^"]|"")*"|[^ ]+)'
    r"( NO INHERIT)?( NOT VALID)?(?: -- (.*))?$",
    re.DOTALL,
)


def _parts(text: Value) -> tuple[str, str, str, str | None] | None:
    found = _NOT_NULL.match(str(text)) if text else None
    if found is None:
        return None
    return found[1], found[3] or "", found[4] or "", found[5]


def _named_not_null(world: World, key: ObjectKey) -> tuple[str, str] | None:
    parts = _parts(world.b.get(key, "not_null_constraint"))
    return (parts[0], parts[1] + parts[2]) if parts else None


def _make_column(world: World, key: ObjectKey) -> list[Statement]:
    home = world.b.home(key)
    if home.kind in ("view", "materialized view"):
        return []
    get = world.b.get
    one = about(key, f"{alter_table(home)} ADD COLUMN {clause(world, key)}", EXCLUSIVE)
    default = str(get(key, "default") or "")
    stored = str(get(key, "generated") or "").endswith(" stored")
    if not world.is_new(home):
        if _VOLATILE.search(default) or stored or get(key, "identity"):
            one = one.marked("a value is computed for each row", rewrites=True, long_lock=True)
        elif get(key, "not_null") and not default:
            one = one.marked("fails where the table has rows: they have no value for it")
    return [one, *hidden_options(world, key)]


def _drop_column(world: World, key: ObjectKey) -> list[Statement]:
    home = world.a.home(key)
    if home.kind in ("view", "materialized view"):
        return []
    one = about(key, f"{alter_table(home)} DROP COLUMN {own_name(key, world.a)}", EXCLUSIVE)
    if world.a.get(key, "generated") is not None:
        return [one]
    return [one.marked("the column's values are lost", loses_data=True)]


def _alter(world: World, key: ObjectKey, what: str, lock: str = EXCLUSIVE) -> Statement:
    start = alter_table(world.b.home(key), only=True)
    return about(key, f"{start} ALTER COLUMN {own_name(key, world.b)} {what}", lock)


def _set_type(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    """Type and collation together: they are one clause."""
    kind, was = str(world.b.get(key, "type")), str(world.a.get(key, "type"))
    name = own_name(key, world.b)
    again = key in world.converted
    sql = f"{alter_table(world.b.home(key))} ALTER COLUMN {name} TYPE {kind}"
    sql += f" COLLATE {world.b.get(key, 'collation')}" if world.b.get(key, "collation") else ""
    sql += conversion(name, was, kind, again)
    one = about(key, sql, EXCLUSIVE)
    home = world.b.home(key)
    if home.kind == "foreign table" or world.is_new(home):
        return [one]
    if again or rewrites(was, kind):
        one = one.marked("every row is written anew", rewrites=True, long_lock=True)
    elif world.changed(key, "collation"):
        one = one.marked("indexes on it are built anew", long_lock=True)
    if narrows(was, kind):
        one = one.marked(
            f"from {was} to {kind}: digits may be lost, values that do not fit make it fail",
            loses_data=True,
        )
    return [one]


def _set_null(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    home = world.b.home(key)
    if world.b.get(key, "not_null_constraint") or world.a.get(key, "not_null_constraint"):
        return []  # told by that property
    name = own_name(key, world.b)
    one = about(
        key, f"{alter_table(home)} ALTER COLUMN {name} {'SET' if new else 'DROP'} NOT NULL",
        EXCLUSIVE,
    )  # fmt: skip
    if new and not world.is_new(home):
        one = one.marked("every row is checked", long_lock=True)
    return [one]


def _set_null_constraint(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    """PostgreSQL 18: NOT NULL is a constraint with a name."""
    home = world.b.home(key)
    start = alter_table(home)
    name = own_name(key, world.b)
    usual = usual_null_name(world, key)
    had = _parts(old) or ((usual, "", "", None) if world.a.get(key, "not_null") else None)
    has = _parts(new) or ((usual, "", "", None) if world.b.get(key, "not_null") else None)
    lines = []
    if had is not None and has is not None:
        if had[0] != has[0]:
            sql = f"{start} RENAME CONSTRAINT {had[0]} TO {has[0]}"
            lines.append(about(key, sql, EXCLUSIVE))
        if had[2] and not has[2]:
            one = about(key, f"{start} VALIDATE CONSTRAINT {has[0]}", SHARE_UPDATE)
            lines.append(one.marked("every row is checked", long_lock=True))
        if had[1] != has[1]:
            how = "NO INHERIT" if has[1] else "INHERIT"
            lines.append(about(key, f"{start} ALTER CONSTRAINT {has[0]} {how}", EXCLUSIVE))
        if has[2] and not had[2]:
            drop = f"{start} DROP CONSTRAINT {has[0]}"
            add = f"{start} ADD CONSTRAINT {has[0]} NOT NULL {name}{has[1]}{has[2]}"
            lines += [about(key, drop, EXCLUSIVE), about(key, add, EXCLUSIVE)]
    elif has is not None:
        add = f"{start} ADD CONSTRAINT {has[0]} NOT NULL {name}{has[1]}{has[2]}"
        one = about(key, add, EXCLUSIVE)
        quick = bool(has[2]) or world.is_new(home)
        lines.append(one if quick else one.marked("every row is checked", long_lock=True))
    elif had is not None:
        lines.append(about(key, f"{start} DROP CONSTRAINT {had[0]}", EXCLUSIVE))
    had_comment, has_comment = had[3] if had else None, has[3] if has else None
    if has is not None and had_comment != has_comment:
        text = "NULL" if has_comment is None else literal(has_comment)
        lines.append(about(key, f"COMMENT ON CONSTRAINT {has[0]} ON {home.name} IS {text}"))
    return lines


def _late_null_constraint(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    """After the column was made: what its clause could not say."""
    parts = _parts(new)
    if parts is None:
        return []
    home = world.b.home(key)
    lines = []
    if parts[2]:
        add = f"ADD CONSTRAINT {parts[0]} NOT NULL {own_name(key, world.b)}{parts[1]}{parts[2]}"
        lines.append(about(key, f"{alter_table(home)} {add}", EXCLUSIVE))
    if parts[3] is not None:
        text = literal(parts[3])
        lines.append(about(key, f"COMMENT ON CONSTRAINT {parts[0]} ON {home.name} IS {text}"))
    return lines


def _change_inherited(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    """A column that is the table's own again keeps the name of its parent's NOT NULL."""
    had, has = world.a.more(key, "not_null"), world.b.more(key, "not_null")
    if new is not None or not had or not has or had == has:
        return []
    start = alter_table(world.b.home(key))
    return [about(key, f"{start} RENAME CONSTRAINT {had[0]} TO {has[0]}", EXCLUSIVE)]


def set_default(world: World, key: ObjectKey) -> list[Statement]:
    default = world.b.get(key, "default")
    return [_alter(world, key, "DROP DEFAULT" if default is None else f"SET DEFAULT {default}")]


def drop_default(world: World, key: ObjectKey) -> list[Statement]:
    start = alter_table(world.a.home(key), only=True)
    sql = f"{start} ALTER COLUMN {own_name(key, world.a)} DROP DEFAULT"
    return [about(key, sql, EXCLUSIVE)]


def _change_default(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return [] if world.b.get(key, "generated") is not None else set_default(world, key)


def _change_identity(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    # That it comes or goes is a matter of its sequence.
    if old is None or new is None:
        return []
    return [_alter(world, key, f"SET GENERATED {str(new).upper()}")]


def _change_generated(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    if new is None:
        return [_alter(world, key, "DROP EXPRESSION")]
    expression, how = str(new).rsplit(" ", 1)
    one = _alter(world, key, f"SET EXPRESSION AS ({expression})")
    if how == "stored":
        one = one.marked("every row is written anew", rewrites=True, long_lock=True)
    return [one]


def _decide_column(world: World, key: ObjectKey, names: frozenset[str]) -> Fate:
    """A generated column has no values of its own: it can go and come back without loss."""
    old, new = world.a.get(key, "generated"), world.b.get(key, "generated")
    if old != new:
        if new is None and str(old).endswith(" stored"):
            return Fate.ALTER
        same_way = old and new and str(old).rsplit(" ", 1)[1] == str(new).rsplit(" ", 1)[1]
        if same_way and world.a.major >= 17 and "type" not in names:
            return Fate.ALTER
        return Fate.REPLACE
    if new is not None and names & {"type", "collation"}:
        return Fate.REPLACE
    return Fate.ALTER


def _storage(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    if new is None and world.b.major < 16:
        return [
            _alter(world, key, f"SET STORAGE {_USUAL_STORAGE.get(_type_name(world, key), '')}")
        ] if _type_name(world, key) in _USUAL_STORAGE else [
            undone(key, "before PostgreSQL 16 storage cannot be set back to the type's default")
        ]  # fmt: skip
    return [_alter(world, key, f"SET STORAGE {'DEFAULT' if new is None else str(new).upper()}")]


_USUAL_STORAGE = {
    "numeric": "MAIN", "inet": "MAIN", "cidr": "MAIN", "text": "EXTENDED", "bytea": "EXTENDED",
    "character varying": "EXTENDED", "character": "EXTENDED", "json": "EXTENDED",
    "jsonb": "EXTENDED", "xml": "EXTENDED", "bit": "EXTENDED", "tsvector": "EXTENDED",
    "bit varying": "EXTENDED",
}  # fmt: skip


def _type_name(world: World, key: ObjectKey) -> str:
    name = re.sub(r"\(.*?\)", "", str(world.b.get(key, "type")))
    return "jsonb" if name.endswith("[]") else name


def _compression(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return [_alter(world, key, f"SET COMPRESSION {'DEFAULT' if new is None else new}")]


def _statistics(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return [_alter(world, key, f"SET STATISTICS {-1 if new is None else new}", SHARE_UPDATE)]


def _options(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    to_set, to_reset = changed_options(listed(old), listed(new))
    lines = [_alter(world, key, f"SET ({to_set})", SHARE_UPDATE)] if to_set else []
    return lines + ([_alter(world, key, f"RESET ({to_reset})", SHARE_UPDATE)] if to_reset else [])


def _server_options(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    options, hidden = changed_outside_options(listed(old), listed(new))
    lines = [_alter(world, key, f"OPTIONS ({options})")]
    return lines + [undone(key, f"the value of {name} is not printed") for name in hidden]


def _nothing(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return []


COLUMN_AFTER = ("storage", "statistics", "options", "comment", "privileges")

COLUMN_KINDS = {
    "column": Kind(
        _make_column, _drop_column,
        {"type": _set_type, "collation": _set_type, "not_null": _set_null,
         "not_null_constraint": _set_null_constraint, "default": _change_default,
         "identity": _change_identity, "generated": _change_generated,
         "inherited": _change_inherited,
         "storage": _storage, "compression": _compression, "statistics": _statistics,
         "options": _options, "server_options": _server_options, "comment": comment,
         "privileges": grants},
        after=COLUMN_AFTER, decide=_decide_column,
    ),
}  # fmt: skip

late_null_constraint = _late_null_constraint
