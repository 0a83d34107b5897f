"""Many at once, and the same again and again: nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor

from tests.agenthost import COWDB, AgentHost
from tests.host.usecase import ROWS, count, seeded

MANY = 20
CYCLES = 200


def _rows(host: AgentHost) -> dict[str, int]:
    """Rows in the agent's own store; operations are its history."""
    with contextlib.closing(sqlite3.connect(host.config.store)) as db:
        tables = [
            name
            for (name,) in db.execute(
                "select name from sqlite_master where type = 'table' and name <> 'operations'"
            )
        ]
        counts = {name: db.execute(f"select count(*) from {name}").fetchone()[0] for name in tables}
        counts["unfinished"] = db.execute(
            "select count(*) from operations where state not in ('done', 'undone')"
        ).fetchone()[0]
    return counts


def _at_once(host: AgentHost, origin: str) -> None:
    children = [
        subprocess.Popen(
            [*COWDB, "branch", "create", f"b{number}", "--from", origin, "--json"],
            env=host.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(MANY)
    ]  # fmt: skip
    answers = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0] * MANY, [err for _, err in answers]
    made = [json.loads(out) for out, _ in answers]
    assert len({item["port"] for item in made}) == MANY
    assert len({item["datadir"] for item in made}) == MANY
    for number, item in enumerate(made):
        host.sql(item["dsn"], f"delete from t where id <= {number}")
    for number, item in enumerate(made):
        assert count(host, item["dsn"]) == ROWS - number
    children = [
        subprocess.Popen([*COWDB, "branch", "rm", item["name"]], env=host.environment,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for item in made
    ]  # fmt: skip
    assert [child.wait(60) for child in children] == [0] * MANY
    assert host.json("branch", "list") == []


def test_twenty_at_once_from_a_snapshot(host: AgentHost) -> None:
    seeded(host)
    host.json("snapshot", "create", "main@s", "--settle")
    before = _rows(host)
    _at_once(host, "main@s")
    assert _rows(host) == before


def test_twenty_at_once_from_a_bare_source(any_host: AgentHost) -> None:
    """Each takes a snapshot of its own, one after the other."""
    seeded(any_host)
    before = _rows(any_host)
    _at_once(any_host, "main")
    assert _rows(any_host) == before


def test_all_kinds_of_work_on_one_branch_at_once(host: AgentHost) -> None:
    """They wait for each other or say that it is busy; in the end it is whole."""
    seeded(host)
    made = host.json("branch", "create", "a", "--from", "main")
    words = [("branch", "reset", "a"), ("branch", "stop", "a"), ("branch", "start", "a"),
             ("branch", "reset", "a"), ("snapshot", "create", "a@s"),
             ("branch", "create", "b", "--from", "a"), ("branch", "show", "a")]  # fmt: skip

    def run(line: tuple[str, ...]) -> tuple[int, str]:
        done = subprocess.run([*COWDB, *line, "--json"], env=host.environment,
                              capture_output=True, text=True, check=False)  # fmt: skip
        return done.returncode, done.stderr

    with ThreadPoolExecutor(len(words)) as pool:
        ends = list(pool.map(run, words))
    assert all(code in (0, 5) for code, _ in ends), ends
    host.json("branch", "start", "a")
    assert count(host, made["dsn"]) == ROWS


def test_two_hundred_cycles_leave_nothing(host: AgentHost) -> None:
    seeded(host)
    host.json("snapshot", "create", "main@s", "--settle")
    before, remains = _rows(host), host.remains()
    servers = len(remains.pop("servers"))
    ports = set()
    with host.client() as client:
        for _ in range(CYCLES):
            ports.add(client.branches.create("cycle", "main@s")["port"])
            client.branches.remove("cycle")
    assert _rows(host) == before
    after = host.remains()
    assert len(after.pop("servers")) <= servers + 1  # an autovacuum worker of the source's
    assert after == remains
    assert len(ports) == 1
