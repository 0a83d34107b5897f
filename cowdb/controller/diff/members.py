"""What belongs to an extension: compared where both sides have the same version in one schema.

Another version, another schema or none is one difference and not one for each of its members.
"""

from __future__ import annotations

from cowdb.controller.diff.model import ObjectKey, Schema


def comparable(first: Schema, other: Schema) -> tuple[Schema, Schema]:
    """Both schemas without the members of extensions that are not the same on the two."""
    unequal = _unequal(first, other)
    return (_without(first, unequal), _without(other, unequal)) if unequal else (first, other)


def unequal_extensions(first: Schema, other: Schema) -> list[str]:
    """The extensions that both sides have, but not alike."""
    return sorted(key.name for key in _unequal(first, other) if key in first and key in other)


def _unequal(first: Schema, other: Schema) -> set[ObjectKey]:
    return {
        key
        for key in first.keys() | other.keys()
        if key.kind == "extension" and _place(first, key) != _place(other, key)
    }


def _place(schema: Schema, key: ObjectKey) -> object:
    if key not in schema:
        return None
    properties = schema[key].properties
    return properties.get("version"), properties.get("schema")


def _without(schema: Schema, extensions: set[ObjectKey]) -> Schema:
    """Without what lies inside one of them, however deep."""
    inside: dict[ObjectKey, bool] = {}

    def lies_inside(key: ObjectKey) -> bool:
        if key not in inside:
            inside[key] = False  # nothing lies inside itself, but a loop must end
            places = schema[key].inside if key in schema else ()
            inside[key] = any(place in extensions or lies_inside(place) for place in places)
        return inside[key]

    return {key: value for key, value in schema.items() if not lies_inside(key)}
