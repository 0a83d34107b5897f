"""Rows of all sides: compares the pairs that are needed, and tells what they say together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cowdb.controller.diff.model import Against, ObjectKey, TableGroups, TableSince
from cowdb.controller.diff.rows.compare import SAMPLE, Compared, Watch
from cowdb.controller.diff.rows.shape import Shape
from cowdb.controller.diff.scope import name_parts
from cowdb.controller.diff.ways.matrix import Matrix
from cowdb.controller.diff.ways.objects import Steps, changed_properties
from cowdb.controller.diff.ways.record import Piece, Recorder, decoded
from cowdb.controller.diff.ways.rows import Deltas, read_line
from cowdb.controller.diff.ways.since import TableHistory
from cowdb.controller.diff.ways.tables import Plan, Rank, plan_tables

ComparePair = Callable[[Rank, Rank, Watch], Compared]
"""Compares the rows of two of what was read."""

# What the values of a column have to obey; its default or comment collides with no row.
_VALUES = frozenset({"type", "collation", "not_null", "generated", "identity"})


@dataclass
class AllRows:
    """:param direct: every other side with the first.
    :param further: what else was compared, with both places.
    :param matrix: of three sides and more. :param since: with an ancestor."""

    direct: list[Compared] = field(default_factory=list)
    further: list[tuple[Rank, Rank, Compared]] = field(default_factory=list)
    matrix: list[TableGroups] = field(default_factory=list)
    since: list[TableSince] = field(default_factory=list)


@dataclass(frozen=True)
class Ways:
    """:param labels: of the sides.
    :param ancestor: its place among what was read: one of the sides, or one more.
    :param steps: what the sides did to the ancestor's objects."""

    labels: Sequence[str]
    ancestor: Rank | None
    steps: Steps

    @property
    def many(self) -> bool:
        """Whether there is more to say than what differs between two sides."""
        return len(self.labels) > 2 or self.ancestor is not None


def compare_all(
    ways: Ways, shapes: Sequence[Mapping[str, Shape]], globs: Sequence[str], pair: ComparePair
) -> AllRows:
    """:param shapes: of each side, and of the ancestor."""
    done = AllRows()
    if not ways.many:
        done.direct = [pair(0, rank, Watch()) for rank in range(1, len(ways.labels))]
        return done
    plans = plan_tables(shapes, len(ways.labels), ways.ancestor, globs)
    with Recorder(plans) as recorder:
        for rank in range(1, len(ways.labels)):
            watch = Watch(told=dict(_told(recorder, plans, 0, rank)))
            done.direct.append(pair(0, rank, watch))
        for one, rank in _further(plans.values(), len(ways.labels)):
            told = dict(_told(recorder, plans, one, rank))
            done.further.append((one, rank, pair(one, rank, Watch(told.keys(), told))))
        failed = {name for item in done.direct for name in item.failed}
        failed |= {name for _, _, item in done.further for name in item.failed}
        _tell(ways, plans, failed, recorder, done)
    return done


def _told(
    recorder: Recorder, plans: Mapping[str, Plan], one: Rank, rank: Rank
) -> Iterator[tuple[str, Callable[[bytes | None, bytes | None], None]]]:
    for name, plan in plans.items():
        if plan.reference == one and rank in plan.columns:
            yield name, recorder.told(name, rank)


def _further(plans: Iterable[Plan], sides: int) -> list[tuple[Rank, Rank]]:
    """The pairs to compare beside the first side and every other one."""
    found = {(plan.reference, rank) for plan in plans for rank in plan.others}
    return sorted(found - {(0, rank) for rank in range(1, sides)})


def _tell(
    ways: Ways, plans: Mapping[str, Plan], failed: set[str], recorder: Recorder, done: AllRows
) -> None:
    altered = altered_columns(ways)
    for table, rows in recorder.rows():
        plan = plans[table]
        if table in failed:
            continue
        matrix = Matrix(plan, ways.labels, SAMPLE)
        history = None
        if ways.ancestor is not None:
            mine = altered.get(tuple(name_parts(table)), {})
            history = TableHistory(plan, ways.labels, ways.ancestor, mine, SAMPLE)
        (_read_keyed if plan.key else _read_loose)(plan, rows, matrix, history)
        if len(ways.labels) > 2 and (groups := matrix.result()):
            done.matrix.append(groups)
        if history and (since := history.result()):
            done.since.append(since)


Rows = Iterator[tuple[bytes, Iterator[Piece]]]


def _read_keyed(plan: Plan, rows: Rows, matrix: Matrix, history: TableHistory | None) -> None:
    for order, pieces in rows:
        found = list(pieces)
        ranks = {rank for rank, _, _ in found}
        if len(ranks) == 1 and matrix.full and (history is None or history.full):
            # Most rows of a large change: no need to take them apart.
            (rank,) = ranks
            matrix.lone(rank)
            if history is not None:
                ways = {came for _, came, _ in found}
                history.lone(rank, went=False in ways, came=True in ways)
            continue
        line = read_line(found, plan)
        key = dict(zip(plan.key, decoded(order), strict=True))
        matrix.line(key, line)
        if history is not None:
            history.line(key, line)


def _read_loose(plan: Plan, rows: Rows, matrix: Matrix, history: TableHistory | None) -> None:
    for order, pieces in rows:
        deltas = Deltas().add(pieces)
        row = dict(zip(plan.everywhere, decoded(order), strict=True))
        matrix.deltas(row, deltas)
        if history is not None:
            history.deltas(row, deltas)


def altered_columns(ways: Ways) -> dict[tuple[str, ...], dict[Rank, dict[str, Against]]]:
    """For each table (schema, name), what the sides did to columns that the ancestor has, where
    that could stand against a value that another side wrote there."""
    found: dict[tuple[str, ...], dict[Rank, dict[str, Against]]] = {}
    for key, by in ways.steps.items():
        if key.kind != "column":
            continue
        *table, column = name_parts(key.name)
        for rank, step in by.items():
            merely = step.change == "changed" and changed_properties(key, step) & _VALUES
            if step.change == "removed" or merely:
                sides = found.setdefault(tuple(table), {})
                sides.setdefault(rank, {})[column] = _against(ways, key, rank)
    return found


def _against(ways: Ways, key: ObjectKey, rank: Rank) -> Against:
    return {"side": ways.labels[rank], "kind": key.kind, "name": key.name,
            "change": ways.steps[key][rank].change}  # fmt: skip
