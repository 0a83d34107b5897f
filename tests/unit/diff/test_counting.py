"""Counting by blocks, with sides that are lists of numbers: rows in each block."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cowdb.controller.diff.counting import plan as planning
from cowdb.controller.diff.counting.plan import BASE, Place, plan
from cowdb.controller.diff.counting.ranges import joined, total, without

Blocks = list[int]
spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)).map(
    lambda item: (item[0], item[0] + item[1])), max_size=8)  # fmt: skip


def members(ranges: list[tuple[int, int]]) -> set[int]:
    return {block for low, high in ranges for block in range(low, high)}


@settings(deadline=None)
@given(spans, st.integers(0, 4))
def test_joined(ranges: list[tuple[int, int]], gap: int) -> None:
    found = joined(ranges, gap)
    assert members(found) >= members(ranges)
    if not gap:
        assert members(found) == members(ranges)
    assert all(low < high for low, high in found)
    assert all(one[1] + gap < two[0] for one, two in itertools.pairwise(found))


@settings(deadline=None)
@given(spans, spans)
def test_without(ranges: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    left, right = joined(ranges), joined(others)
    found = without(left, right)
    assert members(found) == members(ranges) - members(others)
    assert total(found) == len(members(found))


@dataclass(frozen=True)
class World:
    """:param files: rows in each block of the snapshot's files.
    :param sides: of each side's files, None where it has no such table."""

    files: dict[str, Blocks]
    sides: list[dict[str, Blocks]]
    written: list[dict[str, list[tuple[int, int]]]]
    known: dict[str, int]
    base: bool


@st.composite
def worlds(draw: st.DrawFn) -> World:
    names = ["a", "b", "c"]
    files = {name: draw(st.lists(st.integers(0, 5), min_size=1, max_size=300)) for name in names}
    sides, written = [], []
    for _ in range(draw(st.integers(1, 4))):
        tables: dict[str, Blocks] = {}
        changed: dict[str, list[tuple[int, int]]] = {}
        for name in draw(st.sets(st.sampled_from(names), min_size=1)):
            blocks = list(files[name])
            ranges = []
            for low, length in draw(st.lists(st.tuples(st.integers(0, 310), st.integers(1, 4)),
                                             max_size=5)):  # fmt: skip
                for block in range(low, low + length):
                    while len(blocks) <= block:
                        ranges.append((len(blocks), len(blocks) + 1))
                        blocks.append(0)
                    blocks[block] = draw(st.integers(0, 5))
                ranges.append((low, low + length))
            if draw(st.booleans()):  # cut off
                end = draw(st.integers(0, len(blocks)))
                ranges.append((end, max(len(blocks), len(files[name]))))
                blocks = blocks[:end]
            tables[name], changed[name] = blocks, ranges
        sides.append(tables)
        written.append(changed)
    known = {name: sum(files[name]) for name in draw(st.sets(st.sampled_from(names)))}
    return World(files, sides, written, known, draw(st.booleans()))


def rows(blocks: Blocks, ranges: object) -> int:
    return sum(sum(blocks[low:high]) for low, high in ranges)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "BASE_WORTH", 0)
    monkeypatch.setattr(planning, "_QUERY", 1)
    monkeypatch.setattr(planning, "_GAP", 3)


@settings(deadline=None)
@given(worlds())
def test_the_numbers_are_right_whoever_reads_what(world: World) -> None:
    tables = [{name: Place(name, len(world.files[name])) for name in side} for side in world.sides]
    done = plan(tables, world.written, world.known, base=world.base)
    assert world.base or not done.needs_base
    changes: dict[tuple[int, str], int] = {}
    for reading in done.readings:
        key = reading.side, reading.file
        if reading.reader == BASE:
            blocks = world.files[reading.file]
        else:
            blocks = world.sides[reading.reader][reading.file]
        changes[key] = changes.get(key, 0) + reading.sign * rows(blocks, reading.ranges)
    base = dict(world.known)
    for name, side in done.leader.items():
        assert name not in world.known
        assert name in done.full[side]
        base[name] = sum(world.sides[side][name]) - changes.get((side, name), 0)
        assert base[name] == sum(world.files[name])
    for side, each in enumerate(world.sides):
        for name in each:
            assert (name in done.full[side]) != ((side, name) in done.derived)
            if (side, name) in done.derived:
                assert base[name] + changes.get((side, name), 0) == sum(each[name])


def place(pages: int) -> dict[str, Place]:
    return {"f": Place("t", pages)}


def test_nothing_is_read_where_nothing_has_changed() -> None:
    done = plan([place(10), place(10)], [{}, {}], {"f": 5}, base=True)
    assert not done.readings
    assert done.derived == {(0, "f"), (1, "f")}
    done = plan([place(10), place(10)], [{}, {}], {}, base=True)
    assert [len(side) for side in done.full] == [1, 0], "one side tells for both"


def test_each_side_reads_for_the_other_what_it_has_not_changed() -> None:
    written = [{"f": [(0, 1)]}, {"f": [(5000, 5001)]}]
    done = plan([place(9000), place(9000)], written, {"f": 5}, base=True)
    assert not done.needs_base
    assert {(item.reader, item.side) for item in done.readings} == {(0, 0), (1, 0), (1, 1), (0, 1)}


def test_what_both_have_changed_needs_the_base_or_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    written = [{"f": [(0, 1)]}, {"f": [(0, 1)]}]
    assert plan([place(9000)] * 2, written, {"f": 5}, base=True).needs_base
    assert plan([place(9000)] * 2, written, {"f": 5}, base=False).full == [{"f"}, {"f"}]
    monkeypatch.setattr(planning, "BASE_WORTH", 10_000)
    assert not plan([place(9000)] * 2, written, {"f": 5}, base=True).needs_base


def test_a_table_of_which_most_has_changed_is_counted_in_full() -> None:
    written = [{"f": [(0, 80)]}, {}]
    done = plan([place(100), place(100)], written, {"f": 5}, base=True)
    assert done.full == [{"f"}, set()]
