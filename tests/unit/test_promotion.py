"""What becomes of what comes from something that goes, as records say it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from cowdb.agent import marks
from cowdb.agent.policy import Caller
from cowdb.agent.service import promotion
from cowdb.agent.service.changes import common_ancestors, lineage
from cowdb.agent.store import Store
from cowdb.errors import BusyError, ConflictError, NotPermittedError
from cowdb.model import BranchRecord, SnapshotRecord
from cowdb.names import snapshot_name
from tests.unit.records import ATTACHED, BRANCH, SNAPSHOT, SOURCE

ROOT, OTHER = Caller(uid=0, pid=1), Caller(uid=1, pid=1)
MID = replace(SNAPSHOT, id="sn-2", name="mid", parent="br-1", parent_name="pr-42", origin="br-1")
HIDDEN = replace(MID, id="sn-3", name="_2026-i-1", implicit=True)


def child(name: str, snapshot: str) -> BranchRecord:
    cluster = replace(BRANCH.cluster, id=name, volume=name)
    return replace(BRANCH, id=name, name=name, snapshot=snapshot, base=snapshot, cluster=cluster)


ONE, TWO = child("br-a", "sn-2"), child("br-b", "sn-3")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """main@before <- pr-42; pr-42@mid <- br-a; an implicit one <- br-b."""
    made = Store(tmp_path / "store.db")
    with made.transaction() as tx:
        tx.sources.put(SOURCE)
        for snapshot in (SNAPSHOT, MID, HIDDEN):
            tx.snapshots.put(snapshot)
        for branch in (replace(BRANCH, base="sn-1"), ONE, TWO):
            tx.branches.put(branch)
    yield made
    made.close()


def test_names_say_where_a_snapshot_was_and_are_never_taken() -> None:
    assert promotion.free_name("try-a", "before", set()) == "try-a.before"
    taken = {"try-a.before", "try-a.before-2"}
    assert promotion.free_name("try-a", "before", taken) == "try-a.before-3"
    assert promotion.free_name("_diff-1", "s", set()) == "diff-1.s"
    long = promotion.free_name("b" * 63, "s" * 63, set())
    second = promotion.free_name("b" * 63, "s" * 63, {long})
    assert len(long) == len(second) == 63
    assert second.endswith("-2")
    for name in (long, second, "try-a.before-3"):
        assert snapshot_name(name) == name


def test_snapshots_pass_to_what_the_branch_came_from(store: Store) -> None:
    with store.transaction() as tx:
        tx.snapshots.put(replace(SNAPSHOT, id="sn-9", name="pr-42.mid"))  # taken
        found = promotion.adoptions(tx, BRANCH)
        renamed, kept = (item.after for item in found)
        assert (renamed.id, renamed.parent, renamed.name) == ("sn-2", "so-1", "pr-42.mid-2")
        assert (kept.parent_name, kept.name) == ("main", "_2026-i-1")
        assert (renamed.cloned_from, kept.cloned_from) == ("sn-1", "sn-1")
        tx.snapshots.put(replace(MID, settled="se-2"))  # meanwhile
        promotion.adopt(tx, BRANCH, found)
        tx.branches.delete("br-1")
        stored = tx.snapshots.get("sn-2")
        assert stored == replace(renamed, settled="se-2")
        first, second = promotion.adoption_notes(tx, found)
        assert marks.snapshot_in(first.mark).parent == "so-1"
        assert marks.snapshot_in(first.before).parent == "br-1"
        assert first.change == "snapshot pr-42@mid becomes main@pr-42.mid-2"
        assert second.volume == "sn-3"


def test_what_comes_from_an_attached_source_says_so_by_itself(store: Store) -> None:
    with store.transaction() as tx:
        tx.sources.put(ATTACHED)
        tx.snapshots.put(replace(SNAPSHOT, parent=ATTACHED.id, parent_name="prod"))
        note = promotion.adoption_notes(tx, promotion.adoptions(tx, BRANCH))[0]
        assert marks.attached_in(note.mark) == ATTACHED
        assert marks.attached_in(note.before) is None
        left = promotion.independence_notes(tx, SNAPSHOT, [BRANCH])
        assert marks.attached_in(left[0].mark) is None, "another one is the parent"


def test_a_removed_snapshot_passes_on_with_the_marks_that_speak_of_it(store: Store) -> None:
    with store.transaction() as tx:
        tx.snapshots.put(promotion.remnant(MID))
        found = promotion.adoptions(tx, BRANCH)
        assert found[0].after.name == "_removed-sn-2"
        note = promotion.adoption_notes(tx, found)[0]
        assert note.volume == "br-a"
        for mark, parent in ((note.before, "br-1"), (note.mark, "so-1")):
            removed = marks.removed_in(mark)
            assert removed is not None
            assert (removed.parent, removed.removed) == (parent, "pr-42@mid")
        assert promotion.mark_of_branch(tx, ONE) == note.before
        assert promotion.removed_info(found)["snapshots"] == []


@pytest.mark.parametrize(
    ("changed", "held", "caller", "error"),
    [
        (MID, {"sn-2", "sn-3", "br-b"}, ROOT, None),
        (MID, {"sn-2", "sn-3", "br-b"}, OTHER, NotPermittedError),
        (replace(MID, protected=True), {"sn-2", "sn-3", "br-b"}, ROOT, ConflictError),
        (replace(MID, state="deleting"), {"sn-2", "sn-3", "br-b"}, ROOT, BusyError),
        (MID, {"sn-3", "br-b"}, ROOT, BusyError),
        (MID, {"sn-2", "sn-3"}, ROOT, BusyError),
        (replace(HIDDEN, id="sn-4", name="_being-made"), {"sn-2", "sn-3", "sn-4", "br-b"}, ROOT,
         BusyError),
    ],
)  # fmt: skip
def test_what_keeps_a_branch_from_being_promoted_away(
    store: Store, changed: SnapshotRecord, held: set[str], caller: Caller,
    error: type[Exception] | None,
) -> None:  # fmt: skip
    with store.transaction() as tx:
        tx.snapshots.put(changed)
        found = promotion.adoptions(tx, BRANCH)
        if error is None:
            promotion.require_adoptable(tx, BRANCH, found, held, caller)
            return
        with pytest.raises(error):
            promotion.require_adoptable(tx, BRANCH, found, held, caller)


def test_what_keeps_a_snapshot_from_being_promoted_away() -> None:
    promotion.require_independent(MID, [ONE], {"br-a"}, ROOT)
    for branch, held, caller, error in (
        (ONE, {"br-a"}, OTHER, NotPermittedError),
        (replace(ONE, protected=True), {"br-a"}, ROOT, ConflictError),
        (replace(ONE, state="resetting"), {"br-a"}, ROOT, BusyError),
        (ONE, set(), ROOT, BusyError),
    ):
        with pytest.raises(error):
            promotion.require_independent(MID, [branch], held, caller)


def test_blocks_are_compared_no_further_than_the_records_reach(store: Store) -> None:
    twin = child("br-c", "sn-2")
    with store.transaction() as tx:
        tx.branches.put(twin)
        assert list(lineage(tx, ONE)) == ["br-a", "sn-2", "br-1", "sn-1"]
        promotion.adopt(tx, BRANCH, promotion.adoptions(tx, BRANCH))
        tx.branches.delete("br-1")
        assert list(lineage(tx, ONE)) == ["br-a", "sn-2"]
        (shared,) = common_ancestors([list(lineage(tx, ONE)), list(lineage(tx, twin))])
        assert shared.volume == "sn-2"
        tx.snapshots.put(promotion.remnant(MID))
        assert list(lineage(tx, ONE)) == ["br-a"]
        assert not common_ancestors([list(lineage(tx, ONE)), list(lineage(tx, twin))])


def test_an_older_store_knows_no_removed_snapshots() -> None:
    stored = msgspec.to_builtins(SNAPSHOT)
    del stored["removed"]
    assert msgspec.convert(stored, SnapshotRecord, strict=False) == SNAPSHOT
