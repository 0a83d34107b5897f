"""A snapshot is sound only if data, WAL and tablespaces are inside one: followed, or refused."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.truths.clusters import OWNER, Cluster
from tests.host.truths.conftest import Fleet
from tests.loopfs import command


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A directory outside the pool's filesystem that the clusters' OS user may write."""
    place = Path(tempfile.mkdtemp(prefix="cowdb-truths-", dir="/var/tmp"))
    shutil.chown(place, OWNER, OWNER)
    yield place
    shutil.rmtree(place)


def _directory(path: Path) -> Path:
    path.mkdir(parents=True)
    for made in (path, path.parent):
        shutil.chown(made, OWNER, OWNER)
    return path


def _with_tablespace(fleet: Fleet, place: Path, made: Cluster | None = None) -> Cluster:
    made = made or fleet.running()
    _directory(place)
    made.sql(
        f"create tablespace extra location '{place}'",
        "create table far (id int) tablespace extra",
        "insert into far select generate_series(1, 10)",
        "checkpoint",
    )
    return made


def _contents(place: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def _wal_led_to(fleet: Fleet, place: Path) -> Cluster:
    """A running cluster whose pg_wal is a link to `place`."""
    made = fleet.cluster(place.parent / "data" if place.parent.name == "prod"
                         else fleet.home("prod") / "data")  # fmt: skip
    command("mv", made.data / "pg_wal", place)
    (made.data / "pg_wal").symlink_to(place)
    made.start()
    return made


def _nothing_is_left(fleet: Fleet) -> None:
    assert not any(fleet.host.remains().values())
    assert fleet.host.json("source", "list") == []


def test_a_tablespace_inside_goes_along_and_the_sources_files_stay_untouched(
    any_fleet: Fleet,
) -> None:
    fleet = any_fleet
    place = fleet.host.mountpoint / "prod/spaces/extra"
    prod = _with_tablespace(fleet, place)
    fleet.attach(prod)
    branch = fleet.branch()
    before = _contents(place)
    fleet.host.sql(
        branch["dsn"],
        "update far set id = -id", "insert into far select generate_series(1, 100000)",
        "create table more (id int) tablespace extra", "insert into more values (1)", "checkpoint",
    )  # fmt: skip
    assert _contents(place) == before
    assert prod.sql("select count(*), min(id) from far") == [(10, 1)]
    assert fleet.host.sql(branch["dsn"], "select count(*), min(id) from far") == [(100010, -10)]
    second = fleet.branch("c", "b")  # and of a branch once more
    fleet.host.sql(second["dsn"], "truncate far", "checkpoint")
    assert fleet.host.sql(branch["dsn"], "select count(*) from far") == [(100010,)]
    for name in ("b", "c"):
        data = fleet.data(name)
        for link in (data / "pg_tblspc").iterdir():
            tree = data.parents[len(data.parts) - len(fleet.host.pool.parts) - 4]
            assert link.resolve().is_relative_to(tree)


def test_a_tablespace_outside_the_pool_is_refused(fleet: Fleet, elsewhere: Path) -> None:
    prod = _with_tablespace(fleet, elsewhere / "extra")
    error = fleet.host.error("source", "add", "prod", "--attach", str(prod.data), status=1)
    assert error["code"] == "unsound"
    assert str(elsewhere / "extra") in error["message"]
    assert error["hint"]
    _nothing_is_left(fleet)


def test_a_tablespace_in_another_subvolume_is_refused(fleet: Fleet) -> None:
    place = fleet.home("second") / "extra"
    prod = _with_tablespace(fleet, place)
    error = fleet.host.error("source", "add", "prod", "--attach", str(prod.data), status=1)
    assert error["code"] == "unsound"
    assert str(place) in error["message"]
    assert error["hint"]
    _nothing_is_left(fleet)


def test_a_tablespace_that_came_after_the_attaching_is_refused(
    any_fleet: Fleet, elsewhere: Path
) -> None:
    fleet = any_fleet
    prod = fleet.source()
    _with_tablespace(fleet, elsewhere / "extra", prod)
    for mode in ("online", "checkpoint", "stop"):
        error = fleet.host.error("snapshot", "create", "prod@x", "--mode", mode, status=1)
        assert str(elsewhere / "extra") in error["message"]
        assert error["hint"]
    error = fleet.host.error("branch", "create", "b", "--from", "prod", status=1)
    assert str(elsewhere / "extra") in error["message"]
    assert prod.sql("select count(*) from far") == [(10,)]
    assert not any(fleet.host.remains().values())


def test_a_branchs_own_tablespace_outside_its_volume_is_refused(
    any_fleet: Fleet,
) -> None:
    fleet = any_fleet
    fleet.source()
    branch = fleet.branch()
    place = Path(tempfile.mkdtemp(prefix="cowdb-truths-", dir="/var/tmp"))
    try:
        shutil.chown(place, fleet.host.config.server_user)
        fleet.host.sql(branch["dsn"], f"create tablespace extra location '{place}'")
        for words in (["snapshot", "create", "b@x"], ["branch", "create", "c", "--from", "b"]):
            error = fleet.host.error(*words, status=1)
            assert error["code"] == "unsound"
            assert str(place) in error["message"]
            assert error["hint"]
    finally:
        fleet.host.json("branch", "rm", "b")
        shutil.rmtree(place)


def test_pg_wal_as_a_link_inside_goes_along(any_fleet: Fleet) -> None:
    fleet = any_fleet
    prod = _wal_led_to(fleet, fleet.home("prod") / "wal")
    prod.sql("create table kept as select generate_series(1, 1000) as id")
    fleet.attach(prod)
    fleet.host.json("snapshot", "create", "prod@s", "--mode", "online")
    branch = fleet.branch("b", "prod@s")
    before = {path.name for path in (prod.data / "pg_wal").iterdir()}
    fleet.host.sql(branch["dsn"], "insert into kept select generate_series(1, 300000)",
                   "select pg_switch_wal()", "checkpoint")  # fmt: skip
    assert {path.name for path in (prod.data / "pg_wal").iterdir()} == before
    wal = fleet.data() / "pg_wal"
    assert wal.resolve().is_relative_to(fleet.host.pool)
    assert fleet.host.sql(branch["dsn"], "select count(*) from kept") == [(301000,)]
    assert prod.sql("select count(*) from kept") == [(1000,)]


def test_pg_wal_as_a_link_outside_is_refused(any_fleet: Fleet, elsewhere: Path) -> None:
    fleet = any_fleet
    prod = _wal_led_to(fleet, elsewhere / "wal")
    error = fleet.host.error("source", "add", "prod", "--attach", str(prod.data), status=1)
    assert str(elsewhere / "wal") in error["message"]
    assert error["hint"]
    _nothing_is_left(fleet)


def test_another_essential_link_outside_is_refused(fleet: Fleet, elsewhere: Path) -> None:
    prod = fleet.cluster(fleet.home("prod") / "data")
    command("mv", prod.data / "pg_xact", elsewhere / "xact")
    (prod.data / "pg_xact").symlink_to(elsewhere / "xact")
    prod.start()
    error = fleet.host.error("source", "add", "prod", "--attach", str(prod.data), status=1)
    assert error["code"] == "unsound"
    assert str(elsewhere / "xact") in error["message"]
    _nothing_is_left(fleet)


@pytest.mark.parametrize("kind", ["subvolume", "mount"])
def test_pg_wal_as_a_volume_of_its_own_is_refused(fleet: Fleet, elsewhere: Path, kind: str) -> None:
    prod = fleet.cluster(fleet.home("prod") / "data")
    wal = prod.data / "pg_wal"
    command("mv", wal, elsewhere / "old")
    if kind == "subvolume":
        command("btrfs", "subvolume", "create", wal)
    else:
        wal.mkdir()
        command("mount", "-t", "tmpfs", "tmpfs", wal)
    try:
        shutil.chown(wal, OWNER, OWNER)
        command("cp", "-a", f"{elsewhere}/old/.", wal)
        prod.start()
        error = fleet.host.error("source", "add", "prod", "--attach", str(prod.data), status=1)
        assert error["code"] == "unsound"
        assert str(wal) in error["message"]
        assert error["hint"]
        _nothing_is_left(fleet)
    finally:
        prod.close()
        if kind == "mount":
            command("umount", wal)


def test_the_data_directory_may_be_the_subvolume_itself(fleet: Fleet) -> None:
    prod = fleet.cluster(fleet.home("prod"))
    prod.data.chmod(0o700)
    prod.start()
    fleet.attach(prod)
    prod.sql("create table kept as select 1 as id")
    for mode in ("online", "stop"):
        fleet.host.json("snapshot", "create", f"prod@{mode}", "--mode", mode, "--settle")
        branch = fleet.branch(mode, f"prod@{mode}")
        assert fleet.host.sql(branch["dsn"], "select id from kept") == [(1,)]
    fleet.branch("deeper", "stop")


def test_a_tablespace_still_in_the_wal_would_lead_recovery_back_to_the_source(fleet: Fleet) -> None:
    """Replaying CREATE TABLESPACE makes, and changes the mode of, the path of the original."""
    place = fleet.host.mountpoint / "prod/spaces/extra"
    prod = fleet.running()
    _directory(place)
    prod.sql("checkpoint", f"create tablespace extra location '{place}'")
    fleet.attach(prod)
    before = (place.stat().st_mode, place.stat().st_mtime_ns, _contents(place))
    fleet.host.run("snapshot", "create", "prod@wal", "--mode", "online")
    refused = fleet.host.error("branch", "create", "a", "--from", "prod@wal", status=1)
    assert refused["code"] == "unsound"
    assert str(place) in refused["message"]
    assert "--mode checkpoint" in refused["hint"]
    assert (place.stat().st_mode, place.stat().st_mtime_ns, _contents(place)) == before
    assert not fleet.host.json("snapshot", "show", "prod@wal")["settled"]
    fleet.host.run("snapshot", "create", "prod@later", "--settle")
    fleet.host.run("branch", "create", "a", "--from", "prod@later")
