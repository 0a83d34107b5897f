"""What changed in the schema, object by object, as the page shows it.

A changed object is one table for all sides, whichever of them differ; an object that came or went
is told once for all the sides where it did so in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import cast

from markupsafe import Markup

from cowdb.controller.diff.model import (
    Contained,
    Details,
    PropertyChange,
    Report,
    SchemaChange,
    Value,
)
from cowdb.controller.diff.page.definition import definition, others
from cowdb.controller.diff.page.marks import TextLine, pair, text_lines
from cowdb.controller.diff.page.text import shown, value


@dataclass(frozen=True)
class Cell:
    """:param state: old or new (this value is one of those that differ), same, absent, conflict."""

    state: str
    text: Markup


@dataclass(frozen=True)
class Property:
    name: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Text:
    """A text of several lines, on the first side and on another."""

    name: str
    side: str
    lines: Sequence[TextLine]


@dataclass(frozen=True)
class Part:
    """An object that came or went, or what did so inside one."""

    kind: str
    name: str
    definition: Markup
    others: Sequence[tuple[str, Markup]]


@dataclass(frozen=True)
class Object:
    """:param change: added, removed or changed.
    :param sides: those that differ from the first one.
    :param columns: the labels over the cells of `properties`.
    :param conflict: two sides changed it to different ends; `notes` say more."""

    id: str
    kind: str
    name: str
    change: str
    sides: Sequence[str]
    columns: Sequence[str] = ()
    properties: Sequence[Property] = ()
    texts: Sequence[Text] = ()
    whole: Part | None = None
    parts: Sequence[Part] = ()
    conflict: bool = False
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Kind:
    """All objects of one kind, under one heading."""

    id: str
    title: str
    objects: Sequence[Object]


def schema_kinds(report: Report) -> list[Kind]:
    """In the order of the report, which is that of kinds and names."""
    objects = _objects(report)
    return [
        Kind(f"k{place}", plural(kind), tuple(found))
        for place, (kind, found) in enumerate(groupby(objects, key=lambda item: item.kind))
    ]


def plural(kind: str) -> str:
    """`foreign tables` of `foreign table`."""
    for end, instead in (("y", "ies"), ("ss", "sses"), ("x", "xes"), ("s", "s")):
        if kind.endswith(end) and not kind.endswith(("ey", "ay")):
            return kind.removesuffix(end) + instead
    return kind + "s"


def _objects(report: Report) -> list[Object]:
    found = []
    for key, changes in groupby(report["schema"], key=lambda item: (item["kind"], item["name"])):
        del key
        of_object = list(changes)
        changed = [item for item in of_object if item["change"] == "changed"]
        if changed:
            found.append(_changed(changed, of_object, report["sides"]))
        found += [_whole(same) for same in _alike(of_object)]
    return [_numbered(item, place) for place, item in enumerate(found)]


def _numbered(item: Object, place: int) -> Object:
    return replace(item, id=f"o{place}")


def _alike(changes: Iterable[SchemaChange]) -> list[list[SchemaChange]]:
    """Those that came, and those that went, in the same way."""
    groups: list[list[SchemaChange]] = []
    for item in changes:
        if item["change"] == "changed":
            continue
        for group in groups:
            if (group[0]["change"], group[0]["details"]) == (item["change"], item["details"]):
                group.append(item)
                break
        else:
            groups.append([item])
    return groups


def _whole(changes: Sequence[SchemaChange]) -> Object:
    first = changes[0]
    details = cast(Mapping[str, Value | list[Contained]], first["details"])
    own = cast(dict[str, Value], {name: v for name, v in details.items() if name != "contains"})
    contains = cast(list[Contained], details.get("contains", []))
    return Object(
        id="",
        kind=first["kind"],
        name=first["name"],
        change=first["change"],
        sides=[item["side"] for item in changes],
        whole=part(first["kind"], first["name"], own),
        parts=[
            part(item["kind"], _inner(item["name"], first["name"]), item["details"])
            for item in contains
        ],
    )


def _inner(name: str, outer: str) -> str:
    """A column without the name of its table, which stands above it."""
    return name.removeprefix(outer + ".")


def part(kind: str, name: str, properties: Mapping[str, Value]) -> Part:
    told, used = definition(kind, properties)
    left = [(name, value(item)) for name, item in others(properties, used)]
    return Part(kind, name, shown(told, code=True) if told else Markup(""), left)


def _changed(
    changes: Sequence[SchemaChange], all_changes: Sequence[SchemaChange], sides: Sequence[str]
) -> Object:
    by_side = {item["side"]: _by_name(item["details"]) for item in changes}
    gone = {item["side"] for item in all_changes if item["change"] == "removed"}
    names = dict.fromkeys(name for found in by_side.values() for name in found)
    texts, properties = [], []
    for name in names:
        values = {side: found[name] for side, found in by_side.items() if name in found}
        if any(has_lines(item) for pair_ in values.values() for item in pair_):
            texts += [
                Text(name, side, text_lines(text(one), text(two)))
                for side, (one, two) in values.items()
            ]
        else:
            properties.append(Property(name, _cells(values, sides, gone)))
    return Object(
        id="",
        kind=changes[0]["kind"],
        name=changes[0]["name"],
        change="changed",
        sides=list(by_side),
        columns=list(sides),
        properties=properties,
        texts=texts,
    )


def _by_name(details: Details) -> dict[str, tuple[Value, Value]]:
    return {
        item["property"]: (item["values"][0], item["values"][1])
        for item in cast(list[PropertyChange], details)
    }


def has_lines(item: Value) -> bool:
    """Whether it is a text to be shown line by line."""
    return isinstance(item, str) and "\n" in item


def text(item: Value) -> str:
    """Where there is none, an empty one."""
    return "" if item is None else str(item)


def _cells(
    values: Mapping[str, tuple[Value, Value]], sides: Sequence[str], gone: set[str]
) -> list[Cell]:
    """The first side's value, and each other side's beside it.

    With two sides, what changed is marked inside both; with more, inside the others only, since
    the first differs from each of them in another way.
    """
    first = next(iter(values.values()))[0]
    if len(sides) == 2:
        old, new = pair(*next(iter(values.values())))
        return [Cell("old", old), Cell("new", new)]
    cells = [Cell("same", value(first))]
    for side in sides[1:]:
        if side in values:
            cells.append(Cell("new", pair(*values[side])[1]))
        elif side in gone:
            cells.append(Cell("absent", Markup("<i class=nil>removed</i>")))
        else:
            cells.append(Cell("same", Markup("<i class=nil>the same</i>")))
    return cells
