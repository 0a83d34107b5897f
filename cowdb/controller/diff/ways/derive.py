"""The first side against another, from what each made of the ancestor's rows. Pure.

Where both share the same columns with the ancestor and are matched by one key, comparing them with
each other as well would find nothing more: a row that neither has changed is the same on both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cowdb.controller.diff.model import Change, RowChanges
from cowdb.controller.diff.rows.merge import Found
from cowdb.controller.diff.rows.shape import Shape, common
from cowdb.controller.diff.ways.rows import Deltas, Line, Values
from cowdb.controller.diff.ways.tables import Plan, Rank


def derivable(plan: Plan, rank: Rank, shapes: Sequence[Mapping[str, Shape]]) -> bool:
    """Whether the changes since the plan's reference tell all that differs between the first side
    and this one."""
    both = {0, rank}
    if plan.reference in both or not both <= plan.matched:
        return False
    first, other = shapes[0][plan.table], shapes[rank][plan.table]
    pair = common(plan.table, first, other)
    same = plan.columns[0] == plan.columns[rank] == pair.columns
    return same and set(first.columns) == set(other.columns) and set(pair.key) == set(plan.key)


class Derived:
    """Takes the rows of a table one by one.

    :param most: how many differences the sample holds."""

    def __init__(self, plan: Plan, rank: Rank, most: int) -> None:
        self._plan, self._rank, self._most = plan, rank, most
        self._found = Found()

    def line(self, line: Line) -> None:
        one, two = line.on(0), line.on(self._rank)
        if one is None and two is not None:
            self._note("added", two)
        elif two is None and one is not None:
            self._note("removed", one)
        elif one is not None and two is not None and one != two:
            self._changed(one, two)

    def deltas(self, row: Values, deltas: Deltas) -> None:
        more = deltas.more.get(self._rank, 0) - deltas.more.get(0, 0)
        change: Change = "added" if more > 0 else "removed"
        for _ in range(abs(more)):
            self._note(change, row)

    def result(self, label: str) -> RowChanges | None:
        """None where nothing differs."""
        found = self._found
        if not (found.added or found.removed or found.changed):
            return None
        return {
            "table": self._plan.table,
            "side": label,
            "key": list(self._plan.key),
            "added": found.added,
            "removed": found.removed,
            "changed": found.changed,
            "columns": dict(sorted(found.columns.items())),
            "sample": found.sample,
        }

    def _note(self, change: Change, row: Values) -> None:
        if change == "added":
            self._found.added += 1
        else:
            self._found.removed += 1
        if len(self._found.sample) < self._most:
            self._found.sample.append({"change": change, "key": self._key(row), "row": row})

    def _changed(self, one: Values, two: Values) -> None:
        self._found.changed += 1
        differs = {name: [value, two[name]] for name, value in one.items() if value != two[name]}
        for name in differs:
            self._found.columns[name] = self._found.columns.get(name, 0) + 1
        if len(self._found.sample) < self._most:
            key = self._key(one)
            self._found.sample.append({"change": "changed", "key": key, "columns": differs})

    def _key(self, row: Mapping[str, str | None]) -> Values:
        return {name: row[name] for name in self._plan.key}
