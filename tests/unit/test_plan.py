"""Each planner beside the steps that it must give; no filesystem anywhere."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from cowdb.agent import marks, plan
from cowdb.agent.service import promotion
from cowdb.agent.steps import (
    BaseBackup,
    Checkpoint,
    CloneVolume,
    CreateDatabase,
    CreateVolume,
    DestroyVolume,
    Foreign,
    ForkVolume,
    FreezeRows,
    FreezeVolume,
    InitCluster,
    MakeRooms,
    NoteMark,
    PauseServer,
    Plan,
    Quarantine,
    ReadControl,
    RemoveRooms,
    RemoveSettings,
    ResumeServer,
    Seal,
    Server,
    SnapshotSource,
    SnapshotVolume,
    StartServer,
    StartSource,
    StopServer,
    StopSource,
)
from cowdb.wire import Mode
from tests.unit.records import ATTACHED, BRANCH, SNAPSHOT, SOURCE

SETTLED = replace(SNAPSHOT, settled="se-1")
SERVER = Server(name="pr-42", cluster=BRANCH.cluster, branch=True)
MARK = marks.of_branch(BRANCH)
RAW_MARK = marks.of_branch(BRANCH, raw=True)
CONTROL = ReadControl(pool="pool", volume="sn-1", data="data", version="15.4")


def clone(origin: str, volume: str, mark: dict[str, str] = MARK) -> CloneVolume:
    return CloneVolume(pool="pool", snapshot=origin, volume=volume, mark=mark)


def test_a_branch_of_a_settled_snapshot() -> None:
    assert plan.create_branch(BRANCH, SETTLED) == Plan(
        steps=(
            clone("se-1", "br-1"),
            MakeRooms(server=SERVER),
            StartServer(server=SERVER, seal=Seal(sever=False)),
        )
    )


def test_a_branch_of_a_raw_snapshot_is_quarantined_before_it_starts() -> None:
    cut = Quarantine(server=SERVER, parts=(("/srv/pg", "data"),), settings_of="sn-1")
    assert plan.create_branch(BRANCH, SNAPSHOT) == Plan(
        steps=(
            clone("sn-1", "br-1", RAW_MARK),
            cut,
            MakeRooms(server=SERVER),
            StartServer(server=SERVER, seal=Seal(sever=True)),
        )
    )


@pytest.mark.parametrize("running", [True, False])
def test_a_reset_keeps_the_old_copy_until_the_new_one_answers(running: bool) -> None:
    fresh = replace(BRANCH.cluster, volume="br-2")
    new = Server(name="pr-42", cluster=replace(fresh, process=None), branch=True)
    mark = marks.of_branch(replace(BRANCH, cluster=fresh), replaces="br-1")
    assert plan.reset_branch(BRANCH, SETTLED, fresh, running=running) == Plan(
        steps=(
            clone("se-1", "br-2", mark),
            StopServer(server=SERVER, immediate=True, restart=running),
            StartServer(server=new, seal=Seal(sever=False)),
        ),
        cleanup=(DestroyVolume(pool="pool", volume="br-1"),),
    )


PARENT = Server(name="main", cluster=SOURCE.cluster or BRANCH.cluster, branch=False)


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_branch_of_a_server_is_its_snapshot_and_the_branch_of_that(
    running: bool, ordered: bool
) -> None:
    snapshot = replace(SNAPSHOT, parts=())
    taking = plan.snapshot_cluster(snapshot, PARENT, running=running, ordered=ordered).steps
    making = plan.create_branch(BRANCH, snapshot).steps
    made = plan.branch_cluster(
        BRANCH, snapshot, PARENT, running=running, ordered=ordered, forks=False
    )
    assert made == Plan(steps=(*taking, *making))


def test_where_the_pool_can_both_are_made_while_the_parent_stands_still() -> None:
    snapshot = replace(SNAPSHOT, parts=())
    made = plan.branch_cluster(BRANCH, snapshot, PARENT, running=True, ordered=False, forks=True)
    assert made.steps == (
        Checkpoint(server=PARENT),
        PauseServer(server=PARENT),
        ForkVolume(
            pool="pool", origin="so-1", snapshot="sn-1", mark=marks.of_snapshot(snapshot),
            volume="br-1", clone_mark=RAW_MARK,
        ),
        ResumeServer(server=PARENT),
        CONTROL,
        *plan.create_branch(BRANCH, snapshot).steps[1:],
    )  # fmt: skip


def test_removals_only_go_forward() -> None:
    removal = (
        StopServer(server=SERVER, immediate=True),
        DestroyVolume(pool="pool", volume="br-1"),
        RemoveRooms(id="br-1"),
    )
    assert plan.remove_branch(BRANCH, None) == Plan(cleanup=removal)
    garbage = tuple(
        DestroyVolume(pool="pool", volume=name, promote=True) for name in ("se-1", "sn-1")
    )
    assert plan.remove_branch(BRANCH, SETTLED) == Plan(cleanup=removal + garbage)
    assert plan.remove_snapshot(SETTLED) == Plan(cleanup=garbage)
    assert plan.remove_snapshot(SNAPSHOT) == Plan(cleanup=garbage[1:])
    assert plan.remove_source(ATTACHED) == Plan()
    assert plan.remove_source(SOURCE).cleanup[1] == DestroyVolume(pool="pool", volume="so-1")


def test_what_comes_from_it_is_noted_before_anything_goes() -> None:
    note = NoteMark(pool="pool", volume="sn-2", mark={"a": "1"}, before={}, change="sn-2 moves")
    made = plan.remove_branch(BRANCH, None, (note,))
    assert made.steps == (note,)
    assert made.cleanup[1] == DestroyVolume(pool="pool", volume="br-1", promote=True)
    assert plan.remove_snapshot(SETTLED, (note,)).steps == (note,)
    assert made.describe()[0] == "sn-2 moves"
    remnant = promotion.remnant(SETTLED)
    assert plan.remove_snapshot(remnant) == Plan(), "its volumes went before"
    assert plan.remove_branch(BRANCH, remnant) == plan.remove_branch(BRANCH, None)


TAKE = SnapshotVolume(pool="pool", origin="br-1", volume="sn-1", mark={})
STOP = StopServer(server=SERVER, restart=True)
AGAIN = StartServer(server=SERVER, again=True)
PAUSED = (PauseServer(server=SERVER), TAKE, ResumeServer(server=SERVER))


@pytest.mark.parametrize(
    ("mode", "running", "ordered", "steps"),
    [
        ("online", True, True, (TAKE,)),
        ("online", True, False, PAUSED),
        ("checkpoint", True, True, (Checkpoint(server=SERVER), TAKE)),
        ("checkpoint", True, False, (Checkpoint(server=SERVER), *PAUSED)),
        ("stop", True, False, (STOP, TAKE, AGAIN)),
        ("stop", False, False, (TAKE,)),
        ("checkpoint", False, False, (TAKE,)),
    ],
)
def test_a_snapshot_of_a_server(
    mode: Mode, running: bool, ordered: bool, steps: tuple[object, ...]
) -> None:
    snapshot = replace(SNAPSHOT, mode=mode)
    take = msgspec.structs.replace(TAKE, mark=marks.of_snapshot(snapshot))
    made = plan.snapshot_cluster(snapshot, SERVER, running=running, ordered=ordered)
    assert made.steps == (*(take if step is TAKE else step for step in steps), CONTROL)
    assert made.cleanup == ()


@pytest.mark.parametrize("mode", ["online", "checkpoint", "stop"])
def test_a_snapshot_of_an_attached_source(mode: Mode) -> None:
    source, snapshot = plan.foreign_of(ATTACHED), replace(SNAPSHOT, mode=mode)
    assert source == Foreign(name="prod", datadir="/srv/pg", superuser="postgres")
    mark = marks.of_snapshot(snapshot, ATTACHED)
    take = SnapshotSource(pool="pool", source=source, volume="sn-1", mark=mark, mode=mode)
    around = (StopSource(source=source, snapshot="sn-1"), take, StartSource(source=source))
    steps = around if mode == "stop" else (take,)
    made = plan.snapshot_attached(snapshot, ATTACHED)
    assert made.steps == (*steps, CONTROL)


def test_settling_is_durable_private_and_ends_frozen() -> None:
    made = plan.settle(SNAPSHOT, "se-9")
    kinds = [type(step) for step in made.steps]
    assert kinds == [
        CloneVolume, Quarantine, MakeRooms, StartServer, StopServer, FreezeVolume,
    ]  # fmt: skip
    start = made.steps[3]
    assert isinstance(start, StartServer)
    assert start.server.private
    assert start.server.cluster.durable
    assert start.seal == Seal(sever=True)
    stop = made.steps[4]
    assert isinstance(stop, StopServer)
    assert not stop.immediate  # cleanly, or it would not be settled
    assert made.cleanup == (RemoveRooms(id="se-9"),)
    rows = plan.settle(replace(SNAPSHOT, freeze=True), "se-9")
    assert rows.steps == (*made.steps[:4], FreezeRows(server=start.server), *made.steps[4:])


def test_managed_sources() -> None:
    server = plan.server_of(SOURCE)
    volume = CreateVolume(pool="pool", volume="so-1", mark=marks.of_source(SOURCE))
    assert plan.create_managed(SOURCE).steps == (
        volume, InitCluster(server=server), MakeRooms(server=server),
        StartServer(server=server, seal=Seal(sever=False)), CreateDatabase(server=server),
    )  # fmt: skip
    copied = plan.copy_managed(SOURCE, "host=there", (("/mnt/space", "tblspc/1"),))
    assert copied.steps[:3] == (
        msgspec.structs.replace(volume, mark=marks.of_source(SOURCE, raw=True)),
        BaseBackup(server=server, conninfo="host=there", tablespaces=(("/mnt/space", "tblspc/1"),)),
        Quarantine(server=server, parts=(("tblspc/1", "tblspc/1"),), settings_of="so-1"),
    )
    assert copied.cleanup == (RemoveSettings(id="so-1"),)


@pytest.mark.parametrize("running", [True, False])
def test_a_switch_is_undone_to_what_was(running: bool) -> None:
    assert plan.start_server(SERVER, running=running).steps == (
        StartServer(server=SERVER, again=running),
    )
    assert plan.stop_server(SERVER, running=running).steps == (
        StopServer(server=SERVER, restart=running),
    )


def test_a_plan_can_be_read() -> None:
    assert plan.create_branch(BRANCH, SETTLED).describe() == [
        "clone se-1 as br-1",
        "make room for the log and socket of pr-42",
        "start and seal pr-42 on port 15500",
    ]
