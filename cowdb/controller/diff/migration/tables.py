"""Tables, foreign tables, views and materialized views."""

from __future__ import annotations

import re

from cowdb.controller.diff.migration import columns
from cowdb.controller.diff.migration.common import AFTER, DEPENDING, GRANTED, drop, listed
from cowdb.controller.diff.migration.statement import (
    EXCLUSIVE,
    SHARE_UPDATE,
    Statement,
    about,
    undone,
)
from cowdb.controller.diff.migration.types import conversion, narrows
from cowdb.controller.diff.migration.words import (
    alter_table,
    changed_options,
    changed_outside_options,
    last_part,
    outside_options,
    phrase,
)
from cowdb.controller.diff.migration.world import Change, Fate, Kind, World
from cowdb.controller.diff.model import ObjectKey, Value


def column_keys(world: World, table: ObjectKey, side: str = "b") -> list[ObjectKey]:
    """The table's columns in their order."""
    facts = world.a if side == "a" else world.b
    return [
        ObjectKey("column", f"{table.name}.{name}")
        for name in listed(facts.get(table, "column_order"))
    ]


def is_inherited_only(world: World, column: ObjectKey) -> bool:
    """A column that a plain child (no partition) has from its parent and nowhere else."""
    table = world.b.home(column)
    if world.b.get(table, "partition_of") is not None:
        return False
    return bool(world.b.get(column, "inherited") == "only")


