"""What plans add for a branch that may sleep, and leave out for every other."""

from __future__ import annotations

from dataclasses import replace

from cowdb.agent import doors, plan
from cowdb.agent.effects.doors import has_door
from cowdb.agent.steps import HoldPort, Plan, ReleasePort, StartServer, StopServer
from cowdb.model import BranchRecord, Wanted
from tests.unit.records import BRANCH, SNAPSHOT


def sleeper(wanted: Wanted = "running") -> BranchRecord:
    return replace(BRANCH, cluster=replace(BRANCH.cluster, sleep_after=600, wanted=wanted))


def kinds(made: Plan) -> list[type]:
    return [type(step) for step in (*made.steps, *made.cleanup)]


def test_its_port_is_held_before_its_server_starts_and_given_up_first() -> None:
    branch = sleeper()
    server = plan.server_of(branch)
    made = kinds(plan.create_branch(branch, SNAPSHOT))
    assert made.index(HoldPort) < made.index(StartServer)
    assert kinds(plan.remove_branch(branch, None))[0] is ReleasePort
    assert kinds(plan.stop_server(server, running=True)) == [StopServer, ReleasePort]


def test_one_that_was_stopped_has_its_port_held_again() -> None:
    for wanted, steps in (("stopped", [HoldPort, StartServer]), ("sleeping", [StartServer])):
        server = plan.server_of(sleeper(wanted))  # type: ignore[arg-type]
        assert kinds(plan.start_server(server, running=False)) == steps


def test_falling_asleep_is_taken_back_and_waking_is_not() -> None:
    server = plan.server_of(sleeper())
    assert plan.sleep(server).steps == (StopServer(server=server, restart=True, idle=True),)
    assert plan.wake(server).steps == (StartServer(server=server, again=True),)


def test_other_branches_have_nothing_of_it() -> None:
    server = plan.server_of(BRANCH)
    plans = (
        plan.create_branch(BRANCH, SNAPSHOT), plan.remove_branch(BRANCH, None),
        plan.stop_server(server, running=True), plan.start_server(server, running=False),
    )  # fmt: skip
    assert not {HoldPort, ReleasePort} & {kind for made in plans for kind in kinds(made)}
    assert not has_door(server) and not doors.wants_door(BRANCH)
    assert has_door(plan.server_of(sleeper()))
    assert not has_door(plan.Server(name="s", cluster=sleeper().cluster, branch=True, private=True))


def test_who_wants_a_door() -> None:
    assert doors.wants_door(sleeper()) and doors.wants_door(sleeper("sleeping"))
    assert not doors.wants_door(sleeper("stopped"))
