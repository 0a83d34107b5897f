"""One row on many sides: which agree on it, who changed it, and whether that collides. Pure.

What is known of a row is what each side made of the reference's: nothing (it has the same row), or
another row, or none. Two rows are compared in the columns that both sides share with the reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import TypeAlias

from cowdb.controller.diff.rows.record import fields
from cowdb.controller.diff.ways.record import Piece
from cowdb.controller.diff.ways.tables import Plan, Rank

Values: TypeAlias = dict[str, str | None]


@dataclass(frozen=True)
class Line:
    """A row that some side has changed.

    :param was: the reference's row, as far as the sides that changed it share its columns; None
        where it has no such row.
    :param became: what the sides that differ from the reference have instead; None for no row.
    """

    plan: Plan
    was: Values | None
    became: Mapping[Rank, Values | None]

    def on(self, rank: Rank) -> Values | None:
        """The row as this side has it, as far as it is known."""
        if rank in self.became:
            return self.became[rank]
        if self.was is None or rank == self.plan.reference:
            return self.was
        mine = self.plan.columns[rank]
        return {name: value for name, value in self.was.items() if name in mine}


def read_line(pieces: Iterable[Piece], plan: Plan) -> Line:
    """A row of a table with a key, from the rows that went and came."""
    was: Values | None = None
    became: dict[Rank, Values | None] = {}
    for rank, came, text in pieces:
        values = dict(
            zip(plan.columns[rank], fields(text) if plan.columns[rank] else (), strict=True)
        )
        if came:
            became[rank] = values
        else:
            was = values if was is None else was | values
            became.setdefault(rank, None)
    return Line(plan, was, became)


def same(one: Values | None, two: Values | None) -> bool:
    """Whether they agree in all that is known of both."""
    if one is None or two is None:
        return one is two
    return all(two[name] == value for name, value in one.items() if name in two)


def grouped(line: Line, ranks: Iterable[Rank]) -> tuple[tuple[Rank, ...], ...]:
    """Each side joins the first group with whose first side it agrees."""
    groups: list[list[Rank]] = []
    for rank in ranks:
        for group in groups:
            if _alike(line, group[0], rank):
                group.append(rank)
                break
        else:
            groups.append([rank])
    return tuple(map(tuple, groups))


def _alike(line: Line, one: Rank, two: Rank) -> bool:
    if one not in line.became and two not in line.became:
        return True
    return same(line.on(one), line.on(two))


@dataclass(frozen=True)
class Outcome:
    """What became of one row since the ancestor.

    :param was: the ancestor's row, None where it has no such row.
    :param by: the sides that changed it, with what they made of it.
    :param collide: columns that two sides set to different ends.
    """

    was: Values | None
    by: Mapping[Rank, Values | None]
    conflict: bool
    collide: tuple[str, ...]

    def changed(self) -> list[str]:
        """The columns that some side changed of a row that was there."""
        names: dict[str, None] = {}
        for after in self.by.values():
            names |= dict.fromkeys(written(self.was, after) if self.was is not None else ())
        return list(names)


def outcome(was: Values | None, by: Mapping[Rank, Values | None]) -> Outcome:
    """:param by: each side that changed the row, and its row now."""
    conflict = False
    collide: dict[str, None] = {}
    for one, two in combinations(by.values(), 2):
        if same(one, two):
            continue
        conflict = True
        if one is not None and two is not None:
            both = set(written(was, one)) & set(written(was, two))
            collide |= {name: None for name in one if name in both and one[name] != two[name]}
    return Outcome(was, by, conflict, tuple(collide))


def written(was: Values | None, became: Values | None) -> Iterator[str]:
    """The columns that were set: those that differ, and of a new row those that are not null."""
    if became is None:
        return
    for name, value in became.items():
        if value != (was.get(name) if was is not None else None):
            yield name


@dataclass
class Deltas:
    """A row of a table without a key: how many more of it each side has than the reference."""

    more: dict[Rank, int] = field(default_factory=dict)

    def add(self, pieces: Iterable[Piece]) -> Deltas:
        for rank, came, _ in pieces:
            self.more[rank] = self.more.get(rank, 0) + (1 if came else -1)
        self.more = {rank: number for rank, number in self.more.items() if number}
        return self

    def grouped(self, ranks: Iterable[Rank]) -> tuple[tuple[Rank, ...], ...]:
        groups: dict[int, list[Rank]] = {}
        for rank in ranks:
            groups.setdefault(self.more.get(rank, 0), []).append(rank)
        return tuple(map(tuple, groups.values()))
