"""Each major that is installed: a managed source, its snapshot in every mode, branches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cowdb.agent.engines.postgres import binaries
from tests.agenthost import AgentHost, agent_host
from tests.host.usecase import eventually
from tests.loopfs import missing

NEEDED = {"14", "15", "16", "17", "18"}
NAMED = [item for item in os.environ.get("COWDB_TEST_BINDIRS", "").split(":") if item]
BINDIRS = [*NAMED, "/usr/lib/postgresql/*/bin"]


@pytest.fixture(scope="module")
def host() -> Iterator[AgentHost]:
    """A host that has every major."""
    with agent_host("btrfs", bindirs=BINDIRS) as found:
        yield found


def _installed() -> set[str]:
    return {str(major) for major in binaries.find(BINDIRS)}


@pytest.mark.parametrize("major", sorted(NEEDED))
def test_source_snapshots_and_branches(host: AgentHost, major: str) -> None:
    if major not in _installed():
        missing(f"needs PostgreSQL {major}")
    source = host.json("source", "add", "main", "--empty", "--pg-version", major)
    assert source["pg_version"].split(".")[0] == major
    host.sql(source["dsn"], "create table t (i int primary key)",
             "insert into t select generate_series(1, 500)")  # fmt: skip
    for mode, more, kept in (("online", (), "fast"), ("checkpoint", ("--freeze",), "full"),
                             ("stop", (), "fast")):  # fmt: skip
        taken = host.json("snapshot", "create", f"main@{mode}", "--mode", mode, "--settle", *more)
        assert taken["frozen"] is bool(more)
        branch = host.json("branch", "create", mode, "--from", f"main@{mode}", "--durability", kept)
        host.sql(branch["dsn"], "alter table t add column j text")
        assert host.sql(branch["dsn"], "select count(*) from t") == [(500,)]
    child = host.json("branch", "create", "child", "--from", "online")
    host.json("branch", "reset", "checkpoint")
    shown = host.sql(child["dsn"], "select current_setting('server_version_num')::int / 10000")
    assert shown == [(int(major),)]
    diff = host.json("diff", "main@stop", "child", status=3)
    assert [item["name"] for item in diff["schema"]] == ["public.t.j"]
    host.wipe()
    assert not any(host.remains().values())


@pytest.mark.parametrize("major", sorted(NEEDED))
def test_a_spare_admits_who_comes_at_once(host: AgentHost, major: str) -> None:
    """Each major's postmaster reads its files before it takes the connection that follows."""
    if major not in _installed():
        missing(f"needs PostgreSQL {major}")
    host.json("source", "add", "main", "--empty", "--pg-version", major)
    host.json("snapshot", "create", "main@s", "--settle")
    host.json("snapshot", "warm", "main@s", "--spares", "4")
    with host.client() as client:
        eventually(lambda: client.snapshots.show("main@s")["spares"]["ready"] == 4, 120)
        for number in range(4):
            made = client.branches.create(f"b{number}", "main@s")
            assert host.sql(made["dsn"], "select 1") == [(1,)]
            assert made["spare"]
    host.wipe()
    assert not any(host.remains().values())


def test_a_copy_of_a_server_needs_the_same_major(host: AgentHost) -> None:
    """Without the major of a data directory nothing is attached to it."""
    fake = host.mountpoint / "old"
    fake.mkdir()
    try:
        (fake / "PG_VERSION").write_text("9.6\n")
        os.chown(fake, 65534, 65534)
        error = host.error("source", "add", "old", "--attach", str(fake), status=1)
        assert "9" in error["message"]
        assert "installed" in error["message"]
    finally:
        (fake / "PG_VERSION").unlink()
        Path(fake).rmdir()
