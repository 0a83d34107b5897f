"""What hangs on a table or view: constraints, indexes, triggers, rules, policies, statistics."""

from __future__ import annotations

import re

from cowdb.controller.diff.migration.common import COMMENT, DEPENDING, OWNED, impossible, listed
from cowdb.controller.diff.migration.routines import enable_word
from cowdb.controller.diff.migration.statement import (
    EXCLUSIVE,
    SHARE,
    SHARE_ROW,
    SHARE_UPDATE,
    Statement,
    about,
)
from cowdb.controller.diff.migration.words import (
    alter_table,
    changed_options,
    literal,
    own_name,
    phrase,
)
from cowdb.controller.diff.migration.world import Fate, Kind, World
from cowdb.controller.diff.model import ObjectKey, Value

_DEFERRAL = re.compile(r"( NOT)? DEFERRABLE| INITIALLY (DEFERRED|IMMEDIATE)")
_NOT_VALID = " NOT VALID"


def _make_constraint(world: World, key: ObjectKey) -> list[Statement]:
    home, kind = world.b.home(key), world.b.get(key, "type")
    definition = world.b.get(key, "definition")
    # A partition has its own index attached later; a foreign key cannot be added to ONLY one, and
    # a check must reach the children.
    only = kind in ("primary key", "unique", "exclude")
    sql = f"{alter_table(home, only)} ADD CONSTRAINT {own_name(key, world.b)} {definition}"
    one = about(key, sql, SHARE_ROW if kind == "foreign key" else EXCLUSIVE)
    if world.is_new(home) or definition.endswith(_NOT_VALID) or "NOT ENFORCED" in definition:
        return [one]
    why = {
        "foreign key": "every row is checked; both tables are locked against writing meanwhile",
        "check": "every row is checked",
    }.get(kind, "an index is built")
    return [one.marked(why, long_lock=True)]


def _drop_constraint(world: World, key: ObjectKey) -> list[Statement]:
    start = alter_table(world.a.home(key))
    return [about(key, f"{start} DROP CONSTRAINT {own_name(key, world.a)}", EXCLUSIVE)]


def _decide_constraint(world: World, key: ObjectKey, names: frozenset[str]) -> Fate:
    if names <= {"comment", "enforcement", "inherited"}:
        return Fate.ALTER
    old, new = world.a.get(key, "definition"), world.b.get(key, "definition")
    if old == f"{new}{_NOT_VALID}":
        return Fate.ALTER
    foreign = world.b.get(key, "type") == "foreign key" == world.a.get(key, "type")
    if foreign and "validated" not in names and _DEFERRAL.sub("", old) == _DEFERRAL.sub("", new):
        return Fate.ALTER
    return Fate.REPLACE


