"""A migration of a server that somebody else runs: prepared on branches of it, applied to it with
the user's own DSN, on btrfs and on XFS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agenthost import AgentHost
from tests.host.mcpclient import Answers, Driver, configured, drive
from tests.host.truths.clusters import Cluster, cluster, home, initdb

PASSWORD = "hush-hush"  # of nobody: the clusters trust their loopback
MIGRATION = """
alter table users add premium int not null default 0;
create index concurrently on users (premium)
"""


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    with initdb() as data:
        yield data


@pytest.fixture
def prod(any_host: AgentHost, template: Path) -> Iterator[Cluster]:
    """It runs and is attached, with its only database `shop`."""
    with home(any_host, "prod") as place, cluster(template, place / "data") as made:
        made.start()
        made.sql("create database shop")
        made.sql("create table users (id int primary key)",
                 "insert into users select generate_series(1, 1000)", database="shop")  # fmt: skip
        any_host.run("source", "add", "prod", "--attach", str(made.data))
        try:
            yield made
        finally:
            any_host.wipe()  # snapshots lie beside it


def columns(made: Cluster) -> int:
    query = "select count(*) from information_schema.columns where table_name = 'users'"
    found: int = made.sql(query, database="shop")[0][0]
    return found


def test_a_migration_of_an_attached_source(
    any_host: AgentHost, prod: Cluster, tmp_path: Path
) -> None:
    host, file = any_host, tmp_path / "cowdb/sources.toml"
    file.parent.mkdir()
    url = prod.dsn("shop").replace("postgres@", f"postgres:{PASSWORD}@")
    answers, said = Answers("accept"), list[str]()

    async def story(mcp: Driver) -> None:
        found = await mcp.call("prepare_migration", source="prod", sql=MIGRATION)
        assert not found["can_be_completed"]
        assert "no DSN of yours is known for source 'prod'" in found["why_not"]
        assert f"write it into {file}, mode 0600" in found["why_not"]
        (result,) = found["evidence"]["strategies"]
        assert (result["name"], result["verdict"]) == ("migration", "pass")
        assert columns(prod) == 1
        on_branch = await mcp.sql(found["branch"], "select count(*) from users where premium = 0")
        assert on_branch == [["1000"]]

        async def refused(dsn: str, mode: int = 0o600) -> str:
            file.write_text(f'prod = "{dsn}"\n')
            file.chmod(mode)
            said.append(await mcp.error("complete_migration", migration=found["migration"]))
            return said[-1]

        text = await mcp.error("complete_migration", migration=found["migration"])
        assert found["why_not"] in text
        assert "can be read by others" in await refused(url, 0o644)
        assert answers.asked == []  # nobody is asked of what cannot be
        assert "leads to database 'postgres'" in await refused(url.replace("/shop", "/postgres"))
        with initdb() as elsewhere, cluster(elsewhere, elsewhere.parent / "other") as other:
            other.start()  # not a copy of the template, which would pass for the same server
            assert "another server" in await refused(other.dsn("postgres"))
        prod.stop()
        assert "refused" in await refused(url)
        prod.start()
        assert columns(prod) == 1

        prod.sql("insert into users values (2000)", database="shop")
        done = await mcp.call("complete_migration", migration=found["migration"])
        assert (done["state"], done["statement_count"], done["error"]) == ("applied", 3, None)
        now = (await mcp.call("db_checkpoint", name="after"))["ref"]
        compared = await mcp.call("db_compare_branches", sides=[found["branch"], now])
        assert (compared["schema_changes"], compared["tables_counted_differently"]) == (0, 1)
        await mcp.call("db_remove_branch", branch=found["branch"])
        await mcp.call("db_remove_checkpoint", checkpoint=found["checkpoint"])

    with configured(host, complete_migrations=["prod"]):
        host.extra["XDG_CONFIG_HOME"] = str(tmp_path)
        try:
            log = drive(host, story, elicitation_callback=answers)
        finally:
            del host.extra["XDG_CONFIG_HOME"]
    assert columns(prod) == 2
    counted = "select count(*) from users where premium = 0"
    assert prod.sql(counted, database="shop") == [(1001,)]
    assert len(answers.asked) == 4
    assert PASSWORD not in "".join([*said, *answers.asked, log, prod.said()])
