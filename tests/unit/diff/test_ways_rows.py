"""Rows of many sides: the comparisons of pairs, brought together, against a plain look at all."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cowdb.controller.diff.model import Described, ObjectKey, RowChanges, TableSince
from cowdb.controller.diff.rows.compare import Compared, Watch
from cowdb.controller.diff.rows.merge import Names, Row, merge
from cowdb.controller.diff.rows.shape import Shape, common
from cowdb.controller.diff.ways.objects import Step, Steps
from cowdb.controller.diff.ways.pairs import AllRows, Ways, compare_all, inner_tables
from cowdb.controller.diff.ways.record import Recorder, decoded, encoded
from cowdb.controller.diff.ways.rows import read_line
from cowdb.controller.diff.ways.tables import plan_tables
from tests.unit.diff.test_rows import VALUES, printed

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


def since(*sides: Table, ancestor: Table, steps: Steps | None = None) -> TableSince:
    made = [Database(table, ("a", "b")) for table in (*sides, ancestor)]
    (found,) = compared(made, len(sides), len(sides), steps).since
    return found


OLD = {"p": {"a": "1", "b": "1"}, "q": {"a": "1", "b": "1"}}


@pytest.mark.parametrize("most", [0, 1, 25])
def test_what_is_derived_keeps_as_many_rows_as_were_asked_for(most: int) -> None:
    rows: Table = {f"k{n:02}": {"a": "1"} for n in range(30)}
    other: Table = {name: {"a": "2"} for name in rows}
    asked: list[tuple[int, int]] = []
    made = [Database(table, ("a",)) for table in (rows, other, rows)]
    (line,) = compared(made, 2, 2, asked=asked, most=most).direct[0].rows
    assert (0, 1) not in asked
    assert (line["changed"], len(line["sample"])) == (30, most)


def test_one_row_changed_by_two_sides_to_other_ends() -> None:
    found = since({**OLD, "p": {"a": "2", "b": "1"}}, {**OLD, "p": {"a": "3", "b": "2"}},
                  ancestor=OLD)  # fmt: skip
    assert found["sample"] == [{
        "key": {"k": "p"}, "by": ["one", "two"], "conflict": True,
        "was": {"a": "1", "b": "1"},
        "became": {"one": {"a": "2", "b": "1"}, "two": {"a": "3", "b": "2"}},
        "collide": ["a"],
    }]  # fmt: skip


def test_other_columns_of_one_row_are_a_conflict_without_a_collision() -> None:
    found = since({**OLD, "p": {"a": "2", "b": "1"}}, {**OLD, "p": {"a": "1", "b": "2"}},
                  ancestor=OLD)  # fmt: skip
    assert (found["conflict"], found["conflicts"], found["columns"]) == (True, 1, {})


def test_removing_what_another_side_changed_is_a_conflict() -> None:
    found = since({"q": OLD["q"]}, {**OLD, "p": {"a": "1", "b": "2"}}, ancestor=OLD)
    assert found["sample"][0]["became"] == {"one": None, "two": {"b": "2"}}
    assert (found["conflicts"], found["agreed"]) == (1, 0)


def test_rows_are_compared_in_the_columns_that_both_sides_have() -> None:
    """One has dropped b: what both made of the row is the same as far as both have it."""
    ancestor = Database(OLD, ("a", "b"))
    fewer = Database({"p": {"a": "2"}, "q": {"a": "1"}}, ("a",))
    more = Database({**OLD, "p": {"a": "2", "b": "1"}}, ("a", "b"))
    (found,) = compared([fewer, more, ancestor], 2, 2).since
    assert (found["conflicts"], found["agreed"]) == (0, 1)


def test_a_side_without_the_column_is_in_the_first_group_that_it_agrees_with() -> None:
    ancestor = Database(OLD, ("a", "b"))
    fewer = Database({"p": {"a": "1"}, "q": {"a": "1"}}, ("a",))
    changed = Database({**OLD, "p": {"a": "1", "b": "2"}}, ("a", "b"))
    (found,) = compared([changed, fewer, ancestor, ancestor], 3, 3).matrix
    assert found["patterns"] == [{"groups": [["one", "two"], ["three"]], "rows": 1}]


def test_removing_the_same_row_is_agreement() -> None:
    found = since({"q": OLD["q"]}, {"q": OLD["q"]}, ancestor=OLD)
    assert (found["conflict"], found["agreed"], found["by"]) == (False, 1, ["one", "two"])


def test_a_row_of_a_table_that_the_ancestor_does_not_have() -> None:
    made = [Database(table, ("a", "b")) for table in (OLD, {**OLD, "p": {"a": "2", "b": "1"}})]
    (found,) = compared([*made, Database(None, ())], 2, 2).since
    assert found["sample"][0]["was"] is None
    assert (found["conflicts"], found["columns"]) == (1, {"a": 1})


@pytest.mark.parametrize(
    ("change", "collides"),
    [
        (Step(Described({"type": "int"}), None), True),
        (Step(Described({"type": "int"}), Described({"type": "text"})), True),
        (Step(Described({"type": "int"}), Described({"type": "int", "comment": "x"})), False),
        (Step(None, Described({"type": "int"})), False),
    ],
)
def test_a_written_column_collides_with_what_another_side_did_to_it(
    change: Step, collides: bool
) -> None:
    steps = {ObjectKey("column", f"{T}.{name}"): {1: change} for name in ("b", "other")}
    found = since({**OLD, "p": {"a": "1", "b": "2"}}, OLD, ancestor=OLD, steps=steps)
    names = [(item["side"], item["name"]) for item in found["against"]]
    assert names == ([("two", f"{T}.b")] if collides else [])
    assert found["conflict"] is collides


@settings(deadline=None)
@given(st.lists(VALUES.filter(lambda value: "\0" not in (value or ""))), st.lists(VALUES))
def test_keys_are_told_apart(one: list[str | None], two: list[str | None]) -> None:
    assert decoded(b"1234" + encoded(one)) == one
    if "\0" not in "".join(value or "" for value in two):
        assert (encoded(one) == encoded(two)) == (one == two)


def test_more_changes_than_fit_in_memory_come_back_by_table_and_key() -> None:
    shape = {
        f"public.t{n}": Shape(f"public.t{n}", "r", ("k", "v"), ((("k", None),),), 1)
        for n in range(3)
    }
    plans = plan_tables([shape] * 4, 3, 3, ())
    expected: dict[str, dict[str, set[tuple[int, bool, str]]]] = {}
    with Recorder(plans, most_bytes=20_000) as recorder:
        for rank, table in itertools.product((2, 0, 1), shape):
            tell = recorder.told(table, rank)
            for key in map(str, range(300, 0, -1)):
                texts = printed([key, "old"]), printed([key, f"new {rank}"])
                tell(*(text.encode() for text in texts))
                pieces = expected.setdefault(table, {}).setdefault(key, set())
                pieces |= {(rank, False, texts[0]), (rank, True, texts[1])}
        found = {
            table: {decoded(order)[0]: set(pieces) for order, pieces in rows}
            for table, rows in recorder.rows()
        }
    assert found == expected


def test_rows_of_any_bytes_and_of_no_columns() -> None:
    """SQL_ASCII checks nothing, and a table may have no columns at all."""
    for columns, before, after in ((("k", "v"), b"(1,\xff)", b"(1,\xfe)"), ((), b"()", None)):
        keys = ((("k", None),),) if columns else ()
        plans = plan_tables([{T: Shape(T, "r", columns, keys, 1)}] * 3, 2, 2, ())
        with Recorder(plans) as recorder:
            recorder.told(T, 0)(before, after)
            found = [(decoded(order), read_line(pieces, plans[T]).was)
                     for _, rows in recorder.rows() for order, pieces in rows]  # fmt: skip
        assert found == ([(["1"], {"k": "1", "v": "\\xff"})] if columns else [([], {})])


def test_a_key_with_two_spellings_is_one_row() -> None:
    """1.0 and 1.00 are one numeric key: what the comparison has matched stays one row."""
    shape = {T: Shape(T, "r", ("k", "v"), ((("k", None),),), 1)}
    with Recorder(plan_tables([shape] * 3, 2, 2, ())) as recorder:
        recorder.told(T, 0)(b"(1.0,a)", b"(1.00,a)")
        recorder.told(T, 1)(b"(1.0,a)", b"(1.0,b)")
        found = {(*decoded(order), len(list(pieces)))
                 for _, rows in recorder.rows() for order, pieces in rows}  # fmt: skip
    assert found == {("1.0", 4)}


def test_a_conflict_in_a_partition_is_one_conflict() -> None:
    def shape(name: str, leaves: tuple[str, ...] | None = None) -> Shape:
        return Shape(name, "r", ("k",), (), 1, leaves=leaves)

    side = {"p": shape("p", ("p1", "q1")), "q": shape("q", ("q1",)), "p1": shape("p1"),
            "q1": shape("q1"), "t": shape("t")}  # fmt: skip
    assert inner_tables(set(side), [side]) == {"p1", "q1", "q"}
    assert inner_tables({"q1", "p1", "t"}, [side]) == set()
    assert inner_tables({"q", "q1"}, [{}, side]) == {"q1"}
