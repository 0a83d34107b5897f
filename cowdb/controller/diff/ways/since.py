"""Who changed which rows of one table since the ancestor, and where two sides collide. Pure; keeps
numbers, the names of the columns that were written, and a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cowdb.controller.diff.model import Against, RowSince, TableSince, Tally
from cowdb.controller.diff.ways.matrix import picked
from cowdb.controller.diff.ways.rows import Deltas, Line, Outcome, Values, outcome, written
from cowdb.controller.diff.ways.tables import Plan, Rank

Altered = Mapping[Rank, Mapping[str, Against]]
"""For each side, what it did to the table's columns, by the column's name."""


class TableHistory:
    """Takes a table's rows one by one.

    :param sides: their labels.
    :param ancestor: the ancestor's place; it has the table where that is the plan's reference.
    :param altered: what the sides did to columns of this table.
    :param most: how many rows the sample holds.
    """

    def __init__(
        self, plan: Plan, sides: Sequence[str], ancestor: Rank, altered: Altered, most: int
    ) -> None:
        self._plan, self._labels, self._altered, self._most = plan, sides, altered, most
        self._old = plan.reference == ancestor
        ranks = {plan.reference, *plan.others}
        self._holders = [rank for rank in range(len(sides)) if rank in ranks]
        self._tallies: dict[Rank, Tally] = {}
        self._written: dict[Rank, set[str]] = {}
        self._conflicts = self._agreed = 0
        self._columns: dict[str, int] = {}
        self._clashes: list[RowSince] = []
        self._others: list[RowSince] = []

    @property
    def full(self) -> bool:
        """Whether the values of a row that only one side changed are of no use any more."""
        return self._old and not self._altered and len(self._others) >= self._most

    def lone(self, rank: Rank, *, went: bool, came: bool) -> None:
        """A row that only this side changed, and which is not shown."""
        self._count(rank, went=went, came=came)

    def line(self, key: Values, line: Line) -> None:
        if self._old:
            was, by = line.was, line.became
        else:
            rows = {rank: line.on(rank) for rank in self._holders}
            was, by = None, {rank: row for rank, row in rows.items() if row is not None}
        found = outcome(was, by)
        for rank, row in by.items():
            self._count(rank, went=was is not None, came=row is not None)
            self._written.setdefault(rank, set()).update(written(was, row))
        self._conflicts += found.conflict
        self._agreed += len(by) > 1 and not found.conflict
        for name in found.collide:
            self._columns[name] = self._columns.get(name, 0) + 1
        kept = self._clashes if found.conflict else self._others
        if len(kept) < self._most:
            kept.append(self._told(key, found))

    def deltas(self, row: Values, deltas: Deltas) -> None:
        if not self._old:
            return  # nobody can tell which of equal rows is whose
        by = deltas.more
        for rank, more in by.items():
            tally = self._tally(rank)
            tally["added" if more > 0 else "removed"] += abs(more)
            if more > 0:
                self._written.setdefault(rank, set()).update(written(None, row))
        if by and len(self._others) < self._most:
            labels = self._named(by)
            self._others.append({
                "key": row, "by": labels, "conflict": None, "was": None, "became": {},
                "collide": [], "more": {self._labels[rank]: by[rank] for rank in sorted(by)},
            })  # fmt: skip

    def result(self) -> TableSince | None:
        """None where nobody changed anything."""
        if not self._tallies:
            return None
        against = self._against()
        told = bool(self._plan.key)
        sample = [*self._clashes, *self._others][: self._most]
        return {
            "table": self._plan.table,
            "key": list(self._plan.key),
            "by": self._named(self._tallies),
            "conflict": bool(against or self._conflicts) if told or against else None,
            "changes": {self._labels[rank]: self._tallies[rank] for rank in sorted(self._tallies)},
            "conflicts": self._conflicts if told else None,
            "agreed": self._agreed if told else None,
            "columns": dict(sorted(self._columns.items())),
            "against": against,
            "sample": sample,
        }

    def _count(self, rank: Rank, *, went: bool, came: bool) -> None:
        word = "changed" if went and came else "added" if came else "removed"
        self._tally(rank)[word] += 1  # type: ignore[literal-required]

    def _tally(self, rank: Rank) -> Tally:
        return self._tallies.setdefault(rank, {"added": 0, "removed": 0, "changed": 0})

    def _named(self, ranks: Mapping[Rank, object]) -> list[str]:
        return [self._labels[rank] for rank in sorted(ranks)]

    def _told(self, key: Values, found: Outcome) -> RowSince:
        names = found.changed() or None
        return {
            "key": key,
            "by": self._named(found.by),
            "conflict": found.conflict,
            "was": picked(found.was, names),
            "became": {self._labels[rank]: picked(found.by[rank], names)
                       for rank in sorted(found.by)},
            "collide": sorted(found.collide),
        }  # fmt: skip

    def _against(self) -> list[Against]:
        """What the sides did to the table and its columns that others' rows collide with."""
        if not self._old:
            return []
        found: list[Against] = []
        for rank, label in enumerate(self._labels):
            others = self._tallies.keys() - {rank}
            if others and rank not in self._holders:
                found.append({"side": label, "kind": self._plan.kind, "name": self._plan.table,
                              "change": "removed"})  # fmt: skip
            elif others:
                wrote = set().union(*(self._written.get(other, set()) for other in others))
                mine = self._altered.get(rank, {})
                found += [mine[name] for name in sorted(wrote & mine.keys())]
        return found
