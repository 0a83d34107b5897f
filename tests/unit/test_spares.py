"""Which snapshots get spares, how many the budget allows, what is made and what goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowdb.agent.spares import Automatic, Budget, Change, can_have, change, granted, wanted
from cowdb.model import NOBODY, BranchRecord, SnapshotRecord
from tests.unit.records import BRANCH, NOW, SNAPSHOT

AUTOMATIC = Automatic(each=2, snapshots=2, window=timedelta(minutes=10))
PLENTY = Budget(memory=2**40, ports=1000, costs={}, cost=1)
SETTLED = replace(SNAPSHOT, settled="se-1")


def used(name: str, minutes_ago: float | None, spares: int | None = None) -> SnapshotRecord:
    at = None if minutes_ago is None else NOW - timedelta(minutes=minutes_ago)
    return replace(SETTLED, id=name, name=name, branched_at=at, spares=spares)


def spare(name: str, snapshot: str, base: str = "se-1") -> BranchRecord:
    return replace(BRANCH, id=name, snapshot=snapshot, base=base, owner_uid=NOBODY, spare=True)


def test_the_most_recently_used_get_some_by_themselves() -> None:
    found = [used("old", 11), used("c", 3), used("a", 1), used("b", 2), used("never", None)]
    assert wanted(found, AUTOMATIC, NOW) == {"a": 2, "b": 2}
    assert list(wanted(found, AUTOMATIC, NOW)) == ["a", "b"]
    assert wanted(found, replace(AUTOMATIC, each=0), NOW) == {}
    assert wanted(found, replace(AUTOMATIC, snapshots=0), NOW) == {}


def test_what_was_asked_for_comes_first_and_takes_no_place_of_the_others() -> None:
    found = [used("a", 1), used("b", 2), used("many", None, 7), used("none", 0.5, 0)]
    assert list(wanted(found, AUTOMATIC, NOW).items()) == [("many", 7), ("a", 2), ("b", 2)]


@pytest.mark.parametrize(
    "unfit",
    [{"settled": None}, {"implicit": True}, {"removed": "main@s"}, {"state": "deleting"}],
)
def test_of_what_no_spare_is_made(unfit: dict[str, object]) -> None:
    snapshot = replace(used("a", 1), **unfit)  # type: ignore[arg-type]
    assert not can_have(snapshot)
    assert wanted([snapshot], AUTOMATIC, NOW) == {}
    assert change({"a": 2}, {"a": snapshot}, [spare("s", "a")], ()) == Change(("s",))


def test_a_small_budget_gives_the_first_to_many() -> None:
    wishes = {"a": 3, "b": 3, "c": 1}
    assert granted(wishes, PLENTY) == wishes
    assert granted(wishes, replace(PLENTY, ports=4)) == {"a": 2, "b": 1, "c": 1}
    assert granted(wishes, replace(PLENTY, memory=2)) == {"a": 1, "b": 1, "c": 0}
    assert granted(wishes, replace(PLENTY, memory=4, costs={"a": 3})) == {"a": 1, "b": 1, "c": 0}
    assert granted(wishes, replace(PLENTY, ports=0)) == {"a": 0, "b": 0, "c": 0}
    assert granted({}, PLENTY) == {}


def test_one_is_made_where_fewest_are() -> None:
    snapshots = {name: used(name, 1) for name in "ab"}
    there = [spare("1", "a"), spare("2", "a")]
    assert change({"a": 3, "b": 2}, snapshots, there, ()) == Change((), "b")
    assert change({"a": 3, "b": 2}, snapshots, there, (), resting={"b"}) == Change((), "a")
    assert change({"a": 2}, snapshots, there, ()) == Change()


def test_what_goes() -> None:
    snapshots = {"a": used("a", 1), "b": used("b", 1)}
    there = [spare("1", "a"), spare("2", "a"), spare("3", "a"), spare("4", "b")]
    assert change({"a": 2}, snapshots, there, ()) == Change(("3", "4"))  # the youngest, and all
    assert change({"a": 3, "b": 1}, snapshots, there, {"1"}) == Change(("1",), "a")
    of_an_older_settling = spare("5", "a", base="se-0")
    assert change({"a": 1}, snapshots, [of_an_older_settling], ()) == Change(("5",), "a")
    assert change({"a": 1}, {}, [spare("1", "a")], ()) == Change(("1",))


@given(
    wishes=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 6)),
    memory=st.integers(0, 40),
    ports=st.integers(0, 20),
    costs=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9)),
)
def test_a_grant_stays_within_the_budget_and_the_changes_come_to_rest(
    wishes: dict[str, int], memory: int, ports: int, costs: dict[str, int]
) -> None:
    grants = granted(wishes, Budget(memory, ports, costs, 2))
    assert sum(grants.values()) <= ports
    assert sum(number * costs.get(name, 2) for name, number in grants.items()) <= memory
    assert all(grants[name] <= wishes[name] for name in wishes)
    snapshots = {name: used(name, 1) for name in "abcdef"}
    there: list[BranchRecord] = []
    while (made := change(grants, snapshots, there, ())).make:
        assert not made.drop
        there.append(spare(str(len(there)), made.make))
    assert made == Change()
    assert {name: sum(item.snapshot == name for item in there) for name in grants} == grants
