"""Who changed what since the common ancestor, as the page shows it: conflicts before all else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from cowdb.controller.diff.model import (
    Against,
    ObjectSince,
    Report,
    RowSince,
    Since,
    TableSince,
    Value,
)
from cowdb.controller.diff.page.marks import pair, text_lines
from cowdb.controller.diff.page.objects import Cell, Object, Property, Text, has_lines, part, text
from cowdb.controller.diff.page.rows import cell, order
from cowdb.controller.diff.page.text import value
from cowdb.controller.diff.page.versions import VersionGrid, VersionRecord, headings, version


@dataclass(frozen=True)
class SinceTable:
    """:param shown: of the sides' changes, those in the sample; `total` are there.
    :param grids: the sample, where there is one."""

    id: str
    name: str
    conflict: bool
    by: Sequence[str]
    key: Sequence[str]
    changes: Sequence[tuple[str, Sequence[tuple[str, int]]]]
    """For each side, how many rows of each sort of change."""
    conflicts: int | None
    agreed: int | None
    columns: Sequence[tuple[str, int]]
    against: Sequence[str]
    shown: int
    total: int
    grids: Sequence[VersionGrid]


@dataclass(frozen=True)
class SinceCount:
    table: str
    conflict: bool
    was: int | None
    became: Sequence[int | str | None]
    """For each side of the report; an empty text where the side has left it as it was."""


@dataclass(frozen=True)
class Told:
    """What is told since the ancestor.

    :param conflicts: how many there are; `objects`, `tables` and `counts` begin with them.
    """

    ref: str
    conflicts: int
    objects: Sequence[Object] = field(default=())
    tables: Sequence[SinceTable] = field(default=())
    counts: Sequence[SinceCount] = field(default=())


def since_told(report: Report) -> Told | None:
    """None where there is no common ancestor."""
    since = report["since"]
    if since is None:
        return None
    ref = report["ancestor"]["ref"] or "the common ancestor"
    objects = sorted(since["schema"], key=lambda item: not item["conflict"])
    tables = sorted(since["rows"], key=lambda item: not item["conflict"])
    return Told(
        ref,
        since["conflicts"],
        [_object(item, ref, f"s{place}") for place, item in enumerate(objects)],
        [_table(item, ref, f"st{place}") for place, item in enumerate(tables)],
        _counts(since, report["sides"]),
    )


def _counts(since: Since, sides: Sequence[str]) -> list[SinceCount]:
    lines = [
        SinceCount(
            item["table"],
            item["conflict"],
            item["was"],
            [item["became"].get(side, "") for side in sides],
        )
        for item in since["counts"]
    ]
    return sorted(lines, key=lambda line: not line.conflict)


def _change(was: object, became: Sequence[object]) -> str:
    if was is None:
        return "added"
    return "removed" if all(item is None for item in became) else "changed"


def _object(item: ObjectSince, ref: str, place: str) -> Object:
    versions = list(item["became"].values())
    change = _change(item["was"], versions)
    alike = all(version == versions[0] for version in versions)
    notes = [*_collisions(item["collide"]), *map(_against, item["against"])]
    notes += [f"with {name}" for name in item["contains"]]
    known = item["was"] if change == "removed" else versions[0]
    whole = change != "changed" and alike and known is not None
    return Object(
        id=place,
        kind=item["kind"],
        name=item["name"],
        change=change,
        sides=item["by"],
        columns=[] if whole else [ref, *item["became"]],
        properties=[] if whole else _properties(item),
        texts=[] if whole else _texts(item),
        whole=part(item["kind"], item["name"], known or {}) if whole else None,
        conflict=item["conflict"],
        notes=notes,
    )


def _collisions(names: Sequence[str]) -> list[str]:
    return [f"set to different ends: {', '.join(names)}"] if names else []


def _against(item: Against) -> str:
    return f"{item['side']} {item['change']} {item['kind']} {item['name']}"


def _names(item: ObjectSince) -> list[str]:
    versions = [item["was"], *item["became"].values()]
    return list(dict.fromkeys(name for version in versions if version for name in version))


def _is_text(item: ObjectSince, name: str) -> bool:
    versions = [item["was"], *item["became"].values()]
    return any(has_lines(version.get(name)) for version in versions if version)


def _properties(item: ObjectSince) -> list[Property]:
    found = []
    for name in _names(item):
        versions = [item["was"], *item["became"].values()]
        empty = all(not version or version.get(name) in (None, []) for version in versions)
        if not empty and not _is_text(item, name):
            first = item["was"]
            cells = [_property(first, first, name, item["collide"])]
            cells += [
                _property(first, version, name, item["collide"])
                for version in item["became"].values()
            ]
            found.append(Property(name, cells))
    return found


def _property(
    was: Mapping[str, Value] | None, version: Mapping[str, Value] | None, name: str,
    collide: Sequence[str],
) -> Cell:  # fmt: skip
    if version is None:
        gone = "no such object" if was is None else "removed"
        return Cell("absent", Markup("<i class=nil>{}</i>").format(gone))
    after = version.get(name)
    if was is None:
        return Cell("conflict" if name in collide else "same", value(after))
    before = was.get(name)
    if before == after:
        return Cell("same", value(after))
    return Cell("conflict" if name in collide else "new", pair(before, after)[1])


def _texts(item: ObjectSince) -> list[Text]:
    found = []
    for name in _names(item):
        if not _is_text(item, name):
            continue
        before = text((item["was"] or {}).get(name))
        for side, properties in item["became"].items():
            after = text(properties.get(name)) if properties is not None else before
            if after != before:
                found.append(Text(name, side, text_lines(before, after)))
    return found


def _table(item: TableSince, ref: str, place: str) -> SinceTable:
    sorts = ("changed", "added", "removed")
    numbers = [
        (side, [(word, n) for word, n in zip(sorts, (t["changed"], t["added"], t["removed"]),
                                             strict=True) if n])
        for side, t in item["changes"].items()
    ]  # fmt: skip
    return SinceTable(
        id=place,
        name=item["table"],
        conflict=bool(item["conflict"]),
        by=item["by"],
        key=item["key"],
        changes=numbers,
        conflicts=item["conflicts"],
        agreed=item["agreed"],
        columns=sorted(item["columns"].items(), key=lambda pair_: (-pair_[1], pair_[0])),
        against=[_against(other) for other in item["against"]],
        shown=sum(_told(row) for row in item["sample"]),
        total=sum(n for _, parts in numbers for _, n in parts),
        grids=_grids(item, ref),
    )


def _told(row: RowSince) -> int:
    """How many of the sides' changes a row of the sample tells."""
    more = row.get("more")
    return sum(map(abs, more.values())) if more else len(row["by"])


