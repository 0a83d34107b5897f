"""Types of each sort, collations, conversions, text search."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cowdb.controller.diff.migration.common import (
    AFTER,
    COMMENT,
    GRANTED,
    OWNED,
    drop,
    listed,
)
from cowdb.controller.diff.migration.statement import SHARE, Statement, about
from cowdb.controller.diff.migration.words import last_part, literal, own_name
from cowdb.controller.diff.migration.world import MADE, Fate, Kind, World
from cowdb.controller.diff.model import ObjectKey, Value


def _make_enum(world: World, key: ObjectKey) -> list[Statement]:
    labels = ", ".join(map(literal, world.b.get(key, "labels")))
    return [about(key, f"CREATE TYPE {key.name} AS ENUM ({labels})")]


def _decide_enum(world: World, key: ObjectKey, names: frozenset[str]) -> Fate:
    old, new = world.a.get(key, "labels"), world.b.get(key, "labels")
    kept = [label for label in new if label in old]
    return Fate.ALTER if kept == old else Fate.REPLACE


def _change_labels(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    there = list(listed(old))
    found = []
    for place, label in enumerate(listed(new)):
        if label in there:
            continue
        where = f" AFTER {literal(listed(new)[place - 1])}"
        if place == 0:
            where = f" BEFORE {literal(there[0])}" if there else ""
        elif there[-1] == listed(new)[place - 1]:
            where = ""
        there.insert(place, label)
        found.append(about(key, f"ALTER TYPE {key.name} ADD VALUE {literal(label)}{where}"))
    return found


def _make_domain(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    sql = f"CREATE DOMAIN {key.name} AS {get(key, 'type')}"
    if get(key, "collation"):
        sql += f" COLLATE {get(key, 'collation')}"
    if get(key, "default") is not None:
        sql += f" DEFAULT {get(key, 'default')}"
    return [about(key, sql + (" NOT NULL" if get(key, "not_null") else ""))]


def _change_domain_null(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    one = about(key, f"ALTER DOMAIN {key.name} {'SET' if new else 'DROP'} NOT NULL")
    return [_scanning(one)] if new else [one]


def _scanning(one: Statement) -> Statement:
    return one.marked("every column of the domain is read", lock=SHARE, long_lock=True)


def _name_domain_null(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    """From PostgreSQL 17 on: by which name, and with which comment, where those are not usual."""
    if not world.b.get(key, "not_null"):
        return []
    bare = last_part(key.name)
    usual = f'{bare[:-1]}_not_null"' if bare.startswith('"') else f"{bare}_not_null"
    had, _, had_comment = str(old or usual).partition(" -- ")
    has, _, has_comment = str(new or usual).partition(" -- ")
    if not world.a.get(key, "not_null") or world.of(key) in MADE:
        had = usual
    lines = []
    if had != has:
        sql = f"ALTER DOMAIN {key.name} RENAME CONSTRAINT {had} TO {has}"
        lines.append(about(key, sql))
    if had_comment != has_comment:
        text = literal(has_comment) if has_comment else "NULL"
        lines.append(about(key, f"COMMENT ON CONSTRAINT {has} ON DOMAIN {key.name} IS {text}"))
    return lines


def _change_domain_default(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    what = "DROP DEFAULT" if new is None else f"SET DEFAULT {new}"
    return [about(key, f"ALTER DOMAIN {key.name} {what}")]


def _make_domain_constraint(world: World, key: ObjectKey) -> list[Statement]:
    home = world.b.home(key)
    definition = world.b.get(key, "definition")
    one = about(
        key, f"ALTER DOMAIN {home.name} ADD CONSTRAINT {own_name(key, world.b)} {definition}"
    )
    new = world.of(home) is not Fate.KEEP or " NOT VALID" in definition
    return [one if new else _scanning(one)]


def _drop_domain_constraint(world: World, key: ObjectKey) -> list[Statement]:
    home = world.a.home(key)
    return [about(key, f"ALTER DOMAIN {home.name} DROP CONSTRAINT {own_name(key, world.a)}")]


def _decide_domain_constraint(world: World, key: ObjectKey, names: frozenset[str]) -> Fate:
    old, new = world.a.get(key, "definition"), world.b.get(key, "definition")
    if "definition" not in names or old == f"{new} NOT VALID":
        return Fate.ALTER
    return Fate.REPLACE


def _validate(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    home = world.b.home(key)
    return [
        _scanning(
            about(key, f"ALTER DOMAIN {home.name} VALIDATE CONSTRAINT {own_name(key, world.b)}")
        )
    ]


def _nothing(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    return []


_ATTRIBUTE = re.compile(r'^("(?:[^"]|"")*"|[^ ]+) (.*?)(?: collate (.+))?$', re.DOTALL)


def _attributes(items: Sequence[str]) -> dict[str, str]:
    """By name, each with its type as ADD ATTRIBUTE wants it."""
    found = {}
    for item in items:
        if parts := _ATTRIBUTE.match(item):
            found[parts[1]] = parts[2] + (f" COLLATE {parts[3]}" if parts[3] else "")
    return found


def _make_composite(world: World, key: ObjectKey) -> list[Statement]:
    pairs = _attributes(world.b.get(key, "attributes"))
    inside = ", ".join(f"{name} {what}" for name, what in pairs.items())
    return [about(key, f"CREATE TYPE {key.name} AS ({inside})")]


def _decide_composite(world: World, key: ObjectKey, names: frozenset[str]) -> Fate:
    """Attributes can come last and go; for what else happens to them the type is made again."""
    if "attributes" not in names:
        return Fate.ALTER
    old = _attributes(world.a.get(key, "attributes"))
    new = _attributes(world.b.get(key, "attributes"))
    kept = [name for name in old if name in new]
    same = all(old[name] == new[name] for name in kept)
    return Fate.ALTER if same and list(new)[: len(kept)] == kept else Fate.REPLACE


def _change_attributes(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    had, has = _attributes(listed(old)), _attributes(listed(new))
    gone = [
        about(key, f"ALTER TYPE {key.name} DROP ATTRIBUTE {name} CASCADE").marked(
            f"the values of attribute {name} are lost", loses_data=True
        )
        for name in had
        if name not in has
    ]
    come = [
        about(key, f"ALTER TYPE {key.name} ADD ATTRIBUTE {name} {what} CASCADE")
        for name, what in has.items()
        if name not in had
    ]
    return [*gone, *come]


def _change_attribute_comments(
    world: World, key: ObjectKey, old: Value, new: Value
) -> list[Statement]:
    had = dict(item.split(": ", 1) for item in listed(old))
    has = dict(item.split(": ", 1) for item in listed(new))
    still = _attributes(world.b.get(key, "attributes"))
    lines = []
    for name in {**had, **has}:
        if had.get(name) != has.get(name) and name in still:
            text = literal(has[name]) if name in has else "NULL"
            lines.append(about(key, f"COMMENT ON COLUMN {key.name}.{name} IS {text}"))
    return lines


def _make_range(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    parts = {
        "subtype": get(key, "subtype"),
        "subtype_opclass": get(key, "operator_class"),
        "collation": get(key, "collation"),
        "canonical": _bare(get(key, "canonical")),
        "subtype_diff": _bare(get(key, "difference")),
        "multirange_type_name": get(key, "multirange"),
    }
    return [about(key, f"CREATE TYPE {key.name} AS RANGE ({_pairs(parts)})")]


def _make_base(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    if not get(key, "defined"):
        return []  # its shell was made before all functions
    length = get(key, "length")
    alignment = {"c": "char", "s": "int2", "i": "int4", "d": "double"}[get(key, "alignment")]
    storage = {"p": "plain", "e": "external", "m": "main", "x": "extended"}[get(key, "storage")]
    default = get(key, "default")
    parts = {
        **{
            name: _bare(get(key, prop))
            for name, prop in (
                ("input", "input"), ("output", "output"), ("receive", "receive"), ("send", "send"),
                ("typmod_in", "modifier_input"), ("typmod_out", "modifier_output"),
                ("analyze", "analyze"), ("subscript", "subscript"),
            )
        },
        "internallength": "variable" if length == -1 else str(length),
        "passedbyvalue": "true" if get(key, "by_value") else None,
        "alignment": alignment,
        "storage": storage,
        "category": literal(get(key, "category")),
        "preferred": "true" if get(key, "preferred") else None,
        "delimiter": literal(get(key, "delimiter")),
        "element": get(key, "element"),
        "collatable": "true" if get(key, "collatable") else None,
        "default": None if default is None else literal(default),
    }  # fmt: skip
    shown = parts["typmod_out"]
    if shown is None or parts["typmod_in"] is not None:
        return [about(key, f"CREATE TYPE {key.name} ({_pairs(parts)})")]
    # CREATE TYPE takes no output function for modifiers without one for input; ALTER TYPE does.
    parts["typmod_out"] = None
    return [
        about(key, f"CREATE TYPE {key.name} ({_pairs(parts)})"),
        about(key, f"ALTER TYPE {key.name} SET (TYPMOD_OUT = {shown})"),
    ]


def _drop_base(world: World, key: ObjectKey) -> list[Statement]:
    # Its own input and output functions depend on it, and it on them.
    return [about(key, f"DROP TYPE {key.name} CASCADE")]


def _bare(signature: str | None) -> str | None:
    """A function's name without its arguments; None for none."""
    return None if signature in (None, "-") else str(signature).split("(", 1)[0]


