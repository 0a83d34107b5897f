"""One suite, both ways to the agent: the same calls give the same answers and the same errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cowdb.controller.client import Client
from cowdb.controller.connect import _InProcess, connect
from cowdb.controller.transport import SocketTransport
from cowdb.errors import ConflictError, CowdbError, InvalidError, NotFoundError
from tests.agenthost import AgentHost


@pytest.fixture(params=["socket", "in process"])
def client(request: pytest.FixtureRequest, host: AgentHost) -> Iterator[Client]:
    """A client of a clean host, by the way that `connect` chooses with and without an agent."""
    if request.param == "in process":
        host.stop_agent()
    with connect(host.config) as found:
        assert found.branches.list() == []
        way = found.branches._call.__self__.chosen  # type: ignore[attr-defined]
        assert isinstance(way, SocketTransport if request.param == "socket" else _InProcess)
        yield found


def test_the_life_of_a_branch(client: Client) -> None:
    source = client.sources.add("main")
    assert (source["name"], source["kind"], source["state"]) == ("main", "managed", "running")
    assert client.sources.list() == [client.sources.show("main")]

    steps: list[str] = []
    snapshot = client.snapshots.create(
        "main@s", mode="online", settle=True, report=lambda what, done, total: steps.append(what)
    )
    assert snapshot["settled"]
    assert any(step.startswith("snapshot volume") for step in steps)
    assert [item["ref"] for item in client.snapshots.list()] == ["main@s"]
    shown = client.snapshots.show("main@s")
    assert isinstance(shown["used_bytes"], int)

    branch = client.branches.create("b", "main@s", ttl_seconds=3600)
    assert branch["expires_at"] is not None
    assert client.branches.show("b")["dsn"] == branch["dsn"]
    assert branch["owner"] == "root"
    assert isinstance(client.branches.list(sizes=True)[0]["used_bytes"], int)
    assert client.branches.list()[0]["used_bytes"] is None

    assert client.branches.protect("b")["protected"]
    assert refused(lambda: client.branches.reset("b"), ConflictError) == {
        "code": "conflict",
        "message": "branch 'b' is protected",
        "hint": "cowdb branch protect b --off",
    }
    client.branches.protect("b", protected=False)
    assert client.branches.reset("b")["port"] == branch["port"]
    assert client.branches.stop("b")["state"] == "stopped"
    assert client.branches.start("b")["state"] == "running"
    client.branches.remove("b")
    client.snapshots.remove("main@s")
    client.sources.remove("main")
    assert client.branches.list() == client.snapshots.list() == client.sources.list() == []


def test_the_host(client: Client) -> None:
    status = client.host.status()
    way = client.branches._call.__self__.chosen  # type: ignore[attr-defined]
    here = isinstance(way, _InProcess)
    assert status["agent"] == ("in-process" if here else "daemon")
    assert (status["pid"] == os.getpid()) == here
    assert [item["state"] for item in client.host.pools()] == ["ready"]
    assert [item for item in client.host.doctor() if item["level"] == "problem"] == []
    assert isinstance(client.host.operations(), list)


def test_errors_are_the_same(client: Client) -> None:
    gone = {"code": "not_found", "message": "there is no branch 'x'", "hint": "cowdb branch list"}
    for act in (client.branches.show, client.branches.remove, client.branches.reset):
        assert refused(lambda act=act: act("x"), NotFoundError) == gone  # type: ignore[misc]
    told = refused(lambda: client.branches.create("a/b", "main"), InvalidError)
    assert told["message"] == "'a/b' is not a branch name"
    told = refused(lambda: client.branches.create("b", "main"), NotFoundError)
    assert told["message"] == "there is no source or branch 'main'"
    told = refused(lambda: client.snapshots.create("main"), InvalidError)
    assert told["hint"] == "write PARENT@NAME, such as main@before"
    told = refused(lambda: client.branches.create("b", "main", ttl_seconds=0), InvalidError)
    assert told["message"].startswith("the request is not valid: ")


def test_what_is_not_json_or_not_known_is_refused_alike(client: Client) -> None:
    call = client.branches._call
    quiet: Callable[..., None] = lambda *what: None  # noqa: E731
    bodies: list[dict[str, Any]] = [{"name": "b"}, {"name": 1, "origin": "x"},
                                    {"name": "b", "origin": "x", "more": 1}]  # fmt: skip
    for body in bodies:
        told = refused(lambda body=body: call("POST", "/v1/branches", body, quiet), InvalidError)  # type: ignore[misc]
        assert told["message"].startswith("the request is not valid: ")
    told = refused(lambda: call("GET", "/v2/status", None, quiet), NotFoundError)
    assert told["message"] == "this agent speaks v1, not 'v2'"
    refused(lambda: call("GET", "/v1/nothing", None, quiet), NotFoundError)


def refused(act: Callable[[], object], kind: type[CowdbError]) -> dict[str, str]:
    with pytest.raises(CowdbError) as raised:
        act()
    assert type(raised.value) is kind
    return raised.value.as_json()
