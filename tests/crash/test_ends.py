"""Other ends of an agent, a host and a store: SIGTERM, a lost store, a power cut."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cowdb.errors import ServerError
from tests.crash.world import World, world


@pytest.fixture(scope="module")
def host() -> Iterator[World]:
    with world(attached=False, bomb=False) as made:
        yield made


def _await_operation(host: World, kind: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        latest = host.client.host.operations()[0]
        if latest["kind"] == kind and latest["state"] == "running":
            return
        time.sleep(0.01)
    pytest.fail(f"{kind} never began")


def test_sigterm_at_the_very_start(host: World) -> None:
    for _ in range(6):
        host.host.stop_agent()  # within its patience
        host.start()
    host.check()


def test_sigterm_lets_an_operation_finish(host: World) -> None:
    made: list[object] = []
    thread = threading.Thread(target=lambda: made.append(host.client.sources.add("slow")))
    thread.start()
    _await_operation(host, "source add")
    assert host.host.daemon is not None
    host.host.daemon.send_signal(signal.SIGTERM)
    host.host.daemon.send_signal(signal.SIGTERM)  # somebody is impatient
    thread.join(60)
    assert host.host.daemon.wait(60) == 0
    assert made, "the client was not answered"
    host.start()
    assert host.client.sources.show("slow")["state"] == "running"
    host.check()
    host.client.sources.remove("slow")


def test_sigterm_lets_an_operation_finish_whose_client_is_gone(host: World) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(host.host.config.socket))
        body = json.dumps({"name": "slow"})
        client.sendall(
            f"POST /v1/sources HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        _await_operation(host, "source add")
    host.host.restart_agent()
    latest = host.client.host.operations()[0]
    assert (latest["kind"], latest["state"]) == ("source add", "done")
    host.check()
    host.client.sources.remove("slow")


def test_a_source_whose_loader_died_goes_although_the_agent_died_too(host: World) -> None:
    script = (
        "import sys; from pathlib import Path; from cowdb.controller.client import Client; "
        "from cowdb.controller.transport import SocketTransport; "
        "Client(SocketTransport(Path(sys.argv[1]))).sources.add('half', loading=True)"
    )
    host.host.stop_agent()
    host.host.configure(reap_interval=3600.0)  # not before the agent has died
    host.start()
    subprocess.run([sys.executable, "-c", script, host.host.config.socket], check=True)
    assert host.client.sources.show("half")["state"] == "loading"
    host.host.stop_agent(signal.SIGKILL)
    host.host.configure()
    host.start()
    deadline = time.monotonic() + 20
    while "half" in [item["name"] for item in host.client.sources.list()]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    host.check()


def _end_servers(host: World) -> None:
    """What a power cut does to processes."""
    for _ in range(100):
        pids = host.host.servers()
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    pytest.fail(f"{pids} do not end")


def _reboot(host: World) -> None:
    """Agent and servers gone at once, and every process of another boot."""
    host.host.stop_agent(signal.SIGKILL)
    _end_servers(host)
    with contextlib.closing(sqlite3.connect(host.host.config.store)) as db, db:
        for table in ("branches", "sources"):
            for key, doc in db.execute(f"select id, doc from {table}").fetchall():
                record = json.loads(doc)
                if record["cluster"]["process"]:
                    record["cluster"]["process"]["boot"] = "another-boot"
                db.execute(f"update {table} set doc = ? where id = ?", (json.dumps(record), key))


def _number_is_anothers(host: World, killed: str, running: str) -> None:
    """As the kernel may give a killed server's number to another one: in the lock of its socket."""
    sockets = host.host.config.run_dir / "servers"
    ports = [str(host.client.branches.show(name)["port"]) for name in (killed, running)]
    lock, other = (next(sockets.glob(f"*/.s.PGSQL.{port}.lock")) for port in ports)
    number = other.read_text().splitlines()[0]
    lock.write_text("\n".join([number, *lock.read_text().splitlines()[1:], ""]))


