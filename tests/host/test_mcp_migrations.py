"""The two steps of a migration and the lab, asked for by a real MCP client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.agenthost import AgentHost
from tests.host.mcpclient import Answers, Driver, configured, drive
from tests.host.usecase import seeded

MIGRATION = "alter table t add premium int;\ncreate index concurrently on t (premium)"


async def prepared(mcp: Driver, sql: str = MIGRATION) -> Any:
    kept = {"name": "kept", "sql": "select count(*) = 100 from t"}
    found = await mcp.call("prepare_migration", source="main", sql=sql, validate=[kept])
    await mcp.call("db_remove_branch", branch=found["branch"])
    return found


def columns(host: AgentHost, dsn: str) -> int:
    query = "select count(*) from information_schema.columns where table_name = 't'"
    found: int = host.sql(dsn, query)[0][0]
    return found


def test_a_migration_is_completed_only_where_the_policy_says_so(host: AgentHost) -> None:
    made = seeded(host)
    answers = Answers("accept")

    async def not_allowed(mcp: Driver) -> None:
        found = await prepared(mcp)
        assert found["evidence"]["verdict"] in ("pass", "warn"), found
        assert not found["can_be_completed"]
        text = await mcp.error("complete_migration", migration=found["migration"])
        assert "does not allow migrations of source 'main' to be completed" in text
        assert 'complete_migrations = ["main"]' in text

    drive(host, not_allowed, elicitation_callback=answers)
    assert answers.asked == []
    assert columns(host, made["dsn"]) == 2

    async def allowed(mcp: Driver) -> None:
        bad = await prepared(mcp, "alter table t drop word")
        assert "failed its test" in await mcp.error(
            "complete_migration", migration=bad["migration"]
        )
        found = await prepared(mcp)
        assert found["can_be_completed"], found["why_not"]
        host.sql(made["dsn"], "insert into t values (1000, 'meanwhile')")
        done = await mcp.call("complete_migration", migration=found["migration"])
        assert (done["state"], done["statement_count"]) == ("applied", 3)
        assert "is applied already" in await mcp.error(
            "complete_migration", migration=found["migration"]
        )

    with configured(host, complete_migrations=["main"]):
        drive(host, allowed, elicitation_callback=answers)
    (question,) = answers.asked
    assert "to the source 'main' itself" in question
    assert MIGRATION in question
    assert columns(host, made["dsn"]) == 3


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_user_who_does_not_agree(host: AgentHost, mode: str) -> None:
    """Both ways in which a server may ask: before the call goes on, and in the midst of it."""
    made = seeded(host)

    async def story(mcp: Driver) -> None:
        found = await prepared(mcp)
        text = await mcp.error("complete_migration", migration=found["migration"])
        assert "did not agree; nothing was applied" in text

    with configured(host, complete_migrations=["main"]):
        answers = Answers("accept", apply=False)
        drive(host, story, elicitation_callback=answers, mode=mode)
        assert len(answers.asked) == 1
        if mode == "auto":
            drive(host, story, elicitation_callback=Answers("decline"))
    assert columns(host, made["dsn"]) == 2


def test_a_source_that_has_changed_since_is_left_alone(host: AgentHost) -> None:
    made = seeded(host)

    async def story(mcp: Driver) -> None:
        """A client that cannot ask: the policy decides."""
        found = await prepared(mcp)
        host.sql(made["dsn"], "create table u (id int)")
        text = await mcp.error("complete_migration", migration=found["migration"])
        assert "has changed since the migration was prepared: table public.u added" in text
        host.sql(made["dsn"], "drop table u")
        done = await mcp.call("complete_migration", migration=found["migration"])
        assert done["state"] == "applied"

        again = await prepared(mcp, "insert into t values (2000, 'x'); select 1/(select 0)")
        assert again["verdict"] == "fail"

    with configured(host, complete_migrations=["main"]):
        drive(host, story)
    assert columns(host, made["dsn"]) == 3


LAB = """
name: by-file
version: 1
tests:
  migration:
    checkpoint: main@start
    runs: 2
    branches:
      - { name: up, sql: up.sql }
      - { name: there-and-back, sql: [up.sql, down.sql], expect: same-as-checkpoint }
    validate: [{ name: filled, sql: select count(premium) = 100 from t }]
"""


def test_a_lab_file_is_run(host: AgentHost, tmp_path: Path) -> None:
    """Its files lie beside it, wherever the server was started."""
    seeded(host)
    host.run("snapshot", "create", "main@start")
    (tmp_path / "lab.yaml").write_text(LAB)
    (tmp_path / "up.sql").write_text("-- up\nalter table t add premium int not null default 0;\n")
    (tmp_path / "down.sql").write_text("alter table t drop premium;\n")
    (tmp_path / "wrong.yaml").write_text(LAB.replace("runs: 2", "runs: two"))

    async def story(mcp: Driver) -> None:
        file = str(tmp_path / "lab.yaml")
        tested = await mcp.call("db_migration_test", file=file)
        assert (tested["checkpoint"], tested["verdict"]) == ("main@start", "pass")
        up, back = tested["strategies"]
        assert (up["name"], up["failed_validations"], back["same_as_checkpoint"]) == (
            "up",
            [],
            True,
        )
        runs = await mcp.call("db_read_result", result=tested["result"],
                              place="/report/strategies/0/runs")  # fmt: skip
        assert runs["of"] == 2
        (added,) = [item for item in runs["value"][0]["statements"] if "premium" in item["text"]]
        assert (added["file"], added["line"]) == ("up.sql", 2)
        assert host.json("lab", "show", tested["run"])["name"] == "by-file"

        for more in ({"checkpoint": "main@start"}, {"runs": 3}, {"directory": "/"}):
            text = await mcp.error("db_migration_test", file=file, **more)
            assert "a lab file says everything: give `file` alone" in text
        text = await mcp.error("db_migration_test", file=str(tmp_path / "wrong.yaml"))
        assert "wrong.yaml:7" in text
        assert "runs" in text
        text = await mcp.error("db_migration_test", file=str(tmp_path / "none.yaml"))
        assert "none.yaml" in text

    drive(host, story)
    assert host.json("branch", "list") == []
