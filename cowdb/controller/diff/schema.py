"""Compares two schemas, purely: what was added, removed, and which properties changed.

What comes or goes with a table is told inside the table's entry and not beside it. The order of
the result depends on nothing but the objects' kinds and names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cowdb.controller.diff.hidden import shown
from cowdb.controller.diff.members import comparable
from cowdb.controller.diff.model import (
    Change,
    Contained,
    Described,
    ObjectKey,
    PropertyChange,
    Schema,
    SchemaChange,
    Value,
)

RANKS = {
    kind: rank
    for rank, kind in enumerate(
        (
            "role", "role membership", "role setting", "tablespace", "parameter",
            "replication origin", "database", "extension", "language", "access method", "schema",
            "collation", "conversion", "base type", "enum", "domain", "domain constraint",
            "composite type", "range type", "foreign data wrapper", "foreign server",
            "user mapping", "sequence", "table", "foreign table", "column", "constraint", "index",
            "statistics", "view", "materialized view", "function", "procedure", "aggregate",
            "window function", "trigger", "rule", "policy", "event trigger", "operator",
            "operator family", "operator class", "cast", "transform", "text search parser",
            "text search template", "text search dictionary", "text search configuration",
            "publication", "subscription", "default privileges", "large object", "security label",
            "system object",
        )
    )
}  # fmt: skip

ORDER = "column_order"


def compare_schemas(first: Schema, other: Schema, side: str) -> list[SchemaChange]:
    """What makes `other` (labelled `side`) differ from `first`."""
    first, other = comparable(first, other)
    found = [
        *_whole(first, first.keys() - other.keys(), "removed", side),
        *_whole(other, other.keys() - first.keys(), "added", side),
    ]
    for key in first.keys() & other.keys():
        details = compare_properties(key.kind, first[key].properties, other[key].properties)
        if details:
            found.append(_entry(key, "changed", side, details))
    return sorted(found, key=lambda change: _place(ObjectKey(change["kind"], change["name"])))


def compare_sides(schemas: Sequence[Schema], labels: Sequence[str]) -> list[SchemaChange]:
    """Every other side against the first, in the order of the objects, then of the sides."""
    found = [
        (rank, change)
        for rank, (schema, label) in enumerate(zip(schemas[1:], labels[1:], strict=True))
        for change in compare_schemas(schemas[0], schema, label)
    ]
    found.sort(key=lambda pair: (_place(ObjectKey(pair[1]["kind"], pair[1]["name"])), pair[0]))
    return [change for _, change in found]


def compare_properties(
    kind: str, first: Mapping[str, Value], other: Mapping[str, Value]
) -> list[PropertyChange]:
    """The properties that differ; one that a side does not have counts as null there."""
    names = [*first, *(name for name in other if name not in first)]
    return [
        {"property": name, "values": [shown(kind, name, one), shown(kind, name, two)]}
        for name in names
        if _differs(name, one := first.get(name), two := other.get(name))
    ]


def _differs(name: str, one: Value, two: Value) -> bool:
    if name == ORDER and isinstance(one, list) and isinstance(two, list):
        # A column that came or went is reported itself; it must not move all that follow it.
        both = set(one) & set(two)
        return [item for item in one if item in both] != [item for item in two if item in both]
    return one != two


def _whole(schema: Schema, keys: set[ObjectKey], change: Change, side: str) -> list[SchemaChange]:
    parts: dict[ObjectKey, list[ObjectKey]] = {key: [] for key in keys}
    for key in keys:
        root = _root(key, schema, keys)
        if root != key:
            parts[root].append(key)
    contained = {key for inner in parts.values() for key in inner}
    return [
        _entry(key, change, side, _whole_details(key, schema, sorted(inner, key=_place)))
        for key, inner in parts.items()
        if key not in contained
    ]


def _root(key: ObjectKey, schema: Schema, keys: set[ObjectKey]) -> ObjectKey:
    """The outermost object that comes or goes together with this one."""
    for place in schema[key].inside:
        if place in keys:
            return _root(place, schema, keys)
    return key


def _whole_details(
    key: ObjectKey, schema: Schema, inner: list[ObjectKey]
) -> dict[str, Value | list[Contained]]:
    details: dict[str, Value | list[Contained]] = {**_all_shown(key.kind, schema[key])}
    if inner:
        contains: list[Contained] = [
            {"kind": part.kind, "name": part.name, "details": _all_shown(part.kind, schema[part])}
            for part in inner
        ]
        details["contains"] = contains
    return details


def _all_shown(kind: str, described: Described) -> dict[str, Value]:
    return {name: shown(kind, name, value) for name, value in described.properties.items()}


def _entry(
    key: ObjectKey,
    change: Change,
    side: str,
    details: list[PropertyChange] | dict[str, Value | list[Contained]],
) -> SchemaChange:
    return {
        "kind": key.kind,
        "name": key.name,
        "change": change,
        "side": side,
        "details": details,
    }


def _place(key: ObjectKey) -> tuple[int, str, str]:
    return RANKS.get(key.kind, len(RANKS)), key.kind, key.name
