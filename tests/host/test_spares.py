"""Spares on a real host: nobody's until they are taken, then somebody's alone, and never left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from cowdb.agent import processes
from cowdb.agent.secrets import KEY_FILE, Keyring
from cowdb.errors import NotFoundError
from tests.agenthost import COWDB, AgentHost, agent_host
from tests.host.usecase import (
    ROWS,
    count,
    eventually,
    listings,
    lose_store,
    postmaster,
    raw,
    rebuild,
    seeded,
)

REF = "main@s"
SOMEBODY = 65534
REPOSITORY = Path(__file__).resolve().parents[2]


def settled(host: AgentHost, ref: str = REF) -> None:
    if not host.json("source", "list"):
        seeded(host)
    host.json("snapshot", "create", ref, "--settle")


def spares(host: AgentHost) -> list[dict[str, Any]]:
    """Records of those that are ready, as the agent keeps them."""
    with contextlib.closing(sqlite3.connect(host.config.store)) as db:
        found = [json.loads(doc) for (doc,) in db.execute("select doc from spares order by rowid")]
    return [item for item in found if item["state"] == "ready"]


def warm(host: AgentHost, number: int, ref: str = REF) -> list[dict[str, Any]]:
    """As many spares of a snapshot as asked for, once they are there."""
    told = host.json("snapshot", "warm", ref, "--spares", str(number))
    assert told["spares"]["wanted"] == number
    assert not told["spares"]["automatic"]
    await_spares(host, number, ref)
    return spares(host)


def await_spares(host: AgentHost, number: int, ref: str = REF) -> None:
    with host.client() as client:
        eventually(lambda: client.snapshots.show(ref)["spares"]["ready"] == number, 60,
                   f"no {number} spares: {host.tail()}")  # fmt: skip


def server(spare: dict[str, Any]) -> int:
    pid: int = spare["cluster"]["process"]["pid"]
    return pid


def test_a_branch_is_one_that_was_ready(any_host: AgentHost) -> None:
    host = any_host
    settled(host)
    waiting = {item["id"]: item for item in warm(host, 2)}
    made = host.json("branch", "create", "b", "--from", REF, "--ttl", "1h")
    assert made["spare"]
    assert set(made["timings_ms"]) == {"total", "admit"}
    (taken,) = [item for item in waiting.values() if item["cluster"]["port"] == made["port"]]
    assert postmaster(host, made["datadir"]) == server(taken)
    assert (made["state"], made["snapshot"], made["owner"]) == ("running", REF, "root")
    assert made["expires_at"] is not None
    assert count(host, made["dsn"]) == ROWS
    host.sql(made["dsn"], "delete from t where id = 1")
    await_spares(host, 2)
    other = host.json("branch", "create", "other", "--from", REF)
    assert other["spare"]
    assert count(host, other["dsn"]) == ROWS
    # It is a branch like any other from then on.
    assert [item["name"] for item in host.json("branch", "list")] == ["b", "other"]
    assert host.json("snapshot", "show", REF)["branches"] == ["b", "other"]
    with host.client() as client:
        assert client.branches.reset("b")["dsn"] == made["dsn"]
        assert count(host, made["dsn"]) == ROWS
        client.branches.stop("b")
        client.branches.start("b")
        assert count(host, made["dsn"]) == ROWS
        client.snapshots.create("b@later")
        client.branches.create("child", "b@later")
        client.branches.protect("other")
    assert not [item for item in host.json("doctor") if item["level"] == "problem"]


def test_nobody_finds_or_enters_a_spare(host: AgentHost) -> None:
    main = seeded(host)
    host.sql(main["dsn"], "create role app login superuser password 'known'")
    settled(host)
    (spare,) = warm(host, 1)
    port = spare["cluster"]["port"]
    keyring = Keyring(host.config.state_dir / KEY_FILE)
    own = f"postgresql://postgres:{keyring.password(spare['id'])}@127.0.0.1:{port}/main"
    inherited = f"postgresql://app:known@127.0.0.1:{port}/main"
    for dsn in (own, inherited):
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
            psycopg.connect(dsn)
    assert host.json("branch", "list") == []
    assert host.json("snapshot", "show", REF)["branches"] == []
    with host.client() as client:
        for call in (client.branches.show, client.branches.remove, client.branches.start,
                     client.branches.reset):  # fmt: skip
            with pytest.raises(NotFoundError):
                call(spare["name"])
        with pytest.raises(NotFoundError):
            client.branches.create("x", spare["id"])
    status = host.json("status")
    assert status["branches"] == {}
    assert (status["spares"]["wanted"], status["spares"]["ready"]) == (1, 1)
    assert 2**20 < status["spares"]["memory_bytes"] < status["spares"]["memory_limit_bytes"]
    assert "spares      1 of 1 ready" in host.run("status").stdout
    assert "1 ready of 1" in host.run("snapshot", "show", REF).stdout
    made = host.json("branch", "create", "b", "--from", REF)
    assert made["port"] == port
    assert made["dsn"] == own
    assert count(host, made["dsn"]) == count(host, inherited) == ROWS


def test_at_once_by_many(host: AgentHost) -> None:
    """Processes of two users, more than there are spares: each gets a branch of its own."""
    settled(host)
    ready = {item["cluster"]["port"] for item in warm(host, 4)}
    group = host.config.socket.stat().st_gid
    people = (0, SOMEBODY)
    environment = {**host.environment, "HOME": "/nonexistent"}
    children = [
        subprocess.Popen(
            [*COWDB, "branch", "create", f"b{number}", "--from", REF, "--json"], env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
            user=people[number % 2], group=group, extra_groups=[],
        )
        for number in range(12)
    ]  # fmt: skip
    answers = [child.communicate(timeout=200) for child in children]
    assert [child.returncode for child in children] == [0] * 12, [err for _, err in answers]
    made = [json.loads(out) for out, _ in answers]
    assert len({item["port"] for item in made}) == 12
    assert len({item["datadir"] for item in made}) == 12
    assert len({item["dsn"] for item in made}) == 12
    assert ready <= {item["port"] for item in made if item["spare"]}
    names = {0: "root", SOMEBODY: "nobody"}
    for number, item in enumerate(made):
        assert (item["name"], item["owner"]) == (f"b{number}", names[people[number % 2]])
        host.sql(item["dsn"], f"delete from t where id <= {number}")
    assert [count(host, item["dsn"]) for item in made] == [ROWS - n for n in range(12)]
    assert Counter(item["owner"] for item in host.json("branch", "list")) == {
        "root": 6, "nobody": 6,
    }  # fmt: skip


def test_who_connects_at_once_is_let_in(host: AgentHost) -> None:
    """The answer comes after the server was told, and it reads before it listens."""
    settled(host)
    warm(host, 1)
    with host.client() as client:
        for number in range(12):
            await_spares(host, 1)
            made = client.branches.create("b", REF)
            assert made["spare"], number
            assert count(host, made["dsn"]) == ROWS
            client.branches.remove("b")


def test_a_dead_spare_is_nobodys(host: AgentHost) -> None:
    settled(host)
    dead = warm(host, 2)
    for item in dead:
        os.kill(server(item), signal.SIGKILL)
    made = host.json("branch", "create", "b", "--from", REF)
    assert made["port"] not in {item["cluster"]["port"] for item in dead} or not made["spare"]
    assert count(host, made["dsn"]) == ROWS
    gone = {item["id"] for item in dead}
    eventually(lambda: not gone & {item["id"] for item in spares(host)} and len(spares(host)) == 2)
    assert host.json("branch", "create", "c", "--from", REF)["spare"]


def test_a_new_agent_takes_over_the_living_and_replaces_the_dead(host: AgentHost) -> None:
    settled(host)
    living, dead = warm(host, 2)
    host.stop_agent(signal.SIGKILL)
    os.kill(server(dead), signal.SIGKILL)
    host.start_agent()
    await_spares(host, 2)
    ids = {item["id"]: server(item) for item in spares(host)}
    assert dead["id"] not in ids
    assert ids[living["id"]] == server(living)
    assert not [item for item in host.json("doctor") if item["level"] != "ok"]


def test_what_asks_for_more_takes_none(host: AgentHost) -> None:
    settled(host)
    (spare,) = warm(host, 1)
    port = host.ports[1]
    made = host.json("branch", "create", "b", "--from", REF, "--port", str(port))
    assert (made["spare"], made["port"]) == (False, port)
    assert not host.json("branch", "create", "c", "--from", "main")["spare"]
    assert [item["id"] for item in spares(host)] == [spare["id"]]
    error = host.error("branch", "create", "b", "--from", REF, status=5)
    assert error["message"] == "there is already a branch named 'b'"
    assert host.error("branch", "create", "bad name", "--from", REF, status=2)
    plan = host.json("branch", "create", "d", "--from", REF, "--dry-run")["plan"]
    assert plan == [f"admit clients to d on port {spare['cluster']['port']}",
                    f"spare {spare['id']} becomes d"]  # fmt: skip
    assert [item["id"] for item in spares(host)] == [spare["id"]]


def test_run_and_diff_take_them_too(host: AgentHost) -> None:
    settled(host)
    other = host.json("branch", "create", "b", "--from", REF)
    host.sql(other["dsn"], "delete from t where id = 1")
    (first,) = warm(host, 1)
    done = host.run("run", "--from", REF, "--", "sh", "-c", "echo $PGPORT")
    assert done.stdout.strip() == str(first["cluster"]["port"])
    await_spares(host, 1)
    before = {item["id"] for item in spares(host)}
    report = host.json_any("diff", REF, "b", "--counts")
    assert [item["counts"] for item in report["counts"]] == [[ROWS, ROWS - 1]]
    with contextlib.closing(sqlite3.connect(host.config.store)) as db:
        made = {row[0] for row in db.execute(
            "select subject from operations where kind = 'branch create' and target like '\\_%' "
            "escape '\\'")}  # fmt: skip
    assert before & made


def test_they_go_with_their_snapshot(any_host: AgentHost) -> None:
    host = any_host
    settled(host)
    pids = [server(item) for item in warm(host, 2)]
    plan = host.json("snapshot", "rm", REF, "--dry-run")["plan"]
    assert [line.split()[0] for line in plan] == ["stop", "destroy", "remove"] * 2 + ["destroy"] * 2
    assert len(spares(host)) == 2
    host.run("snapshot", "rm", REF)
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert spares(host) == []
    # A refusal leaves them alone; a branch that stays does not keep them.
    settled(host)
    host.json("branch", "create", "b", "--from", REF)
    kept = [item["id"] for item in warm(host, 2)]
    assert "branch b comes from it" in host.error("snapshot", "rm", REF, status=5)["message"]
    assert [item["id"] for item in spares(host)] == kept
    host.run("snapshot", "rm", REF, "--promote")
    assert spares(host) == []
    assert count(host, host.json("branch", "show", "b")["dsn"]) == ROWS


def test_they_go_when_nobody_wants_them(host: AgentHost) -> None:
    settled(host)
    three = warm(host, 3)
    host.run("snapshot", "warm", REF, "--spares", "1")
    assert [item["id"] for item in spares(host)] == [three[0]["id"]]
    assert host.json("snapshot", "warm", REF, "--spares", "0")["spares"]["ready"] == 0
    assert spares(host) == []
    assert host.json("status")["ports"]["used"] == 1
    back = host.json("snapshot", "warm", REF, "--auto")["spares"]
    assert back == {"wanted": 0, "ready": 0, "automatic": True}
    assert host.error("snapshot", "warm", REF, status=2)
    assert host.error("snapshot", "warm", REF, "--auto", "--spares", "1", status=2)
    assert host.error("snapshot", "warm", "main@none", "--spares", "1", status=4)
    assert host.error("snapshot", "warm", REF, "--spares", "-1", status=2)
    path = "/v1/snapshots/main%40s/warm"
    assert raw(host.config.socket, "POST", path, b'{"spares": 100000}')[0] == 400


def test_one_agent_in_process_takes_them_and_makes_none(host: AgentHost) -> None:
    settled(host)
    first, second = warm(host, 2)
    host.stop_agent()
    os.kill(server(second), signal.SIGKILL)
    made = host.json("branch", "create", "b", "--from", REF)
    assert (made["spare"], made["port"]) == (True, first["cluster"]["port"])
    assert count(host, made["dsn"]) == ROWS
    assert host.json("status")["spares"]["ready"] == 0
    assert not host.json("branch", "create", "c", "--from", REF)["spare"]
    assert host.json("branch", "show", "b")["timings_ms"] == made["timings_ms"]


def test_a_lost_store_knows_what_was_taken_and_keeps_no_spare(any_host: AgentHost) -> None:
    host = any_host
    settled(host)
    warm(host, 1)
    made = host.json("branch", "create", "b", "--from", REF, "--ttl", "2h")
    await_spares(host, 1)
    (left,) = spares(host)
    before = listings(host)
    lose_store(host)
    findings = rebuild(host, status=1)
    (problem,) = [item for item in findings if item["level"] == "problem"]
    assert (left["id"] in problem["subject"], "spare" in problem["message"]) == (True, True)
    for item in before["snapshot"]:
        item["spares"] = {"wanted": 0, "ready": 0, "automatic": True}
    assert listings(host) == before
    assert count(host, made["dsn"]) == ROWS
    host.run("doctor", "--repair")
    assert processes.identify(server(left)) is None


@pytest.fixture
def generous() -> Iterator[AgentHost]:
    """An agent that gives spares to what is in use: two to one snapshot, for six seconds."""
    with agent_host("btrfs", auto_spares=2, auto_spares_snapshots=1, auto_spares_seconds=6) as host:
        yield host
        host.wipe()
        assert not {name: items for name, items in host.remains().items() if items}


def test_what_is_in_use_gets_some_by_itself_for_a_while(generous: AgentHost) -> None:
    host = generous
    settled(host)
    settled(host, "main@t")
    shown = host.json("snapshot", "show", REF)["spares"]
    assert shown == {"wanted": 0, "ready": 0, "automatic": True}
    assert not host.json("branch", "create", "a", "--from", REF)["spare"]
    await_spares(host, 2)
    host.json("branch", "create", "b", "--from", "main@t")
    await_spares(host, 2, "main@t")
    eventually(lambda: len(spares(host)) == 2)  # those of the other one went
    assert host.json("snapshot", "show", REF)["spares"]["wanted"] == 0
    assert host.json("branch", "create", "c", "--from", "main@t")["spare"]
    host.json("snapshot", "warm", "main@t", "--spares", "0")
    eventually(lambda: spares(host) == [], 20)  # nothing was used for that long


def test_a_smaller_budget_takes_away_what_is_too_much(host: AgentHost) -> None:
    settled(host)
    warm(host, 3)
    each = host.json("status")["spares"]["memory_bytes"] // 3
    try:
        host.configure(spares_memory=int(each * 1.5))
        host.restart_agent()
        await_spares(host, 1)
        assert host.json("snapshot", "show", REF)["spares"]["wanted"] == 3
        host.configure(spares_memory=1)
        host.restart_agent()
        await_spares(host, 0)
    finally:
        host.configure()
        host.restart_agent()
    await_spares(host, 3)


def test_a_spare_starts_behind_everybody_and_then_no_longer(
    host: AgentHost,
) -> None:
    settled(host)
    host.json("snapshot", "warm", REF, "--spares", "4")
    usual, seen = os.getpriority(os.PRIO_PROCESS, 0), set()
    while len(spares(host)) < 4:
        for file in host.pool.glob("volumes/br-*/tree/data/postmaster.pid"):
            with contextlib.suppress(OSError, IndexError, ValueError):
                pid = int(file.read_text().splitlines()[0])
                seen.add(os.getpriority(os.PRIO_PROCESS, pid))
    assert max(seen) == 15 > usual
    spare = spares(host)[0]
    made = psutil.Process(server(spare))
    everyone = [made, *made.children(recursive=True)]
    assert len(everyone) > 3
    eventually(lambda: [item.nice() for item in everyone] == [usual] * len(everyone))