def _grids(item: TableSince, ref: str) -> list[VersionGrid]:
    if not item["sample"]:
        return []
    keys, columns = headings(
        item["key"],
        ((row["key"], (row["was"], *row["became"].values())) for row in item["sample"]),
    )
    rows = sorted(item["sample"], key=lambda row: (not row["conflict"], order(row["key"])))
    records = [_record(row, keys, columns, ref) for row in rows]
    return [VersionGrid(f"Rows of {item['table']}, since {ref}", keys, columns, records)]


def _record(row: RowSince, keys: Sequence[str], columns: Sequence[str], ref: str) -> VersionRecord:
    was, change = row["was"], _change(row["was"], list(row["became"].values()))
    counted = row.get("more", {})
    if counted:
        change = "added" if all(n > 0 for n in counted.values()) else "removed"
        lines = [version(side, {}, columns, note=f"{n:+,} of this row")
                 for side, n in counted.items()]  # fmt: skip
    else:
        lines = [version(ref, was, columns)]
        for side, values in row["became"].items():
            note = "removed" if values is None else ""
            lines.append(version(side, values, columns, was, row["collide"], note))
    sorts = f"{change} conflict" if row["conflict"] else change
    return VersionRecord(sorts, [cell(row["key"].get(name)) for name in keys], lines)
