"""Tables that one branch has renamed: the same table under two names.

That two branches' tables have one oid and one file says little: each may have made its own after
they parted. But a block of the file (or of an index's) that neither branch has written since their
common snapshot can only be there where both still keep what the snapshot had in it.

What belongs to such a table on the other side is then told under the name that it has on the first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from cowdb.controller.diff.counts import Counted
from cowdb.controller.diff.model import (
    Changes,
    Described,
    ObjectKey,
    PropertyChange,
    Renamed,
    Schema,
    SchemaChange,
    Side,
    Value,
)

Ranges = Sequence[Sequence[int]]
Names = Mapping[str, str]
"""For a table's name on the other side, that on the first."""

_TABLES = b"""
SELECT format('%I.%I', n.nspname, c.relname), c.oid::bigint, (
    SELECT json_agg(json_build_array(f.oid::bigint, pg_relation_filepath(f.oid),
        coalesce(pg_relation_size(f.oid) / current_setting('block_size')::int, 0)))
    FROM pg_class f WHERE f.oid = c.oid
        OR f.oid IN (SELECT i.indexrelid FROM pg_index i WHERE i.indrelid = c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""
# Their text is what somebody wrote; a definition of the others is printed anew with every name.
_WRITTEN = frozenset({"function", "procedure", "aggregate", "window function"})


@dataclass(frozen=True)
class Stored:
    """:param files: the table's and its indexes': by (oid, path), how many blocks."""

    oid: int
    files: Mapping[tuple[int, str], int]


def find(
    first: tuple[Side, psycopg.Connection[Any]], other: tuple[Side, psycopg.Connection[Any]],
    changes: Changes | None,
) -> Names:  # fmt: skip
    """:param changes: asks the host; only called where a table may have been renamed."""
    if changes is None or first[0].branch is None or other[0].branch is None:
        return {}
    tables = read(first[1]), read(other[1])
    if not candidates(*tables):
        return {}
    where, _ = changes(first[0].branch, other[0].branch)
    return {} if where is None else proven(*tables, where)


def read(conn: psycopg.Connection[Any]) -> dict[str, Stored]:
    return {name: Stored(oid, {(number, path): pages for number, path, pages in files if path})
            for name, oid, files in conn.execute(_TABLES).fetchall()}  # fmt: skip


def candidates(first: Mapping[str, Stored], other: Mapping[str, Stored]) -> Names:
    """Tables of one oid, whose name the other side does not have. Pure."""
    lone = {table.oid: name for name, table in first.items() if name not in other}
    return {name: lone[table.oid] for name, table in other.items()
            if name not in first and table.oid in lone}  # fmt: skip


def proven(
    first: Mapping[str, Stored], other: Mapping[str, Stored], where: Mapping[str, Ranges]
) -> Names:
    """:param where: the blocks that a side has written, by file. Pure."""
    return {
        name: before
        for name, before in candidates(first, other).items()
        if any(
            _untouched(min(pages, other[name].files[file]), where.get(file[1], ()))
            for file, pages in first[before].files.items()
            if file in other[name].files
        )
    }


def _untouched(pages: int, ranges: Ranges) -> bool:
    """Whether a file has a block that nobody has written."""
    return pages > sum(max(0, min(high, pages) - low) for low, high in ranges)


def renamed_schema(schema: Schema, names: Names) -> Schema:
    """Each of these tables, and all that is named after it, under its first name."""
    for after, before in names.items():
        word = re.compile(rf'(?<![\w."$]){re.escape(after)}(?![\w"$])')
        schema = {
            _key(key, after, before): Described(
                {name: value if key.kind in _WRITTEN else _text(value, word, before)
                 for name, value in described.properties.items()},
                tuple(_key(place, after, before) for place in described.inside),
            )
            for key, described in schema.items()
        }  # fmt: skip
    return schema


def _key(key: ObjectKey, after: str, before: str) -> ObjectKey:
    if key.name == after or key.name.startswith(f"{after}."):
        return ObjectKey(key.kind, before + key.name[len(after) :])
    return key


def _text(value: Value, word: re.Pattern[str], before: str) -> Value:
    if isinstance(value, str):
        return word.sub(lambda _: before, value)
    if isinstance(value, list):
        return [word.sub(lambda _: before, item) for item in value]
    return value


def renamed_counts(counted: Counted, names: Names) -> Counted:
    def told(lines: Mapping[str, Any]) -> dict[str, Any]:
        return {names.get(name, name): value for name, value in lines.items()}

    return replace(counted, rows=told(counted.rows), failed=told(counted.failed),
                   left_out=told(counted.left_out), method=told(counted.method))  # fmt: skip


def listed(labels: Sequence[str], names: Sequence[Names]) -> list[Renamed]:
    """:param labels, names: of all sides but the first."""
    return [
        {"kind": "table", "side": label, "names": [before, after]}
        for label, own in zip(labels, names, strict=True)
        for after, before in sorted(own.items(), key=lambda item: item[1])
    ]


def with_names(changes: Sequence[SchemaChange], renamed: Sequence[Renamed]) -> list[SchemaChange]:
    """The schema's changes, and that a table has another name as one of its properties."""
    found = list(changes)
    for item in renamed:
        before, after = item["names"]
        detail: PropertyChange = {"property": "name", "values": [before, after]}
        for place, change in enumerate(found):
            if (change["kind"], change["name"], change["side"]) == ("table", before, item["side"]):
                assert isinstance(change["details"], list)
                found[place] = {**change, "details": [detail, *change["details"]]}
                break
        else:
            found.append({"kind": "table", "name": before, "change": "changed",
                          "side": item["side"], "details": [detail]})  # fmt: skip
    return found
