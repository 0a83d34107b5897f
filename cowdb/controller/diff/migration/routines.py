"""Functions and what is made of them: aggregates, triggers on events, casts, operators."""

from __future__ import annotations

from collections.abc import Sequence

from cowdb.controller.diff.migration.common import (
    AFTER,
    COMMENT,
    DEPENDING,
    GRANTED,
    OWNED,
    drop,
    listed,
)
from cowdb.controller.diff.migration.statement import Statement, about
from cowdb.controller.diff.migration.words import literal
from cowdb.controller.diff.migration.world import Fate, Kind, World
from cowdb.controller.diff.model import ObjectKey, Value


def _make_function(world: World, key: ObjectKey) -> list[Statement]:
    return [about(key, world.b.more(key, "definition")[0].rstrip())]


_IN_PLACE = frozenset({
    "language", "volatility", "strict", "security_definer", "leakproof", "parallel", "cost", "rows",
    "settings", "support", "transforms", "body", "library",
})  # fmt: skip


def _decide_function(world: World, key: ObjectKey, names: frozenset[str]) -> Fate:
    return Fate.REPLACE if names & {"arguments", "result"} else Fate.ALTER


def _change_function(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    """All properties in one statement; the plan drops what is said twice."""
    return _make_function(world, key)


def _name(signature: str | None) -> str | None:
    return None if signature in (None, "-") else str(signature).split("(", 1)[0]


def _pairs(parts: dict[str, str | None]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in parts.items() if value is not None)


_MODIFY = {"r": "read_only", "s": "shareable", "w": "read_write"}


def _make_aggregate(world: World, key: ObjectKey) -> list[Statement]:
    def get(name: str) -> str | None:
        value = world.b.get(key, name)
        return None if value is None else str(value)

    def text(name: str) -> str | None:
        value = get(name)
        return None if value is None else literal(value)

    def size(name: str) -> str | None:
        value = get(name)
        return None if value == "0" else value

    moving = get("moving_state_type") is not None
    parts = {
        "sfunc": _name(get("transition")),
        "stype": get("state_type"),
        "sspace": size("state_size"),
        "finalfunc": _name(get("final")),
        "finalfunc_modify": _MODIFY[str(get("final_modify"))] if get("final") else None,
        "combinefunc": _name(get("combine")),
        "serialfunc": _name(get("serialize")),
        "deserialfunc": _name(get("deserialize")),
        "initcond": text("initial_value"),
        "msfunc": _name(get("moving_transition")) if moving else None,
        "minvfunc": _name(get("moving_inverse")) if moving else None,
        "mstype": get("moving_state_type"),
        "msspace": size("moving_state_size"),
        "mfinalfunc": _name(get("moving_final")),
        "mfinalfunc_modify": _MODIFY[str(get("moving_final_modify"))]
        if get("moving_final")
        else None,
        "minitcond": text("moving_initial_value"),
        "sortop": None
        if get("sort_operator") is None
        else f"OPERATOR({str(get('sort_operator')).split('(', 1)[0]})",
        "parallel": get("parallel"),
    }
    inside = _pairs(parts)
    if world.b.get(key, "final_extra"):
        inside += ", finalfunc_extra"
    if world.b.get(key, "moving_final_extra"):
        inside += ", mfinalfunc_extra"
    if get("type") == "hypothetical set":
        inside += ", hypothetical"
    name = key.name[: key.name.index("(")] if '"' not in key.name else _before_arguments(key.name)
    return [about(key, f"CREATE AGGREGATE {name}({get('arguments') or '*'}) ({inside})")]


def _before_arguments(name: str) -> str:
    """The name up to the parenthesis that is not inside quotes."""
    quoted = False
    for place, letter in enumerate(name):
        quoted ^= letter == '"'
        if letter == "(" and not quoted:
            return name[:place]
    return name


def enable_word(state: Value) -> str:
    return {
        "enabled": "ENABLE", "disabled": "DISABLE", "on replicas": "ENABLE REPLICA",
        "always": "ENABLE ALWAYS",
    }[str(state)]  # fmt: skip


def _make_event_trigger(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    tags = ", ".join(map(literal, listed(get(key, "tags"))))
    when = f" WHEN TAG IN ({tags})" if tags else ""
    sql = f"CREATE EVENT TRIGGER {key.name} ON {get(key, 'event')}{when}"
    return [about(key, f"{sql} EXECUTE FUNCTION {get(key, 'function')}")]


def _enable_event_trigger(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
    if old is None and new == "enabled":
        return []
    return [about(key, f"ALTER EVENT TRIGGER {key.name} {enable_word(new)}")]


def _make_language(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    sql = f"CREATE {'TRUSTED ' if get(key, 'trusted') else ''}LANGUAGE {key.name}"
    sql += f" HANDLER {_name(get(key, 'handler'))}"
    for word, name in (("INLINE", "inline"), ("VALIDATOR", "validator")):
        if (function := _name(get(key, name))) is not None:
            sql += f" {word} {function}"
    return [about(key, sql)]


def _make_access_method(world: World, key: ObjectKey) -> list[Statement]:
    kind, handler = world.b.get(key, "type"), world.b.get(key, "handler")
    sql = f"CREATE ACCESS METHOD {key.name} TYPE {kind.upper()} HANDLER {_name(handler)}"
    return [about(key, sql)]


def _make_cast(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    how = {
        "function": f"WITH FUNCTION {get(key, 'function')}",
        "inout": "WITH INOUT",
        "binary": "WITHOUT FUNCTION",
    }[get(key, "method")]
    when = {"implicit": " AS IMPLICIT", "assignment": " AS ASSIGNMENT"}.get(get(key, "context"), "")
    return [about(key, f"CREATE CAST ({key.name}) {how}{when}")]


def _make_transform(world: World, key: ObjectKey) -> list[Statement]:
    parts = []
    for word, name in (("FROM", "from_sql"), ("TO", "to_sql")):
        if (function := world.b.get(key, name)) is not None:
            parts.append(f"{word} SQL WITH FUNCTION {function}")
    return [about(key, f"CREATE TRANSFORM {key.name} ({', '.join(parts)})")]


def _operator_name(signature: str) -> str:
    """`public.+(integer,integer)` as OPERATOR(public.+)."""
    return f"OPERATOR({signature[: signature.rindex('(')]})"


def _make_operator(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    name, arguments = key.name[:-1].rsplit("(", 1)
    # A type's own name may hold a comma: numeric arguments have no modifiers here.
    left, right = arguments.split(", ", 1)
    commutator, negator = get(key, "commutator"), get(key, "negator")
    parts = {
        "FUNCTION": _name(get(key, "function")),
        "LEFTARG": None if left == "none" else left,
        "RIGHTARG": right,
        "COMMUTATOR": None if commutator in (None, "0") else _operator_name(commutator),
        "NEGATOR": None if negator in (None, "0") else _operator_name(negator),
        "RESTRICT": _name(get(key, "restrict")),
        "JOIN": _name(get(key, "join")),
    }
    inside = _pairs(parts)
    inside += ", HASHES" if get(key, "hashes") else ""
    inside += ", MERGES" if get(key, "merges") else ""
    return [about(key, f"CREATE OPERATOR {name} ({inside})")]


def _drop_operator(world: World, key: ObjectKey) -> list[Statement]:
    return [about(key, f"DROP OPERATOR {key.name}")]


def _estimator(word: str) -> object:
    def change(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
        name = _name(None if new is None else str(new)) or "NONE"
        return [about(key, f"ALTER OPERATOR {key.name} SET ({word} = {name})")]

    return change


def _member(item: str) -> str:
    """A member as the catalog prints it, as CREATE OPERATOR CLASS wants it."""
    if item.startswith("function "):
        number, function = _function_member(item.removeprefix("function "))
        return f"FUNCTION {number} {function}"
    number, rest = item.split(" ", 1)
    operator, _, purpose = rest.rpartition(") ")
    order = purpose.removeprefix("order by ") if purpose.startswith("order by ") else ""
    return f"OPERATOR {number} {operator})" + (f" FOR ORDER BY {order}" if order else "")


def _function_member(item: str) -> tuple[str, str]:
    """`1(integer, integer) f(..)` as `1` and `(integer, integer) f(..)`."""
    place = item.index("(")
    return item[:place], item[place:]


def _make_class(world: World, key: ObjectKey) -> list[Statement]:
    get = world.b.get
    name, method = key.name.rsplit(" using ", 1)
    members = [_member(item) for item in listed(world.b.more(key, "members"))]
    if get(key, "storage") is not None:
        members.append(f"STORAGE {get(key, 'storage')}")
    if not members:
        members = [f"STORAGE {get(key, 'type')}"]
    default = "DEFAULT " if get(key, "is_default") else ""
    return [
        about(
            key,
            f"CREATE OPERATOR CLASS {name} {default}FOR TYPE {get(key, 'type')} USING {method}"
            f" FAMILY {get(key, 'family')} AS {', '.join(members)}",
        )
    ]


def _make_family(world: World, key: ObjectKey) -> list[Statement]:
    return [about(key, f"CREATE OPERATOR FAMILY {key.name}")]


def _class_members(world: World, key: ObjectKey, side: str) -> set[str]:
    """Members of a family that come and go with a class which comes or goes."""
    facts = world.a if side == "a" else world.b
    method = key.name.rsplit(" using ", 1)[1]
    name = key.name.rsplit(" using ", 1)[0]
    moving = (Fate.DROP, Fate.REPLACE) if side == "a" else (Fate.CREATE, Fate.REPLACE)
    return {
        item
        for one in facts.schema
        if one.kind == "operator class"
        and one.name.endswith(f" using {method}")
        and facts.get(one, "family") == name
        and world.of(one) in moving
        for item in listed(facts.more(one, "members"))
    }


def _change_members(function: bool) -> object:
    def change(world: World, key: ObjectKey, old: Value, new: Value) -> list[Statement]:
        prefix = "function " if function else ""
        had = {prefix + item for item in listed(old)} - _class_members(world, key, "a")
        has = {prefix + item for item in listed(new)} - _class_members(world, key, "b")
        gone = [_dropped_member(item) for item in sorted(had - has)]
        come = [_member(item) for item in sorted(has - had)]
        start = f"ALTER OPERATOR FAMILY {key.name}"
        lines = [about(key, f"{start} DROP {', '.join(gone)}")] if gone else []
        return lines + ([about(key, f"{start} ADD {', '.join(come)}")] if come else [])

    return change


def _dropped_member(item: str) -> str:
    if item.startswith("function "):
        number, rest = _function_member(item.removeprefix("function "))
        return f"FUNCTION {number} {rest[: rest.index(')') + 1]}"
    number, rest = item.split(" ", 1)
    types = rest[rest.index("(") : rest.rindex(")") + 1]
    return f"OPERATOR {number} {types}"


def _signature(names: str) -> frozenset[str]:
    return frozenset(names.split())


_AGGREGATE: Sequence[str] = [
    "arguments",
    "result",
    "type",
    "direct_arguments",
    "transition",
    "state_type",
    "state_size",
    "initial_value",
    "final",
    "final_extra",
    "final_modify",
    "combine",
    "serialize",
    "deserialize",
    "moving_transition",
    "moving_inverse",
    "moving_final",
    "moving_state_type",
    "moving_state_size",
    "moving_initial_value",
    "moving_final_extra",
    "moving_final_modify",
    "sort_operator",
    "parallel",
]

_FUNCTION = Kind(
    _make_function, drop, {**dict.fromkeys(_IN_PLACE, _change_function), **GRANTED, **DEPENDING},
    frozenset({"arguments", "result"}), (*AFTER, "depends_on_extensions"), _decide_function,
)  # fmt: skip

ROUTINE_KINDS = {
    "function": _FUNCTION,
    "procedure": _FUNCTION,
    "window function": _FUNCTION,
    "aggregate": Kind(
        _make_aggregate, drop, {**GRANTED, **DEPENDING}, frozenset(_AGGREGATE),
        (*AFTER, "depends_on_extensions"),
    ),
    "event trigger": Kind(
        _make_event_trigger, drop, {"enabled": _enable_event_trigger, **OWNED},
        _signature("event tags function"), ("enabled", "owner", "comment"),
    ),
    "language": Kind(
        _make_language, drop, GRANTED, _signature("trusted handler inline validator"), AFTER
    ),
    "access method": Kind(
        _make_access_method, drop, COMMENT, _signature("handler type"), ("comment",)
    ),
    "cast": Kind(
        _make_cast, drop, COMMENT, _signature("context method function"), ("comment",)
    ),
    "transform": Kind(
        _make_transform, drop, COMMENT, _signature("from_sql to_sql"), ("comment",)
    ),
    "operator": Kind(
        _make_operator, _drop_operator,
        {"restrict": _estimator("RESTRICT"), "join": _estimator("JOIN"), **OWNED},  # type: ignore[dict-item]
        _signature("result function commutator negator merges hashes"), ("owner", "comment"),
    ),
    "operator class": Kind(
        _make_class, drop, OWNED, _signature("family type is_default storage members"),
        ("owner", "comment"),
    ),
    "operator family": Kind(
        _make_family, drop,
        {"operators": _change_members(False), "functions": _change_members(True), **OWNED},  # type: ignore[dict-item]
        frozenset(), ("owner", "comment"),
    ),
}  # fmt: skip
