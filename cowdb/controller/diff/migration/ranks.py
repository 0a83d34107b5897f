"""The order among objects that do not depend on each other."""

from __future__ import annotations

from cowdb.controller.diff.migration.facts import Facts
from cowdb.controller.diff.model import ObjectKey

_ORDER = (
    "role", "role membership", "role setting", "database", "parameter", "schema",
    "extension", "language", "access method", "collation", "conversion",
    "base type", "enum", "composite type", "range type", "domain", "domain constraint",
    "foreign data wrapper", "foreign server", "user mapping", "sequence", "procedure", "function",
    "window function", "aggregate", "operator", "operator family", "operator class", "cast",
    "transform", "text search parser", "text search template", "text search dictionary",
    "text search configuration", "table", "foreign table", "column", "default", "attach",
    "constraint", "index", "view", "materialized view", "statistics", "rule", "trigger", "policy",
    "publication", "subscription", "event trigger", "default privileges",
)  # fmt: skip
_RANKS = {kind: place for place, kind in enumerate(_ORDER)}


def rank(facts: Facts, key: ObjectKey) -> tuple[int, str, int, str]:
    """Columns by their place in the table, everything else by name."""
    place = 0
    home = ""
    if key.kind == "column" and key in facts.schema:
        table = facts.home(key)
        home = table.name
        order = facts.get(table, "column_order") or []
        name = key.name[len(home) + 1 :]
        place = order.index(name) if name in order else 0
    return _RANKS.get(key.kind, len(_RANKS)), home, place, key.name
