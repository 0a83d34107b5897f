"""Rows of many sides: the comparisons of pairs, brought together, against a plain look at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from cowdb.controller.diff.model import RowChanges, TableSince
from tests.unit.diff.sides import LABELS, Database, compared

CELLS = st.sampled_from(["1", "2", None])
COLUMNS = st.sampled_from([("a", "b"), ("a", "b"), ("a",), ("b", "c")])


@st.composite
def databases(draw: st.DrawFn, keyed: bool = True) -> Database:
    columns = draw(COLUMNS)
    rows = st.fixed_dictionaries(dict.fromkeys(columns, CELLS))
    table = st.dictionaries(st.sampled_from("pqrs"), rows)
    return Database(draw(st.one_of(table, table, table, st.none())), columns, keyed)


MANY = st.lists(databases(), min_size=3, max_size=5)
LOOSE = st.lists(databases(keyed=False), min_size=3, max_size=5)


def differ(one: Mapping[str, str | None] | None, two: Mapping[str, str | None] | None,
           columns: set[str]) -> set[str] | None:  # fmt: skip
    """The columns in which two rows differ; None where only one of them exists."""
    if one is None or two is None:
        return None if one is not two else set()
    return {name for name in columns if one[name] != two[name]}


@settings(deadline=None)
@given(MANY, st.sampled_from([0, 1, 20]))
def test_who_changed_which_row(all_of_them: list[Database], most: int) -> None:
    """The last one is the ancestor. A sample of none takes the short way through all rows."""
    *sides, ancestor = all_of_them
    if ancestor.table is None:
        return
    found = compared(all_of_them, len(sides), len(sides), most=most).since
    shared = {rank: set(side.columns) & set(ancestor.columns) for rank, side in enumerate(sides)}
    tallies: dict[str, Counter[str]] = {}
    conflicts = agreed = 0
    columns: Counter[str] = Counter()
    for key in "pqrs":
        was = ancestor.table.get(key)
        ends = {}
        for rank, side in enumerate(sides):
            if side.table is None:
                continue
            now = side.table.get(key)
            changes = differ(was, now, shared[rank])
            if changes == set():
                continue
            word = "added" if was is None else "removed" if now is None else "changed"
            tallies.setdefault(LABELS[rank], Counter())[word] += 1
            ends[rank] = now
        clash = False
        collide = set()
        for one, two in combinations(ends, 2):
            both = shared[one] & shared[two]
            other = differ(ends[one], ends[two], both)
            clash |= other != set()
            for name in other or ():
                if all((was or {}).get(name) != (ends[rank] or {})[name] for rank in (one, two)):
                    collide.add(name)
        conflicts += clash
        columns.update(collide)
        agreed += len(ends) > 1 and not clash
    if not tallies:
        assert found == []
        return
    (told,) = found
    assert told["by"] == [label for label in LABELS if label in tallies]
    assert {side: Counter(tally) for side, tally in told["changes"].items()} == {
        side: Counter(dict.fromkeys(("added", "removed", "changed"), 0)) | tally
        for side, tally in tallies.items()
    }
    assert (told["conflicts"], told["agreed"]) == (conflicts, agreed)
    assert told["columns"] == columns
    gone = [LABELS[rank] for rank, side in enumerate(sides) if side.table is None]
    assert [item["side"] for item in told["against"]] == gone
    assert told["conflict"] == bool(conflicts or gone)
    touched = sum(len(item["by"]) for item in told["sample"])
    changes = sum(map(Counter.total, tallies.values()))
    assert len(told["sample"]) <= most and (most < 20 or touched == changes)
    if most == 20:
        assert sum(bool(item["conflict"]) for item in told["sample"]) == conflicts


@settings(deadline=None)
@given(MANY, st.one_of(st.none(), st.integers(0, 4)), st.sampled_from([0, 20]))
def test_which_sides_agree(all_of_them: list[Database], ancestor: int | None, most: int) -> None:
    """Told from the first side, from one side, or from one more: the groups are the same, and
    each side is in the first one's group exactly where the two have the same row."""
    if ancestor is not None:
        ancestor = min(ancestor, len(all_of_them) - 1)
    extra = ancestor == len(all_of_them) - 1 and len(all_of_them) > 3
    sides = all_of_them[:-1] if extra else all_of_them
    uniform = {side.columns for side in all_of_them} == {("a", "b")}
    found = compared(all_of_them, len(sides), ancestor, most=most).matrix
    holders = [rank for rank, side in enumerate(sides) if side.table is not None]
    for line in found:
        assert line["sides"] == [LABELS[rank] for rank in holders]
        for pattern in line["patterns"]:
            named = [side for group in pattern["groups"] for side in group]
            assert sorted(named) == sorted(line["sides"])
            assert pattern["groups"][0][0] == line["sides"][0]
        assert len(line["sample"]) == min(most, line["different"])
        assert line["different"] == sum(pattern["rows"] for pattern in line["patterns"])
    if uniform:
        expected: Counter[tuple[tuple[str, ...], ...]] = Counter()
        for key in "pqrs":
            groups: dict[str, list[str]] = {}
            for rank in holders:
                row = (sides[rank].table or {}).get(key)
                spelled = str(row and sorted(row.items()))
                groups.setdefault(spelled, []).append(LABELS[rank])
            expected[tuple(map(tuple, groups.values()))] += len(groups) > 1
        got = {tuple(map(tuple, pattern["groups"])): pattern["rows"]
               for line in found for pattern in line["patterns"]}  # fmt: skip
        assert got == +expected


