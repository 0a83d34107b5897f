"""Sides of a comparison without a server: one table each."""

from __future__ import annotations

from dataclasses import dataclass

from cowdb.controller.diff.rows.compare import Compared, Watch
from cowdb.controller.diff.rows.merge import Names, Row, merge
from cowdb.controller.diff.rows.shape import Shape, common
from cowdb.controller.diff.ways.objects import Steps
from cowdb.controller.diff.ways.pairs import AllRows, Ways, compare_all
from tests.unit.diff.test_rows import printed

LABELS = ["one", "two", "three", "four", "five"]


T = "public.t"


Table = dict[str, dict[str, str | None]]
"""By key, the other columns."""


@dataclass(frozen=True)
class Database:
    """One side's table `t`, for comparing without a server; None where it has none."""

    table: Table | None
    columns: tuple[str, ...]
    keyed: bool = True

    def shapes(self) -> dict[str, Shape]:
        if self.table is None:
            return {}
        keys = ((("k", None),),) if self.keyed else ()
        return {T: Shape(T, "r", ("k", *self.columns), keys, 1)}

    def rows(self, columns: tuple[str, ...], key: tuple[str, ...]) -> list[Row]:
        found = []
        for number, values in (self.table or {}).items():
            row = {"k": number if self.keyed else None, **values}
            text = printed([row[name] for name in columns])
            found.append((printed([row[name] for name in key or columns]).encode(), text.encode()))
        return sorted(found)


def compared(
    databases: list[Database], sides: int, ancestor: int | None, steps: Steps | None = None,
    asked: list[tuple[int, int]] | None = None, most: int = 20,
) -> AllRows:  # fmt: skip
    """:param asked: which pairs were compared."""
    asked = [] if asked is None else asked
    shapes = [database.shapes() for database in databases]

    def pair(one: int, two: int, watch: Watch) -> Compared:
        if T not in shapes[one] or T not in shapes[two]:
            return Compared()
        if watch.tables is not None and T not in watch.tables:
            return Compared()
        table = common(T, shapes[one][T], shapes[two][T])
        rows = [databases[rank].rows(table.columns, table.key) for rank in (one, two)]
        found = merge(*rows, Names(table.columns, table.key, watch.told.get(T)), 20)
        asked.append((one, two))
        done = Compared()
        if found.added or found.removed or found.changed:
            done.rows.append({
                "table": T, "side": LABELS[two], "key": list(table.key), "added": found.added,
                "removed": found.removed, "changed": found.changed, "columns": found.columns,
                "sample": found.sample,
            })  # fmt: skip
        return done

    ways = Ways(LABELS[:sides], ancestor, steps or {})
    return compare_all(ways, shapes, (), pair, most)
