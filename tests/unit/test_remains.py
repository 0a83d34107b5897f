"""Volumes in, records and orphans out; no filesystem anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cowdb.agent import marks
from cowdb.agent.remains import Remains, gather
from cowdb.agent.service import promotion
from cowdb.agent.storage.protocol import Volume, VolumeId
from cowdb.model import NOBODY, BranchRecord, SnapshotRecord
from tests.unit.records import ATTACHED, BRANCH, SNAPSHOT, SOURCE


def volume(name: str, mark: Mapping[str, str], *, complete: bool = True) -> Volume:
    return Volume(VolumeId(name), name.startswith(("sn", "se")), complete, mark)


MAIN = volume("so-1", marks.of_source(SOURCE))
TAKEN = volume("sn-1", marks.of_snapshot(SNAPSHOT))
SETTLED = volume("se-1", marks.of_settled(SNAPSHOT))
COPY = volume("br-1", marks.of_branch(BRANCH, raw=True))


def found(*volumes: Volume, running: str = "") -> Remains:
    return gather([("pool", item) for item in volumes], lambda it: it.cluster.volume == running)


def orphans(remains: Remains) -> dict[str, str]:
    return {item.volume.id: item.why for item in remains.orphans}


def test_all_comes_back_in_whatever_order_it_is_found() -> None:
    for volumes in ((MAIN, TAKEN, SETTLED, COPY), (COPY, SETTLED, TAKEN, MAIN)):
        remains = found(*volumes)
        assert orphans(remains) == {}
        assert [item.id for item in remains.sources] == ["so-1"]
        assert remains.snapshots == [replace(SNAPSHOT, settled="se-1")]
        assert remains.branches == [replace(BRANCH, cluster=replace(BRANCH.cluster, process=None))]
        assert remains.raw == {"br-1"}


def test_an_attached_source_comes_back_with_its_snapshot() -> None:
    snapshot = replace(SNAPSHOT, parent=ATTACHED.id, parent_name="prod", source=ATTACHED.id)
    remains = found(volume("sn-1", marks.of_snapshot(snapshot, ATTACHED)))
    assert (remains.sources, remains.snapshots) == ([ATTACHED], [snapshot])


def test_what_comes_from_nothing_is_an_orphan_and_so_is_all_that_comes_from_it() -> None:
    assert orphans(found(TAKEN, SETTLED, COPY)) == {
        "sn-1": "'main' is not there",
        "br-1": "its snapshot is not there",
        "se-1": "its snapshot is not there",
    }


def test_what_was_being_made_is_an_orphan() -> None:
    half = replace(COPY, complete=False)
    unsettled = replace(SETTLED, frozen=False)
    remains = found(MAIN, TAKEN, half, unsettled, volume("br-2", {}))
    assert set(orphans(remains)) == {"br-1", "se-1", "br-2"}
    assert remains.snapshots == [SNAPSHOT]  # not settled


def test_a_mark_that_was_copied_to_another_volume_counts_for_nothing() -> None:
    remains = found(MAIN, TAKEN, COPY, volume("br-9", COPY.mark), volume("sn-9", TAKEN.mark))
    assert set(orphans(remains)) == {"br-9", "sn-9"}


def test_of_an_implicit_snapshot_only_with_a_branch() -> None:
    implicit = volume("sn-1", marks.of_snapshot(replace(SNAPSHOT, implicit=True)))
    assert orphans(found(MAIN, implicit)) == {"sn-1": "no branch came from it"}
    assert orphans(found(MAIN, implicit, COPY)) == {}


def test_a_reset_that_was_under_way_leaves_one_branch() -> None:
    fresh = replace(BRANCH, cluster=replace(BRANCH.cluster, volume="br-2"))
    newer = volume("br-2", marks.of_branch(fresh, replaces="br-1"))
    for running, kept in (("", "br-1"), ("br-1", "br-1"), ("br-2", "br-2")):
        remains = found(MAIN, TAKEN, newer, COPY, running=running)
        assert [item.cluster.volume for item in remains.branches] == [kept]
        assert set(orphans(remains)) == {"br-1", "br-2"} - {kept}
    assert [item.cluster.volume for item in found(MAIN, TAKEN, newer).branches] == ["br-2"]


def test_a_chain_of_branches_and_a_name_taken_twice() -> None:
    late: SnapshotRecord = replace(SNAPSHOT, id="sn-2", parent="br-1", parent_name="pr-42")
    child: BranchRecord = replace(
        BRANCH, id="br-2", name="child", snapshot="sn-2",
        cluster=replace(BRANCH.cluster, id="br-2", volume="br-2"),
    )  # fmt: skip
    twin = replace(child, id="br-3", cluster=replace(child.cluster, volume="br-3"))
    rest = (volume("sn-2", marks.of_snapshot(late)), volume("br-2", marks.of_branch(child)))
    remains = found(*reversed((MAIN, TAKEN, COPY, *rest)))
    assert {item.name for item in remains.branches} == {"pr-42", "child"}
    remains = found(MAIN, TAKEN, COPY, *rest, volume("br-3", marks.of_branch(twin)))
    assert orphans(remains) == {"br-3": "there is something else named 'child'"}


def test_a_branch_brings_its_removed_snapshot_along() -> None:
    gone = promotion.remnant(replace(SNAPSHOT, settled="se-1"))
    alone = volume("br-1", marks.of_branch(BRANCH, removed=gone))
    remains = found(alone, MAIN)
    assert (orphans(remains), remains.snapshots) == ({}, [gone])
    assert (gone.removed, gone.implicit, gone.settled) == ("main@before", True, None)
    assert orphans(found(alone)) == {"br-1": "its snapshot is not there"}
    # The mark is written before the snapshot goes: while that is there, it is what counts.
    remains = found(MAIN, TAKEN, SETTLED, alone)
    assert remains.snapshots == [replace(SNAPSHOT, settled="se-1")]


def test_a_branch_without_snapshot_of_an_attached_source() -> None:
    taken = replace(SNAPSHOT, parent=ATTACHED.id, parent_name="prod", source=ATTACHED.id)
    mark = marks.of_branch(BRANCH, removed=promotion.remnant(taken), attached=ATTACHED)
    remains = found(volume("br-1", mark))
    assert (remains.sources, len(remains.branches), orphans(remains)) == ([ATTACHED], 1, {})


def test_a_spare_comes_back_as_nothing() -> None:
    nobodys = replace(BRANCH, owner_uid=NOBODY, name="_spare-br-1", spare=True)
    remains = found(MAIN, TAKEN, SETTLED, volume("br-1", marks.of_spare(nobodys)))
    assert not remains.branches
    assert orphans(remains) == {"br-1": "it is a spare, which was nobody's yet"}
    # Taken, it is a branch like any other.
    taken = replace(BRANCH, spare=True)
    remains = found(MAIN, TAKEN, SETTLED, volume("br-1", marks.of_branch(taken)))
    assert ([item.name for item in remains.branches], orphans(remains)) == (["pr-42"], {})


def test_a_record_too_long_for_zfs_stays_out_of_the_mark() -> None:
    parts = tuple((f"/srv/{'x' * 200}/{number}", f"part{number}") for number in range(40))
    mark = marks.of_snapshot(replace(SNAPSHOT, parts=parts))
    assert mark == {"role": "snapshot", "name": "main@before", "parent": "so-1"}
    assert "too long" in orphans(found(MAIN, volume("sn-1", mark)))["sn-1"]
