"""Settled snapshots answer as the raw ones do, without recovery; secrets stay where they belong."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.agenthost import AgentHost
from tests.host.truths.conftest import Fleet

PASSWORD = "correct-horse-7251"
SUMS = """select (select md5(string_agg(u::text, ',' order by id)) from users u),
                 (select count(*) from users), (select last_value from counter)"""


def test_branches_of_a_settled_snapshot_start_without_recovery(any_fleet: Fleet) -> None:
    fleet = any_fleet
    prod = fleet.source()
    prod.sql("create sequence counter", "select nextval('counter')", "checkpoint",
             "insert into users select i, md5(i::text) from generate_series(1001, 5000) i",
             "delete from users where id % 7 = 0")  # fmt: skip
    prod.stop("immediate")
    fleet.host.json("snapshot", "create", "prod@s", "--settle")
    settled = fleet.branch("settled", "prod@s")
    raw = fleet.branch("raw", "prod")
    assert fleet.host.sql(settled["dsn"], SUMS) == fleet.host.sql(raw["dsn"], SUMS)
    assert fleet.host.sql(settled["dsn"], "select count(*) from users") == [(4286,)]
    said = fleet.log("settled")
    assert "database system was shut down" in said
    assert "recovery in progress" not in said
    assert "redo starts" not in said
    assert "redo starts" in fleet.log("raw")
    prod.start()
    prod.sql("insert into users values (-1, 'x')")


# --- secrets -----------------------------------------------------------------------------------


def _watch_arguments(found: set[str], stop: threading.Event) -> None:
    """Every process's arguments, again and again, as `ps` shows them to all."""
    while not stop.is_set():
        for process in psutil.process_iter(["cmdline"]):
            words = " ".join(process.info["cmdline"] or [])
            if PASSWORD in words:
                found.add(words)


def _during(work: Callable[[], object]) -> set[str]:
    found: set[str] = set()
    stop = threading.Event()
    watcher = threading.Thread(target=_watch_arguments, args=(found, stop))
    watcher.start()
    try:
        work()
    finally:
        stop.set()
        watcher.join()
    return found


def _files_with(secret: str, places: list[Path]) -> list[str]:
    """Files beneath these directories whose bytes hold the secret."""
    return [str(path) for place in places for path in place.rglob("*")
            if path.is_file() and secret.encode() in path.read_bytes()]  # fmt: skip


def _dump(host: AgentHost) -> str:
    with sqlite3.connect(f"file:{host.config.store}?mode=ro", uri=True) as db:
        lines = "\n".join(db.iterdump())
    db.close()
    return lines


def test_a_dsns_password_is_kept_nowhere(fleet: Fleet) -> None:
    host = fleet.host
    prod = fleet.running("prod", log_connections="on", log_statement="all",
                         primary_conninfo=f"host=nowhere password={PASSWORD}")  # fmt: skip
    prod.sql(f"create role backup login replication superuser password '{PASSWORD}'")
    hba = prod.data / "pg_hba.conf"
    lines = [f"host {what} backup 127.0.0.1/32 scram-sha-256\n" for what in ("all", "replication")]
    hba.write_text("".join(lines) + hba.read_text())
    prod.sql("select pg_reload_conf()", "select pg_sleep(0.2)")
    url = f"postgresql://backup@127.0.0.1:{prod.port}/postgres"
    host.extra["PGPASSWORD"] = PASSWORD
    try:
        seen = _during(lambda: host.json("source", "add", "copy", "--dsn", url))
        wrong = url.replace("backup@", f"backup:{PASSWORD}@").replace(str(prod.port), "1")
        with host.client() as client:
            try:
                client.sources.add("other", dsn=wrong)
                raise AssertionError("it cannot have been reached")
            except Exception as error:
                assert PASSWORD not in f"{error!r}{error}"
    finally:
        host.extra.clear()
    assert seen == set()
    assert host.sql(host.json("source", "show", "copy")["dsn"], "select count(*) from users") == [
        (1000,)
    ]
    fleet.branch("b", "copy")
    assert PASSWORD not in host.log.read_text()
    assert _files_with(PASSWORD, [host.base]) == []  # state, store, journal, logs, audit, sockets
    assert PASSWORD not in _dump(host)
    for name in ("postgresql.conf", "postgresql.auto.conf", "postmaster.opts"):
        assert PASSWORD not in (fleet.data("b") / name).read_text()


def test_a_branchs_own_password_is_in_its_dsn_alone(fleet: Fleet) -> None:
    """Derived from the agent's key: in no argument list, log, store or data directory."""
    host = fleet.host
    fleet.source("prod", log_statement="all", log_min_duration_statement=0)
    branch = fleet.branch()
    secret = branch["dsn"].split(":")[2].split("@")[0]
    assert len(secret) >= 24
    host.json("branch", "stop", "b")
    host.json("branch", "start", "b")
    time.sleep(0.1)
    assert _files_with(secret, [host.base, fleet.data()]) == []
    assert secret not in host.log.read_text() + _dump(host) + fleet.log()
    for process in psutil.process_iter(["cmdline"]):
        assert secret not in " ".join(process.info["cmdline"] or [])
    assert "alter role" not in fleet.log().lower()
