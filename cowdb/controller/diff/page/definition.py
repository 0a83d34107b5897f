"""What one wants to know first of an object that came or went, in the words of its definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cowdb.controller.diff.model import Value

_FIRST = ("definition", "body", "labels", "attributes", "version", "type", "result", "partition_of")
"""Of these the first that is set tells what the object is."""


def definition(kind: str, properties: Mapping[str, Value]) -> tuple[str, frozenset[str]]:
    """The definition, empty where there is none to give, and the properties that are told in it."""
    if kind == "column":
        return _column(properties)
    for name in _FIRST:
        item = properties.get(name)
        if item not in (None, [], ""):
            words = ", ".join(item) if isinstance(item, list) else str(item)
            return (f"of {words}" if name == "partition_of" else words), frozenset({name})
    return "", frozenset()


def others(properties: Mapping[str, Value], told: frozenset[str]) -> Iterator[tuple[str, Value]]:
    """The properties that are set and not told yet."""
    for name, item in properties.items():
        if name not in told and item not in (None, [], ""):
            yield name, item


def _column(properties: Mapping[str, Value]) -> tuple[str, frozenset[str]]:
    forms = {
        "type": "{}",
        "collation": "collate {}",
        "not_null": "not null",
        "default": "default {}",
        "identity": "generated {} as identity",
        "generated": "generated as {}",
    }
    words = [form.format(properties[name]) for name, form in forms.items() if properties.get(name)]
    return " ".join(words), frozenset(forms)
