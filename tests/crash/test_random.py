"""SIGKILL at random times while several clients work: what is left is sound, and nothing leaks.

COWDB_CRASH_SEED repeats a run, COWDB_CRASH_ROUNDS makes it longer.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator

import pytest

from cowdb.controller.client import Client
from cowdb.errors import CowdbError
from tests.crash.world import World, world

ROUNDS = int(os.environ.get("COWDB_CRASH_ROUNDS", "3"))
CLIENTS = 3
SOUND = "select count(*), count(distinct word) from kept where id > 0"


@pytest.fixture(params=["btrfs", "xfs"])
def host(request: pytest.FixtureRequest) -> Iterator[World]:
    with world(request.param, attached=False, bomb=False) as made:
        made.client.snapshots.warm("main@settled", 2)
        yield made


class Worker(threading.Thread):
    """A client that goes on, whatever the agent says, until it is told to stop.

    :param kept: the branches that it was told exist, or were reset; until it removes them.
    """

    def __init__(self, host: World, number: int, chance: random.Random) -> None:
        super().__init__(name=f"worker-{number}")
        self._host, self._number, self._chance = host, number, chance
        self.kept: set[str] = set()
        self.ended = threading.Event()
        self.strange: list[BaseException] = []

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                self._act(self._host.client)
            except CowdbError:
                time.sleep(0.02)  # the agent is away, or the name is taken: go on
            except BaseException as error:
                self.strange.append(error)
                return

    def _act(self, client: Client) -> None:
        name = f"w{self._number}-{self._chance.randrange(3)}"
        origin = self._chance.choice(["main@settled", "main@raw", "main", "keep"])
        act = self._chance.choice(["create", "create", "reset", "remove", "stop", "snapshot"])
        if act == "create":
            client.branches.create(name, origin)
            self.kept.add(name)
        elif act == "remove":
            self.kept.discard(name)
            client.branches.remove(name)
        elif act == "reset":
            client.branches.reset(name)
        elif act == "stop":
            client.branches.stop(name)
            client.branches.start(name)
        else:
            ref = f"keep@{name}"
            with contextlib.suppress(CowdbError):
                client.snapshots.remove(ref)
            client.snapshots.create(ref, mode="online", settle=self._chance.random() < 0.3)


def test_killed_at_random_times(host: World) -> None:
    seed = int(os.environ.get("COWDB_CRASH_SEED") or random.SystemRandom().randrange(10**6))
    print(f"COWDB_CRASH_SEED={seed}")
    chance = random.Random(seed)
    for number in range(ROUNDS):
        workers = [
            Worker(host, worker, random.Random(f"{seed}/{number}/{worker}"))
            for worker in range(CLIENTS)
        ]
        for worker in workers:
            worker.start()
        try:
            for _ in range(2):
                time.sleep(chance.uniform(0.1, 0.9))
                assert host.host.daemon is not None
                host.host.daemon.kill()
                host.host.daemon.wait()
                host.start()
        finally:
            for worker in workers:
                worker.ended.set()
            for worker in workers:
                worker.join(120)
        for worker in workers:
            assert not worker.is_alive()
            assert not worker.strange, worker.strange
        host.host.restart_agent()
        _check(host, set().union(*(worker.kept for worker in workers)))


def _check(host: World, kept: set[str]) -> None:
    found = {item["name"]: item for item in host.client.branches.list()}
    assert kept <= set(found), "a branch that was promised is gone"
    for name, branch in found.items():
        if branch["state"] == "stopped":  # killed between the stop and the start
            host.client.branches.start(name)
        else:
            assert branch["state"] == "running", branch
        assert host.sql(name, SOUND) == [(2000, 2000)]
    host.check()


def test_a_server_that_stood_still_for_a_snapshot_goes_on(host: World) -> None:
    """The agent dies between PauseServer and ResumeServer: random times find that too rarely."""
    from cowdb.agent import processes

    pids = {branch["name"]: branch for branch in host.client.branches.list()}
    assert host.host.daemon is not None
    ended = threading.Event()

    def snapshots() -> None:
        with contextlib.suppress(CowdbError):
            while not ended.is_set():
                host.client.snapshots.create("keep@still", mode="online")
                host.client.snapshots.remove("keep@still")

    worker = threading.Thread(target=snapshots)
    worker.start()
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            stats = [processes._stat(pid) for pid in host.host.servers()]
            if any(stat and stat[0] in "Tt" for stat in stats):
                break
        else:
            pytest.fail("never saw a server stand still")
        host.host.daemon.kill()
        host.host.daemon.wait()
    finally:
        ended.set()
        worker.join(60)
    host.start()
    assert set(pids) == {"keep"}
    host.check()
