"""Parts of the agent that need the kernel but no root: processes, ports, keys, the audit."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from openapi_spec_validator import validate
from psycopg.conninfo import conninfo_to_dict

from cowdb import units
from cowdb.agent import policy, ports, processes, system
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
from cowdb.errors import CommandError, ConflictError, InvalidError, NotPermittedError, PortError
from tests.unit.records import BRANCH

LOOPBACK = "127.0.0.1"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as made:
        yield made
        made.kill()


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_process_is_known_until_it_ends(child: subprocess.Popen[bytes]) -> None:
    known = processes.identify(child.pid)
    assert known is not None
    assert processes.alive(known)
    assert processes.parent_of(child.pid) == os.getpid()
    assert not processes.wait(known, 0.01)
    child.kill()
    assert processes.wait(known, 10)
    assert not processes.alive(known)  # a zombie is not alive
    assert processes.identify(child.pid) is None


def test_a_reused_pid_is_not_mistaken(child: subprocess.Popen[bytes]) -> None:
    known = processes.identify(child.pid)
    assert known is not None
    for other in (replace(known, started=known.started - 1), replace(known, boot="another")):
        assert not processes.alive(other)
        assert not processes.send(other, processes.signal.SIGKILL)
        assert processes.wait(other, 0)
        processes.resume(other)
    assert child.poll() is None
    assert not processes.alive(None)


def test_a_paused_process_and_its_children_stand_still_and_go_on() -> None:
    script = "sleep 60 & sleep 60 & echo ready; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        known = processes.identify(parent.pid)
        assert known is not None
        family = [parent.pid, *processes.descendants(parent.pid)]
        assert len(family) == 3
        try:
            processes.pause(known)
            assert [state_of(pid) for pid in family] == ["T"] * 3
            processes.resume(known)
            deadline = time.monotonic() + 5
            while "T" in [state_of(pid) for pid in family]:
                assert time.monotonic() < deadline
        finally:
            for pid in reversed(family):
                os.kill(pid, processes.signal.SIGKILL)


def test_whoever_works_in_a_directory_is_found_and_ended(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGQUIT, signal.SIG_IGN); time.sleep(60)"
    inside = subprocess.Popen([sys.executable, "-c", stubborn], cwd=tmp_path)
    script = "import time; time.sleep(60)"
    naming = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd="/")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "PG_VERSION").touch()
    of_another_server = [sys.executable, "-c", script, str(tmp_path)]
    other = subprocess.Popen(of_another_server, cwd=elsewhere)
    try:
        time.sleep(0.3)  # for the signal to be ignored
        assert set(processes.working_in(tmp_path)) == {inside.pid, naming.pid}

        def left() -> list[int]:
            for process in (inside, naming):
                process.poll()
            return processes.working_in(tmp_path)

        assert processes.end(left, 1.0) == []
        assert other.poll() is None
    finally:
        for process in (inside, naming, other):
            process.kill()
            process.wait()


def test_what_a_server_leaves_is_found_among_its_ancestors_children(tmp_path: Path) -> None:
    """A program that left its parent, and one that such a program started; not what works
    elsewhere, nor what belongs to another server."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "PG_VERSION").touch()
    script = f"""
        deep='cd {tmp_path} && sh -c "echo deep \\$\\$; sleep 60"'
        ( exec setsid sh -c "echo left \\$\\$; ($deep) ; :" ) &
        ( cd / && exec setsid sh -c 'echo away $$; sleep 60' ) &
        ( cd {other} && exec setsid sh -c 'echo other $$; sleep 60' ) &
        wait
    """
    with subprocess.Popen(["sh", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE,
                          text=True) as server:  # fmt: skip
        assert server.stdout is not None
        pids = dict(server.stdout.readline().split() for _ in range(4))
        above = processes.ancestors(server.pid)
        assert above[0] == os.getpid()
        try:
            server.kill()
            server.wait()
            found = processes.orphans(above, tmp_path, os.getuid())
            assert found is not None
            assert {int(pids["left"]), int(pids["deep"])} <= set(found)
            assert not {int(pids["away"]), int(pids["other"])} & set(found)
        finally:
            for pid in pids.values():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(os.getpgid(int(pid)), processes.signal.SIGKILL)


def test_children_are_reaped_while_others_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python may let another thread go on in the midst of a walk through a dict: when it frees
    what takes a moment."""

    class Slow:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            time.sleep(0.0001)

    def some(numbers: range) -> None:
        for number in numbers:
            if ended.is_set():
                return
            children.add(cast(Any, SimpleNamespace(pid=number, poll=lambda: None)))

    found = processes.Process(pid=1, started=1, boot="b")
    monkeypatch.setattr(processes, "identify", lambda _: found)
    children, ended = processes.Children(), threading.Event()
    some(range(4000))
    adding = threading.Thread(target=some, args=(range(4000, 10_000_000),))
    adding.start()
    try:
        for _ in range(100):
            Slow()
            children.reap()
    finally:
        ended.set()
        adding.join()
        children.release()


def test_a_program_begins_only_when_its_number_is_known(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    seen: list[int] = []

    def first(pid: int) -> None:
        seen.append(pid)
        assert not trace.exists()

    writes = ["sh", "-c", f"cat; echo $$ >{trace}"]  # reads nothing: its stdin is empty
    child = system.spawn(writes, first=first)
    assert child.wait(10) == 0
    assert [int(trace.read_text())] == seen == [child.pid]
    trace.unlink()

    def refuse(pid: int) -> None:
        seen.append(pid)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        system.spawn(writes, first=refuse)
    assert not processes.alive(processes.identify(seen[-1]))
    assert not trace.exists()


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
    import threading

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


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("tool", ["setpriv", None])
def test_a_program_is_spawned_as_another_user_in_a_session_of_its_own(
    tool: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By setpriv and without: the same user, groups, umask and environment, and the same pid."""
    monkeypatch.setattr(system, "_SETPRIV", tool and shutil.which(tool))
    nobody = system.user_named("nobody")
    script = 'echo "$$"; id -u; id -G; umask; pwd; readlink /proc/self/ns/ipc;'
    script += 'env | cut -d= -f1 | sort | tr "\\n" " "'
    with (tmp_path / "said").open("wb") as file:
        child = system.spawn(
            ["/bin/sh", "-c", script], user=nobody, env={"MORE": "1"}, stdout=file.fileno(), cwd="/"
        )
        assert os.getsid(child.pid) == child.pid
        assert child.wait(10) == 0
    said = (tmp_path / "said").read_text().split("\n")
    groups = " ".join(str(group) for group in system.groups_of(nobody))
    assert said[:5] == [str(child.pid), str(nobody.uid), groups, "0077", "/"]
    assert said[5].startswith("ipc:[")
    assert said[5] != os.readlink("/proc/thread-self/ns/ipc")  # noqa: PTH115
    assert {"LC_ALL", "MORE", "PATH"} <= set(said[6].split())
    with pytest.raises(CommandError, match="not installed"):
        system.spawn(["/nowhere/postgres"], user=nobody)