@settings(deadline=None)
@given(LOOSE)
def test_without_a_key_only_numbers_of_equal_rows_can_be_told(all_of_them: list[Database]) -> None:
    *sides, ancestor = all_of_them
    if ancestor.table is None:
        return
    found = compared(all_of_them, len(sides), len(sides)).since
    held = [rank for rank, side in enumerate(sides) if side.table is not None]
    everywhere = set(ancestor.columns).intersection(*(sides[rank].columns for rank in held))

    def bag(side: Database) -> Counter[str]:
        rows = (side.table or {}).values()
        return Counter(str(sorted((n, row[n]) for n in everywhere)) for row in rows)

    tallies = {}
    for rank in held:
        added, removed = bag(sides[rank]) - bag(ancestor), bag(ancestor) - bag(sides[rank])
        if added or removed:
            tallies[LABELS[rank]] = {
                "added": added.total(), "removed": removed.total(), "changed": 0,
            }  # fmt: skip
    if not tallies:
        assert found == []
        return
    (told,) = found
    assert told["changes"] == tallies
    assert (told["key"], told["conflicts"], told["agreed"]) == ([], None, None)
    assert told["conflict"] is (True if told["against"] else None)


@settings(deadline=None)
@given(MANY, st.permutations([0, 1, 2, 3]))
def test_swapping_the_sides_changes_no_conflict(
    all_of_them: list[Database], order: list[int]
) -> None:
    *sides, ancestor = all_of_them
    if ancestor.table is None and len({side.columns for side in sides}) > 1:
        return  # of a new table, only columns are compared that the first side has
    order = [rank for rank in order if rank < len(sides)]
    one = compared([*sides, ancestor], len(sides), len(sides)).since
    two = compared([*(sides[rank] for rank in order), ancestor], len(sides), len(sides)).since
    names = {LABELS[place]: LABELS[rank] for place, rank in enumerate(order)}
    assert [_plain(item, names) for item in two] == [
        _plain(item, dict(zip(LABELS, LABELS, strict=True))) for item in one
    ]


def _plain(item: TableSince, names: dict[str, str]) -> object:
    changes = {names[side]: tally for side, tally in item["changes"].items()}
    rows = sorted((str(row["key"]), sorted(names[side] for side in row["by"]), row["conflict"],
                   row["collide"]) for row in item["sample"])  # fmt: skip
    return changes, item["conflict"], item["conflicts"], item["agreed"], item["columns"], rows


@settings(deadline=None)
@given(st.one_of(MANY, LOOSE))
def test_what_is_derived_from_the_ancestor_is_what_the_first_side_shows(
    all_of_them: list[Database],
) -> None:
    """Where the ancestor has the table and the columns are the same, the first side is compared
    with no other one."""
    sides = len(all_of_them) - 1
    asked: list[tuple[int, int]] = []
    derived = compared(all_of_them, sides, sides, asked=asked)
    plain = compared(all_of_them[:-1], sides, None)
    for one, two in zip(derived.direct, plain.direct, strict=True):
        assert [comparable(line) for line in one.rows] == [comparable(line) for line in two.rows]
    uniform = {side.columns for side in all_of_them} == {("a", "b")}
    if uniform and all_of_them[-1].table is not None:
        assert {one for one, _ in asked} <= {sides}


def comparable(line: RowChanges) -> object:
    sample = sorted(str([row["change"], *(sorted(row.get(part, {}).items())
                                          for part in ("key", "row", "columns"))])
                    for row in line["sample"])  # fmt: skip
    return {**line, "columns": dict(line["columns"]), "sample": sample}