def _change_definition(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    if str(old) == f"{new}{_NOT_VALID}":
        return []  # `validated` says it
    get = world.b.get
    how = "DEFERRABLE" if get(key, "deferrable") else "NOT DEFERRABLE"
    how += " INITIALLY DEFERRED" if get(key, "deferred") else " INITIALLY IMMEDIATE"
    start = alter_table(world.b.home(key))
    return [about(key, f"{start} ALTER CONSTRAINT {own_name(key, world.b)} {how}", EXCLUSIVE)]


def _nothing(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return []


def _validate(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    if not new or old is None:
        return []
    start = alter_table(world.b.home(key))
    one = about(key, f"{start} VALIDATE CONSTRAINT {own_name(key, world.b)}", SHARE_UPDATE)
    return [one.marked("every row is checked", long_lock=True)]


def _enforcement(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    """The triggers of a foreign key are named by numbers of the server: found when it runs."""
    states = listed(new)
    word = enable_word(states[0] if states else "enabled")
    home = world.b.home(key).name
    name = own_name(key, world.b)
    bare = name[1:-1].replace('""', '"') if name.startswith('"') else name
    body = f"""
DECLARE name text;
BEGIN
    FOR name IN SELECT t.tgname FROM pg_catalog.pg_trigger t
        JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint AND k.conrelid = t.tgrelid
        WHERE k.conrelid = {_text(home)}::pg_catalog.regclass AND k.conname = {_text(bare)}
    LOOP
        EXECUTE pg_catalog.format('ALTER TABLE {home.replace("%", "%%").replace("'", "''")} {word}\
 TRIGGER %I', name);
    END LOOP;
END"""
    return [about(key, f"DO $cowdb${body}\n$cowdb$", SHARE_ROW)]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _make_index(world: World, key: ObjectKey) -> list[Statement]:
    if world.b.get(key, "constraint") is not None:
        return []
    one = about(key, world.b.get(key, "definition"), SHARE)
    if world.is_new(world.b.home(key)):
        return [one]
    return [one.marked(
        "an index is built: CREATE INDEX CONCURRENTLY, outside a transaction, lets writes go on",
        long_lock=True,
    )]  # fmt: skip


def _drop_index(world: World, key: ObjectKey) -> list[Statement]:
    if world.a.get(key, "constraint") is not None:
        return []
    return [about(key, f"DROP INDEX {key.name}", EXCLUSIVE)]


def _index_options(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    to_set, to_reset = changed_options(listed(old), listed(new))
    lines = []
    if to_set:
        lines.append(about(key, f"ALTER INDEX {key.name} SET ({to_set})", SHARE_UPDATE))
    if to_reset:
        lines.append(about(key, f"ALTER INDEX {key.name} RESET ({to_reset})", SHARE_UPDATE))
    return lines


def _index_usable(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    """Valid, ready and live are what a build that failed leaves behind."""
    if old is None and new:
        return []
    if not new:
        return impossible("an index cannot be made invalid on purpose")(world, key, old, new)
    one = about(key, f"REINDEX INDEX {key.name}", EXCLUSIVE)
    return [one.marked("the index is built anew", long_lock=True)]


def _clustered(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    start = alter_table(world.b.home(key))
    if new:
        name = _bare_name(key.name)
        return [about(key, f"{start} CLUSTER ON {name}", SHARE_UPDATE)]
    if old:
        return [about(key, f"{start} SET WITHOUT CLUSTER", SHARE_UPDATE)]
    return []


def _bare_name(name: str) -> str:
    """Without the schema, still quoted."""
    found = re.match(r'^("(?:[^"]|"")*"|[^".]+)\.', name)
    return name[found.end() :] if found else name


def index_tablespace(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    one = about(key, f"ALTER INDEX {key.name} SET TABLESPACE {new or 'pg_default'}", EXCLUSIVE)
    return [one.marked("the index is copied", long_lock=True)]


def _index_statistics(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    had = dict(item.split(": ") for item in listed(old))
    has = dict(item.split(": ") for item in listed(new))
    return [
        about(
            key,
            f"ALTER INDEX {key.name} ALTER COLUMN {number} SET STATISTICS {has.get(number, -1)}",
            SHARE_UPDATE,
        )
        for number in {**had, **has}
        if had.get(number) != has.get(number)
    ]


def _make_trigger(world: World, key: ObjectKey) -> list[Statement]:
    return [about(key, world.b.get(key, "definition"), SHARE_ROW)]


def _drop_on_table(world: World, key: ObjectKey) -> list[Statement]:
    return [about(key, f"DROP {phrase(key, world.a)}", EXCLUSIVE)]


def _enable_on_table(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    if old is None and new == "enabled" and not _parent_differs(world, key):
        return []
    start = alter_table(world.b.home(key), only=True)
    word = f"{enable_word(new)} {key.kind.upper()}"
    return [about(key, f"{start} {word} {own_name(key, world.b)}", SHARE_ROW)]


def _constraint_comment(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    text = "NULL" if new is None else literal(str(new))
    name = f"{own_name(key, world.b)} ON {world.b.home(key).name}"
    return [about(key, f"COMMENT ON CONSTRAINT {name} IS {text}")]


def _parent_differs(world: World, key: ObjectKey) -> bool:
    """A partition's trigger starts in the state of the one that it was copied from."""
    return any(
        place.kind == "trigger" and world.b.get(place, "enabled") != "enabled"
        for place in world.b.schema[key].inside
    )


def _make_rule(world: World, key: ObjectKey) -> list[Statement]:
    definition = world.b.get(key, "definition")
    if definition is None:  # a view's own rule: only its comment is told
        return []
    return [about(key, str(definition).rstrip(";"), EXCLUSIVE)]


def _make_policy(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    kind = "PERMISSIVE" if get(key, "permissive") else "RESTRICTIVE"
    sql = f"CREATE {phrase(key, world.b)} AS {kind} FOR {get(key, 'command').upper()}"
    sql += f" TO {', '.join(listed(get(key, 'roles')))}"
    sql += f" USING ({get(key, 'using')})" if get(key, "using") is not None else ""
    sql += f" WITH CHECK ({get(key, 'check')})" if get(key, "check") is not None else ""
    return [about(key, sql, EXCLUSIVE)]


def _make_statistics(world: World, key: ObjectKey) -> list[Statement]:
    return [about(key, world.b.get(key, "definition"), SHARE_UPDATE)]


def _drop_statistics(world: World, key: ObjectKey) -> list[Statement]:
    return [about(key, f"DROP STATISTICS {key.name}", SHARE_UPDATE)]


def _target(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    if old is None and new is None:
        return []
    number = -1 if new is None else new
    return [about(key, f"ALTER STATISTICS {key.name} SET STATISTICS {number}", SHARE_UPDATE)]


def _decide_index(world: World, key: ObjectKey, names: frozenset[str]) -> Fate:
    again = {"definition", "unique", "primary", "constraint"}
    return Fate.REPLACE if names & again or _is_taken_out(world, key, names) else Fate.ALTER


def _is_taken_out(world: World, key: ObjectKey, names: frozenset[str]) -> bool:
    """Whether it leaves its parent while its table stays: there is no statement for that."""
    return (
        "partition_of" in names
        and world.a.get(key, "partition_of") is not None
        and world.a.get(key, "constraint") is None
        and not world.changed(world.b.home(key), "partition_of")
    )


ATTACHED_KINDS = {
    "constraint": Kind(
        _make_constraint, _drop_constraint,
        {"definition": _change_definition, "validated": _validate, "deferrable": _nothing,
         "deferred": _nothing, "enforced": _nothing, "inherited": _nothing,
         "enforcement": _enforcement, **COMMENT},
        after=("enforcement", "comment"), decide=_decide_constraint,
    ),
    "index": Kind(
        _make_index, _drop_index,
        {"options": _index_options, "valid": _index_usable, "ready": _index_usable,
         "clustered": _clustered, "tablespace": index_tablespace,
         "statistics": _index_statistics, "live": _index_usable, "partition_of": _nothing,
         **COMMENT, **DEPENDING},
        after=("options", "clustered", "tablespace", "statistics", "comment",
               "depends_on_extensions"),
        decide=_decide_index,
    ),
    "trigger": Kind(
        _make_trigger, _drop_on_table,
        {"enabled": _enable_on_table, "constraint_comment": _constraint_comment, **COMMENT,
         **DEPENDING},
        frozenset({"definition"}),
        ("enabled", "comment", "constraint_comment", "depends_on_extensions"),
    ),
    "rule": Kind(
        _make_rule, _drop_on_table, {"enabled": _enable_on_table, **COMMENT},
        frozenset({"definition"}), ("enabled", "comment"),
    ),
    "policy": Kind(
        _make_policy, _drop_on_table, COMMENT,
        frozenset({"command", "permissive", "roles", "using", "check"}), ("comment",),
    ),
    "statistics": Kind(
        _make_statistics, _drop_statistics, {"target": _target, **OWNED},
        frozenset({"definition"}), ("target", "owner", "comment"),
    ),
}  # fmt: skip
