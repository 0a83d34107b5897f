"""The database, schemas, extensions, and links to elsewhere. No password is ever printed."""

from __future__ import annotations

import re

from cowdb.controller.diff.migration.common import (
    AFTER,
    GRANTED,
    OWNED,
    drop,
    impossible,
    listed,
)
from cowdb.controller.diff.migration.privileges import default_privileges
from cowdb.controller.diff.migration.statement import Statement, about, undone
from cowdb.controller.diff.migration.words import (
    changed_outside_options,
    literal,
    option_setting,
    outside_options,
    setting,
    split_option,
)
from cowdb.controller.diff.migration.world import MADE, Change, Kind, World
from cowdb.controller.diff.model import ObjectKey, Value


def _database_limit(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    limit = -1 if new is None else new
    return [about(key, f"ALTER DATABASE {world.a.database} CONNECTION LIMIT {limit}")]


def _database_template(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    how = "true" if new else "false"
    return [about(key, f"ALTER DATABASE {world.a.database} IS_TEMPLATE {how}")]


_ROLE_SETTING = re.compile(r'^role ("(?:[^"]|"")*"|[^":]+): (.*)$', re.DOTALL)


def _database_settings(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    def parsed(items: list[str]) -> dict[tuple[str, str], str]:
        found = {}
        for item in items:
            role = ""
            if match := _ROLE_SETTING.match(item):
                role, item = match.groups()
            name, value = split_option(item)
            found[role, name] = value
        return found

    def start(role: str) -> str:
        database = world.a.database
        return f"ALTER ROLE {role} IN DATABASE {database}" if role else f"ALTER DATABASE {database}"

    had, has = parsed(listed(old)), parsed(listed(new))
    lines = [
        about(key, f"{start(role)} RESET {option_setting(name)}")
        for role, name in had
        if (role, name) not in has
    ]
    for (role, name), value in has.items():
        if had.get((role, name)) != value:
            lines.append(about(key, f"{start(role)} SET {setting(name, value)}"))
    return lines


def _make_nothing(world: World, key: ObjectKey) -> list[Statement]:
    return []


def _make_schema(world: World, key: ObjectKey) -> list[Statement]:
    return [about(key, f"CREATE SCHEMA {key.name}")]


def _make_extension(world: World, key: ObjectKey) -> list[Statement]:
    version = literal(world.b.get(key, "version"))
    schema = world.b.get(key, "schema")
    return [about(key, f"CREATE EXTENSION {key.name} SCHEMA {schema} VERSION {version}")]


def _drop_extension(world: World, key: ObjectKey) -> list[Statement]:
    return [about(key, f"DROP EXTENSION {key.name}").marked(
        "what the extension keeps in tables of its own is lost", loses_data=True
    )]  # fmt: skip


def _extension_version(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    if new not in listed(world.a.more(key, "updates")):
        return [undone(key, f"the first side's server has no scripts from version {old} to {new}")]
    return [about(key, f"ALTER EXTENSION {key.name} UPDATE TO {literal(str(new))}")]


def _extension_schema(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return [about(key, f"ALTER EXTENSION {key.name} SET SCHEMA {new}")]


def _make_default(world: World, key: ObjectKey) -> list[Statement]:
    return default_privileges(key, None, listed(world.b.get(key, "privileges")))


def _drop_default(world: World, key: ObjectKey) -> list[Statement]:
    return default_privileges(key, listed(world.a.get(key, "privileges")), None)


def _change_default(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return default_privileges(key, listed(old), listed(new))


def _hidden(key: ObjectKey, names: list[str]) -> list[Statement]:
    if not names:
        return []
    return [
        undone(
            key,
            f"the value of {', '.join(names)} may be a secret and is never printed: put it in place"
            " of the placeholder",
        )
    ]


def _make_wrapper(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    sql = f"CREATE FOREIGN DATA WRAPPER {key.name}"
    for word, name in (("HANDLER", "handler"), ("VALIDATOR", "validator")):
        if get(key, name) is not None:
            sql += f" {word} {str(get(key, name)).split('(', 1)[0]}"
    options, hidden = outside_options(listed(get(key, "options")))
    sql += f" OPTIONS ({options})" if options else ""
    return [about(key, sql), *_hidden(key, hidden)]


def _wrapper_function(word: str) -> Change:
    def change(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
        what = f"NO {word}" if new is None else f"{word} {str(new).split('(', 1)[0]}"
        return [about(key, f"ALTER FOREIGN DATA WRAPPER {key.name} {what}")]

    return change


def _options(word: str, hide: bool = False) -> Change:
    def change(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
        options, hidden = changed_outside_options(listed(old), listed(new), hide)
        return [
            about(key, f"ALTER {word} {key.name} OPTIONS ({options})"),
            *_hidden(key, hidden),
        ]

    return change


def _make_server(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    sql = f"CREATE SERVER {key.name}"
    sql += f" TYPE {literal(get(key, 'type'))}" if get(key, "type") is not None else ""
    sql += f" VERSION {literal(get(key, 'version'))}" if get(key, "version") is not None else ""
    sql += f" FOREIGN DATA WRAPPER {get(key, 'wrapper')}"
    options, hidden = outside_options(listed(get(key, "options")))
    sql += f" OPTIONS ({options})" if options else ""
    return [about(key, sql), *_hidden(key, hidden)]


def _server_version(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    version = "NULL" if new is None else literal(str(new))
    return [about(key, f"ALTER SERVER {key.name} VERSION {version}")]


def _make_mapping(world: World, key: ObjectKey) -> list[Statement]:
    options, hidden = outside_options(listed(world.b.get(key, "options")), hide=True)
    sql = f"CREATE USER MAPPING {key.name}" + (f" OPTIONS ({options})" if options else "")
    return [about(key, sql), *_hidden(key, hidden)]


def _publication_objects(world: World, key: ObjectKey) -> str:
    get = world.b.get
    tables = ", ".join(_publication_table(item) for item in listed(get(key, "tables")))
    parts = [f"TABLE {tables}"] if tables else []
    parts += [f"TABLES IN SCHEMA {name}" for name in listed(get(key, "schemas"))]
    return ", ".join(parts)


def _publication_table(item: str) -> str:
    """The catalog prints `table (columns) where (condition)`; the syntax is the same."""
    return item.replace(" where ", " WHERE ", 1)


_GENERATED = {"s": "stored"}


def _publication_with(world: World, key: ObjectKey) -> str:
    get = world.b.get
    parts = [
        f"publish = {literal(get(key, 'publishes'))}",
        f"publish_via_partition_root = {'true' if get(key, 'via_root') else 'false'}",
    ]
    if world.b.major >= 18:
        generated = get(key, "generated_columns")
        parts.append(f"publish_generated_columns = {_GENERATED.get(generated, 'none')}")
    return ", ".join(parts)


def _make_publication(world: World, key: ObjectKey) -> list[Statement]:
    objects = _publication_objects(world, key)
    what = "ALL TABLES" if world.b.get(key, "all_tables") else objects
    sql = f"CREATE PUBLICATION {key.name}" + (f" FOR {what}" if what else "")
    return [about(key, f"{sql} WITH ({_publication_with(world, key)})")]


def _publication_options(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return [about(key, f"ALTER PUBLICATION {key.name} SET ({_publication_with(world, key)})")]


def _publication_members(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    if objects := _publication_objects(world, key):
        return [about(key, f"ALTER PUBLICATION {key.name} SET {objects}")]
    lines = []
    for item in listed(world.a.get(key, "tables")):
        table = _TABLE.match(item)
        name = table[0] if table else item
        if name not in {one.name for one in world.unpublished.get(key, ())}:
            lines.append(about(key, f"ALTER PUBLICATION {key.name} DROP TABLE {name}"))
    for name in listed(world.a.get(key, "schemas")):
        lines.append(about(key, f"ALTER PUBLICATION {key.name} DROP TABLES IN SCHEMA {name}"))
    return lines


_TABLE = re.compile(r'^(?:"(?:[^"]|"")*"|[^". ]+)\.(?:"(?:[^"]|"")*"|[^". ]+)')


def _make_subscription(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    slot = get(key, "slot")
    publications = ", ".join(_identifier(name) for name in listed(get(key, "publications")))
    parts = [
        "connect = false",
        f"slot_name = {'NONE' if slot is None else literal(slot)}",
        *_subscription_options(world, key),
    ]
    sql = f"CREATE SUBSCRIPTION {key.name} CONNECTION '' PUBLICATION {publications}"
    return [
        about(key, f"{sql} WITH ({', '.join(parts)})"),
        undone(
            key,
            "the connection string may hold a password and is never printed: set it with"
            f" ALTER SUBSCRIPTION {key.name} CONNECTION '...', then ENABLE",
        ),
    ]


def _subscription_options(world: World, key: ObjectKey) -> list[str]:
    get = world.b.get
    parts = [f"binary = {'true' if get(key, 'binary') else 'false'}"]
    parts.append(f"streaming = {get(key, 'streaming')}")
    parts.append(f"synchronous_commit = {literal(get(key, 'synchronous_commit'))}")
    if "two_phase" in world.b.schema[key].properties and world.of(key) in MADE:
        parts.append(f"two_phase = {'true' if get(key, 'two_phase') else 'false'}")
    for name in _SUBSCRIBED_SINCE:
        if (value := get(key, name)) is not None:
            parts.append(f"{name} = {str(value).lower()}")
    return parts


_SUBSCRIBED_SINCE = ("disable_on_error", "password_required", "run_as_owner", "origin", "failover")


def _identifier(name: str) -> str:
    return name if re.match(r"^[a-z_][a-z0-9_]*$", name) else '"' + name.replace('"', '""') + '"'


def _subscription_option(name: str) -> Change:
    """One option by itself: with others beside it the server may want to connect."""

    def change(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
        options = [one for one in _subscription_options(world, key) if one.split(" = ")[0] == name]
        return [about(key, f"ALTER SUBSCRIPTION {key.name} SET ({one})") for one in options]

    return change


def _subscription_slot(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    name = "NONE" if new is None else literal(str(new))
    return [about(key, f"ALTER SUBSCRIPTION {key.name} SET (slot_name = {name})")]


def _subscription_publications(
    world: World, key: ObjectKey, old: Value, new: Value
) -> list[Statement]:
    names = ", ".join(map(_identifier, listed(new)))
    start = f"ALTER SUBSCRIPTION {key.name} SET PUBLICATION {names}"
    return [about(key, f"{start} WITH (refresh = false)")]


def _enable_subscription(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    if not new:
        return [about(key, f"ALTER SUBSCRIPTION {key.name} DISABLE")] if old else []
    if world.a.get(key, "enabled") is None:
        return [undone(key, "it is made disabled, since it would connect to its publisher")]
    return [undone(key, f"ALTER SUBSCRIPTION {key.name} ENABLE would connect to its publisher")]


def _drop_subscription(world: World, key: ObjectKey) -> list[Statement]:
    return [
        about(key, f"ALTER SUBSCRIPTION {key.name} DISABLE"),
        about(key, f"ALTER SUBSCRIPTION {key.name} SET (slot_name = NONE)").marked(
            "its slot stays on the publisher and keeps WAL there: drop it there"
        ),
        about(key, f"DROP SUBSCRIPTION {key.name}"),
    ]


_SUBSCRIBED = {
    name: _subscription_option(name)
    for name in ("binary", "streaming", "synchronous_commit", *_SUBSCRIBED_SINCE)
}
# The slot on the publisher has these as well: ALTER SUBSCRIPTION connects to it.
_ON_BOTH_SERVERS = dict.fromkeys(
    ("two_phase", "failover"), impossible("the publisher's slot must change with it")
)
_PUBLISHED = dict.fromkeys(("publishes", "via_root", "generated_columns"), _publication_options)
_MEMBERS = dict.fromkeys(("tables", "schemas"), _publication_members)

OUTWARD_KINDS = {
    "database": Kind(
        _make_nothing, _make_nothing,
        {"connection_limit": _database_limit, "settings": _database_settings,
         "is_template": _database_template, **GRANTED},
    ),
    "schema": Kind(_make_schema, drop, GRANTED, after=AFTER),
    "extension": Kind(
        _make_extension, _drop_extension,
        {"version": _extension_version, "schema": _extension_schema,
         "owner": impossible("the owner of an extension cannot be changed"),
         "comment": OWNED["comment"]},
        after=("comment",),
    ),
    "default privileges": Kind(_make_default, _drop_default, {"privileges": _change_default}),
    "foreign data wrapper": Kind(
        _make_wrapper, drop,
        {"handler": _wrapper_function("HANDLER"), "validator": _wrapper_function("VALIDATOR"),
         "options": _options("FOREIGN DATA WRAPPER"), **GRANTED},
        after=AFTER,
    ),
    "foreign server": Kind(
        _make_server, drop,
        {"version": _server_version, "options": _options("SERVER"), **GRANTED},
        frozenset({"wrapper", "type"}), AFTER,
    ),
    "user mapping": Kind(
        _make_mapping, drop, {"options": _options("USER MAPPING", hide=True)}
    ),
    "publication": Kind(
        _make_publication, drop, {**_PUBLISHED, **_MEMBERS, **OWNED},
        frozenset({"all_tables"}), ("owner", "comment"),
    ),
    "subscription": Kind(
        _make_subscription, _drop_subscription,
        {**_SUBSCRIBED, "slot": _subscription_slot, "publications": _subscription_publications,
         "enabled": _enable_subscription,
         **_ON_BOTH_SERVERS,
         "skip_lsn": impossible("a transaction of the publisher that is skipped is lost"),
         "connection": impossible(
             "the connection string may hold a password and is never printed"
         ), **OWNED},
        after=("enabled", "skip_lsn", "owner", "comment"),
    ),
}  # fmt: skip
