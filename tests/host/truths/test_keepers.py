"""Attached sources however they are run: Debian's pg_ctlcluster, pg_ctl, a supervisor, nobody."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.agenthost import AgentHost
from tests.host.truths.clusters import OWNER, Cluster, as_owner, free_port, home, until
from tests.host.truths.conftest import Fleet
from tests.loopfs import command, missing

NAME = "cowdbtruths"


# --- Debian ------------------------------------------------------------------------------------


@pytest.fixture
def debian(btrfs_host: AgentHost) -> Iterator[Cluster]:
    """A running cluster of Debian's own making: data on the pool's filesystem, the rest in /etc."""
    if not shutil.which("pg_createcluster"):
        missing("needs Debian's postgresql-common")
    etc = Path("/etc/postgresql")
    before = sorted(str(path) for path in etc.rglob("*"))
    with home(btrfs_host, "debian") as place:
        found = Cluster(place / "data", Path("/var/run/postgresql"))
        major = found.bin.parent.name
        try:
            command("pg_createcluster", major, NAME, "-d", place / "data", "-p", str(found.port),
                    "--start-conf=manual", "--", "-N")  # fmt: skip
            conf = etc / major / NAME
            (conf / "conf.d/tuned.conf").write_text("work_mem = '11MB'\n")
            with (conf / "postgresql.conf").open("a") as file:
                file.write("maintenance_work_mem = '111MB'\nfsync = on\n")
            hba = conf / "pg_hba.conf"
            hba.write_text("host all all 127.0.0.1/32 trust\n" + hba.read_text())
            command("pg_ctlcluster", major, NAME, "start")
            yield found
        finally:
            subprocess.run(["pg_ctlcluster", "-m", "immediate", major, NAME, "stop"], check=False,
                           capture_output=True)  # fmt: skip
            found.close()
            subprocess.run(["pg_dropcluster", major, NAME], check=False, capture_output=True)
            shutil.rmtree(etc / major / NAME, ignore_errors=True)
            if str(etc / major) not in before:
                (etc / major).rmdir()
            place.mkdir(exist_ok=True)
    assert sorted(str(path) for path in etc.rglob("*")) == before


def _status(cluster: Cluster) -> str:
    for line in command("pg_lsclusters", "-h").splitlines():
        words = line.split()
        if words[1] == NAME and words[0] == cluster.bin.parent.name:
            return words[3]
    return "none"


def _tuned(fleet: Fleet, name: str) -> list[tuple[str, ...]]:
    dsn = fleet.host.json("branch", "show", name)["dsn"]
    return fleet.host.sql(
        dsn, "select current_setting('work_mem'), current_setting('maintenance_work_mem'), "
        "current_setting('listen_addresses'), current_setting('cluster_name')",
    )  # fmt: skip


def test_debians_split_configuration(fleet: Fleet, debian: Cluster) -> None:
    assert not (debian.data / "postgresql.conf").exists()
    debian.sql("create table users as select generate_series(1, 10) as id")
    shown = fleet.attach(debian)
    assert (shown["state"], shown["port"]) == ("running", debian.port)
    fleet.host.json("snapshot", "create", "prod@live")
    fleet.branch("b", "prod@live")
    started = debian.pid
    conf = Path("/etc/postgresql") / debian.bin.parent.name / NAME
    (conf / "environment").write_text("COWDB_TRUTHS = 'read by pg_ctlcluster'\n")
    fleet.host.json("snapshot", "create", "prod@stopped", "--mode", "stop", "--settle")
    assert debian.pid != started
    assert _status(debian) == "online"
    assert debian.sql("select count(*) from users") == [(10,)]
    assert psutil.Process(debian.pid).environ()["COWDB_TRUTHS"] == "read by pg_ctlcluster"
    line = psutil.Process(debian.pid).cmdline()
    assert any(f"config_file=/etc/postgresql/{debian.bin.parent.name}/{NAME}" in word
               for word in line)  # fmt: skip
    fleet.branch("c", "prod@stopped")
    assert fleet.host.json("snapshot", "show", "prod@stopped")["consistency"] == "clean"
    command("pg_ctlcluster", "-m", "fast", debian.bin.parent.name, NAME, "stop")
    fleet.host.json("snapshot", "create", "prod@down")
    assert _status(debian) == "down"  # what was down is left so
    fleet.branch("d", "prod@down")
    for name in ("b", "c", "d"):
        assert _tuned(fleet, name) == [("11MB", "111MB", "127.0.0.1", "")]
        dsn = fleet.host.json("branch", "show", name)["dsn"]
        assert fleet.host.sql(dsn, "select count(*) from users") == [(10,)]


# --- pg_ctl ------------------------------------------------------------------------------------


def test_a_source_of_pg_ctl_comes_back_with_the_same_options(fleet: Fleet) -> None:
    prod = fleet.cluster(fleet.home("prod") / "data")
    other = free_port()
    prod.start("-c", "work_mem=13MB", "-c", "'application_name=it is $HOME'", "-p", str(other))
    prod.port = other
    fleet.attach(prod)
    line, pid = psutil.Process(prod.pid).cmdline(), prod.pid
    taken = fleet.host.json("snapshot", "create", "prod@s", "--mode", "stop")
    assert taken["consistency"] == "clean"
    assert prod.pid != pid
    assert psutil.Process(prod.pid).username() == OWNER
    assert [word for word in psutil.Process(prod.pid).cmdline() if word in line] != []
    assert prod.sql("show work_mem", "show application_name")[0] != ""
    assert prod.sql("select current_setting('work_mem'), reset_val from pg_settings "
                    "where name = 'application_name'") == [("13MB", "it is $HOME")]  # fmt: skip
    assert "ready to accept connections" in prod.said().rpartition("is shut down")[2]
    branch = fleet.branch("b", "prod@s")
    assert fleet.host.sql(branch["dsn"], "show work_mem") == [("13MB",)]


def test_a_source_that_will_be_refused_is_not_stopped(fleet: Fleet) -> None:
    prod = fleet.source()
    inner = prod.data / "pg_wal/inner"
    command("btrfs", "subvolume", "create", inner)
    pid = prod.pid
    error = fleet.host.error("snapshot", "create", "prod@s", "--mode", "stop", status=1)
    assert str(inner) in error["message"]
    assert prod.pid == pid


def test_the_source_is_started_again_when_the_snapshot_fails(fleet: Fleet) -> None:
    prod = fleet.source()
    pid = prod.pid
    shutil.copy("/bin/sleep", prod.run / "postgres")  # what a writer that stayed looks like
    with subprocess.Popen([prod.run / "postgres", "60"], cwd=prod.data) as stayed:
        error = fleet.host.error("snapshot", "create", "prod@s", "--mode", "stop", status=1)
        stayed.kill()
    assert error["code"] == "unsound"
    assert prod.pid != pid
    assert prod.sql("select count(*) from users") == [(1000,)]
    assert not any(fleet.host.remains().values())


def test_a_source_that_is_down(any_fleet: Fleet) -> None:
    fleet = any_fleet
    prod = fleet.source("prod", work_mem="17MB")
    prod.sql("alter system set maintenance_work_mem = '117MB'")
    prod.stop()
    assert fleet.host.json("source", "show", "prod")["state"] == "stopped"
    for mode in ("online", "checkpoint", "stop"):
        taken = fleet.host.json("snapshot", "create", f"prod@{mode}", "--mode", mode)
        assert taken["consistency"] == "clean"
        assert not (prod.data / "postmaster.pid").exists()
    branch = fleet.branch("b", "prod@online")
    assert fleet.host.sql(
        branch["dsn"], "select current_setting('work_mem'), "
        "current_setting('maintenance_work_mem'), count(*) from users",
    ) == [("17MB", "117MB", 1000)]  # fmt: skip


def test_a_source_that_was_killed_is_recovered_in_its_branches(fleet: Fleet) -> None:
    prod = fleet.source()
    prod.sql("insert into users values (-1, 'last')")
    prod.stop("immediate")
    taken = fleet.host.json("snapshot", "create", "prod@s")
    assert taken["consistency"] == "crash-consistent"
    branch = fleet.branch("b", "prod@s")
    assert fleet.host.sql(branch["dsn"], "select count(*) from users") == [(1001,)]
    prod.start()
    assert prod.sql("select count(*) from users") == [(1001,)]


# --- others ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _supervised(prod: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    """A parent that stays, as Patroni does."""
    script = f"'{prod.bin}/postgres' -D '{prod.data}' >>'{prod.log}' 2>&1 & wait; sleep 60"
    child = subprocess.Popen(["sh", "-c", script], user=OWNER, group=OWNER, extra_groups=[],
                             cwd="/", start_new_session=True)  # fmt: skip
    try:
        until(lambda: _answers(prod))
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            psutil.Process(child.pid).send_signal(signal.SIGKILL)
        child.wait()


def _answers(prod: Cluster) -> bool:
    try:
        return prod.sql("select 1") == [(1,)]
    except psycopg.OperationalError:
        time.sleep(0.05)
        return False


def test_a_source_with_a_supervisor_is_not_stopped_behind_its_back(fleet: Fleet) -> None:
    prod = fleet.cluster(fleet.home("prod") / "data")
    with _supervised(prod) as keeper:
        fleet.attach(prod)
        pid = prod.pid
        error = fleet.host.error("snapshot", "create", "prod@s", "--mode", "stop", status=1)
        assert error["code"] == "unsound"
        assert str(keeper.pid) in error["message"]
        assert "--mode checkpoint" in error["hint"]
        assert prod.pid == pid
        assert not any(fleet.host.remains().values())
        fleet.host.json("snapshot", "create", "prod@s", "--mode", "checkpoint")
        branch = fleet.branch("b", "prod@s")
        assert fleet.host.sql(branch["dsn"], "select 1") == [(1,)]
        assert as_owner("kill", "-0", str(pid)) == ""
