"""Rows of which there are several versions: the ancestor's and the sides', or groups of sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cowdb.controller.diff.page.marks import pair
from cowdb.controller.diff.page.rows import cell


@dataclass(frozen=True)
class VersionCell:
    """:param state: empty, new (unlike the first version) or conflict."""

    state: str
    text: Markup


@dataclass(frozen=True)
class Version:
    """:param cells: for each column of the grid; none where there is no such row, see `note`."""

    label: str
    cells: Sequence[VersionCell]
    note: str = ""


@dataclass(frozen=True)
class VersionRecord:
    """:param change: what the filters go by: added, removed or changed, and conflict."""

    change: str
    key: Sequence[Markup]
    versions: Sequence[Version]


@dataclass(frozen=True)
class VersionGrid:
    title: str
    key: Sequence[str]
    columns: Sequence[str]
    records: Sequence[VersionRecord]


def headings(
    key: Sequence[str], rows: Iterable[tuple[Mapping[str, object], Iterable[Iterable[str] | None]]]
) -> tuple[list[str], list[str]]:
    """The columns of the key, and the others.

    :param key: of the table; empty where there is none.
    :param rows: of each, the key's values and all its versions, None where one has no such row.
    """
    found = list(rows)
    keys = list(key) or list(dict.fromkeys(name for row_key, _ in found for name in row_key))
    others = (name for _, versions in found for values in versions for name in values or ())
    return keys, list(dict.fromkeys(name for name in others if name not in keys))


def version(
    label: str, values: Mapping[str, str | None] | None, columns: Sequence[str],
    was: Mapping[str, str | None] | None = None, collide: Sequence[str] = (), note: str = "",
) -> Version:  # fmt: skip
    """One line of a record.

    :param values: None where there is no such row; then `note` stands in its place.
    :param was: the version that this one is marked against.
    """
    if values is None:
        return Version(label, (), note or "no such row")
    return Version(label, [_cell(name, values, was, collide) for name in columns], note)


def _cell(
    name: str, values: Mapping[str, str | None], was: Mapping[str, str | None] | None,
    collide: Sequence[str],
) -> VersionCell:  # fmt: skip
    if name not in values:
        return VersionCell("eq", Markup(""))
    if was is None or name not in was:
        return VersionCell("conflict" if name in collide else "", cell(values[name]))
    if values[name] == was[name]:
        return VersionCell("", cell(values[name]))
    state = "conflict" if name in collide else "new"
    return VersionCell(state, pair(was[name], values[name], null="NULL")[1])
