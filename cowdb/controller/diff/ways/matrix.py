"""Which sides agree with which on the rows of one table. Pure; keeps numbers and a sample."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from cowdb.controller.diff.model import RowGroup, RowGroups, TableGroups
from cowdb.controller.diff.ways.rows import Deltas, Line, Values, grouped, same
from cowdb.controller.diff.ways.tables import Plan, Rank

Groups = tuple[tuple[Rank, ...], ...]


class Matrix:
    """Takes a table's rows one by one.

    :param sides: their labels.
    :param most: how many rows the sample holds.
    """

    def __init__(self, plan: Plan, sides: Sequence[str], most: int) -> None:
        self._plan, self._labels, self._most = plan, sides, most
        ranks = {plan.reference, *plan.others}
        self._holders = tuple(rank for rank in range(len(sides)) if rank in ranks)
        self._patterns: dict[Groups, int] = {}
        self._sample: list[RowGroups] = []

    @property
    def full(self) -> bool:
        return len(self._sample) >= self._most

    def lone(self, rank: Rank) -> None:
        """A row of which only this side differs from the reference, and which is not shown."""
        rest = tuple(other for other in self._holders if other != rank)
        if rest:
            self._count((rest, (rank,)) if rest[0] < rank else ((rank,), rest))

    def line(self, key: Values, line: Line) -> None:
        groups = grouped(line, self._holders)
        if len(groups) > 1:
            self._count(groups)
            if not self.full:
                self._sample.append({"key": key, "groups": self._told(groups, line)})

    def deltas(self, row: Values, deltas: Deltas) -> None:
        groups = deltas.grouped(self._holders)
        if len(groups) > 1:
            self._count(groups)
            if not self.full:
                first = deltas.more.get(self._holders[0], 0)
                told: list[RowGroup] = [
                    {"sides": self._named(group), "values": row,
                     "more": deltas.more.get(group[0], 0) - first}
                    for group in groups
                ]  # fmt: skip
                self._sample.append({"key": row, "groups": told})

    def result(self) -> TableGroups | None:
        """None where all sides agree."""
        if not self._patterns:
            return None
        patterns = sorted(self._patterns.items(), key=lambda item: (-item[1], item[0]))
        return {
            "table": self._plan.table,
            "key": list(self._plan.key),
            "sides": self._named(self._holders),
            "different": sum(self._patterns.values()),
            "patterns": [
                {"groups": [self._named(group) for group in groups], "rows": rows}
                for groups, rows in patterns
            ],
            "sample": self._sample,
        }

    def _count(self, groups: Groups) -> None:
        self._patterns[groups] = self._patterns.get(groups, 0) + 1

    def _named(self, group: Sequence[Rank]) -> list[str]:
        return [self._labels[rank] for rank in group]

    def _told(self, groups: Groups, line: Line) -> list[RowGroup]:
        heads = [line.on(group[0]) for group in groups]
        names: dict[str, None] = {}
        for one, two in combinations([head for head in heads if head is not None], 2):
            if not same(one, two):
                names |= {name: None for name in one if name in two and one[name] != two[name]}
        return [
            {"sides": self._named(group), "values": picked(head, list(names) or None)}
            for group, head in zip(groups, heads, strict=True)
        ]


def picked(row: Values | None, names: Sequence[str] | None) -> Values | None:
    """Those columns of a row that are to be shown; None for all."""
    if row is None or names is None:
        return row
    return {name: row[name] for name in names if name in row}
