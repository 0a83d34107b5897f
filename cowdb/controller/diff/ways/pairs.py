"""Rows of all sides: compares the pairs that are needed, and tells what they say together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from cowdb.controller.diff.model import (
    SAMPLE,
    Against,
    Method,
    ObjectKey,
    TableGroups,
    TableSince,
)
from cowdb.controller.diff.rows.compare import Compared, Watch
from cowdb.controller.diff.rows.merge import Told
from cowdb.controller.diff.rows.shape import Shape
from cowdb.controller.diff.scope import name_parts
from cowdb.controller.diff.ways.derive import Derived, derivable
from cowdb.controller.diff.ways.matrix import Matrix
from cowdb.controller.diff.ways.objects import Steps, changed_properties
from cowdb.controller.diff.ways.record import Piece, Recorder, decoded
from cowdb.controller.diff.ways.rows import Deltas, read_line
from cowdb.controller.diff.ways.since import Altered, TableHistory
from cowdb.controller.diff.ways.tables import Plan, Rank, plan_tables

ComparePair = Callable[[Rank, Rank, Watch], Compared]
"""Compares the rows of two of what was read."""

# What the values of a column have to obey; its default or comment collides with no row.
_VALUES = frozenset({"type", "collation", "not_null", "generated", "identity"})


@dataclass
class AllRows:
    """:param direct: every other side with the first.
    :param further: what else was compared, with both places.
    :param matrix: of three sides and more. :param since: with an ancestor.
    :param inner: partitions whose rows `since` tells once more, in what they are partitions of."""

    direct: list[Compared] = field(default_factory=list)
    further: list[tuple[Rank, Rank, Compared]] = field(default_factory=list)
    matrix: list[TableGroups] = field(default_factory=list)
    since: list[TableSince] = field(default_factory=list)
    inner: set[str] = field(default_factory=set)

    def method(self) -> dict[str, Method]:
        """How each table was read: where several pairs were compared, the one that read most."""
        found: dict[str, Method] = {}
        for item in (*self.direct, *(item for _, _, item in self.further)):
            for name, how in item.method.items():
                found[name] = max(found.get(name, how), how, key=get_args(Method).index)
        return found

    def why_full_scan(self) -> dict[str, str]:
        every = (*self.direct, *(item for _, _, item in self.further))
        return {name: why for item in every for name, why in sorted(item.whole.items())}


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
    ways: Ways, shapes: Sequence[Mapping[str, Shape]], globs: Sequence[str], pair: ComparePair,
    most: int = SAMPLE,
) -> AllRows:  # fmt: skip
    """:param shapes: of each side, and of the ancestor.
    :param most: how many rows of each table a sample holds."""
    done = AllRows()
    if not ways.many:
        done.direct = [pair(0, rank, Watch()) for rank in range(1, len(ways.labels))]
        return done
    plans = plan_tables(shapes, len(ways.labels), ways.ancestor, globs)
    derived = {
        (name, rank)
        for name, plan in plans.items()
        for rank in range(1, len(ways.labels))
        if derivable(plan, rank, shapes)
    }
    with Recorder(plans) as recorder:
        for one, rank in _further(plans.values(), len(ways.labels)):
            told = dict(_told(recorder, plans, one, rank))
            done.further.append((one, rank, pair(one, rank, Watch(told.keys(), told))))
        for rank in range(1, len(ways.labels)):
            wanted = {name for name, plan in plans.items()
                      if {0, rank} <= plan.holders and (name, rank) not in derived}  # fmt: skip
            watch = Watch(wanted, dict(_told(recorder, plans, 0, rank)))
            done.direct.append(pair(0, rank, watch) if wanted else Compared())
        _tell(ways, plans, derived, recorder, done, most)
    done.inner = inner_tables({line["table"] for line in done.since if line["key"]}, shapes)
    return done


def inner_tables(told: set[str], shapes: Sequence[Mapping[str, Shape]]) -> set[str]:
    """Those of these tables whose rows are all among those of another one. Pure."""
    leaves: dict[str, set[str]] = {}
    for name in told:
        known = [side[name].leaves for side in shapes if name in side]
        leaves[name] = {leaf for item in known for leaf in (item or ())} or {name}
    return {
        one for one in told for two in told
        if one != two and leaves[one] <= leaves[two]
        and (leaves[one] != leaves[two] or one in leaves[one] or two < one)
    }  # fmt: skip


def _told(
    recorder: Recorder, plans: Mapping[str, Plan], one: Rank, rank: Rank
) -> Iterator[tuple[str, Told]]:
    for name, plan in plans.items():
        if plan.reference == one and rank in plan.columns:
            yield name, recorder.told(name, rank)


def _further(plans: Iterable[Plan], sides: int) -> list[tuple[Rank, Rank]]:
    """The pairs to compare beside the first side and every other one."""
    found = {(plan.reference, rank) for plan in plans for rank in plan.others}
    return sorted(found - {(0, rank) for rank in range(1, sides)})


def _tell(
    ways: Ways, plans: Mapping[str, Plan], derived: set[tuple[str, Rank]], recorder: Recorder,
    done: AllRows, most: int,
) -> None:  # fmt: skip
    failed = _failed(done, derived)
    altered = altered_columns(ways)
    for table, rows in recorder.rows():
        plan = plans[table]
        if table in failed:
            continue
        readers = Readers(
            plan,
            Matrix(plan, ways.labels, most),
            _history(ways, plan, altered, most),
            [Derived(plan, rank, most) if (table, rank) in derived else None
             for rank in range(1, len(ways.labels))],
        )  # fmt: skip
        readers.read(rows)
        if len(ways.labels) > 2 and (groups := readers.matrix.result()):
            done.matrix.append(groups)
        if readers.history and (since := readers.history.result()):
            done.since.append(since)
        for label, item, pair in zip(ways.labels[1:], done.direct, readers.derived, strict=True):
            if pair is not None and (line := pair.result(label)):
                item.rows.append(line)
    for item in done.direct:
        item.rows.sort(key=lambda line: line["table"])


def _failed(done: AllRows, derived: set[tuple[str, Rank]]) -> set[str]:
    """The tables that some pair could not be compared in: they are told of no pair that would be
    derived from that, and nothing is told of all sides together."""
    reasons = {name: why for _, _, item in done.further for name, why in item.failed.items()}
    for name, rank in derived:
        if name in reasons:
            done.direct[rank - 1].failed[name] = reasons[name]
    return reasons.keys() | {name for item in done.direct for name in item.failed}


def _history(
    ways: Ways, plan: Plan, altered: Mapping[tuple[str, ...], Altered], most: int
) -> TableHistory | None:
    if ways.ancestor is None:
        return None
    mine = altered.get(tuple(name_parts(plan.table)), {})
    return TableHistory(plan, ways.labels, ways.ancestor, mine, most)


@dataclass(frozen=True)
class Readers:
    """What wants to hear of a table's rows."""

    plan: Plan
    matrix: Matrix
    history: TableHistory | None
    derived: Sequence[Derived | None]

    def read(self, rows: Iterator[tuple[bytes, Iterator[Piece]]]) -> None:
        if self.plan.key:
            self._read_keyed(rows)
        else:
            self._read_loose(rows)

    def _read_keyed(self, rows: Iterator[tuple[bytes, Iterator[Piece]]]) -> None:
        short = not any(self.derived)
        for order, pieces in rows:
            found = list(pieces)
            ranks = {rank for rank, _, _ in found}
            if len(ranks) == 1 and short and self._full():
                # Most rows of a large change: no need to take them apart.
                self._lone(ranks.pop(), {came for _, came, _ in found})
                continue
            line = read_line(found, self.plan)
            key = dict(zip(self.plan.key, decoded(order), strict=True))
            self.matrix.line(key, line)
            if self.history is not None:
                self.history.line(key, line)
            for pair in self.derived:
                if pair is not None:
                    pair.line(line)

    def _full(self) -> bool:
        return self.matrix.full and (self.history is None or self.history.full)

    def _lone(self, rank: Rank, came: set[bool]) -> None:
        self.matrix.lone(rank)
        if self.history is not None:
            self.history.lone(rank, went=False in came, came=True in came)

    def _read_loose(self, rows: Iterator[tuple[bytes, Iterator[Piece]]]) -> None:
        for order, pieces in rows:
            deltas = Deltas().add(pieces)
            row = dict(zip(self.plan.everywhere, decoded(order), strict=True))
            self.matrix.deltas(row, deltas)
            if self.history is not None:
                self.history.deltas(row, deltas)
            for pair in self.derived:
                if pair is not None:
                    pair.deltas(row, deltas)


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
