"""Branches of one running server that are asked for while nothing is committed there, or at the
same time, come from one snapshot."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.agenthost import AgentHost
from tests.host.usecase import ROWS, count, eventually, seeded


@pytest.fixture
def parent(host: AgentHost) -> str:
    """The DSN of a running branch `parent`."""
    seeded(host)
    made = host.json("branch", "create", "parent", "--from", "main")
    dsn: str = made["dsn"]
    host.sql(dsn, "insert into t values (1000, 'of the parent')")
    return dsn


def branch(host: AgentHost, name: str, origin: str = "parent") -> tuple[str, str]:
    """(dsn, snapshot) of a new one."""
    made = host.json("branch", "create", name, "--from", origin)
    return made["dsn"], made["snapshot"]


def volumes(host: AgentHost) -> int:
    return len(list((host.pool / "volumes").iterdir()))


def shared(host: AgentHost, *names: str) -> list[tuple[str, str]]:
    """New branches of `parent`, of one snapshot: the server itself writes WAL now and then, not
    more often than in 15 s, and then they are made again."""
    for _ in range(3):
        made = [branch(host, name) for name in names]
        if len({snapshot for _, snapshot in made}) == 1:
            return made
        for name in names:
            host.json("branch", "rm", name)
    raise AssertionError("they share none")


def test_one_snapshot_serves_until_something_is_committed(host: AgentHost, parent: str) -> None:
    (first, snapshot), (second, _) = shared(host, "a", "b")
    host.sql(first, "delete from t")
    assert (count(host, second), count(host, parent)) == (ROWS + 1, ROWS + 1)
    host.sql(parent, "insert into t values (1001, 'later')")
    dsn, other = branch(host, "d")
    assert other != snapshot
    assert count(host, dsn) == ROWS + 2


def test_what_is_in_no_wal_has_its_own_snapshot(host: AgentHost, parent: str) -> None:
    (_, snapshot), _ = shared(host, "a", "c")
    host.sql(parent, "alter system set work_mem = '7MB'")
    dsn, other = branch(host, "b")
    assert other != snapshot
    assert host.sql(dsn, "show work_mem") == [("7MB",)]


def test_after_a_reset_it_is_another_history(host: AgentHost, parent: str) -> None:
    for number, word in enumerate(("first", "other")):
        host.json("branch", "reset", "parent", status=0)
        host.sql(parent, f"insert into t values (2000, '{word}')")
        dsn, _ = branch(host, f"of-{number}")
        assert host.sql(dsn, "select word from t where id = 2000") == [(word,)]
        host.json("branch", "rm", f"of-{number}")


def test_the_last_of_those_that_go_at_once_takes_the_snapshot_with_it(
    host: AgentHost, parent: str
) -> None:
    before = volumes(host)
    for _ in range(3):
        names = [f"b{number}" for number in range(6)]
        with ThreadPoolExecutor(6) as pool, host.client() as client:
            made = list(pool.map(lambda name: client.branches.create(name, "parent"), names))
            assert len({item["snapshot"] for item in made}) < len(names)
            list(pool.map(client.branches.remove, names))
        assert volumes(host) == before
    host.json("branch", "rm", "parent")  # nothing comes from it any more


def settled(host: AgentHost) -> int:
    """How many settled volumes there are."""
    return len(list((host.pool / "volumes").glob("se-*")))


def states(host: AgentHost, kind: str = "") -> list[str]:
    """Of the operations so far, the latest first."""
    with host.client() as client:
        found = client.host.operations()
    return [item["state"] for item in found if item["kind"].startswith(kind)]


def test_a_snapshot_that_many_share_is_settled(host: AgentHost, parent: str) -> None:
    before = (volumes(host), settled(host))
    shared(host, *(f"b{number}" for number in range(4)))
    eventually(lambda: settled(host) > before[1])
    eventually(lambda: states(host, "snapshot settle")[:1] == ["done"])
    made = host.json("branch", "create", "quick", "--from", "parent")
    assert count(host, made["dsn"]) == ROWS + 1
    assert "quarantine" not in made["timings_ms"]
    host.json("branch", "reset", "b0")
    assert count(host, host.json("branch", "show", "b0")["dsn"]) == ROWS + 1
    host.json("diff", "b1", "quick", "--rows")  # equal, or it would end with 3
    for name in ("b0", "b1", "b2", "b3", "quick"):
        host.json("branch", "rm", name)
    assert (volumes(host), settled(host)) == before


def test_a_snapshot_goes_although_it_is_being_settled(host: AgentHost, parent: str) -> None:
    """Whenever the last branch goes: before, in the midst of it, after (5 s: 30 branches)."""
    before = (volumes(host), settled(host))
    with ThreadPoolExecutor(5) as pool, host.client() as client:
        for wait in (0.0, 0.02, 0.05, 0.1, 0.2, 0.3):
            names = [f"b{number}" for number in range(5)]
            list(pool.map(lambda name: client.branches.create(name, "parent"), names))
            time.sleep(wait)
            list(pool.map(client.branches.remove, names))
    eventually(lambda: (volumes(host), settled(host)) == before)
    assert {"failed", "committed"} & set(states(host)) == set()
    assert host.remains()["doctor"] == []


def test_the_agents_session_with_a_parent_is_in_nobodys_way(host: AgentHost, parent: str) -> None:
    branch(host, "a")
    host.sql(parent, "create database copy template postgres")  # which wants it to itself
    branch(host, "b")
    host.sql(parent, "select pg_terminate_backend(pid) from pg_stat_activity"
             " where pid <> pg_backend_pid() and backend_type = 'client backend'")  # fmt: skip
    dsn, _ = branch(host, "c")
    assert count(host, dsn) == ROWS + 1


def test_everybody_gets_what_was_committed_when_they_asked(host: AgentHost, parent: str) -> None:
    """While somebody writes without a pause: whichever snapshot a branch is given, what was
    committed before it was asked for is in it, and whole (8 s: 24 branches)."""
    committed, ended = [0], threading.Event()

    def write() -> None:
        with psycopg.connect(parent, autocommit=True) as db:
            while not ended.is_set():
                with db.transaction():
                    db.execute("insert into log values (%s), (%s)", [committed[0] + 1] * 2)
                committed[0] += 1

    host.sql(parent, "create table log (n int)")
    writer = threading.Thread(target=write)
    writer.start()
    seen = Counter[str]()
    try:
        eventually(lambda: committed[0])
        with ThreadPoolExecutor(8) as pool, host.client() as client:

            def ask(name: str) -> None:
                asked = committed[0]
                made = client.branches.create(name, "parent")
                seen[made["snapshot"]] += 1
                query = "select coalesce(max(n), 0), count(*), count(distinct n) from log"
                ((last, rows, different),) = host.sql(made["dsn"], query)
                assert (rows, different) == (2 * last, last)
                assert last >= asked
                client.branches.remove(name)

            list(pool.map(ask, [f"b{number}" for number in range(24)]))
    finally:
        ended.set()
        writer.join()
    assert committed[0] > 0
    assert max(seen.values()) > 1, "nobody shared a snapshot"


def test_a_snapshot_that_went_meanwhile_is_taken_again(host: AgentHost, parent: str) -> None:
    """Branches come and go all the time, so that the snapshot that one of them chose may go with
    another one before it is there (4 s: 40 branches)."""
    with ThreadPoolExecutor(4) as pool, host.client() as client:

        def come_and_go(name: str) -> None:
            made = client.branches.create(name, "parent")
            assert count(host, made["dsn"]) == ROWS + 1
            client.branches.remove(name)

        list(pool.map(come_and_go, [f"b{number}" for number in range(40)]))
    assert {item["name"] for item in host.json("branch", "list")} == {"parent"}
    assert Path(host.json("branch", "show", "parent")["datadir"]).is_dir()
