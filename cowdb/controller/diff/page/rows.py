"""Tables whose rows differ, as the page shows them.

A changed row is two lines, as in any diff, with only the cells that differ; what one side alone
has is one line with all its values. The cells of one row lie in one `Record`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cowdb.controller.diff.model import Report, RowChange, RowChanges
from cowdb.controller.diff.page.marks import pair
from cowdb.controller.diff.page.text import value

_ONE_LINE = 40  # characters; what is longer may wrap
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,40}")


@dataclass(frozen=True)
class Record:
    """:param key: the cells of the key; a changed row's stand apart from its others.
    :param cells: of an added or removed row, in the order of the columns.
    :param pairs: of a changed row, for each column both texts, or None where they are the same.
    """

    change: str
    key: Sequence[Markup]
    cells: Sequence[Markup] = ()
    pairs: Sequence[tuple[Markup, Markup] | None] = ()


@dataclass(frozen=True)
class Grid:
    """Rows with the same columns. :param key: the columns that the rows were matched by."""

    title: str
    key: Sequence[str]
    columns: Sequence[str]
    records: Sequence[Record]


@dataclass(frozen=True)
class Table:
    """One table, between the first side and `side`."""

    id: str
    name: str
    side: str
    key: Sequence[str]
    counts: Sequence[tuple[str, int]]
    """Each sort of change that there is, and how many rows."""
    columns: Sequence[tuple[str, int]]
    """In how many changed rows each column differs, the most often changed first."""
    method: str | None
    shown: int
    total: int
    grids: Sequence[Grid]


def row_tables(report: Report) -> list[Table]:
    return [
        _table(line, report["method"].get(line["table"]), f"t{place}")
        for place, line in enumerate(report["rows"])
    ]


def _table(line: RowChanges, method: str | None, place: str) -> Table:
    counts = [
        (word, number)
        for word, number in (
            ("changed", line["changed"]), ("added", line["added"]), ("removed", line["removed"])
        )
        if number
    ]  # fmt: skip
    sample = sorted(line["sample"], key=lambda item: order(item["key"]))
    changed = [item for item in sample if item["change"] == "changed"]
    lone = [item for item in sample if item["change"] != "changed"]
    grids = [_changed_grid(changed, line["key"])] if changed else []
    grids += _lone_grids(lone, line["key"])
    return Table(
        id=place,
        name=line["table"],
        side=line["side"],
        key=line["key"],
        counts=counts,
        columns=sorted(line["columns"].items(), key=lambda item: (-item[1], item[0])),
        method=method,
        shown=len(line["sample"]),
        total=sum(number for _, number in counts),
        grids=grids,
    )


def _changed_grid(rows: Sequence[RowChange], key: Sequence[str]) -> Grid:
    columns = list(dict.fromkeys(name for item in rows for name in item["columns"]))
    records = [
        Record(
            "changed",
            [cell(item["key"].get(name)) for name in key],
            pairs=[
                _both(item["columns"][name]) if name in item["columns"] else None
                for name in columns
            ],
        )
        for item in rows
    ]
    return Grid("Changed rows", key, columns, records)


def _lone_grids(rows: Sequence[RowChange], key: Sequence[str]) -> list[Grid]:
    """Added and removed rows under one head, where they have the same columns: they mostly do."""
    by_columns: dict[tuple[str, ...], list[RowChange]] = {}
    for item in rows:
        names = tuple(name for name in item["row"] if name not in key)
        by_columns.setdefault(names, []).append(item)
    return [
        Grid(_title(found), key, names, [_lone(item, key, names) for item in found])
        for names, found in by_columns.items()
    ]


def _title(rows: Sequence[RowChange]) -> str:
    sorts = {item["change"] for item in rows}
    return "Added and removed rows" if len(sorts) > 1 else f"{sorts.pop().capitalize()} rows"


def _lone(item: RowChange, key: Sequence[str], names: Sequence[str]) -> Record:
    row = item["row"]
    return Record(
        item["change"],
        [cell(item["key"].get(name)) for name in key],
        cells=[cell(row[name]) for name in names],
    )


def order(key: Mapping[str, str | None]) -> list[tuple[int, int, str]]:
    """Rows as a reader expects them: whole numbers by their value, then texts, then nulls."""
    return [_place(text) for text in key.values()]


def _place(text: str | None) -> tuple[int, int, str]:
    if text is None:
        return 2, 0, ""
    if _WHOLE_NUMBER.fullmatch(text):
        return 0, int(text), ""
    return 1, 0, text


def cell(text: str | None) -> Markup:
    """The text of a value, as its type prints it; None is NULL."""
    return _room(value(text, null="NULL"), text)


def _both(values: Sequence[str | None]) -> tuple[Markup, Markup]:
    old, new = pair(values[0], values[1], null="NULL")
    return _room(old, values[0]), _room(new, values[1])


def _room(cell: Markup, text: str | None) -> Markup:
    """A cell stays on one line, unless its text is long."""
    if text is None or (len(text) <= _ONE_LINE and "\n" not in text):
        return cell
    return Markup("<div class=l>{}</div>").format(cell)
