"""Quarantine on real data directories: what is cut, and who owns it then."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from pathlib import Path

import psycopg
import pytest

from cowdb.agent.engines.postgres.settings import pins
from cowdb.agent.storage.protocol import Part
from cowdb.agent.system import run
from tests.contract.engine.quarantined import DATA, PRODUCTION, SERVER, Clone, owners, show

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not SERVER, reason="needs a Postgres in /usr/lib/postgresql"),
]


def test_a_quarantined_clone_starts_and_is_cut_off(clone: Clone) -> None:
    # Debian's layout: what production runs with is not in the data directory
    (clone.data / "postgresql.conf").unlink()
    effective = {
        "archive_mode": "on",
        "archive_command": "touch /tmp/cowdb-archived",
        "shared_preload_libraries": "pg_cron",
        "cron.database_name": "postgres",
        "listen_addresses": "*",
        "hba_file": "/etc/postgresql/15/main/pg_hba.conf",
        "work_mem": "7MB",
        "shared_buffers": "8GB",
        "log_line_prefix": "it's %m ",
    }
    taken = clone.quarantine(effective)
    assert any(sentence.startswith("archive_command (") for sentence in taken)
    major = int((clone.data / "PG_VERSION").read_text())
    forced = [f"-c{name}={value}" for name, value in pins(major).items()]
    socket = clone.tree / "pg/run"
    socket.mkdir()
    shutil.chown(socket, clone.owner.name)
    ctl = [SERVER[-1].with_name("pg_ctl"), "-D", clone.data, "-s", "-w"]
    options = " ".join([*(f"'{item}'" for item in forced), "-clisten_addresses=", f"-k {socket}"])
    run([*ctl, "-l", clone.data / "out", "-o", options, "start"], user=clone.owner)
    try:
        shown = show(socket, "work_mem", "shared_buffers", "archive_mode", "log_line_prefix")
        with psycopg.connect(f"host={socket} user=postgres", autocommit=True) as connection:
            connection.execute("alter system set archive_mode = on")
        run([*ctl, "-l", clone.data / "out", "-o", options, "restart"], user=clone.owner)
        assert show(socket, "archive_mode") == {"archive_mode": "off"}
    finally:
        run([*ctl, "-m", "immediate", "stop"], user=clone.owner)
    assert shown == {
        "work_mem": "7MB",
        "shared_buffers": "1MB",
        "archive_mode": "off",
        "log_line_prefix": "it's %m ",
    }


def test_settings_are_read_from_the_data_directory_and_auto_conf_wins(clone: Clone) -> None:
    (clone.data / "postgresql.conf").write_text(
        "work_mem = 5MB\nprimary_conninfo = 'password=hunter2'\nmaintenance_work_mem = 9MB\nbad\n"
    )
    (clone.data / "postgresql.auto.conf").write_text("work_mem = '6MB'\nport = '5433'\n")
    taken = "\n".join(clone.quarantine())
    conf = (clone.data / "postgresql.conf").read_text()
    assert "work_mem = '6MB'" in conf
    assert "maintenance_work_mem = '9MB'" in conf
    assert "shared_buffers = '1MB'" in conf
    assert "hunter2" not in conf + taken
    assert "port" in taken
    assert "line 4 of postgresql.conf" in taken
    assert (clone.data / "postgresql.auto.conf").read_text() == ""
    for name in ("postgresql.conf", "postgresql.auto.conf"):
        status = (clone.data / name).stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (clone.owner.uid, 0o600)


def test_included_settings_are_not_opened(clone: Clone, victim: Path) -> None:
    (clone.data / "postgresql.conf").write_text(f"include '{victim}'\nwork_mem = 5MB\n")
    taken = clone.quarantine()
    assert f"include '{victim}' in postgresql.conf (not read)" in taken
    assert "77MB" not in (clone.data / "postgresql.conf").read_text()


def test_what_speaks_of_the_parents_server_is_removed(clone: Clone) -> None:
    gone = """postmaster.pid postmaster.opts standby.signal recovery.signal recovery.conf
    tablespace_map current_logfiles""".split()  # noqa: SIM905
    for name in (*gone, "backup_label"):
        (clone.data / name).write_text("")
    slot = clone.data / "pg_replslot/standby_1"
    slot.mkdir()
    (slot / "state").write_text("x")
    (clone.data / "pg_stat_tmp/old").write_text("x")
    taken = "\n".join(clone.quarantine())
    assert [name for name in gone if (clone.data / name).exists()] == []
    assert (clone.data / "backup_label").exists()
    assert list((clone.data / "pg_replslot").iterdir()) == []
    assert list((clone.data / "pg_stat_tmp").iterdir()) == []
    for word in ("standby.signal", "recovery.signal", "pg_replslot (1 "):
        assert word in taken


def test_the_branches_user_owns_it_and_can_reach_it(clone: Clone) -> None:
    clone.quarantine()
    assert owners(clone.data) == {clone.owner.name}
    run(["test", "-r", clone.data / "PG_VERSION"], user=clone.owner)


def test_directories_above_the_parts_open_a_way_and_no_more(clone: Clone) -> None:
    parts = [Part(clone.origin / "pg/data", DATA)]
    clone.quarantine({}, parts)
    run(["test", "-r", clone.data / "PG_VERSION"], user=clone.owner)
    status = (clone.tree / "pg").stat()
    assert pwd.getpwuid(status.st_uid).pw_name == PRODUCTION
    assert stat.S_IMODE(status.st_mode) == 0o710


def test_an_interrupted_change_of_owner_is_taken_up_again(clone: Clone) -> None:
    clone.quarantine()
    shutil.chown(clone.data / "base", PRODUCTION)
    shutil.chown(clone.tree / "pg", PRODUCTION)  # the top goes last
    clone.quarantine()
    assert owners(clone.data) == {clone.owner.name}


def test_twice_is_as_once(clone: Clone) -> None:
    (clone.data / "postgresql.conf").write_text("work_mem = 5MB\narchive_command = 'x'\n")
    clone.quarantine()
    first = (clone.data / "postgresql.conf").read_text()
    assert clone.quarantine() == ()
    assert (clone.data / "postgresql.conf").read_text() == first
