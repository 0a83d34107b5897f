"""Branches that sleep, on a real agent: what their clients see, and what is left when they go.

The shortest rest there is (a second) is waited for in most tests; that is their time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.agenthost import AgentHost, agent_host
from tests.host.usecase import ROWS, count, eventually, seeded

REST = "1s"


@pytest.fixture
def main(host: AgentHost) -> AgentHost:
    seeded(host)
    host.json("snapshot", "create", "main@one", "--settle")
    return host


def sleeper(host: AgentHost, name: str = "a", origin: str = "main@one") -> dict[str, Any]:
    made: dict[str, Any] = host.json("branch", "create", name, "--from", origin, "--sleep", REST)
    assert made["sleep_after"] == 1
    return made


def state(host: AgentHost, name: str = "a") -> str:
    with host.client() as client:
        return client.branches.show(name)["state"]


def fall_asleep(host: AgentHost, name: str = "a") -> None:
    eventually(lambda: state(host, name) == "sleeping", message=f"{name} stays awake")


def postmasters(host: AgentHost) -> set[int]:
    found = set()
    for pid in host.servers():
        with contextlib.suppress(psutil.Error):
            if "-D" in psutil.Process(pid).cmdline():
                found.add(pid)
    return found


def kinds(host: AgentHost) -> list[str]:
    """What the journal has of this branch, the latest first."""
    with host.client() as client:
        found = [item["kind"] for item in client.host.operations() if item["target"] == "a"]
    return found[: found.index("branch create")]


def open_port(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_it_sleeps_without_clients_and_the_next_one_wakes_it(main: AgentHost) -> None:
    before = postmasters(main)
    made = sleeper(main)
    assert made["state"] == "running" and len(postmasters(main)) == len(before) + 1
    main.sql(made["dsn"], "update t set word = 'changed' where id = 1")
    fall_asleep(main)
    assert postmasters(main) == before, "its server has stopped"
    (listed,) = main.json("branch", "list")
    assert (listed["state"], listed["dsn"]) == ("sleeping", made["dsn"])
    assert main.json("status")["branches"] == {"sleeping": 1}
    assert not [item for item in main.json("doctor") if item["level"] != "ok"
                and item["subject"] != "group cowdb"]  # fmt: skip
    assert main.sql(made["dsn"], "select word from t where id = 1") == [("changed",)]
    assert state(main) == "running"
    fall_asleep(main)
    assert kinds(main)[:3] == ["branch sleep", "branch wake", "branch sleep"]
    assert main.run("connect", "a", "--", "-Atc", "select count(*) from t").stdout.strip() == "100"


def test_a_client_that_stays_keeps_it_awake(main: AgentHost) -> None:
    made = sleeper(main)
    with psycopg.connect(made["dsn"]) as db:
        time.sleep(2.5)  # nothing else says that a thing has not happened
        assert db.execute("select count(*) from t").fetchone() == (ROWS,)
    assert "branch sleep" not in kinds(main)


def test_twenty_who_come_to_a_sleeping_branch_at_once_all_get_answers(main: AgentHost) -> None:
    made = sleeper(main)
    fall_asleep(main)
    together = threading.Barrier(20)

    def visit(number: int) -> int:
        together.wait()
        return count(main, made["dsn"])

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(visit, range(20))) == [ROWS] * 20
    assert kinds(main).count("branch wake") == 1


@contextlib.contextmanager
def frozen(place: Path) -> Iterator[None]:
    """Nothing is written on this filesystem, so that a server cannot come to its end."""
    subprocess.run(["fsfreeze", "--freeze", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", place], check=True)


def test_whoever_comes_while_it_falls_asleep_gets_an_answer(main: AgentHost) -> None:
    made = sleeper(main)
    main.sql(made["dsn"], "update t set word = 'changed'")
    with ThreadPoolExecutor(5) as pool:
        with frozen(main.mountpoint):
            eventually(lambda: kinds(main)[:1] == ["branch sleep"])
            waits = [pool.submit(count, main, made["dsn"]) for _ in range(5)]
            time.sleep(0.3)  # nothing else says that a thing has not happened
            assert not [item for item in waits if item.done()]
        assert [item.result(20) for item in waits] == [ROWS] * 5
    assert kinds(main)[:2] == ["branch wake", "branch sleep"]


def test_sessions_survive_the_agent_and_who_knocks_meanwhile_is_heard(main: AgentHost) -> None:
    made, other = sleeper(main), sleeper(main, "b")
    (front,) = main.fronts()
    with psycopg.connect(made["dsn"], autocommit=True) as db:
        fall_asleep(main, "b")
        main.stop_agent(signal.SIGKILL)
        assert db.execute("select count(*) from t").fetchone() == (ROWS,)
        assert count(main, made["dsn"]) == ROWS, "what runs needs no agent"
        with ThreadPoolExecutor(1) as pool:
            waits = pool.submit(count, main, other["dsn"])
            time.sleep(0.3)
            assert not waits.done()
            main.start_agent()
            assert waits.result(20) == ROWS
        assert db.execute("select count(*) from t").fetchone() == (ROWS,)
        assert main.fronts() == [front]
    fall_asleep(main)
    main.restart_agent()
    assert state(main) == "sleeping", "an agent that starts wakes nobody"
    assert count(main, made["dsn"]) == ROWS


def test_another_front_takes_the_place_of_one_that_was_killed(main: AgentHost) -> None:
    made, other = sleeper(main), sleeper(main, "b")
    fall_asleep(main, "b")
    (front,) = main.fronts()
    with psycopg.connect(made["dsn"]) as db:
        front.kill()
        with pytest.raises(psycopg.OperationalError):
            db.execute("select 1")
    front.wait(10)  # while it dies its ports may still answer
    eventually(lambda: open_port(made["port"]) and open_port(other["port"]))
    assert [count(main, item["dsn"]) for item in (made, other)] == [ROWS, ROWS]
    (another,) = main.fronts()
    assert another.pid != front.pid
    fall_asleep(main)


def test_copy_of_a_hundred_megabytes_comes_through_intact(main: AgentHost) -> None:
    """Both ways: 100 MB take a while through any server (4 s)."""
    made = sleeper(main)
    line = hashlib.sha256(b"cowdb").hexdigest() * 16
    rows = 100 * 10**6 // len(line)
    main.sql(made["dsn"], "create unlogged table big (n int, word text)")
    sent, got = hashlib.sha256(), hashlib.sha256()
    with psycopg.connect(made["dsn"], autocommit=True) as db:
        with db.cursor().copy("copy big from stdin") as copy:
            for number in range(rows):
                text = f"{number}\t{line}\n"
                sent.update(text.encode())
                copy.write(text)
        with db.cursor().copy("copy big to stdout") as copy:
            for data in copy:
                got.update(data)
    assert got.hexdigest() == sent.hexdigest()


def test_a_query_can_be_cancelled(main: AgentHost) -> None:
    made = sleeper(main)
    with psycopg.connect(made["dsn"], autocommit=True) as db:
        timer = threading.Timer(0.3, db.cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            db.execute("select pg_sleep(60)")
        timer.join()
        assert db.execute("select 1").fetchone() == (1,)


def test_a_sleeping_branch_is_snapshotted_compared_reset_and_removed(main: AgentHost) -> None:
    made = sleeper(main)
    main.sql(made["dsn"], "delete from t where id <= 10")
    fall_asleep(main)
    main.json("snapshot", "create", "a@now")
    assert state(main) == "sleeping", "a snapshot of files needs no server"
    child = main.json("branch", "create", "child", "--from", "a@now")
    assert child["sleep_after"] is None and count(main, child["dsn"]) == 90
    main.json("branch", "create", "grandchild", "--from", "a", "--ttl", "1s", "--sleep", REST)
    eventually(lambda: len(main.json("branch", "list")) == 2, message="a sleeper's time is up, too")
    found = main.json_any("diff", "a", "main@one", "--counts")
    assert [item["counts"] for item in found["counts"]] == [[90, 100]]
    main.run("branch", "rm", "child")
    main.run("snapshot", "rm", "a@now")
    fall_asleep(main)
    assert main.json("branch", "reset", "a")["state"] == "running"
    assert count(main, made["dsn"]) == 100
    fall_asleep(main)
    main.run("branch", "rm", "a")
    assert not open_port(made["port"]) and not main.fronts()


def test_a_reset_keeps_the_port_open_all_the_time(main: AgentHost) -> None:
    made = sleeper(main)
    ended = threading.Event()

    def knock() -> int:
        answers = 0
        while not ended.is_set():
            try:
                with psycopg.connect(made["dsn"]) as db:
                    db.execute("select 1")
                    answers += 1
            except psycopg.OperationalError as error:  # its server was stopped under it
                assert "refused" not in str(error) and "starting up" not in str(error)
        return answers

    with ThreadPoolExecutor(1) as pool:
        knocking = pool.submit(knock)
        for _ in range(3):
            main.json("branch", "reset", "a")
        ended.set()
        assert knocking.result(30) > 3


def test_what_the_user_stopped_is_not_woken(main: AgentHost) -> None:
    made = sleeper(main)
    fall_asleep(main)
    assert main.json("branch", "stop", "a")["state"] == "stopped"
    assert not open_port(made["port"])
    main.restart_agent()
    assert state(main) == "stopped" and not open_port(made["port"])
    assert main.json("branch", "start", "a")["state"] == "running"
    assert count(main, made["dsn"]) == ROWS
    fall_asleep(main)
    assert main.json("branch", "start", "a")["state"] == "running"


def test_a_branch_that_cannot_be_woken_says_why(main: AgentHost) -> None:
    made = sleeper(main)
    fall_asleep(main)
    settings = Path(made["datadir"], "postgresql.conf")
    away = settings.rename(settings.with_suffix(".away"))
    os.mkfifo(settings)
    try:
        with pytest.raises(psycopg.OperationalError, match=r"'a' cannot be woken.*not a regular"):
            psycopg.connect(made["dsn"])
        assert state(main) == "sleeping"
    finally:
        away.replace(settings)
    assert count(main, made["dsn"]) == ROWS


def test_nothing_is_open_beside_the_front(main: AgentHost) -> None:
    """The server of a branch that may sleep listens where only the front looks for it."""
    made = sleeper(main)
    listening = {
        (item.laddr.ip, item.pid) for item in psutil.net_connections("tcp")
        if item.status == psutil.CONN_LISTEN and item.laddr.port == made["port"]
    }  # fmt: skip
    (front,) = main.fronts()
    assert {ip for ip, _ in listening} == {"127.0.0.1", "127.0.0.2"}
    assert ("127.0.0.1", front.pid) in listening
    assert front.username() == main.config.server_user
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(make_conninfo(made["dsn"], host="127.0.0.2", password="wrong"))


@contextlib.contextmanager
def down(host: AgentHost) -> Iterator[None]:
    """The host as after a reboot: nothing runs, and the run directory is empty."""
    host.stop_agent(signal.SIGKILL)
    for pid in host.servers():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not host.servers())
    yield
    host.start_agent()


def test_after_a_reboot_it_sleeps_on_and_a_lost_store_knows_it_again() -> None:
    """A host of its own: its store is lost on the way."""
    with agent_host("btrfs") as host:
        seeded(host)
        host.json("snapshot", "create", "main@one", "--settle")
        made = sleeper(host)
        fall_asleep(host)
        with down(host):
            pass
        assert state(host) == "sleeping"
        assert count(host, made["dsn"]) == ROWS
        fall_asleep(host)
        host.stop_agent()
        for path in host.config.state_dir.glob("store.db*"):
            path.unlink()
        host.start_agent()
        assert open_port(made["port"]), "the front outlives the store"
        host.run("doctor", "--rebuild", "--pool", host.pool_spec)
        shown = host.json("branch", "show", "a")
        assert (shown["state"], shown["dsn"]) == ("sleeping", made["dsn"])
        assert count(host, made["dsn"]) == ROWS
        host.wipe()
        assert not host.fronts()


def test_a_root_user_without_an_agent_has_it_too() -> None:
    """Commands that serve themselves start the front, and an agent that comes later wakes."""
    with agent_host("btrfs", agent=False) as host:
        seeded(host)
        host.json("snapshot", "create", "main@one", "--settle")
        made = sleeper(host)
        assert count(host, made["dsn"]) == ROWS
        assert host.json("branch", "show", "a")["state"] == "running"
        host.start_agent()
        fall_asleep(host)
        assert count(host, made["dsn"]) == ROWS
        host.wipe()
