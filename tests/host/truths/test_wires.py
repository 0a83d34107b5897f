"""A branch has none of production's outgoing wires: archives, standbys, slots, subscriptions."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.host.truths.clusters import Cluster, as_owner, until
from tests.host.truths.conftest import Fleet

QUIET = 1.5  # seconds in which a wire that was left would be seen: workers start within one


@pytest.fixture
def archive() -> Iterator[Path]:
    """A directory that every OS user may write."""
    place = Path(tempfile.mkdtemp(prefix="cowdb-truths-", dir="/var/tmp"))
    place.chmod(0o777)
    yield place
    shutil.rmtree(place)


ARCHIVING: dict[str, dict[str, object]] = {
    "command": {"archive_mode": "always", "archive_command": "cp %p {}/%f"},
    "library": {
        "archive_mode": "always",
        "archive_library": "basic_archive",
        "basic_archive.archive_directory": "{}",
    },
}


def _names(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()}


@pytest.mark.parametrize(("how", "settle"), [("command", True), ("library", False)])
def test_a_branch_archives_nothing(fleet: Fleet, archive: Path, how: str, settle: bool) -> None:
    settings = {name: str(value).format(archive) for name, value in ARCHIVING[how].items()}
    prod = fleet.source("prod", **settings)
    prod.sql("select pg_switch_wal()")
    until(lambda: _names(archive))  # production's own archiving works
    fleet.host.json("snapshot", "create", "prod@s", *(["--settle"] if settle else []))
    branch = fleet.branch("b", "prod@s" if settle else "prod")
    prod.sql("checkpoint")
    until(lambda: prod.sql("select last_archived_wal from pg_stat_archiver")[0][0])
    before = _names(archive)
    dsn = branch["dsn"]
    write = ("insert into users select i, 'x' from generate_series(2000, 3000) i",
             "select pg_switch_wal()", "checkpoint")  # fmt: skip
    fleet.host.sql(dsn, *write, "create table later (id int)", "select pg_switch_wal()")
    shown = fleet.host.sql(
        dsn,
        "select current_setting('archive_mode'), current_setting('archive_command'), "
        "current_setting('archive_library')",
    )
    assert shown == [("off", "(disabled)", "")]
    shift = "create table more as select 1 as id", "select pg_switch_wal()", "checkpoint"
    for statement in (
        "alter system set archive_mode = on",
        f"alter system set archive_command = 'cp %p {archive}/again-%f'",
        f"alter system set basic_archive.archive_directory = '{archive}'",
    ):
        with contextlib.suppress(psycopg.Error):  # a setting of a library that is not loaded
            fleet.host.sql(dsn, statement)
    fleet.host.json("branch", "stop", "b")
    fleet.host.json("branch", "start", "b")
    fleet.host.sql(dsn, *shift)
    time.sleep(QUIET)
    assert _names(archive) == before
    assert fleet.host.sql(dsn, "show archive_mode") == [("off",)]


def _standby_of(fleet: Fleet, primary: Cluster) -> Cluster:
    made = fleet.cluster(fleet.home("standby") / "data")
    shutil.rmtree(made.data)
    as_owner(
        made.bin / "pg_basebackup", "-D", made.data, "-R", "-c", "fast", "-C", "-S", "standby_slot",
        "-d", f"host=127.0.0.1 port={primary.port} user=postgres password=hunter2",
    )  # fmt: skip
    made.configure(port=made.port, unix_socket_directories=made.run, cluster_name="standby",
                   restore_command="/bin/false", recovery_target_timeline="latest")  # fmt: skip
    made.start()
    until(lambda: _walsenders(primary) == ["standby"])
    return made


def _walsenders(primary: Cluster) -> list[str]:
    rows = primary.sql("select application_name from pg_stat_replication")
    return [name for (name,) in rows]


@pytest.mark.parametrize(
    ("filesystem", "mode"), [("btrfs", "online"), ("btrfs", "stop"), ("xfs", "checkpoint")]
)
def test_a_branch_of_a_standby_follows_nobody(
    request: pytest.FixtureRequest, filesystem: str, mode: str
) -> None:
    fleet: Fleet = request.getfixturevalue("fleet" if filesystem == "btrfs" else "xfs_fleet")
    primary = fleet.running("primary", log_connections="on")
    standby = _standby_of(fleet, primary)
    fleet.attach(standby, "standby")
    primary.sql("insert into users values (5000, 'late')")
    until(lambda: standby.sql("select count(*) from users") == [(1001,)])
    fleet.host.json("snapshot", "create", "standby@s", "--mode", mode)
    until(lambda: _walsenders(primary) == ["standby"])
    seen = primary.said().count("START_REPLICATION")
    branch = fleet.branch("b", "standby@s")
    data = fleet.data()
    dsn = branch["dsn"]
    assert fleet.host.sql(dsn, "select pg_is_in_recovery()") == [(False,)]
    assert fleet.host.sql(dsn, "select count(*) from users") == [(1001,)]
    fleet.host.sql(dsn, "insert into users values (6000, 'in the branch')")
    for name in ("standby.signal", "recovery.signal"):
        assert not (data / name).exists()
    for name in ("primary_conninfo", "primary_slot_name", "restore_command"):
        assert fleet.host.sql(dsn, f"show {name}") == [("",)]
    assert "hunter2" not in (data / "postgresql.conf").read_text()
    time.sleep(QUIET)
    assert _walsenders(primary) == ["standby"]
    assert primary.said().count("START_REPLICATION") == seen
    # and not when its superuser wants it back, either
    fleet.host.sql(
        dsn, f"alter system set primary_conninfo = 'host=127.0.0.1 port={primary.port} "
        "user=postgres application_name=branch'",
    )  # fmt: skip
    fleet.host.json("branch", "stop", "b")
    fleet.host.json("branch", "start", "b")
    assert fleet.host.sql(dsn, "show primary_conninfo") == [("",)]
    primary.sql("insert into users values (7000, 'later')")  # the standby itself goes on
    until(lambda: standby.sql("select count(*) from users") == [(1002,)])


def test_a_branch_of_a_branch_that_became_a_standby_is_none(fleet: Fleet) -> None:
    prod = fleet.source()
    fleet.branch("a")
    (fleet.data("a") / "standby.signal").touch()
    fleet.host.sql(fleet.host.json("branch", "show", "a")["dsn"], "select 1")
    branch = fleet.branch("b", "a")
    assert fleet.host.sql(branch["dsn"], "select pg_is_in_recovery()") == [(False,)]
    assert _walsenders(prod) == []


def test_inherited_slots_are_gone(fleet: Fleet) -> None:
    prod = fleet.source()
    prod.sql(
        "select pg_create_physical_replication_slot('physical', true)",
        "select pg_create_logical_replication_slot('logical', 'test_decoding')",
        "checkpoint",
    )
    for mode in ("online", "stop"):
        fleet.host.json("snapshot", "create", f"prod@{mode}", "--mode", mode)
        branch = fleet.branch(mode, f"prod@{mode}")
        assert fleet.host.sql(branch["dsn"], "select slot_name from pg_replication_slots") == []
        assert list((fleet.data(mode) / "pg_replslot").iterdir()) == []
        assert any("pg_replslot" in word
                   for word in fleet.host.json("branch", "show", mode)["quarantined"])  # fmt: skip
    assert prod.sql("select count(*) from pg_replication_slots") == [(2,)]


def test_standbys_that_commits_would_wait_for_are_forgotten(fleet: Fleet) -> None:
    prod = fleet.source()
    prod.sql("alter system set synchronous_standby_names = 'nobody'", "select pg_reload_conf()")
    branch = fleet.branch()
    fleet.host.sql(branch["dsn"], "set statement_timeout = '5s'",
                   "set synchronous_commit = on", "insert into users values (-1, 'x')")  # fmt: skip
    assert fleet.host.sql(branch["dsn"], "show synchronous_standby_names") == [("",)]


@pytest.fixture
def publisher(fleet: Fleet) -> Cluster:
    made = fleet.running("publisher", log_connections="on")
    made.sql("create publication everything for table users")
    return made


@pytest.fixture
def subscriber(fleet: Fleet, publisher: Cluster) -> Cluster:
    """Attached as `subscriber`, with all rows of its publisher."""
    made = fleet.source("subscriber")
    made.sql("truncate users")
    made.sql(
        f"create subscription live connection 'host=127.0.0.1 port={publisher.port} user=postgres "
        "dbname=postgres password=hunter2' publication everything"
    )
    until(lambda: made.sql("select count(*) from users") == [(1000,)])
    until(lambda: _walsenders(publisher) == ["live"])
    return made


def _connections(publisher: Cluster) -> int:
    """Replication connections ever made."""
    return publisher.said().count("replication connection authorized")


@pytest.mark.parametrize("settle", [True, False], ids=["settled", "raw"])
def test_a_branch_of_a_subscriber_leaves_the_publisher_alone(
    fleet: Fleet, publisher: Cluster, subscriber: Cluster, settle: bool
) -> None:
    made = _connections(publisher)
    if settle:
        fleet.host.json("snapshot", "create", "subscriber@s", "--settle")
        branch = fleet.branch("b", "subscriber@s")
    else:
        branch = fleet.branch("b", "subscriber")
    dsn = branch["dsn"]
    publisher.sql("insert into users values (5000, 'new')")
    until(lambda: subscriber.sql("select count(*) from users") == [(1001,)])
    time.sleep(QUIET)
    assert fleet.host.sql(dsn, "select count(*) from users") == [(1000,)]
    # enabled again by one who does not know, or after a restart
    rows = fleet.host.sql(dsn, "select subenabled, subconninfo from pg_subscription")
    assert rows[0][0] is False
    assert "hunter2" not in rows[0][1]
    fleet.host.sql(dsn, "alter subscription live set (slot_name = live)",
                   "alter subscription live enable",
                   "alter system set max_logical_replication_workers = 4")  # fmt: skip
    fleet.host.json("branch", "stop", "b")
    fleet.host.json("branch", "start", "b")
    time.sleep(QUIET)
    assert _connections(publisher) == made
    assert _walsenders(publisher) == ["live"]
    fleet.host.json("branch", "reset", "b")
    fleet.host.sql(dsn, "drop subscription live")
    assert publisher.sql("select slot_name from pg_replication_slots") == [("live",)]
    assert _connections(publisher) == made
    publisher.sql("insert into users values (5001, 'newer')")
    until(lambda: subscriber.sql("select count(*) from users") == [(1002,)])


def test_a_deeper_branch_of_a_subscriber_is_cut_off_too(
    fleet: Fleet, publisher: Cluster, subscriber: Cluster
) -> None:
    """One who plugs the wire in again in a branch does so for that branch alone."""
    first = fleet.branch("a", "subscriber")
    made = _connections(publisher)
    fleet.host.sql(first["dsn"], "alter subscription live set (slot_name = live)")
    fleet.host.sql(
        first["dsn"],
        "update pg_subscription set subenabled = true, subconninfo = "
        f"'host=127.0.0.1 port={publisher.port} user=postgres dbname=postgres'",
    )
    second = fleet.branch("b", "a")
    fleet.host.sql(second["dsn"], "drop subscription live")
    time.sleep(QUIET)
    assert publisher.sql("select slot_name from pg_replication_slots") == [("live",)]
    assert _connections(publisher) == made
