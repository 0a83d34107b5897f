"""Somebody takes a port after it was chosen and before the server has it: another one is used where
any will do, and where not it is said. In any case nothing is left."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cowdb.agent.engines.postgres import binaries
from cowdb.agent.service.portchoice import TRIES
from cowdb.controller.client import Client
from tests.agenthost import AgentHost, agent_host
from tests.host.test_majors import BINDIRS, NEEDED
from tests.host.usecase import ROWS, count, eventually, seeded
from tests.loopfs import missing

_PROGRAM = """#!/bin/sh
# A server that is slow to start: once for each token it tells its arguments and waits.
PATH=/usr/bin:/bin
case "$*" in *listen_addresses=127*)
    for token in {gate}/token*; do
        if mv "$token" {gate}/used 2>/dev/null; then
            echo "$*" > {gate}/new && mv {gate}/new {gate}/arguments
            while ! mv {gate}/go {gate}/gone 2>/dev/null; do sleep 0.01; done
            break
        fi
    done
esac
exec {real} "$@"
"""


@pytest.fixture(scope="module")
def gate() -> Iterator[Path]:
    """Where slow servers wait; beside it, `bin/MAJOR` has the programs of each."""
    base = Path(tempfile.mkdtemp(prefix="cowdb-gate-", dir="/var/tmp"))
    base.chmod(0o755)
    found = base / "gate"
    found.mkdir()
    found.chmod(0o777)
    for major, tools in binaries.find(BINDIRS).items():
        folder = base / "bin" / str(major)
        folder.mkdir(parents=True)
        for program in tools.directory.iterdir():
            (folder / program.name).symlink_to(program)
        (folder / "postgres").unlink()
        (folder / "postgres").write_text(
            _PROGRAM.format(gate=found, real=tools.directory / "postgres")
        )
        (folder / "postgres").chmod(0o755)
    yield found
    shutil.rmtree(base)


@pytest.fixture(scope="module")
def slow_host(gate: Path) -> Iterator[AgentHost]:
    with agent_host("btrfs", bindirs=[f"{gate.parent}/bin/*"]) as found:
        seeded(found)
        found.json("snapshot", "create", "main@s", "--settle")
        yield found


@pytest.fixture
def slow(slow_host: AgentHost, gate: Path) -> Iterator[AgentHost]:
    """It has a source `main` and its settled snapshot `main@s`, and nothing else after a test."""
    host, before = slow_host, _standing(slow_host)
    yield host
    host.json("snapshot", "warm", "main@s", "--spares", "0")
    for branch in host.json("branch", "list"):
        host.json("branch", "rm", branch["name"])
    assert _standing(host) == before
    assert not list(gate.glob("token*"))


def _standing(host: AgentHost) -> dict[str, list[str]]:
    """What is there, without the processes, whose number changes by themselves."""
    return {name: items for name, items in host.remains().items() if name != "servers"}


@contextlib.contextmanager
def thief(gate: Path, times: int) -> Iterator[list[int]]:
    """The ports of the next servers are taken when these have been started and have not bound
    them; they stay taken while the block runs."""
    taken: list[int] = []
    over = threading.Event()
    for number in range(times):
        (gate / f"token{number}").touch()

    def steal() -> None:
        with contextlib.ExitStack() as held:
            while not over.wait(0.005):
                with contextlib.suppress(FileNotFoundError):
                    said = (gate / "arguments").read_text()
                    (gate / "arguments").unlink()
                    port = int(re.findall(r"-c port=(\d+)", said)[0])
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
                    taken.append(port)
                    (gate / "go").touch()

    thread = threading.Thread(target=steal)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


def undone(host: AgentHost) -> list[dict[str, Any]]:
    with host.client() as client:
        return [dict(item) for item in client.host.operations() if item["state"] == "undone"]


@pytest.mark.parametrize("major", sorted(NEEDED))
def test_a_server_that_finds_its_port_taken(slow: AgentHost, gate: Path, major: str) -> None:
    """In the last moment: each major says so in its log."""
    if int(major) not in binaries.find(BINDIRS):
        missing(f"needs PostgreSQL {major}")
    with thief(gate, 1) as taken:
        made = slow.json("source", "add", "other", "--empty", "--pg-version", major)
        assert len(taken) == 1
        assert made["port"] not in taken
        assert slow.sql(made["dsn"], "select 1") == [(1,)]
    assert str(taken[0]) in undone(slow)[0]["error"]
    slow.json("source", "rm", "other")


@pytest.mark.parametrize("origin", ["main@s", "main"])
def test_a_branch_that_finds_its_port_taken_twice(slow: AgentHost, gate: Path, origin: str) -> None:
    with thief(gate, 2) as taken:
        made = slow.json("branch", "create", "b", "--from", origin)
        assert len(taken) == 2
        assert made["port"] not in taken
        assert count(slow, made["dsn"]) == ROWS


def test_a_port_that_was_asked_for_is_refused(slow: AgentHost, gate: Path) -> None:
    for origin in ("main", "main@s"):
        with thief(gate, 1) as taken:
            error = slow.error("branch", "create", "a", "--from", origin, "--port",
                               str(slow.ports[1]), status=5)  # fmt: skip
            assert taken == [slow.ports[1]]
        assert error["code"] == "port_unavailable"
        assert f"process {os.getpid()}" in error["message"]
        assert "another port" in error["hint"]
        assert slow.json("branch", "list") == []


def test_it_ends_when_somebody_is_always_faster(slow: AgentHost, gate: Path) -> None:
    with thief(gate, TRIES) as taken:
        error = slow.error("branch", "create", "a", "--from", "main", status=5)
        assert len(set(taken)) == TRIES
    assert error["code"] == "port_unavailable"
    assert f"{TRIES} ports" in error["message"]
    assert "'ports'" in error["hint"]
    assert slow.json("branch", "list") == []


def test_a_spare_is_made_on_another_port(slow: AgentHost, gate: Path) -> None:
    with thief(gate, 2) as taken:
        slow.json("snapshot", "warm", "main@s", "--spares", "2")
        with slow.client() as client:
            eventually(lambda: client.snapshots.show("main@s")["spares"]["ready"] == 2, 20)
        assert len(taken) == 2
        for name in ("a", "b"):
            made = slow.json("branch", "create", name, "--from", "main@s")
            assert made["spare"]
            assert made["port"] not in taken
            assert count(slow, made["dsn"]) == ROWS


def test_a_reset_keeps_its_port_and_says_who_has_it(slow: AgentHost, gate: Path) -> None:
    made = slow.json("branch", "create", "a", "--from", "main@s")
    slow.sql(made["dsn"], "delete from t where id > 10")
    with thief(gate, 1) as taken:
        error = slow.error("branch", "reset", "a", status=5)
        assert taken == [made["port"]]
        assert error["code"] == "port_unavailable"
        assert f"process {os.getpid()}" in error["message"]
        for words in ("'a' was not reset", "does not run now", "keeps its port"):
            assert words in error["message"]
        assert "cowdb branch start a" in error["hint"]
        assert slow.json("branch", "show", "a")["state"] == "crashed"
        slow.error("branch", "start", "a", status=5)
    assert slow.json("branch", "start", "a")["port"] == made["port"]
    assert count(slow, made["dsn"]) == 10
    slow.json("branch", "reset", "a")
    assert count(slow, made["dsn"]) == ROWS


def test_a_snapshot_by_stopping_says_who_has_the_port(slow: AgentHost, gate: Path) -> None:
    with thief(gate, 1):
        error = slow.error("snapshot", "create", "main@later", "--mode", "stop", status=5)
        assert f"process {os.getpid()}" in error["message"]
        assert slow.json("source", "show", "main")["state"] == "crashed"
        assert [item["ref"] for item in slow.json("snapshot", "list")] == ["main@s"]
    assert count(slow, slow.json("source", "start", "main")["dsn"]) == ROWS


@contextlib.contextmanager
def in_process(host: AgentHost) -> Iterator[Client]:
    """An agent in this process, so that a test is told of a step before it is done."""
    host.stop_agent()
    try:
        with host.client() as client:
            yield client
    finally:
        host.start_agent()


class Taker:
    """Takes the port of the first step that is announced like that.

    :param address: where."""

    def __init__(self, announced: str, address: str = "127.0.0.1") -> None:
        self._announced, self._address = re.compile(announced), address
        self.taken: list[int] = []
        self._held = contextlib.ExitStack()

    def __call__(self, what: str, done: int | None, total: int | None) -> None:
        found = self._announced.search(what)
        if found and not self.taken:
            port = int(found[1])
            self._held.enter_context(socket.create_server((self._address, port)))
            self.taken.append(port)

    def __enter__(self) -> Taker:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()


_STARTED = r"^start .*b on port (\d+)"
_HELD = r"^hold port (\d+) for b"
Make = Callable[[Client, Taker], Any]


@pytest.mark.parametrize(
    ("make", "announced", "address"),
    [
        (lambda client, taker: client.branches.create("b", "main@s", report=taker), _STARTED, ""),
        (lambda client, taker: client.branches.create("b", "main", report=taker), _STARTED, ""),
        (lambda client, taker: client.branches.create(
            "b", "main@s", sleep_seconds=60, report=taker), _HELD, ""),
        (lambda client, taker: client.branches.create(
            "b", "main", sleep_seconds=60, report=taker), _STARTED, "127.0.0.2"),
    ],
    ids=["of a snapshot", "of a server", "held by the front", "behind the front"],
)  # fmt: skip
def test_before_its_server_is_started(
    host: AgentHost, make: Make, announced: str, address: str
) -> None:
    seeded(host)
    host.json("snapshot", "create", "main@s", "--settle")
    with in_process(host) as client, Taker(announced, address or "127.0.0.1") as taker:
        made = make(client, taker)
        assert len(taker.taken) == 1
        assert made["port"] not in taker.taken
        assert count(host, made["dsn"]) == ROWS
    latest = undone(host)[0]
    assert latest["target"] == "b"
    assert str(taker.taken[0]) in latest["error"]
    assert count(host, made["dsn"]) == ROWS


def test_nobody_takes_the_port_of_a_source_while_it_is_loaded(host: AgentHost) -> None:
    """To copy a server may take hours, and is not to be done again."""
    refused: list[str] = []

    def bind(what: str, done: int | None, total: int | None) -> None:
        if what.startswith(("initdb", "make room")):
            with pytest.raises(OSError, match="in use"):
                socket.create_server(("127.0.0.1", host.ports[0]))
            refused.append(what)

    with in_process(host) as client:
        assert client.sources.add("empty", report=bind)["port"] == host.ports[0]
    assert len(refused) == 2