def test_a_branch_that_ran_when_the_power_went_is_not_believed(host: World) -> None:
    client = host.client
    for name in ("torn", "resting"):
        client.branches.create(name, "main@settled")
    client.branches.stop("resting")
    for name, origin in (("full", "main@settled"), ("full-raw", "main@raw")):
        client.branches.create(name, origin, durability="full")
        host.sql(name, "insert into kept values (-1, 'committed')")
    _reboot(host)
    host.start()
    client = host.client
    states = {item["name"]: item["state"] for item in client.branches.list()}
    assert states == {"keep": "crashed", "torn": "crashed", "resting": "stopped",
                      "full": "running", "full-raw": "running"}  # fmt: skip
    for name in ("full", "full-raw"):
        assert host.rows(name) == 2001
    assert client.sources.show("main")["state"] == "running"  # it syncs what it commits

    for name in ("torn", "keep"):
        with pytest.raises(ServerError, match="host went down") as refused:
            client.branches.start(name)
        assert refused.value.hint == f"cowdb branch reset {name}"
    with pytest.raises(ServerError, match="host went down"):
        client.branches.create("child", "torn")
    client.branches.stop("torn")  # is no way around it
    with pytest.raises(ServerError, match="host went down"):
        client.branches.start("torn")
    client.branches.start("resting")  # was shut down and written out

    warnings = [item for item in client.host.doctor() if item["level"] == "warning"]
    assert {item["repair"] for item in warnings} == {"cowdb branch reset keep"}
    host.host.restart_agent()
    assert host.client.branches.show("keep")["state"] == "crashed"

    for name in ("torn", "keep"):
        _number_is_anothers(host, name, "full")
        assert host.client.branches.reset(name)["state"] == "running"
    assert host.rows("keep") == 2000
    host.host.restart_agent()
    assert host.client.branches.show("keep")["state"] == "running"
    for name in ("torn", "resting", "full", "full-raw"):
        host.client.branches.remove(name)
    host.known.clear()  # the servers are others now, and keep was reset
    host.check()


def test_a_server_that_was_killed_is_started_again(host: World) -> None:
    """The page cache outlives a process: on the same boot nothing is torn."""
    host.host.stop_agent(signal.SIGKILL)
    _end_servers(host)
    host.start()
    assert host.client.branches.show("keep")["state"] == "running"
    assert host.rows("keep") == 2000
    host.check()


def test_a_lost_store_is_no_reason_to_remove_what_it_knew(host: World) -> None:
    """Runs last: it ends with nothing of the others' world. Repair removes nothing that a rebuild
    would take up again, and never what has no mark of cowdb's."""
    found = host.host
    found.stop_agent(signal.SIGKILL)
    for path in found.config.state_dir.glob("store.db*"):
        path.unlink()
    foreign = found.pool / "volumes" / "somebody-elses"
    foreign.mkdir()
    (foreign / "data").write_text("precious")
    marked = {path.name for path in (found.pool / "volumes").iterdir()} - {foreign.name}
    servers = found.servers()
    host.start()
    assert host.client.branches.list() == []
    host.client.host.init_pool(path=str(found.pool))

    problems = [item for item in host.client.host.doctor() if item["level"] == "problem"]
    reported = {item["subject"].split()[1] for item in problems
                if item["subject"].startswith("volume ")}  # fmt: skip
    assert reported == marked
    host.client.host.doctor(repair=True)
    assert {path.name for path in (found.pool / "volumes").iterdir()} == marked | {foreign.name}
    assert servers
    assert set(found.servers()) == set(servers)

    host.client.host.rebuild([str(found.pool)])
    assert host.client.branches.show("keep")["state"] == "running"
    assert host.rows("keep") == 2000
    found.wipe()
    assert [path.name for path in (found.pool / "volumes").iterdir()] == [foreign.name]
    assert (foreign / "data").read_text() == "precious"
    assert not found.servers()
    assert [item for item in host.client.host.doctor() if item["level"] == "problem"] == []
    (foreign / "data").unlink()
    Path(foreign).rmdir()
