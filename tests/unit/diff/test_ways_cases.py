"""Rows of many sides, case by case: what is a conflict, what is agreement, and what a row is."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cowdb.controller.diff.model import Described, ObjectKey, TableSince
from cowdb.controller.diff.rows.shape import Shape
from cowdb.controller.diff.ways.objects import Step, Steps
from cowdb.controller.diff.ways.pairs import inner_tables
from cowdb.controller.diff.ways.record import Recorder, decoded, encoded
from cowdb.controller.diff.ways.rows import read_line
from cowdb.controller.diff.ways.tables import plan_tables
from tests.unit.diff.sides import Database, T, Table, compared
from tests.unit.diff.test_rows import VALUES, printed


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
