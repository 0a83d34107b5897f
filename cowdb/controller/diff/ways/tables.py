"""Which pairs of sides have to be compared, table by table, so that rows can be told apart N ways.

Each table has one *reference*: the ancestor where that has it, else the first side that does. All
other sides are compared with the reference; two rows of them are then compared by what each made
of the reference's row. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cowdb.controller.diff.rows.shape import Shape, common
from cowdb.controller.diff.scope import is_chosen

Rank = int
"""The place of a side among what was read; the ancestor's may be one of them, or one more."""


@dataclass(frozen=True)
class Plan:
    """:param others: the sides that have the table, without the reference.
    :param key: of which reference and others agree that it tells rows apart; else empty.
    :param columns: for each of the others, those that it shares with the reference, sorted.
    :param matched: those of the others whose rows are matched with the reference's by this key.
    """

    table: str
    kind: str
    reference: Rank
    others: tuple[Rank, ...]
    key: tuple[str, ...]
    columns: Mapping[Rank, tuple[str, ...]]
    matched: frozenset[Rank]

    @property
    def holders(self) -> set[Rank]:
        """What was compared of those that have the table, the reference included."""
        return {self.reference, *self.others}

    @property
    def everywhere(self) -> tuple[str, ...]:
        """The columns that all of them have."""
        shared = set.intersection(*(set(names) for names in self.columns.values()))
        return tuple(sorted(shared))


def plan_tables(
    shapes: Sequence[Mapping[str, Shape]], sides: int, ancestor: Rank | None, globs: Sequence[str]
) -> dict[str, Plan]:
    """Every table that two of what was read have, by name.

    :param shapes: of each side, and of the ancestor.
    :param sides: how many of these are sides.
    """
    names = sorted({name for found in shapes for name in found if is_chosen(name, globs)})
    plans = {}
    for name in names:
        holders = [rank for rank in range(sides) if name in shapes[rank]]
        old = ancestor is not None and name in shapes[ancestor]
        reference = ancestor if old and ancestor is not None else next(iter(holders), 0)
        others = [rank for rank in holders if rank != reference]
        if others:
            plans[name] = _plan(name, reference, others, shapes)
    return plans


def _plan(
    name: str, reference: Rank, others: Sequence[Rank], shapes: Sequence[Mapping[str, Shape]]
) -> Plan:
    mine = shapes[reference][name]
    pairs = {rank: common(name, mine, shapes[rank][name]) for rank in others}
    keys = [[column for column, _ in key] for key in mine.keys]
    key = next((key for key in keys if key and _all_have(key, others, shapes, name)), [])
    return Plan(
        name, "materialized view" if mine.kind == "m" else "table",
        reference, tuple(others), tuple(sorted(key)),
        {rank: pair.columns for rank, pair in pairs.items()},
        frozenset(rank for rank, pair in pairs.items() if set(pair.key) == set(key)),
    )  # fmt: skip


def _all_have(
    key: Sequence[str], others: Sequence[Rank], shapes: Sequence[Mapping[str, Shape]], name: str
) -> bool:
    return all(
        set(key) in [{column for column, _ in item} for item in shapes[rank][name].keys]
        for rank in others
    )
