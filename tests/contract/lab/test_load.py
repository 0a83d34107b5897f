"""The load against a real server: a lock is felt as a stall, an error is told and gone on after,
and nothing is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cowdb.controller.lab.load import running
from cowdb.controller.lab.model import LoadResult
from cowdb.controller.lab.spec.model import Load, Query
from cowdb.errors import CommandError, InvalidError
from tests.plainpg import PlainPostgres
from tests.plainpg import running as plain_postgres

READ = Query(name="read", sql="select * from t where id = :id", weight=3)
WRITE = Query(name="write", sql="update t set n = n + 1 where id = :id")
SCRIPT = "\\set id random(1, 100)\nselect n from t where id = :id;\n"


@pytest.fixture(scope="module")
def server() -> Iterator[PlainPostgres]:
    with plain_postgres() as found:
        yield found


@pytest.fixture
def dsn(server: PlainPostgres) -> str:
    name = server.database(
        "create table t (id int primary key, n int); insert into t select i, 0 from "
        "generate_series(1, 100) i"
    )
    return server.dsn(name)


@pytest.fixture(params=["queries", "pgbench"])
def load(request: pytest.FixtureRequest, tmp_path: Path) -> Load:
    (tmp_path / "read.pgbench").write_text(SCRIPT)
    if request.param == "pgbench":
        return Load(pgbench="read.pgbench", clients=2, before="700ms", after="500ms")
    return Load(queries=[READ, WRITE], variables={"id": 100}, clients=3, before="700ms",
                after="500ms")  # fmt: skip


def sessions(dsn: str) -> int:
    with psycopg.connect(dsn) as conn:
        found = conn.execute(
            "select count(*) from pg_stat_activity where application_name = 'cowdb load'"
        ).fetchone()
    assert found is not None
    return int(found[0])


def nobody(dsn: str) -> bool:
    """Sessions end a moment after their clients."""
    until = time.monotonic() + 5
    while sessions(dsn) and time.monotonic() < until:
        time.sleep(0.02)
    return sessions(dsn) == 0


def phases(result: LoadResult) -> dict[str, Any]:
    return {item["phase"]: item for item in result["phases"]}


def test_a_lock_is_a_stall(dsn: str, load: Load, tmp_path: Path) -> None:
    with running(dsn, load, tmp_path) as traffic:
        traffic.begin()
        with psycopg.connect(dsn) as conn:
            conn.execute("lock table t")
            time.sleep(0.3)
        time.sleep(0.3)
        traffic.end()
        assert sessions(dsn) == load.clients
    found = traffic.result()
    told = phases(found)
    assert found["errors"] == {}
    assert told["during"]["stall_ms"] >= 290
    assert told["during"]["longest_ms"] >= 290
    assert max(told[name]["stall_ms"] for name in ("before", "after")) < 290
    assert min(told[name]["transactions"] for name in told) > 5
    still = [item["at_ms"] for item in found["line"] if item["answered"] == 0]
    inside = [at for at in still if 0 <= at <= 700]
    assert inside
    assert still == inside
    assert nobody(dsn)


def test_it_goes_on_after_errors(dsn: str, load: Load, tmp_path: Path) -> None:
    with running(dsn, load, tmp_path) as traffic:
        traffic.begin()
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("alter table t rename n to m")
            conn.execute("alter table t rename id to other")
            time.sleep(0.5)
            conn.execute("alter table t rename m to n")
            conn.execute("alter table t rename other to id")
            conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = 'cowdb load'"
            )
        time.sleep(0.5)
        traffic.end()
    found = traffic.result()
    assert any("does not exist" in text for text in found["errors"])
    assert phases(found)["during"]["errors"] > 0
    assert phases(found)["after"]["transactions"] > 5
    assert nobody(dsn)


def test_it_ends_while_it_waits_for_a_lock(dsn: str, load: Load, tmp_path: Path) -> None:
    with psycopg.connect(dsn) as conn:
        with running(dsn, load, tmp_path) as traffic:
            traffic.begin()
            conn.execute("lock table t")
            time.sleep(0.3)
        ours = [thread.name for thread in threading.enumerate() if thread.name.startswith("load-")]
        assert ours == []
        assert nobody(dsn)  # while the lock is still held
    assert phases(traffic.result())["during"]["stall_ms"] >= 200


def test_a_rate_is_kept_and_its_pauses_are_no_stalls(dsn: str, tmp_path: Path) -> None:
    load = Load(queries=[READ], variables={"id": 100}, clients=2, rate=10)
    with running(dsn, load, tmp_path) as traffic:
        time.sleep(1.55)
    (before,) = traffic.result()["phases"]
    assert 10 <= before["transactions"] <= 17
    assert before["stall_ms"] < 100


def test_a_query_that_never_works_is_told_before(dsn: str, tmp_path: Path) -> None:
    wrong = Load(queries=[READ, Query(name="b", sql="select nothing from t")], variables={"id": 1})
    with pytest.raises(InvalidError, match=r"query 'b' of the load fails: column .nothing. does"):
        with running(dsn, wrong, tmp_path):
            pass
    (tmp_path / "x").write_text("select nothing from t;\n")
    with pytest.raises(InvalidError, match=r"the pgbench script .*/x fails: column .nothing. does"):
        with running(dsn, Load(pgbench="x"), tmp_path):
            pass
    assert nobody(dsn)


def test_nobody_answers(load: Load, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="the load cannot connect") as caught:
        with running("postgresql://u:secret@127.0.0.1:1/x", load, tmp_path):
            pass
    assert "secret" not in str(caught.value)


def test_the_block_is_left_by_an_error(dsn: str, load: Load, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), running(dsn, load, tmp_path):
        raise ZeroDivisionError
    assert nobody(dsn)
