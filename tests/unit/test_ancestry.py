"""The nearest common snapshot, from records alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cowdb.agent.service import promotion
from cowdb.agent.service.ancestry import history, line, nearest
from cowdb.agent.store import Store, Transaction
from cowdb.model import BranchRecord, SnapshotRecord
from tests.unit.records import BRANCH, SNAPSHOT


def taken(number: int, **changes: object) -> SnapshotRecord:
    """A snapshot of `main`; later ones have higher numbers."""
    made = replace(
        SNAPSHOT, id=f"sn-{number}", name=f"s{number}", parent="so-1", parent_name="main",
        origin="so-1", state="ready", lsn=f"0/{number:X}000000", system_identifier="7", timeline=1,
        created_at=SNAPSHOT.created_at + timedelta(minutes=number),
    )  # fmt: skip
    return replace(made, **changes)


def branch(name: str, snapshot: str) -> BranchRecord:
    cluster = replace(BRANCH.cluster, id=f"br-{name}", volume=f"br-{name}")
    return replace(BRANCH, id=f"br-{name}", name=name, snapshot=snapshot, cluster=cluster)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "store.db")
    yield made
    made.close()


def names(found: list[SnapshotRecord]) -> list[str]:
    return [item.id for item in found]


def test_a_branch_has_its_own_snapshots_then_those_before_its_origin(store: Store) -> None:
    a, grandchild = branch("a", "sn-2"), branch("b", "sn-5")
    own = taken(5, parent=a.id, parent_name="a", origin="br-a")
    with store.transaction() as tx:
        for item in (taken(1), taken(2), taken(3), own, taken(6, state="creating")):
            tx.snapshots.put(item)
        tx.branches.put(a)
        tx.branches.put(grandchild)
        assert names(list(history(tx, a))) == ["sn-5", "sn-2", "sn-1"]
        assert names(list(history(tx, grandchild))) == ["sn-5", "sn-2", "sn-1"]
        assert names(list(history(tx, taken(3)))) == ["sn-3", "sn-2", "sn-1"]
        found = nearest([list(history(tx, a)), list(history(tx, taken(3)))])
        assert found is not None and found.id == "sn-2"


def test_a_removed_snapshot_is_passed_over(store: Store) -> None:
    """With --promote, its branches stay, and its record; there is nothing to compare with."""
    a, b = branch("a", "sn-2"), branch("b", "sn-2")
    with store.transaction() as tx:
        for item in (taken(1), taken(2, removed="main@s2", implicit=True)):
            tx.snapshots.put(item)
        assert names(list(history(tx, a))) == names(list(history(tx, b))) == ["sn-1"]


def test_a_reset_goes_back_to_where_the_old_volume_came_from(store: Store) -> None:
    """What was taken before it is no history of the branch, and has the same one."""
    a = branch("a", "sn-1")
    reset = replace(a, cluster=replace(a.cluster, volume="br-new"))
    child = branch("c", "sn-5")
    with store.transaction() as tx:
        tx.snapshots.put(taken(1))
        tx.snapshots.put(taken(5, parent=a.id, parent_name="a", origin="br-a"))
        tx.branches.put(reset)
        tx.branches.put(child)
        assert names(list(history(tx, reset))) == ["sn-1"]
        assert names(list(history(tx, child))) == ["sn-5", "sn-1"]


def promoted(tx: Transaction, gone: BranchRecord, garbage: SnapshotRecord | None = None) -> None:
    """`branch rm --promote`, as far as the records go."""
    found = promotion.adoptions(tx, gone, garbage)
    if garbage:
        tx.snapshots.put(replace(garbage, state="deleting"))
    promotion.adopt(tx, gone, found)
    tx.branches.delete(gone.id)
    if garbage:
        tx.snapshots.delete(garbage.id)


def forgotten(tx: Transaction, number: int) -> None:
    """`snapshot rm`, as far as the records go."""
    snapshot = tx.snapshots.get(f"sn-{number}")
    assert snapshot is not None
    tx.snapshots.put(replace(snapshot, state="deleting"))
    promotion.give_up(tx, snapshot.id)
    tx.snapshots.delete(snapshot.id)


def test_what_was_passed_on_has_the_history_that_it_had(store: Store) -> None:
    """main@s2 <- a@s5 <- b@s7 <- c, without a, then without b, then without a's snapshots."""
    a, b, c = branch("a", "sn-2"), branch("b", "sn-5"), branch("c", "sn-7")
    of_a = [taken(number, parent=a.id, parent_name="a", origin="br-a") for number in (4, 5, 6)]
    of_b = taken(7, parent=b.id, parent_name="b", origin="br-b")
    with store.transaction() as tx:
        for snapshot in (taken(1), taken(2), taken(3), *of_a, of_b):
            tx.snapshots.put(snapshot)
        for each in (a, b, c):
            tx.branches.put(each)
        before = names(list(history(tx, c)))
        assert before == ["sn-7", "sn-5", "sn-4", "sn-2", "sn-1"]
        promoted(tx, a)
        assert names(list(history(tx, c))) == before
        assert names(list(history(tx, b))) == before
        promoted(tx, b)
        assert names(list(history(tx, c))) == before
        forgotten(tx, 5)
        assert names(list(history(tx, c))) == ["sn-7", "sn-4", "sn-2", "sn-1"]
        forgotten(tx, 4)
        assert names(list(history(tx, c))) == ["sn-7", "sn-2", "sn-1"]
        forgotten(tx, 2)
        assert names(list(history(tx, c))) == ["sn-7", "sn-1"]
        forgotten(tx, 1)
        assert names(list(history(tx, c))) == ["sn-7"]


