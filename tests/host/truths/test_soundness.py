"""Snapshots of servers at work recover to a sound database, or are refused."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.agenthost import AgentHost
from tests.host.truths.clusters import Cluster, as_owner, cluster, home, working_in
from tests.host.truths.conftest import Fleet
from tests.plainpg import find_bin

SCALE = 3
INVARIANT = """
select (select sum(abalance) from pgbench_accounts) = (select sum(bbalance) from pgbench_branches)
   and (select sum(abalance) from pgbench_accounts) = (select sum(tbalance) from pgbench_tellers)
   and (select sum(abalance) from pgbench_accounts)
     = (select coalesce(sum(delta), 0) from pgbench_history),
   (select count(*) from pgbench_accounts), (select count(*) from pgbench_history)
"""


@contextlib.contextmanager
def load(dsn: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """pgbench at work: two clients, a tenth of them connecting anew for each transaction."""
    words = [find_bin() / "pgbench", "-n", "-c", "2", "-T", "120", *options, dsn]
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield child
    finally:
        child.terminate()
        _, said = child.communicate(timeout=10)
        assert child.returncode == -15, said.decode()


def done(dsn: str) -> int:
    with psycopg.connect(dsn) as db:
        row = db.execute("select count(*) from pgbench_history").fetchone()
        assert row is not None
        return int(row[0])


def assert_sound(dsn: str) -> int:
    """Heaps and indexes are whole and the balances agree; the number of transactions in it."""
    said = as_owner(find_bin() / "pg_amcheck", "--install-missing", "--heapallindexed", dsn)
    assert said == ""
    with psycopg.connect(dsn) as db:
        row = db.execute(INVARIANT).fetchone()
    assert row is not None
    assert row[:2] == (True, SCALE * 100_000)
    return int(row[2])


@contextlib.contextmanager
def standing(data: Path) -> Iterator[threading.Event]:
    """Set when at some moment every process of a data directory stood still (SIGSTOP)."""
    stood, over = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.is_set() and not stood.is_set():
            states = [_state(pid) for pid in working_in(data)]
            if len(states) > 1 and set(states) <= {"T", "Z", "gone"}:
                stood.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield stood
    finally:
        over.set()
        watcher.join()


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def filled(made: Cluster) -> Cluster:
    made.start()
    as_owner(made.bin / "pgbench", "-i", "-q", "-s", str(SCALE), made.dsn())
    return made


@pytest.fixture(scope="module")
def bank(btrfs_host: AgentHost, template: Path) -> Iterator[Cluster]:
    with home(btrfs_host, "bank") as place, cluster(template, place / "data") as made:
        yield filled(made)


@pytest.fixture(scope="module")
def xfs_bank(xfs_host: AgentHost, template: Path) -> Iterator[Cluster]:
    with home(xfs_host, "bank") as place, cluster(template, place / "data") as made:
        yield filled(made)


def test_snapshots_of_a_source_under_load_are_sound(fleet: Fleet, bank: Cluster) -> None:
    fleet.attach(bank, "bank")
    seen = []
    with load(bank.dsn()):
        for number, mode in enumerate(["online", "checkpoint", "online"]):
            fleet.host.json("snapshot", "create", f"bank@s{number}", "--mode", mode)
            taken = fleet.host.json("snapshot", "show", f"bank@s{number}")
            assert taken["consistency"] == "crash-consistent"
        after = done(bank.dsn())
        for number in range(3):
            branch = fleet.branch(f"b{number}", f"bank@s{number}")
            seen.append(assert_sound(branch["dsn"]))
        assert done(bank.dsn()) > after  # the source went on
    assert sorted(seen) == seen
    assert seen[-1] <= after


def test_a_snapshot_by_stopping_is_clean(fleet: Fleet, bank: Cluster) -> None:
    fleet.attach(bank, "bank")
    child = subprocess.Popen(
        [bank.bin / "pgbench", "-n", "-T", "60", bank.dsn()],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        taken = fleet.host.json("snapshot", "create", "bank@s", "--mode", "stop")
    finally:
        child.terminate()
        child.wait()
    assert taken["consistency"] == "clean"
    assert_sound(fleet.branch("b", "bank@s")["dsn"])
    assert assert_sound(bank.dsn()) == done(bank.dsn())
    bank.sql("drop extension amcheck")


def test_where_files_are_copied_one_by_one_a_backup_brackets_them(
    xfs_host: AgentHost, xfs_bank: Cluster, template: Path
) -> None:
    host = xfs_host
    host.json("source", "add", "bank", "--attach", str(xfs_bank.data))
    try:
        with load(xfs_bank.dsn()):
            for number, mode in enumerate(["online", "checkpoint"]):
                name = f"b{number}"
                taken = host.json("snapshot", "create", f"bank@s{number}", "--mode", mode)
                assert taken["consistency"] == "backup"
                made = host.json("branch", "create", name, "--from", f"bank@s{number}")
                assert_sound(made["dsn"])
        assert xfs_bank.sql("select pg_is_in_recovery()") == [(False,)]
        assert not (xfs_bank.data / "backup_label").exists()
        implicit = host.json("branch", "create", "c", "--from", "bank")
        assert assert_sound(implicit["dsn"]) == done(xfs_bank.dsn())
    finally:
        host.wipe()
    assert not any(host.remains().values())


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_source_whose_crash_could_not_be_mended_is_refused_while_it_runs(
    fleet: Fleet, setting: str
) -> None:
    prod = fleet.source("prod", **{setting: "off"})
    for mode in ("online", "checkpoint"):
        error = fleet.host.error("snapshot", "create", "prod@x", "--mode", mode, status=1)
        assert error["code"] == "unsound"
        assert setting in error["message"]
        assert "--mode stop" in error["hint"]
    assert not any(fleet.host.remains().values())
    taken = fleet.host.json("snapshot", "create", "prod@s", "--mode", "stop")
    assert taken["consistency"] == "clean"
    branch = fleet.branch("b", "prod@s")
    assert fleet.host.sql(branch["dsn"], "select count(*) from users") == [(1000,)]
    assert prod.sql(f"show {setting}") == [("off",)]


def test_a_source_without_enough_wal_for_a_backup_is_refused_while_it_runs(
    xfs_host: AgentHost, template: Path
) -> None:
    host = xfs_host
    with home(host, "prod") as place:
        with cluster(template, place / "data", wal_level="minimal", max_wal_senders=0) as prod:
            prod.start()
            host.json("source", "add", "prod", "--attach", str(prod.data))
            try:
                for mode in ("online", "checkpoint"):
                    error = host.error("snapshot", "create", "prod@x", "--mode", mode, status=1)
                    assert error["code"] == "unsound"
                    assert "wal" in error["message"]
                    assert "wal_level" in error["hint"]
                    assert "--mode stop" in error["hint"]
                assert not any(host.remains().values())
                host.json("snapshot", "create", "prod@s", "--mode", "stop")
                host.json("branch", "create", "b", "--from", "prod@s")
            finally:
                host.wipe()


def test_a_branch_of_a_running_branch_under_load_is_sound(any_host: AgentHost) -> None:
    """Branches run without fsync: they stand still for the moment of the snapshot."""
    host = any_host
    made = host.json("source", "add", "bank", "--empty")
    as_owner(find_bin() / "pgbench", "-i", "-q", "-s", str(SCALE), made["dsn"])
    parent = host.json("branch", "create", "parent", "--from", "bank")
    # With few buffers each transaction evicts pages, whose WAL a snapshot must hold, too.
    host.sql(parent["dsn"], "alter system set shared_buffers = '1MB'")
    host.json("branch", "stop", "parent")
    host.json("branch", "start", "parent")
    assert host.sql(parent["dsn"], "show fsync") == [("off",)]
    with load(parent["dsn"], "-C"):
        for number, mode in enumerate(["online", "checkpoint"]):
            before = done(parent["dsn"])
            with standing(Path(parent["datadir"])) as stood:
                host.json("snapshot", "create", f"parent@s{number}", "--mode", mode)
            assert stood.is_set()
            after = done(parent["dsn"])
            child = host.json("branch", "create", f"c{number}", "--from", f"parent@s{number}")
            assert before <= assert_sound(child["dsn"]) <= after
        for number in range(3):  # the snapshot and the branch in one operation
            before = done(parent["dsn"])
            with standing(Path(parent["datadir"])) as stood:
                child = host.json("branch", "create", f"live{number}", "--from", "parent")
            assert stood.is_set()
            after = done(parent["dsn"])
            held = assert_sound(child["dsn"])
            assert before <= held <= after
            base = host.json("branch", "show", child["name"])["snapshot"]
            with host.client() as client:
                again = client.branches.create("_of-base", base, hidden=True)
            try:
                assert assert_sound(again["dsn"]) == held  # what it would be reset to
            finally:
                with host.client() as client:
                    client.branches.remove("_of-base")
        assert done(parent["dsn"]) > after  # the parent goes on


def test_a_source_whose_postmaster_died_and_left_a_writer_is_refused(fleet: Fleet) -> None:
    prod = fleet.source()
    with contextlib.closing(psycopg.connect(prod.dsn(), autocommit=True)) as db:
        backend = db.info.backend_pid
        subprocess.run(["kill", "-STOP", str(backend)], check=True)
        subprocess.run(["kill", "-KILL", str(prod.pid)], check=True)
        error = fleet.host.error("snapshot", "create", "prod@x", status=1)
        assert error["code"] == "unsound"
        assert str(backend) in error["message"]
        subprocess.run(["kill", "-CONT", str(backend)], check=True)
        subprocess.run(["kill", "-KILL", str(backend)], check=True)
