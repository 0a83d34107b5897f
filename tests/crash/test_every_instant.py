"""Killed at every instant of every kind of operation: nothing lost, nothing leaked, the next start
repairs, and the operation happened wholly or not at all.

An operation is run again and again, and its agent dies one instant later each time, until it has
outlived them all. COWDB_CRASH_LONG tries more pairs of crashes.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.crash.scenarios import (
    SCENARIOS,
    Scenario,
    create_branch,
    make_spare,
    promote_branch,
    promote_snapshot,
    remove_branch,
    reset,
    settle,
    take_snapshot,
    take_spare,
)
from tests.crash.world import World, world


@pytest.fixture(scope="module")
def host() -> Iterator[World]:
    with world() as made:
        yield made


def outcome(world: World, scenario: Scenario) -> bool:
    """Whether it happened, which must be what the journal says."""
    happened = scenario.happened(world)
    latest = next(item for item in world.client.host.operations() if item["kind"] in scenario.kinds)
    done = latest["state"] == "done" and latest["kind"] == scenario.kinds[-1]
    assert scenario.idle or happened == done, (happened, latest)
    return happened


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda item: item.name.replace(" ", "-"))
def test_killed_at_every_instant(host: World, scenario: Scenario) -> None:
    for at in itertools.count():
        assert at < 60, "the operation never comes to its end"
        scenario.arrange(host)
        moved = scenario.restarts(host)
        instant = host.crash(scenario.kinds, at, lambda: scenario.act(host))
        if instant is None:
            assert scenario.happened(host)
            break
        scenario.dead(host)
        host.start()
        happened = outcome(host, scenario)
        print(f"died at {at}: {instant}; happened: {happened}")
        host.check(moved)
        if not happened and not (scenario.costly and at % 4):
            scenario.act(host)
            assert scenario.happened(host), "it cannot be done again"
    assert at >= 2
    scenario.clear(host)
    host.check(moved)


TWICE = [(reset("main@settled"), 5), (remove_branch("main"), 3), (take_snapshot("prod", "stop"), 3),
         (promote_branch(), 1), (promote_snapshot(), 2), (take_spare(), 0),
         (make_spare(), 5)]  # fmt: skip
if os.environ.get("COWDB_CRASH_LONG"):
    TWICE += [(create_branch("main@raw"), 7), (take_snapshot("main", "stop"), 2), (settle(), 6)]


@pytest.mark.parametrize(
    ("scenario", "at"),
    TWICE,
    ids=lambda item: item.name.replace(" ", "-") if isinstance(item, Scenario) else None,
)
def test_killed_again_at_every_instant_of_the_recovery(
    host: World, scenario: Scenario, at: int
) -> None:
    for again in itertools.count():
        assert again < 30
        scenario.arrange(host)
        moved = scenario.restarts(host)
        first = host.crash(scenario.kinds, at, lambda: scenario.act(host))
        assert first, "the first instant is past the operation's end"
        second = host.start_dying(again)
        if second:
            host.start()
        happened = outcome(host, scenario)
        print(f"died at {first}, then at {second}; happened: {happened}")
        host.check(moved)
        if not happened:
            scenario.act(host)
        if not second:
            break
    assert again >= 1
    scenario.clear(host)
    host.check(moved)