def test_a_snapshot_that_goes_with_its_branch_is_passed_over(store: Store) -> None:
    """main@s1 <- a <- (nobody named it) <- b@s5 <- c, without b."""
    a, b, c = branch("a", "sn-1"), branch("b", "sn-3"), branch("c", "sn-5")
    unnamed = taken(3, parent=a.id, parent_name="a", origin="br-a", implicit=True)
    with store.transaction() as tx:
        for snapshot in (taken(1), unnamed,
                         taken(5, parent=b.id, parent_name="b", origin="br-b")):  # fmt: skip
            tx.snapshots.put(snapshot)
        for each in (a, b, c):
            tx.branches.put(each)
        (found,) = promotion.adoptions(tx, b, unnamed)
        assert found.after.cloned_from == "sn-1", "what its mark says is there afterwards"
        promoted(tx, b, unnamed)
        assert names(list(history(tx, c))) == ["sn-5", "sn-1"]
        promoted(tx, a)
        assert names(list(history(tx, c))) == ["sn-5", "sn-1"]


@pytest.mark.parametrize(
    "older",
    [
        taken(1, system_identifier="8"),  # another cluster was put in its place
        taken(1, timeline=2),  # restored to a point in time
        taken(1, lsn="1/0"),  # set back from outside
    ],
)
def test_another_life_of_a_server_is_no_history(older: SnapshotRecord) -> None:
    assert names(list(line([older, taken(2), taken(3)]))) == ["sn-3", "sn-2"]


def test_what_is_removed_still_tells_two_lives_apart() -> None:
    """A source that was set back between two snapshots, the newer of which has only a record."""
    removed = taken(3, removed="main@s3", implicit=True)
    assert names(list(line([taken(1, timeline=2), removed]))) == []
    assert names(list(line([taken(1), removed]))) == ["sn-1"]
    assert names(list(line([taken(1), replace(removed, state="deleting")]))) == ["sn-1"]


def test_positions_in_the_log_are_numbers(store: Store) -> None:
    assert names(list(line([taken(1, lsn="9/0"), taken(2, lsn="A/0"), taken(3, lsn="10/0")]))) == [
        "sn-3", "sn-2", "sn-1",
    ]  # fmt: skip


def test_nothing_in_common() -> None:
    assert nearest([[taken(1)], []]) is None
    assert nearest([[taken(2), taken(1)], [taken(1)], [taken(3), taken(1)]]) == taken(1)
