"""Ready means that a query answers; what cannot start says why and leaves nothing behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.host.truths.conftest import Fleet
from tests.host.usecase import eventually


def _nothing_new(fleet: Fleet, before: dict[str, list[str]]) -> None:
    # What was there before may be a snapshot that was still being settled; a parent's server has
    # the agent's session for a second more.
    def more() -> dict[str, set[str]]:
        after = fleet.host.remains()
        found = {name: set(items) - set(before[name]) for name, items in after.items()}
        return {name: items for name, items in found.items() if items}

    eventually(lambda: not more(), 5)
    assert more() == {}
    assert [item["name"] for item in fleet.host.json("branch", "list")] in ([], ["parent"])


def test_the_first_query_answers_at_once(any_fleet: Fleet) -> None:
    """psql, the moment that `branch create` and the others return; also after much recovery."""
    fleet = any_fleet
    prod = fleet.source()
    prod.sql("create table big as select i, repeat('x', 50) as t from generate_series(1, 200000) i")
    prod.stop("immediate")
    for words in (
        ["branch", "create", "b", "--from", "prod"],
        ["branch", "reset", "b"],
        ["branch", "stop", "b"],
        ["branch", "start", "b"],
    ):
        made = fleet.host.json(*words)
        if words[1] == "stop":
            continue
        done = subprocess.run(
            ["psql", "-XAtc", "select count(*) from big", made["dsn"]],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "200000", "")


@pytest.mark.parametrize("file", ["global/pg_filenode.map", "pg_xact", "PG_VERSION"])
def test_a_broken_directory_says_what_its_server_said(fleet: Fleet, file: str) -> None:
    """The first makes a server that is up and crashes at each connection, over and over."""
    prod = fleet.source()
    prod.stop()
    if file == "pg_xact":
        for path in (prod.data / file).iterdir():
            path.unlink()
    elif file == "PG_VERSION":
        fleet.host.json("snapshot", "create", "prod@before")
        (prod.data / file).write_text("9.6\n")
    else:
        (prod.data / file).write_bytes(b"broken")
    said = fleet.host.error("snapshot", "create", "prod@broken", "--settle", status=1)
    before = fleet.host.remains()
    error = said
    if file != "global/pg_filenode.map":  # it takes its time to give that one up
        error = fleet.host.error("branch", "create", "b", "--from", "prod@broken", status=1)
    assert error["code"] == "server"
    assert "FATAL" in error["message"] or "PANIC" in error["message"]
    assert {"PG_VERSION": "not compatible"}.get(file, file) in error["message"]
    _nothing_new(fleet, before)


def test_a_broken_control_file_is_no_snapshot(fleet: Fleet) -> None:
    prod = fleet.source()
    prod.stop()
    (prod.data / "global/pg_control").write_bytes(b"\0" * 8192)
    for words in (["snapshot", "create", "prod@s"], ["branch", "create", "b", "--from", "prod"]):
        error = fleet.host.error(*words, status=1)
        assert error["code"] == "unsound"
        assert "pg_control" in error["message"]
        assert error["hint"]
    assert not any(fleet.host.remains().values())


def test_a_setting_that_no_server_accepts(fleet: Fleet) -> None:
    """Put into the parent branch's file by hand: the branch of it says so, and the parent too."""
    fleet.host.json("source", "add", "prod", "--empty")
    parent = fleet.branch("parent")
    conf = Path(parent["datadir"]) / "postgresql.conf"
    with conf.open("a") as file:
        file.write("effective_cache_size = 'plenty'\n")
    before = fleet.host.remains()
    error = fleet.host.error("branch", "create", "b", "--from", "parent", status=1)
    assert error["code"] == "server"
    assert "effective_cache_size" in error["message"]
    assert "plenty" in error["message"]
    _nothing_new(fleet, before)
    fleet.host.json("branch", "stop", "parent")
    error = fleet.host.error("branch", "start", "parent", status=1)
    assert "effective_cache_size" in error["message"]
    assert fleet.host.json("branch", "show", "parent")["state"] in ("stopped", "crashed")
    fleet.host.json("branch", "reset", "parent")
    assert fleet.host.sql(parent["dsn"], "select 1") == [(1,)]