def _make_table(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    clauses = [
        columns.clause(world, column)
        for column in column_keys(world, key)
        if not is_inherited_only(world, column)
    ]
    unlogged = "UNLOGGED " if get(key, "persistence") == "unlogged" else ""
    word = "FOREIGN TABLE" if key.kind == "foreign table" else f"{unlogged}TABLE"
    inside = ",\n    ".join(clauses)
    sql = f"CREATE {word} {key.name} ({f'{chr(10)}    {inside}{chr(10)}' if inside else ''})"
    if listed(get(key, "inherits")):
        sql += f" INHERITS ({', '.join(listed(get(key, 'inherits')))})"
    if get(key, "partition_key"):
        sql += f" PARTITION BY {get(key, 'partition_key')}"
    if get(key, "access_method"):
        sql += f" USING {get(key, 'access_method')}"
    if get(key, "tablespace"):
        sql += f" TABLESPACE {get(key, 'tablespace')}"
    hidden: list[str] = []
    if key.kind == "foreign table":
        options, hidden = outside_options(listed(get(key, "server_options")))
        sql += f" SERVER {get(key, 'server')}" + (f" OPTIONS ({options})" if options else "")
    made = [about(key, sql)]
    for column in column_keys(world, key):
        if not is_inherited_only(world, column):
            value = world.b.get(column, "not_null_constraint")
            made += columns.late_null_constraint(world, column, None, value)
            made += columns.hidden_options(world, column)
    return made + [undone(key, f"the value of {name} is not printed") for name in hidden]


def _drop_table(world: World, key: ObjectKey) -> list[Statement]:
    one = about(key, f"DROP {phrase(key, world.a)}", EXCLUSIVE)
    if key.kind == "foreign table":
        return [one]
    if world.a.get(key, "partition_key") is not None:
        return [one.marked("its partitions are told beside it")]
    return [one.marked("the table's rows are lost", loses_data=True)]


_PUT_ASIDE = {"table": "TABLE", "domain": "DOMAIN", "collation": "COLLATION"}


def set_aside(world: World, key: ObjectKey) -> list[Statement]:
    """Gives a table or type that is made again a name of its own until its values were taken."""
    old = world.old_names[key]
    word = _PUT_ASIDE.get(key.kind, "TYPE")
    bare = last_part(old)
    return [about(key, f"ALTER {word} {key.name} RENAME TO {bare}", EXCLUSIVE)]


def drop_old(world: World, key: ObjectKey) -> list[Statement]:
    word = _PUT_ASIDE.get(key.kind, "TYPE")
    return [about(key, f"DROP {word} {world.old_names[key]}")]


def copy_rows(world: World, key: ObjectKey) -> list[Statement]:
    """From the table that was set aside; what only one side has is left out."""
    there = []
    narrowed = False
    for column in column_keys(world, key):
        if world.a.get(column, "type") is None or world.b.get(column, "generated") is not None:
            continue
        name = column.name[len(key.name) + 1 :]
        was, now = str(world.a.get(column, "type")), str(world.b.get(column, "type"))
        again = column in world.converted
        same = was == now and not again
        cast = "" if same else conversion(name, was, now, again)
        narrowed |= not same and narrows(was, now)
        there.append((name, cast.removeprefix(" USING ") if cast else name))
    if not there:
        return []
    names = ", ".join(name for name, _ in there)
    values = ", ".join(value for _, value in there)
    sql = f"INSERT INTO {key.name} ({names}) OVERRIDING SYSTEM VALUE\n"
    sql += f"    SELECT {values} FROM ONLY {world.old_names[key]}"
    one = about(key, sql, EXCLUSIVE)
    return [one.marked("the table is written anew", rewrites=True, long_lock=True,
                       loses_data=narrowed)]  # fmt: skip


def detach(world: World, key: ObjectKey) -> list[Statement]:
    """Out of its parents, on the first side."""
    parent = world.a.get(key, "partition_of")
    if parent is not None:
        sql = f"ALTER TABLE {parent} DETACH PARTITION {key.name}"
        if world.a.get(key, "detach_pending"):
            return [about(key, f"{sql} FINALIZE", SHARE_UPDATE)]
        return [about(key, sql, EXCLUSIVE)]
    return [
        about(key, f"{alter_table(key)} NO INHERIT {name}", EXCLUSIVE)
        for name in listed(world.a.get(key, "inherits"))
    ]


def attach(world: World, key: ObjectKey) -> list[Statement]:
    """Into its parents, on the other side."""
    parent = world.b.get(key, "partition_of")
    if parent is not None:
        bound = world.b.get(key, "partition_bound")
        one = about(key, f"ALTER TABLE {parent} ATTACH PARTITION {key.name} {bound}", SHARE_UPDATE)
        if world.is_new(key):
            return [one]
        return [one.marked("every row of the partition is checked", long_lock=True)]
    return [
        about(key, f"{alter_table(key)} INHERIT {name}", EXCLUSIVE)
        for name in listed(world.b.get(key, "inherits"))
    ]


def _table(what: str, lock: str = EXCLUSIVE, why: str = "") -> Change:
    """A change of a table whose new value goes into the text as it is."""

    def change(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
        one = about(key, f"{alter_table(key, only=True)} {what.format(new)}", lock)
        return [one.marked(why, rewrites=True, long_lock=True) if why else one]

    return change


def _persistence(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    how = "UNLOGGED" if new == "unlogged" else "LOGGED"
    one = about(key, f"{alter_table(key)} SET {how}", EXCLUSIVE)
    return [one.marked("the table is written anew", rewrites=True, long_lock=True)]


def _tablespace(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    one = about(key, f"{alter_table(key)} SET TABLESPACE {new or 'pg_default'}", EXCLUSIVE)
    return [one.marked("the table is copied", rewrites=True, long_lock=True)]


def _access_method(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    what = f"{alter_table(key)} SET ACCESS METHOD {new or 'DEFAULT'}"
    return [
        about(key, what, EXCLUSIVE).marked(
            "the table is written anew", rewrites=True, long_lock=True
        )
    ]


def _options(prefix: str = "") -> Change:
    def change(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
        to_set, to_reset = changed_options(listed(old), listed(new), prefix)
        start = alter_table(key)
        lines = []
        if to_set:
            lines.append(about(key, f"{start} SET ({to_set})", SHARE_UPDATE))
        if to_reset:
            lines.append(about(key, f"{start} RESET ({to_reset})", SHARE_UPDATE))
        return lines

    return change


def replica_identity(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    if old is None and new in (None, "default"):
        return []
    how = str(new or "default")
    how = f"USING INDEX {how[6:]}" if how.startswith("index ") else how.upper()
    return [about(key, f"{alter_table(key)} REPLICA IDENTITY {how}", EXCLUSIVE)]


def _security(word: str, off: str) -> Change:
    def change(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
        if old is None and not new:
            return []
        what = f"{word if new else off} ROW LEVEL SECURITY"
        return [about(key, f"{alter_table(key)} {what}", EXCLUSIVE)]

    return change


def _server_options(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    options, hidden = changed_outside_options(listed(old), listed(new))
    lines = [about(key, f"{alter_table(key)} OPTIONS ({options})", EXCLUSIVE)]
    return lines + [undone(key, f"the value of {name} is not printed") for name in hidden]


def _nothing(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return []


def _detaching(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    if new:
        return [undone(key, "a detach that was begun and not finished cannot be made")]
    return []  # it was finished when the table left its parent, and is attached again


def _decide_table(world: World, key: ObjectKey, names: frozenset[str]) -> Fate:
    partitioned = world.a.get(key, "partition_key"), world.b.get(key, "partition_key")
    if "partition_key" in names:
        # A partitioned table has no rows of its own: its partitions are taken out and put back.
        return Fate.REPLACE if partitioned[0] else Fate.REBUILD
    if "server" in names:
        return Fate.REPLACE
    if world.a.get(key, "detach_pending") and "detach_pending" in names:
        world.detached.add(key)
    if "access_method" in names and (world.a.major < 15 or partitioned[0]):
        return Fate.REPLACE if partitioned[0] else Fate.REBUILD
    return Fate.ALTER


_TABLE_CHANGES: dict[str, Change] = {
    "persistence": _persistence, "tablespace": _tablespace, "access_method": _access_method,
    "options": _options(), "toast_options": _options("toast."),
    "replica_identity": _nothing, "detach_pending": _detaching,
    "row_security": _security("ENABLE", "DISABLE"),
    "force_row_security": _security("FORCE", "NO FORCE"),
    "partition_of": _nothing, "partition_bound": _nothing, "inherits": _nothing,
    "of_type": _nothing, "server_options": _server_options, "column_order": _nothing, **GRANTED,
}  # fmt: skip

_TABLE_AFTER = (
    "options", "toast_options", "row_security", "force_row_security", *AFTER,
)  # fmt: skip


def _make_view(world: World, key: ObjectKey) -> list[Statement]:
    return [about(key, f"CREATE VIEW {key.name}{_names(world, key)} AS\n{_definition(world, key)}")]


_COLUMN = re.compile(r'^"(?:[^"]|"")*"|^[^ ]+')


def view_columns(items: list[str]) -> list[str]:
    return [found[0] if (found := _COLUMN.match(item)) else item for item in items]


def _names(world: World, key: ObjectKey) -> str:
    """The columns by name: those of a view can be renamed without its definition."""
    return f" ({', '.join(view_columns(listed(world.b.get(key, 'columns'))))})"


def _definition(world: World, key: ObjectKey) -> str:
    return str(world.b.get(key, "definition")).rstrip().rstrip(";")


def _change_view(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    sql = f"CREATE OR REPLACE VIEW {key.name}{_names(world, key)} AS\n{_definition(world, key)}"
    options = listed(world.a.get(key, "options"))
    lines = [about(key, sql, EXCLUSIVE)]
    if options:  # OR REPLACE forgets those that it does not repeat
        to_set, _ = changed_options([], options)
        lines.append(about(key, f"ALTER VIEW {key.name} SET ({to_set})", EXCLUSIVE))
    return lines


def _decide_view(world: World, key: ObjectKey, names: frozenset[str]) -> Fate:
    if not names & {"definition", "columns"}:
        return Fate.ALTER
    had, has = listed(world.a.get(key, "columns")), listed(world.b.get(key, "columns"))
    return Fate.ALTER if has[: len(had)] == had else Fate.REPLACE


def _make_matview(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    sql = f"CREATE MATERIALIZED VIEW {key.name}{_names(world, key)}"
    sql += f" USING {get(key, 'access_method')}" if get(key, "access_method") else ""
    sql += f" TABLESPACE {get(key, 'tablespace')}" if get(key, "tablespace") else ""
    data = "" if get(key, "populated") else "\nWITH NO DATA"
    one = about(key, f"{sql} AS\n{_definition(world, key)}{data}")
    return [one if data else one.marked("its query runs")]


def _drop_matview(world: World, key: ObjectKey) -> list[Statement]:
    return [drop(world, key)[0].marked("its rows, which its query gives anew, are lost",
                                       loses_data=True)]  # fmt: skip


def _populated(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    one = about(key, f"REFRESH MATERIALIZED VIEW {key.name}{'' if new else ' WITH NO DATA'}",
                EXCLUSIVE)  # fmt: skip
    if new:
        return [one.marked("its query runs", long_lock=True)]
    return [one.marked("its rows are lost", loses_data=True)]


TABLE_KINDS = {
    "table": Kind(_make_table, _drop_table, _TABLE_CHANGES, after=_TABLE_AFTER,
                  decide=_decide_table),
    "foreign table": Kind(_make_table, _drop_table, _TABLE_CHANGES,
                          after=("options", *AFTER), decide=_decide_table),
    "view": Kind(
        _make_view, drop,
        {"definition": _change_view, "columns": _change_view, "options": _options(), **GRANTED,
         **DEPENDING},
        after=("options", "depends_on_extensions", *AFTER), decide=_decide_view,
    ),
    "materialized view": Kind(
        _make_matview, _drop_matview,
        {"options": _options(), "toast_options": _options("toast."), "populated": _populated,
         "tablespace": _tablespace, "access_method": _access_method,
         "replica_identity": _nothing, **GRANTED, **DEPENDING},
        frozenset({"definition", "columns"}),
        ("options", "toast_options", "depends_on_extensions", *AFTER),
    ),
}  # fmt: skip


def leaves(world: World, key: ObjectKey) -> bool:
    """Whether the table is out of its parents for a while, or for good."""
    if world.of(key) in (Fate.DROP, Fate.REBUILD) or key in world.detached:
        return True
    if world.a.get(key, "partition_of") is not None:
        return world.changed(key, "partition_of") or world.changed(key, "partition_bound")
    return bool(left_parents(world, key))


def left_parents(world: World, key: ObjectKey) -> list[str]:
    """The parents that a plain child leaves; all, where the order of the others changes."""
    old, new = listed(world.a.get(key, "inherits")), listed(world.b.get(key, "inherits"))
    stay = [name for name in old if name in new]
    return [name for name in old if name not in new] if new[: len(stay)] == stay else old


def joined_parents(world: World, key: ObjectKey) -> list[str]:
    old, new = listed(world.a.get(key, "inherits")), listed(world.b.get(key, "inherits"))
    gone = left_parents(world, key)
    stay = [name for name in old if name not in gone]
    return [name for name in new if name not in stay]
