"""The probes on each major: logs, event triggers and catalogs are not the same everywhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agenthost import AgentHost, agent_host
from tests.host.lab import labfile
from tests.host.test_majors import BINDIRS, NEEDED, _installed
from tests.loopfs import missing

SQL = """begin;
alter table users add column level double precision default random();
alter table users add constraint c check (v > 0) not valid;
select pg_sleep(0.1);
commit;
alter table tiny alter column v set not null;
alter table nothing add column w int;
"""


@pytest.fixture(scope="module")
def host() -> Iterator[AgentHost]:
    """A host that has every major."""
    with agent_host("btrfs", bindirs=BINDIRS) as found:
        yield found


@pytest.mark.parametrize("major", sorted(NEEDED))
def test_probes(host: AgentHost, major: str) -> None:
    if major not in _installed():
        missing(f"needs PostgreSQL {major}")
    made = host.json("source", "add", "main", "--empty", "--pg-version", major)
    host.sql(made["dsn"], *labfile.SHOP)
    host.json("snapshot", "create", "main@loaded", "--settle")
    nothing = {"name": "nothing", "command": "true", "expect": "same-as-checkpoint"}
    strategies = [{"name": "all", "sql": "all.sql"}, nothing]
    found = labfile.report(host, labfile.write(host, strategies, {"all.sql": SQL}))
    host.wipe()
    assert found["pg_version"].split(".")[0] == major
    runs = labfile.runs_of(found)
    assert runs["nothing"]["difference"]["identical"] is True
    run = runs["all"]
    assert run["notes"] == []
    assert [item["line"] for item in run["statements"]] == [1, 2, 3, 4, 5, 6, 7]
    assert run["statements"][1]["rewrote"] == run["rewritten"] == ["public.users"]
    assert run["statements"][5]["scanned"] == ["public.tiny"]
    assert run["statements"][6]["error"] == 'relation "nothing" does not exist (42P01)'
    held = {item["relation"]: item for item in run["locks"] if item["blocks"] == "reads"}
    assert set(held) == {"public.users", "public.tiny"}
    assert held["public.users"]["held_ms"] >= 100
    assert run["leftovers"] == [{"kind": "not valid constraint", "name": "public.users.c"}]
    assert run["disk"]["wal_bytes"] > 100_000
