"""Two streams of rows in the same order, merged into what was added, removed and changed. Pure,
and bounded in memory: it keeps the current rows and a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from cowdb.controller.diff.model import Change, RowChange
from cowdb.controller.diff.rows.record import fields

Row: TypeAlias = tuple[bytes, bytes]
"""(order, text): `order` is the key's text, or anything else that sorts both sides alike and is
equal for what is to be matched; `text` is the whole row."""
Told: TypeAlias = Callable[[bytes | None, bytes | None], None]
"""Hears of every difference, from any thread: the row's text on the first side and on the other,
None where there is no such row."""


@dataclass
class Found:
    """How two sides of one table differ.

    :param columns: in how many changed rows each column differs.
    :param sample: the first few, as the report's JSON has them.
    """

    added: int = 0
    removed: int = 0
    changed: int = 0
    columns: dict[str, int] = field(default_factory=dict)
    sample: list[RowChange] = field(default_factory=list)


@dataclass(frozen=True)
class Names:
    """:param columns: of the row's text. :param key: those of them that are the key, if any.
    :param told: hears of each difference."""

    columns: Sequence[str]
    key: Sequence[str]
    told: Told | None = None

    def tell(self, before: bytes | None, after: bytes | None) -> None:
        if self.told is not None:
            self.told(before, after)


def merge(
    first: Iterable[Row], other: Iterable[Row], names: Names, most: int, found: Found | None = None
) -> Found:
    """:param first: rows of the first side, sorted by (order, text); `other` likewise.
    :param most: how many differences the sample holds.
    :param found: what to add to, where a table comes part by part."""
    found = Found() if found is None else found
    left, right = iter(first), iter(other)
    one, two = next(left, None), next(right, None)
    while one is not None or two is not None:
        if two is None or (one is not None and one[0] < two[0]):
            assert one is not None
            found.removed += 1
            _note(found, "removed", one[1], names, most)
            names.tell(one[1], None)
            one = next(left, None)
        elif one is None or two[0] < one[0]:
            found.added += 1
            _note(found, "added", two[1], names, most)
            names.tell(None, two[1])
            two = next(right, None)
        else:
            if one[1] != two[1]:
                _changed(found, one[1], two[1], names, most)
                names.tell(one[1], two[1])
            one, two = next(left, None), next(right, None)
    return found


def _changed(found: Found, before: bytes, after: bytes, names: Names, most: int) -> None:
    found.changed += 1
    old, new = _fields(before), _fields(after)
    differs = {}
    for name, one, two in zip(names.columns, old, new, strict=True):
        if one != two:
            differs[name] = [one, two]
            found.columns[name] = found.columns.get(name, 0) + 1
    if len(found.sample) < most:
        key = {name: value for name, value in zip(names.columns, old, strict=True)
               if name in names.key}  # fmt: skip
        found.sample.append({"change": "changed", "key": key, "columns": differs})


def _note(found: Found, change: Change, text: bytes, names: Names, most: int) -> None:
    if len(found.sample) >= most:
        return
    values = dict(zip(names.columns, _fields(text) if names.columns else (), strict=True))
    key = {name: values[name] for name in names.key}
    found.sample.append({"change": change, "key": key, "row": values})


def _fields(text: bytes) -> list[str | None]:
    # A database in SQL_ASCII may hold any bytes; escaped, they still tell values apart.
    return fields(text.decode(errors="backslashreplace"))