def _pairs(parts: dict[str, str | None]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in parts.items() if value is not None)


def _make_collation(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    locale, ctype = get(key, "locale"), get(key, "ctype")
    libc = get(key, "provider") == "libc"
    parts = {
        "provider": get(key, "provider"),
        "locale": None if libc and ctype != locale else literal(str(locale)),
        "lc_collate": literal(str(locale)) if libc and ctype != locale else None,
        "lc_ctype": literal(str(ctype)) if libc and ctype != locale else None,
        "deterministic": None if get(key, "deterministic") else "false",
        "rules": None if get(key, "rules") is None else literal(get(key, "rules")),
    }
    return [about(key, f"CREATE COLLATION {key.name} ({_pairs(parts)})")]


def _make_conversion(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    default = "DEFAULT " if get(key, "is_default") else ""
    return [
        about(
            key,
            f"CREATE {default}CONVERSION {key.name} FOR {literal(get(key, 'source'))}"
            f" TO {literal(get(key, 'target'))} FROM {_bare(get(key, 'function'))}",
        )
    ]


def _make_parser(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    parts = {
        "start": _bare(get(key, "start")),
        "gettoken": _bare(get(key, "token")),
        "end": _bare(get(key, "end")),
        "headline": _bare(get(key, "headline")),
        "lextypes": _bare(get(key, "types")),
    }
    return [about(key, f"CREATE TEXT SEARCH PARSER {key.name} ({_pairs(parts)})")]


def _make_template(world: World, key: ObjectKey) -> list[Statement]:
    parts = {
        "init": _bare(world.b.get(key, "init")),
        "lexize": _bare(world.b.get(key, "lexize")),
    }
    return [about(key, f"CREATE TEXT SEARCH TEMPLATE {key.name} ({_pairs(parts)})")]


def _make_dictionary(world: World, key: ObjectKey) -> list[Statement]:
    options = world.b.get(key, "options")
    inside = f"TEMPLATE = {world.b.get(key, 'template')}" + (f", {options}" if options else "")
    return [about(key, f"CREATE TEXT SEARCH DICTIONARY {key.name} ({inside})")]


_DICTIONARY_OPTION = re.compile(r"(\w+|\"(?:[^\"]|\"\")*\") = (E?'(?:[^'\\]|''|\\.)*'|[^,]+)")


def _change_dictionary(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    had = dict(_DICTIONARY_OPTION.findall(str(old or "")))
    has = dict(_DICTIONARY_OPTION.findall(str(new or "")))
    parts = [f"{name} = {value}" for name, value in has.items() if had.get(name) != value]
    parts += [name for name in had if name not in has]
    return [about(key, f"ALTER TEXT SEARCH DICTIONARY {key.name} ({', '.join(parts)})")]


def _make_configuration(world: World, key: ObjectKey) -> list[Statement]:
    parser = world.b.get(key, "parser")
    return [about(key, f"CREATE TEXT SEARCH CONFIGURATION {key.name} (PARSER = {parser})")]


def _change_mappings(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    had = dict(item.split(": ", 1) for item in listed(old))
    has = dict(item.split(": ", 1) for item in listed(new))
    start = f"ALTER TEXT SEARCH CONFIGURATION {key.name}"
    lines = [about(key, f"{start} DROP MAPPING FOR {token}") for token in had if token not in has]
    for token, names in has.items():
        if had.get(token) != names:
            verb = "ALTER" if token in had else "ADD"
            lines.append(about(key, f"{start} {verb} MAPPING FOR {token} WITH {names}"))
    return lines


def _drop_type(world: World, key: ObjectKey) -> list[Statement]:
    return [about(key, f"DROP {'DOMAIN' if key.kind == 'domain' else 'TYPE'} {key.name}")]


_BASE = (
    "defined length by_value alignment storage category preferred delimiter element input output"
    " receive send modifier_input modifier_output analyze subscript collatable default"
)

DATATYPE_KINDS = {
    "enum": Kind(
        _make_enum, _drop_type, {"labels": _change_labels, **GRANTED}, after=AFTER,
        decide=_decide_enum,
    ),
    "domain": Kind(
        _make_domain, _drop_type,
        {"not_null": _change_domain_null, "not_null_constraint": _name_domain_null,
         "default": _change_domain_default, **GRANTED},
        frozenset({"type", "collation"}), ("not_null_constraint", *AFTER),
    ),
    "domain constraint": Kind(
        _make_domain_constraint, _drop_domain_constraint,
        {"definition": _nothing, "validated": _validate, **COMMENT}, after=("comment",),
        decide=_decide_domain_constraint,
    ),
    "composite type": Kind(
        _make_composite, _drop_type,
        {"attributes": _change_attributes, "attribute_comments": _change_attribute_comments,
         **GRANTED},
        after=("attribute_comments", *AFTER), decide=_decide_composite,
    ),
    "range type": Kind(
        _make_range, _drop_type, GRANTED,
        frozenset({"subtype", "collation", "operator_class", "canonical", "difference",
                   "multirange"}), AFTER,
    ),
    "base type": Kind(_make_base, _drop_base, GRANTED, frozenset(_BASE.split()), AFTER),
    "collation": Kind(
        _make_collation, drop, OWNED,
        frozenset({"provider", "locale", "ctype", "deterministic", "rules"}), ("owner", "comment"),
    ),
    "conversion": Kind(
        _make_conversion, drop, OWNED, frozenset({"source", "target", "function", "is_default"}),
        ("owner", "comment"),
    ),
    "text search parser": Kind(
        _make_parser, drop, COMMENT, frozenset({"start", "token", "end", "headline", "types"}),
        ("comment",),
    ),
    "text search template": Kind(
        _make_template, drop, COMMENT, frozenset({"init", "lexize"}), ("comment",)
    ),
    "text search dictionary": Kind(
        _make_dictionary, drop, {"options": _change_dictionary, **OWNED},
        frozenset({"template"}), ("owner", "comment"),
    ),
    "text search configuration": Kind(
        _make_configuration, drop, {"mappings": _change_mappings, **OWNED},
        frozenset({"parser"}), ("mappings", "owner", "comment"),
    ),
}  # fmt: skip
