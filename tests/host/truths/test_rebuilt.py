"""A store made again from the pool knows attached sources by their snapshots, and its branches
have no more wires than before."""

from __future__ import annotations

import shutil

from tests.host.truths.conftest import Fleet
from tests.host.usecase import listings, lose_store, rebuild


def test_an_attached_source_comes_back_with_its_snapshots(any_fleet: Fleet) -> None:
    fleet, host = any_fleet, any_fleet.host
    fleet.source(archive_mode="on", archive_command="/bin/false", max_connections=33)
    host.json("snapshot", "create", "prod@live", "--settle")
    host.json("snapshot", "create", "prod@online", "--mode", "online", "--settle")
    settled, raw = fleet.branch("settled", "prod@live"), fleet.branch("raw", "prod")
    host.json("branch", "stop", "raw")
    before = listings(host)
    lose_store(host)
    assert not [item for item in rebuild(host) if item["level"] == "problem"]
    assert listings(host) == before
    host.json("branch", "start", "raw")
    for branch in (settled, raw):
        assert host.sql(branch["dsn"], "select count(*) from users") == [(1000,)]
        assert host.sql(branch["dsn"], "show max_connections") == [("33",)]
    fresh = fleet.branch("fresh", "prod@live")
    assert host.sql(fresh["dsn"], "select count(*) from users") == [(1000,)]
    host.json("snapshot", "create", "prod@later", "--settle")


def test_an_attached_source_comes_back_with_what_is_left_of_its_snapshots(
    any_fleet: Fleet,
) -> None:
    """It has no volume of its own: when its only snapshot goes, a branch says where it is from."""
    fleet, host = any_fleet, any_fleet.host
    fleet.source()
    host.json("snapshot", "create", "prod@s", "--settle")
    fleet.branch("one", "prod@s")
    host.json("snapshot", "create", "one@own", "--settle")
    two = fleet.branch("two", "one@own")
    for words in (("snapshot", "rm", "prod@s"), ("branch", "rm", "one")):
        host.json(*words, "--promote")
        before = listings(host)
        lose_store(host)
        assert not [item for item in rebuild(host) if item["level"] == "problem"]
        assert listings(host) == before
    reset = host.json("branch", "reset", "two")
    assert (reset["source"], reset["snapshot"], reset["dsn"]) == (
        "prod", "prod@one.own", two["dsn"],
    )  # fmt: skip
    assert host.sql(reset["dsn"], "select count(*) from users") == [(1000,)]


def test_a_raw_copy_that_never_got_rooms_is_quarantined_before_it_starts(fleet: Fleet) -> None:
    host = fleet.host
    fleet.source()
    branch = fleet.branch("raw", "prod")
    data = fleet.data("raw")
    host.json("branch", "stop", "raw")
    (data / "standby.signal").touch()  # as if the agent had died right after the clone
    (rooms,) = {item for item in (host.base / "state/servers").iterdir()
                if (host.base / "run/servers" / item.name).exists()}  # fmt: skip
    shutil.rmtree(rooms)
    lose_store(host)
    findings = rebuild(host)
    assert any("cut again" in item["message"] for item in findings)
    assert not (data / "standby.signal").exists()
    host.json("branch", "start", "raw")
    assert host.sql(branch["dsn"], "select pg_is_in_recovery()") == [(False,)]
