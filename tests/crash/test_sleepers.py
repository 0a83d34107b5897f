"""Killed at every instant while a branch falls asleep, is woken, or comes and goes with its port
held at the front: nobody is refused, nothing is lost, and nothing is left.

A rest is a second at least, and there is one for each instant: that is the time these take.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cowdb.controller.client import Client
from cowdb.errors import CowdbError
from tests.crash.world import World, world

ROWS = 2000
_PATIENCE = 30.0


@pytest.fixture(scope="module")
def host() -> Iterator[World]:
    with world(attached=False) as made:
        yield made


def state(host: World) -> str:
    found = [item["state"] for item in host.client.branches.list() if item["name"] == "b"]
    return found[0] if found else ""


def make(client: Client) -> None:
    client.branches.create("b", "main@settled", sleep_seconds=1)


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_while_it_falls_asleep(host: World) -> None:
    make(host.client)
    for at in itertools.count():
        assert host.rows("b") == ROWS
        host.order.write_text(json.dumps({"kinds": ["branch sleep"], "at": at}))
        until(lambda: not host.alive or falling_asleep(host) == "sleeping")
        time.sleep(0.2)  # the last instant is one after the state has changed
        host.order.unlink()
        if host.alive:
            break
        print(f"died at {at}: {host.died()}")
        host.start()
        assert state(host) in ("running", "sleeping")
        assert host.rows("b") == ROWS
        host.check()
    assert at >= 2  # before its step and after it
    host.client.branches.remove("b")


def falling_asleep(host: World) -> str:
    """The state; nothing where the agent dies while it is asked."""
    with contextlib.suppress(CowdbError):
        return state(host)
    return ""


def test_killed_while_it_is_woken(host: World) -> None:
    """Who waits gets the answer from the next agent."""
    make(host.client)
    for at in itertools.count():
        until(lambda: state(host) == "sleeping")
        dsn = host.dsn("b")
        host.order.write_text(json.dumps({"kinds": ["branch wake"], "at": at}))
        with ThreadPoolExecutor(1) as pool:
            waits = pool.submit(host.host.sql, dsn, "select count(*) from kept")
            until(lambda waits=waits: not host.alive or waits.done())  # type: ignore[misc]
            time.sleep(0.2)  # the last instant is one after it has been let in
            host.order.unlink()
            died = None if host.alive else host.died()
            if died:
                host.start()
            assert waits.result(_PATIENCE) == [(ROWS,)]
        if died is None:
            break
        print(f"died at {at}: {died}")
        host.check()
    assert at >= 2  # before its step and after it
    host.client.branches.remove("b")


@pytest.mark.parametrize("verb", ["create", "reset", "stop", "start", "rm"])
def test_killed_while_it_is_changed(host: World, verb: str) -> None:
    branches = host.client.branches
    acts: dict[str, Callable[[], object]] = {
        "create": lambda: make(host.client), "reset": lambda: branches.reset("b"),
        "stop": lambda: branches.stop("b"), "start": lambda: branches.start("b"),
        "rm": lambda: branches.remove("b"),
    }  # fmt: skip
    for at in itertools.count():
        if state(host) and verb == "create":
            branches.remove("b")
        elif not state(host) and verb != "create":
            make(host.client)
        if verb in ("stop", "start"):
            (branches.start if verb == "stop" else branches.stop)("b")
        died = host.crash((f"branch {verb}",), at, acts[verb])
        if died is None:
            break
        print(f"died at {at}: {died}")
        host.start()
        if state(host) == "stopped":
            branches.start("b")
        if state(host):
            assert host.rows("b") == ROWS
        host.check()
    assert at >= 2
    if state(host):
        branches.remove("b")
    host.check()
    assert not host.host.fronts(), "the front goes with the last port"
