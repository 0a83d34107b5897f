"""Branches that go by themselves: those of `cowdb run` and the hidden ones of a comparison."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path

import psycopg
import pytest

from tests.agenthost import AgentHost
from tests.host.usecase import ROWS, background, branch_names, eventually, seeded


def test_run_sets_the_environment_and_passes_the_status_on(host: AgentHost) -> None:
    seeded(host)
    script = "psql -XAtc 'select count(*) from t'; echo $DATABASE_URL; exit 3"
    done = host.run("run", "--from", "main", "--", "sh", "-c", script, status=3)
    rows, url = done.stdout.splitlines()
    assert rows == str(ROWS)
    assert url.startswith("postgresql://")
    assert branch_names(host) == set()
    done = host.run("run", "--from", "main", "--json", "--", "sh", "-c", "echo loud; exit 7",
                    status=7)  # fmt: skip
    assert json.loads(done.stdout)["exit_code"] == 7
    assert done.stderr.strip() == "loud"
    done = host.run("run", "--from", "main", "--", "sh", "-c", "kill -9 $$", status=137)
    host.run("run", "--from", "main", "--", "/nonexistent/program", status=1)
    host.run("run", "--from", "main", "--", "cat", "--json", status=1)
    assert branch_names(host) == set()


def test_run_keeps_what_failed_when_asked(host: AgentHost) -> None:
    seeded(host)
    host.run("run", "--from", "main", "--keep-failed", "--", "true")
    assert branch_names(host) == set()
    done = host.run("run", "--from", "main", "--keep-failed", "--", "false", status=1)
    (name,) = branch_names(host)
    assert f"cowdb connect {name}" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_that_is_interrupted(host: AgentHost, tmp_path: Path, number: signal.Signals) -> None:
    seeded(host)
    begun = tmp_path / "begun"
    script = f"echo > {begun}; exec sleep 60"
    with background(host, "run", "--from", "main", "--", "sh", "-c", script) as running:
        eventually(begun.exists)
        running.send_signal(number)
        running.communicate(timeout=30)
        assert running.returncode == 128 + number
    assert branch_names(host) == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_that_is_interrupted_while_its_branch_is_made(
    host: AgentHost, tmp_path: Path, number: signal.Signals
) -> None:
    seeded(host)
    begun = tmp_path / "begun"
    before = host.log.read_text().count("begun")
    with background(host, "run", "--from", "main", "--", "touch", str(begun)) as running:
        eventually(lambda: host.log.read_text().count("begun") > before)
        running.send_signal(number)
        running.communicate(timeout=30)
        assert running.returncode == 128 + number
    assert not begun.exists()
    assert branch_names(host) == set()


def test_hidden_branches_of_a_diff(host: AgentHost) -> None:
    seeded(host)
    host.json("snapshot", "create", "main@s")
    before = host.json("status")["ports"]["used"]
    assert host.json("diff", "main@s", "main")["identical"]
    assert host.json("status")["ports"]["used"] == before
    assert branch_names(host) == set()


def test_hidden_branch_of_a_killed_diff_expires(host: AgentHost) -> None:
    source = seeded(host)
    host.json("snapshot", "create", "main@s")
    before = host.json("status")["ports"]["used"]
    with psycopg.connect(source["dsn"]) as blocker:
        blocker.execute("lock table t")  # the diff waits for it
        with background(host, "diff", "main@s", "main") as diff:
            eventually(lambda: host.json("status")["ports"]["used"] > before)
            eventually(lambda: _diffs(source["dsn"]))
            diff.kill()
            diff.wait(20)
        assert branch_names(host) == set()
    from datetime import UTC, datetime, timedelta

    from cowdb.agent.store import Store

    host.stop_agent()  # and let a day pass
    with contextlib.closing(Store(host.config.store)) as store, store.transaction() as tx:
        (lost,) = [item for item in tx.branches.all() if item.hidden]
        assert lost.expires_at is not None
        assert lost.expires_at < datetime.now(UTC) + timedelta(days=1, minutes=1)
        import dataclasses

        tx.branches.put(dataclasses.replace(lost, expires_at=datetime.now(UTC)))
    host.start_agent()
    eventually(lambda: host.json("status")["ports"]["used"] == before)


def _diffs(dsn: str) -> bool:
    with psycopg.connect(dsn) as db:
        found = db.execute(
            "select 1 from pg_stat_activity where application_name = 'cowdb diff'"
        ).fetchone()
    return found is not None
