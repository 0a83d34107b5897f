"""`rm` and `reset` return when process, port and volume are gone, whatever the server is at."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.host.truths.clusters import until, working_in
from tests.host.truths.conftest import Fleet


def _postmaster(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().split()[0])


def _living(pids: list[int]) -> list[int]:
    """Those that still run. (Where a process works cannot be seen once its subvolume is gone.)"""
    return [pid for pid in pids if psutil.pid_exists(pid)
            and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]  # fmt: skip


def _stopped(db: psycopg.Connection[Any], data: Path) -> None:
    """Its postmaster and a backend stand still (SIGSTOP)."""
    for pid in (db.info.backend_pid, _postmaster(data)):
        os.kill(pid, signal.SIGSTOP)


def _orphans(db: psycopg.Connection[Any], data: Path) -> None:
    """The postmaster is killed, a backend lives on and does not notice."""
    os.kill(db.info.backend_pid, signal.SIGSTOP)
    os.kill(_postmaster(data), signal.SIGKILL)


def _killed(db: psycopg.Connection[Any], data: Path) -> None:
    """Every process is killed, and the lock file stays."""
    for pid in working_in(data):
        os.kill(pid, signal.SIGKILL)


def _busy(db: psycopg.Connection[Any], data: Path) -> None:
    """A long transaction with locks."""
    db.execute("begin")
    db.execute("create table locked as select generate_series(1, 100000)")


def _program(db: psycopg.Connection[Any], data: Path) -> None:
    """Its superuser left a program running there."""
    db.execute("copy (select 1) to program '(sleep 300 <&- >&- 2>&- &)'")


WAYS = [_busy, _stopped, _orphans, _killed, _program]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__[1:])
@pytest.mark.parametrize("verb", ["rm", "reset"])
def test_nothing_survives(
    fleet: Fleet, verb: str, way: Callable[[psycopg.Connection[Any], Path], None]
) -> None:
    made = fleet.host.json("source", "add", "prod", "--empty")
    fleet.host.json("snapshot", "create", "prod@s", "--settle")
    branch = fleet.branch("b", "prod@s")
    data = Path(branch["datadir"])
    with contextlib.closing(psycopg.connect(branch["dsn"], autocommit=True)) as db:
        way(db, data)
        before = working_in(data)
        assert before or way is _killed
        fleet.host.json("branch", verb, "b")
        # at the instant that it returns, no waiting
        assert _living(before) == []
        assert not data.parent.parent.exists()
        with pytest.raises(psycopg.OperationalError):
            db.execute("select 1")
    with socket.socket() as probe:
        held = probe.connect_ex(("127.0.0.1", branch["port"])) == 0
    assert held == (verb == "reset")
    if verb == "reset":
        assert fleet.host.sql(branch["dsn"], "select 1") == [(1,)]
    assert made["state"] == "running"


def test_the_port_is_free_for_the_next(fleet: Fleet) -> None:
    fleet.host.json("source", "add", "prod", "--empty")
    fleet.host.json("snapshot", "create", "prod@s", "--settle")
    for _ in range(3):
        made = fleet.host.json("branch", "create", "b", "--from", "prod@s")
        again = made["port"]
        with contextlib.closing(psycopg.connect(made["dsn"])) as db:
            db.execute("select 1")
            fleet.host.json("branch", "rm", "b")
        fleet.host.json("branch", "create", "b", "--from", "prod@s", "--port", str(again))
        fleet.host.json("branch", "rm", "b")


def test_a_stopped_branch_leaves_no_process(fleet: Fleet) -> None:
    fleet.host.json("source", "add", "prod", "--empty")
    branch = fleet.branch("b", "prod")
    data = Path(branch["datadir"])
    with contextlib.closing(psycopg.connect(branch["dsn"], autocommit=True)) as db:
        _stopped(db, data)
        before = working_in(data)
        fleet.host.json("branch", "stop", "b")
        assert _living(before) == []
    fleet.host.json("branch", "start", "b")
    with contextlib.closing(psycopg.connect(branch["dsn"], autocommit=True)) as db:
        _orphans(db, data)
        until(lambda: fleet.host.json("branch", "show", "b")["state"] == "crashed")
        before = working_in(data)
        fleet.host.json("branch", "stop", "b")
        assert before
        assert _living(before) == []
