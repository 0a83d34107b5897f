"""Which of three or more sides agree with which, as the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cowdb.controller.diff.model import Report, RowGroups, TableGroups
from cowdb.controller.diff.page.rows import cell, order
from cowdb.controller.diff.page.versions import (
    Version,
    VersionGrid,
    VersionRecord,
    headings,
    version,
)

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Agreement:
    """:param letters: for each side the letter of its group; empty where it has no such thing."""

    kind: str
    name: str
    letters: Sequence[str]


@dataclass(frozen=True)
class AgreeingRows:
    """:param patterns: for each way in which sides agree, the letters and how many rows do so."""

    id: str
    name: str
    key: Sequence[str]
    different: int
    shown: int
    patterns: Sequence[tuple[Sequence[str], int]]
    grids: Sequence[VersionGrid]


@dataclass(frozen=True)
class Agreements:
    objects: Sequence[Agreement] = field(default=())
    tables: Sequence[AgreeingRows] = field(default=())


def agreements(report: Report) -> Agreements | None:
    """None with two sides, and where all agree on everything."""
    matrix = report["matrix"]
    if matrix is None or not (matrix["schema"] or matrix["rows"]):
        return None
    sides = report["sides"]
    objects = [
        Agreement(
            item["kind"],
            item["name"],
            letters(
                sides,
                [group["sides"] for group in item["groups"]],
                [group["values"] is None for group in item["groups"]],
            ),
        )
        for item in matrix["schema"]
    ]
    tables = [_table(item, sides, f"m{place}") for place, item in enumerate(matrix["rows"])]
    return Agreements(objects, tables)


def letters(
    sides: Sequence[str], groups: Sequence[Sequence[str]], absent: Sequence[bool] = ()
) -> list[str]:
    """The same letter for sides of one group; nothing for one that has no such thing."""
    found = dict.fromkeys(sides, "")
    number = 0
    for place, group in enumerate(groups):
        if place < len(absent) and absent[place]:
            continue
        letter = _LETTERS[number] if number < len(_LETTERS) else str(number + 1)
        found |= dict.fromkeys(group, letter)
        number += 1
    return [found[side] for side in sides]


def _table(item: TableGroups, sides: Sequence[str], place: str) -> AgreeingRows:
    return AgreeingRows(
        id=place,
        name=item["table"],
        key=item["key"],
        different=item["different"],
        shown=len(item["sample"]),
        patterns=[(letters(sides, line["groups"]), line["rows"]) for line in item["patterns"]],
        grids=_grids(item),
    )


def _grids(item: TableGroups) -> list[VersionGrid]:
    if not item["sample"]:
        return []
    keys, columns = headings(
        item["key"],
        ((row["key"], [group["values"] for group in row["groups"]]) for row in item["sample"]),
    )
    rows = sorted(item["sample"], key=lambda row: order(row["key"]))
    records = [_record(row, keys, columns) for row in rows]
    return [VersionGrid(f"Rows of {item['table']}, by group", keys, columns, records)]


def _record(row: RowGroups, keys: Sequence[str], columns: Sequence[str]) -> VersionRecord:
    lines: list[Version] = []
    first = row["groups"][0]["values"]
    for place, group in enumerate(row["groups"]):
        note = f"{group['more']:+,} of this row" if "more" in group else ""
        was = first if place else None
        lines.append(version(", ".join(group["sides"]), group["values"], columns, was, (), note))
    return VersionRecord("changed", [cell(row["key"].get(name)) for name in keys], lines)
