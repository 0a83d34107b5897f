"""Parts of the agent that need the kernel but no root: ports, keys, the audit, its routes."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from openapi_spec_validator import validate
from psycopg.conninfo import conninfo_to_dict

from cowdb import units
from cowdb.agent import policy, ports
from cowdb.agent.api import Api
from cowdb.agent.audit import Audit
from cowdb.agent.background import Background
from cowdb.agent.host import Host
from cowdb.agent.http import openapi
from cowdb.agent.policy import Caller
from cowdb.agent.requests import AddSource, Request
from cowdb.agent.secrets import KEY_BYTES, Keyring, scram_verifier
from cowdb.agent.service import views
from cowdb.agent.service.context import Context
from cowdb.errors import ConflictError, InvalidError, NotPermittedError, PortError
from tests.unit.records import BRANCH

LOOPBACK = "127.0.0.1"


def test_ports_that_somebody_holds_are_passed_over() -> None:
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        holder.listen()
        held: int = holder.getsockname()[1]
        assert not ports.is_free(LOOPBACK, held)
        with pytest.raises(PortError, match=f"port {held} is held by process {os.getpid()}"):
            ports.require(held, (), LOOPBACK)
        with pytest.raises(PortError, match="no port is free"):
            ports.choose((held, held), (), LOOPBACK)
        with pytest.raises(ConflictError, match="another server of cowdb"):
            ports.require(held, (held,), LOOPBACK)
        assert ports.choose((held, held + 20), (), LOOPBACK) > held
    assert ports.require(held, (), LOOPBACK) == held
    with pytest.raises(InvalidError):
        ports.require(80, (), LOOPBACK)
    free = ports.choose((held, held + 20), (held,), LOOPBACK)
    assert free > held


def test_a_listener_on_all_addresses_holds_the_port() -> None:
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        holder.listen()
        assert not ports.is_free(LOOPBACK, holder.getsockname()[1])


def test_the_key_is_made_once_and_is_roots_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    first = Keyring(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_bytes()) == KEY_BYTES
    assert [item.name for item in tmp_path.iterdir()] == ["secret.key"]
    password = first.password("br-1")
    assert Keyring(path).password("br-1") == password
    assert first.password("br-2") != password
    assert len(password) == 32
    assert set(password) <= set("abcdefghijklmnopqrstuvwxyz234567")
    path.unlink()
    assert Keyring(path).password("br-1") != password


def test_scram_as_rfc_7677_has_it() -> None:
    """User "user", password "pencil": the server's signature of the RFC's example."""
    import hashlib
    import hmac

    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    verifier = scram_verifier("pencil", salt)
    assert verifier.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    stored, server = (base64.b64decode(part) for part in verifier.rpartition("$")[2].split(":"))
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    auth = (
        f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}"
    ).encode()
    assert base64.b64encode(hmac.digest(server, auth, "sha256")) == (
        b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    )
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    signature = hmac.digest(stored, auth, "sha256")
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored
    assert scram_verifier("pencil") != scram_verifier("pencil")  # a salt of its own each time


def test_who_may_do_what() -> None:
    root, ann, bob = Caller(0, 1), Caller(60001, 2), Caller(60002, 3)
    assert policy.owns(root, 60001)
    assert policy.owns(ann, 60001)
    assert not policy.owns(bob, 60001)
    policy.require_root(root, "make a pool")
    policy.require_owner(ann, 60001, "reset branch 'a'")
    with pytest.raises(NotPermittedError, match="only root may make a pool"):
        policy.require_root(ann, "make a pool")
    with pytest.raises(NotPermittedError, match=r"'60002' may not reset branch 'a'.*'60001'"):
        policy.require_owner(bob, 60001, "reset branch 'a'")


def test_the_audit_is_appended_to_and_holds_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "log" / "audit.jsonl"
    for _ in range(2):
        audit = Audit(path)
        request = AddSource(name="main", dsn="postgresql://u:hunter2@h/d")
        with pytest.raises(ConflictError), audit.entry(Caller(0, 7), "POST", "/v1/x", request):
            raise ConflictError("no")
        with audit.entry(Caller(0, 7), "DELETE", "/v1/x", None):
            pass
        audit.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["conflict", "done"] * 2
    assert lines[0]["body"]["dsn"] == "***"
    assert "hunter2" not in path.read_text()
    assert (lines[0]["uid"], lines[0]["pid"], lines[0]["request"]) == (0, 7, "POST /v1/x")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["plain", "O'Neil", "a b", "x/y", "per%cent", "q?u=1", "ü@#:"])
def test_a_dsn_carries_any_name(name: str, tmp_path: Path) -> None:
    cluster = replace(BRANCH.cluster, database=name, superuser=name)
    host = cast(Host, SimpleNamespace(keyring=Keyring(tmp_path / "key")))
    found = conninfo_to_dict(views.dsn(cluster, host, secret=True))
    assert (found["user"], found["dbname"], found["port"]) == (name, name, "15500")
    assert found["password"] == host.keyring.password(cluster.id)
    assert "password" not in conninfo_to_dict(views.dsn(cluster, host, secret=False))


@pytest.fixture
def api() -> Api:
    return Api(cast(Context, SimpleNamespace()), cast(Audit, None), "daemon")


def test_the_openapi_document_is_valid_and_has_every_route(api: Api) -> None:
    document = json.loads(msgspec.json.encode(openapi.document(api.routes)))
    validate(document)
    told = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert told == {(route.method, f"/v1{route.path}") for route in api.routes}
    assert len(told) == len(api.routes)


def test_every_route_says_what_it_takes_and_gives(api: Api) -> None:
    for route in api.routes:
        takes = route.request is not None and issubclass(route.request, Request)
        assert takes == (route.method == "POST"), route.path
        assert route.response is not None or route.method == "DELETE", route.path
        assert route.summary


def test_background_work_that_waits_is_left_when_the_agent_ends() -> None:

    background, begun, go, done = Background("test"), threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        go.wait(10)
        done.append("first")

    background.start()
    background.put(first)
    background.put(lambda: done.append("second"))
    assert begun.wait(10)
    stopper = threading.Thread(target=background.stop)
    stopper.start()
    time.sleep(0.05)
    go.set()
    stopper.join(10)
    assert done == ["first"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604800)]
)
def test_durations(text: str, seconds: int) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "5", "-1h", "1.5h", "2w", "400d", "h"])
def test_no_durations(text: str) -> None:
    with pytest.raises(InvalidError):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("20G", 20 * 2**30), ("512m", 512 * 2**20), ("7", 7), ("1KiB", 1024), ("1TB", 2**40)],
)
def test_sizes(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "1.5G", "20X"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(InvalidError):
        units.parse_size(text)


def test_sizes_for_people() -> None:
    values: list[Any] = [None, 0, 1023, 1536, 5 * 2**30]
    assert [units.size_text(item) for item in values] == [
        "-",
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 GiB",
    ]
