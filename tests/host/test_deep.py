"""A long chain of branches, each from the one before with changes of its own: each level keeps
what it had, at any depth, also when a level in the middle goes."""

from __future__ import annotations

import pytest

from cowdb.controller.client import Client
from tests.agenthost import AgentHost
from tests.host.usecase import ROWS, seeded

FORK = 5  # the level of which a second branch is made


def _deepen(host: AgentHost, client: Client, level: int) -> str:
    """The branch of that level: from a snapshot of the one before, named at every third."""
    parent = f"d{level - 1}" if level > 1 else "main"
    origin = parent
    if level % 3 == 0 or level == FORK + 1:
        origin = f"{parent}@s"
        client.snapshots.create(origin)
    made = client.branches.create(f"d{level}", origin)
    _change(host, made["dsn"], level)
    return made["dsn"]


def _change(host: AgentHost, dsn: str, level: int) -> None:
    host.sql(
        dsn,
        f"insert into t values ({1000 + level}, 'of level {level}')",
        f"update t set word = 'level {level}' where id in (1, {level + 1})",
        f"create table only_{level} as select {level} as level",
    )


def _seen(host: AgentHost, dsn: str) -> tuple[object, ...]:
    (found,) = host.sql(
        dsn,
        "select count(*), max(id) - 1000, max(word) filter (where id = 1), "
        "count(*) filter (where word like 'level %' and id > 1), "
        "(select count(*) from pg_class where relname like 'only_%') from t",
    )
    return found


def _expected(level: int) -> tuple[object, ...]:
    return (ROWS + level, level, f"level {level}", level, level)


@pytest.mark.timeout(900)  # emulated, each server takes seconds to start
def test_each_level_keeps_its_own(any_host: AgentHost) -> None:
    host = any_host
    depth = 8 if host.zpool else 15
    seeded(host)
    with host.client() as client:
        dsn = {level: _deepen(host, client, level) for level in range(1, depth + 1)}
        for level in dsn:
            assert _seen(host, dsn[level]) == _expected(level)
        shown = {item["name"]: item for item in client.branches.list()}
        assert {item["source"] for item in shown.values()} == {"main"}
        assert [shown[f"d{level}"]["parent"] for level in dsn] == [
            "main", *(f"d{level - 1}" for level in range(2, depth + 1))
        ]  # fmt: skip

        twin = client.branches.create("twin", f"d{FORK}@s")
        host.sql(twin["dsn"], "insert into t values (2000, 'of the twin')")
        found = host.json_any("diff", "twin", f"d{depth}", "--rows", "--ancestor")
        assert found["ancestor"]["ref"] == f"d{FORK}@s"
        (rows,) = found["since"]["rows"]
        changed = depth - FORK  # one row more for each level, and the row that each of them updates
        assert rows["changes"] == {
            "twin": {"added": 1, "removed": 0, "changed": 0},
            f"d{depth}": {"added": changed, "removed": 0, "changed": changed + 1},
        }

        client.branches.remove(f"d{depth}")
        middle = depth - 3
        client.branches.remove(f"d{middle}", promote=True)
        for level in range(1, depth):
            if level != middle:
                assert _seen(host, dsn[level]) == _expected(level)
        below = client.branches.reset(f"d{depth - 1}")
        assert _seen(host, below["dsn"]) == _expected(depth - 2)
        above = client.branches.create("beside", f"d{middle - 1}")
        assert _seen(host, above["dsn"]) == _expected(middle - 1)
