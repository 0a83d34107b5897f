"""Which tables a comparison is about: shell globs against names that are quoted as in SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from cowdb.controller.diff.model import ObjectKey, Schema

RELATIONS = frozenset({"table", "foreign table", "view", "materialized view"})

_PART = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')


def name_parts(name: str) -> list[str]:
    """The identifiers in a qualified name, without their quotes: `a."b.c"` gives a and b.c."""
    return [
        found[1].replace('""', '"') if found[1] is not None else found[2]
        for found in _PART.finditer(name)
    ]


def is_chosen(table: str, globs: Sequence[str]) -> bool:
    """Whether a table is asked for; every table is, where there is no pattern."""
    if not globs:
        return True
    parts = name_parts(table)
    forms = (table, ".".join(parts), parts[-1])
    return any(fnmatchcase(form, glob) for form in forms for glob in globs)


def chosen_part(schema: Schema, globs: Sequence[str]) -> Schema:
    """The tables and views that the patterns name, with everything that belongs to them."""
    if not globs:
        return schema
    return {key: value for key, value in schema.items() if _belongs(key, schema, globs)}


def _belongs(key: ObjectKey, schema: Schema, globs: Sequence[str]) -> bool:
    if key.kind in RELATIONS:
        return is_chosen(key.name, globs)
    # The first place is the object's own table; the others are where it was inherited from.
    home = schema[key].inside[:1] if key in schema else ()
    return any(_belongs(place, schema, globs) for place in home)
