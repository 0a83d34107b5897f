"""`cowdb mcp` driven by a real MCP client, over stdio and HTTP, against a real agent."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.agenthost import COWDB, AgentHost
from tests.host.mcpclient import Driver, drive
from tests.host.usecase import eventually, seeded


def test_a_whole_story(host: AgentHost) -> None:
    seeded(host)

    async def story(mcp: Driver) -> None:
        (source,) = (await mcp.call("db_list_sources"))["sources"]
        assert (source["name"], source["kind"], source["state"]) == ("main", "managed", "running")
        start = await mcp.call("db_checkpoint", name="before")
        assert start["ref"] == "main@before"
        for name in ("one", "two"):
            made = await mcp.call("db_create_branch", name=name, origin="main@before", ttl="1h")
            assert (made["snapshot"], made["state"]) == ("main@before", "running")
        listed = await mcp.call("db_list_branches", limit=1)
        assert (len(listed["branches"]), listed["of"], listed["next"]) == (1, 2, 1)

        await mcp.sql(
            "one", "alter table t add premium int; update t set premium = id where id < 4"
        )
        await mcp.sql("two", "delete from t where id = 7")
        found = await mcp.call("db_compare_branches", sides=["main@before", "one"], rows=True)
        assert not found["identical"]
        assert found["schema_changes"] == 1
        assert found["report"]["schema"][0]["name"] == "public.t.premium"
        found = await mcp.call("db_compare_branches", sides=["main@before", "two"], rows=True)
        assert (found["rows_removed"], found["tables_counted_differently"]) == (1, 1)
        (gone,) = found["report"]["rows"]
        assert gone["sample"][0]["key"] == {"id": "7"}
        both = await mcp.call("db_compare_branches", sides=["one", "two"], since_ancestor=True)
        assert both["conflicts"] == 0

        schema = await mcp.call("db_schema", branch="one", tables=["t"])
        (table,) = [item for item in schema["objects"] if item["kind"] == "table"]
        assert "public.t.premium" in json.dumps(table)
        plan = await mcp.call("db_explain", branch="one", sql="delete from t", analyze=True)
        assert "actual time" in plan["plan"]
        assert await mcp.sql("one", "select count(*), count(premium) from t") == [["100", "3"]]

        await mcp.call("db_reset_branch", branch="one")
        same = await mcp.call("db_compare_branches", sides=["main@before", "one"], rows=True)
        assert same["identical"]
        for name in ("one", "two"):
            assert await mcp.call("db_remove_branch", branch=name) == {"removed": name}
        await mcp.call("db_remove_checkpoint", checkpoint="main@before")
        assert (await mcp.call("db_list_checkpoints"))["of"] == 0

    assert drive(host, story) == ""


def test_a_migration_is_tested(host: AgentHost) -> None:
    seeded(host)
    host.run("snapshot", "create", "main@start")

    async def story(mcp: Driver) -> None:
        steps: list[str] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            assert progress == len(steps) + 1
            steps.append(message or "")

        tested = await mcp.call(
            "db_migration_test", note, checkpoint="main@start",
            strategies=[
                {"name": "add", "sql": "alter table t add premium int not null default 0"},
                {"name": "drop", "sql": "alter table t drop word"},
                {"name": "tool", "command": "psql -qc 'create index on t (word)'"},
                {"name": "back", "expect": "same-as-checkpoint",
                 "sql": "alter table t add x int; alter table t drop x"},
            ],
            validate=[{"name": "all-there", "sql": "select count(*) = 100 from t"}],
        )  # fmt: skip
        assert steps
        verdicts = {item["name"]: item["verdict"] for item in tested["strategies"]}
        assert (verdicts["add"], verdicts["drop"], verdicts["back"]) == ("pass", "fail", "pass")
        assert tested["verdict"] == "fail"
        assert tested["recommended"] in ("add", "tool")
        back = tested["strategies"][3]
        assert back["same_as_checkpoint"] is True
        (kept,) = tested["strategies"][1]["kept_branches"]
        assert tested["recommendation"] in tested["text"].replace("\n", " ")
        part = await mcp.call("db_read_result", result=tested["result"],
                              place="/report/strategies/0/runs/0/statements")  # fmt: skip
        assert "alter table t add premium" in part["value"][0]["text"]
        assert host.json("lab", "show", tested["run"])["id"] == tested["run"]
        assert [item["name"] for item in host.json("branch", "list")] == [kept]
        await mcp.call("db_remove_branch", branch=kept)

    drive(host, story)


def test_what_is_refused_says_what_to_do(host: AgentHost) -> None:
    seeded(host)
    host.run("snapshot", "create", "main@s")
    host.run("branch", "create", "b", "--from", "main@s")
    url = "postgresql://somebody:hidden@127.0.0.1/x"

    async def story(mcp: Driver) -> None:
        one = {"sql": "select 1"}
        for tool, more in (("db_execute_sql", one), ("db_explain", one), ("db_schema", {}),
                           ("db_connection_string", {})):  # fmt: skip
            text = await mcp.error(tool, branch="main", **more)
            assert "'main' is a source, not a branch" in text, tool
            assert "hint: make a branch of it: cowdb branch create NAME --from main" in text
            assert "is a snapshot" in await mcp.error(tool, branch="main@s", **more)
            text = await mcp.error(tool, branch=url, **more)
            assert "a connection string is not a branch" in text
            assert "hidden" not in text
        for side in ("main", url):
            text = await mcp.error("db_compare_branches", sides=["b", side])
            assert "not a branch" in text
            assert "hidden" not in text
        assert "Extra inputs are not permitted" in await mcp.error(
            "db_remove_branch", branch="b", force=True
        )
        assert "there is no branch" in await mcp.error("db_remove_branch", branch="none")
        text = await mcp.error("db_execute_sql", branch="b", sql="create table u (); selec 1")
        assert 'statement 2 of 2 (line 1): syntax error at or near "selec" (42601)' in text
        assert "the 1 before it took effect" in text
        text = await mcp.error("db_execute_sql", branch="b", sql="delete from t", read_only=True)
        assert "read-only transaction" in text
        text = await mcp.error("db_execute_sql", branch="b", timeout_seconds=0.3,
                               sql="set statement_timeout = 0; select pg_sleep(100)")  # fmt: skip
        assert "it was ended after 0.3 s" in text
        assert await mcp.sql("b", "select count(*) from t") == [["100"]]

    drive(host, story)


def test_long_answers_are_cut_and_the_rest_is_there(host: AgentHost) -> None:
    seeded(host)
    host.run("branch", "create", "b", "--from", "main")

    async def story(mcp: Driver) -> None:
        sql = "select g, repeat('x', 50) from generate_series(1, 1000) g"
        done = await mcp.call("db_execute_sql", branch="b", rows=30, sql=sql)
        found = done["statements"][0]["rows"]
        assert (len(found["rows"]), found["of"], found["next"]) == (30, 1000, 30)
        numbers = [int(row[0]) for row in found["rows"]]
        after = found["next"]
        while after is not None:
            part = await mcp.call("db_read_result", result=found["result"], after=after, limit=500)
            assert len(json.dumps(part)) < 22_000
            numbers += [int(row[0]) for row in part["value"]]
            after = part["next"]
        assert numbers == list(range(1, 1001))

        done = await mcp.call("db_execute_sql", branch="b", sql="select repeat('y', 1000000)")
        found = done["statements"][0]["rows"]
        assert found["cut_values"]
        assert len(found["rows"][0][0]) < 2100
        part = await mcp.call("db_read_result", result=found["result"], value_characters=10_000)
        assert len(part["value"][0][0]) > 10_000

        many = "".join(f"create table many_{number} (a int, b text);" for number in range(150))
        done = await mcp.call("db_execute_sql", branch="b", sql=many)
        assert (len(done["statements"]), done["statement_count"]) == (50, 150)
        host.run("branch", "create", "c", "--from", "main")
        found = await mcp.call("db_compare_branches", sides=["c", "b"])
        assert found["schema_changes"] == 150
        assert len(json.dumps(found)) < 24_000
        (cut,) = [item for item in found["cut"] if item["place"] == "/schema"]
        assert cut["of"] == 150
        part = await mcp.call("db_read_result", result=found["result"], place="/schema", after=149)
        assert (len(part["value"]), part["next"]) == (1, None)

    drive(host, story)


def test_two_calls_at_once_and_one_that_is_given_up(host: AgentHost) -> None:
    seeded(host)
    host.run("branch", "create", "b", "--from", "main")
    waits = """do $$ begin loop exit when exists (select from pg_locks where locktype = 'advisory');
               perform pg_sleep(0.01); end loop; end $$"""

    async def story(mcp: Driver) -> None:
        await asyncio.gather(
            mcp.sql("b", waits, timeout_seconds=60),
            mcp.sql("b", "select pg_advisory_lock(1), pg_sleep(1)", timeout_seconds=60),
        )
        call = asyncio.create_task(mcp.sql("b", "select pg_sleep(1000)", timeout_seconds=3000))
        while not await mcp.sql("b", SLEEPERS):
            await asyncio.sleep(0.02)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        for _ in range(500):
            if not await mcp.sql("b", SLEEPERS):
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the statement goes on")

    drive(host, story)


SLEEPERS = "select pid from pg_stat_activity where query like 'select pg_sleep(1000%'"


def test_passwords_come_from_one_tool_only(host: AgentHost) -> None:
    made = seeded(host)
    branch = host.json("branch", "create", "b", "--from", "main")
    secrets = [re.search(r":([^:@/]+)@", item["dsn"])[1] for item in (made, branch)]  # type: ignore[index]

    async def story(mcp: Driver) -> None:
        answers = [
            await mcp.call("db_list_sources"), await mcp.call("db_list_branches"),
            await mcp.call("db_list_checkpoints"), await mcp.call("db_schema", branch="b"),
            await mcp.call("db_create_branch", name="c", origin="b"),
            await mcp.call("db_reset_branch", branch="c"),
            await mcp.call("db_compare_branches", sides=["b", "c"]),
        ]  # fmt: skip
        assert not any(secret in json.dumps(answers) for secret in secrets)
        found = await mcp.call("db_connection_string", branch="b")
        assert found["url"] == branch["dsn"]
        assert secrets[1] not in found["psql"]

    drive(host, story)


def as_nobody(*groups: str) -> tuple[str, ...]:
    """Words that run a command as a user without privilege."""
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    more = ("--groups", ",".join(groups)) if groups else ("--clear-groups",)
    return ("setpriv", "--reuid", "nobody", "--regid", "nogroup", *more)


def test_it_can_do_what_its_user_can_and_no_more(host: AgentHost) -> None:
    try:
        grp.getgrnam("cowdb")
    except KeyError:
        pytest.skip("needs the group cowdb: hostprep/test makes it")
    seeded(host)
    host.run("branch", "create", "b", "--from", "main")

    async def member(mcp: Driver) -> None:
        assert (await mcp.call("db_list_branches"))["branches"][0]["owner"] == "root"
        text = await mcp.error("db_execute_sql", branch="b", sql="select 1")
        assert "branch 'b' belongs to root\nhint: make a branch of your own" in text
        assert "belongs to root" in await mcp.error("db_connection_string", branch="b")
        for tool in ("db_reset_branch", "db_remove_branch"):
            assert "root" in await mcp.error(tool, branch="b")
        await mcp.call("db_create_branch", name="mine", origin="main")
        assert await mcp.sql("mine", "select count(*) from t") == [["100"]]
        await mcp.call("db_remove_branch", branch="mine")

    async def stranger(mcp: Driver) -> None:
        text = await mcp.error("db_list_branches")
        assert "may not open the agent's socket" in text
        assert "hint: adduser USER cowdb" in text

    drive(host, member, before=as_nobody("cowdb"))
    drive(host, stranger, before=as_nobody())
    assert [item["name"] for item in host.json("branch", "list")] == ["b"]


@contextlib.contextmanager
def over_http(host: AgentHost, **variables: str) -> Iterator[tuple[str, int]]:
    """(the URL, the server's pid) of a server on any port."""
    child = subprocess.Popen(
        [*COWDB, "mcp", "--http", "--port", "0"], env={**host.environment, **variables},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stderr is not None
        line = child.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/mcp", line)
        assert found, line + child.stderr.read()
        yield found[0], child.pid
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.wait()
        assert child.stderr is not None
        child.stderr.close()


HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {},
               "clientInfo": {"name": "test", "version": "1"}},
}  # fmt: skip


def test_http_needs_the_token(host: AgentHost) -> None:
    seeded(host)

    async def story(url: str, token: str) -> list[str]:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as web:
            async with Client(streamable_http_client(url, http_client=web)) as client:
                found = await Driver(client).call("db_list_sources")
        return [item["name"] for item in found["sources"]]

    with over_http(host) as (url, pid):
        file = host.state_home / "cowdb" / "mcp-token"
        token = file.read_text().strip()
        assert file.stat().st_mode & 0o777 == 0o600
        assert token not in " ".join(psutil.Process(pid).cmdline())
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": token}):
            for method in ("GET", "POST", "DELETE"):
                refused = httpx2.request(method, url, headers=headers)
                assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        for foreign, status in (({"Host": "evil.example"}, 421), ({"Origin": "http://evil"}, 403)):
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", **foreign}
            assert httpx2.post(url, headers=headers, json=HELLO).status_code == status
        assert asyncio.run(story(url, token)) == ["main"]
        (listener,) = [item for item in psutil.Process(pid).net_connections()
                       if item.status == psutil.CONN_LISTEN]  # fmt: skip
        assert listener.laddr.ip == "127.0.0.1"
    with over_http(host, COWDB_MCP_TOKEN="of-the-environment") as (url, _):
        assert asyncio.run(story(url, "of-the-environment")) == ["main"]
        assert httpx2.get(url, headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_without_the_package_it_says_how_to_get_it(host: AgentHost, tmp_path: Path) -> None:
    """As where `cowdb` is installed without its extra."""
    (tmp_path / "mcp").mkdir()
    (tmp_path / "mcp" / "__init__.py").write_text("")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [*COWDB, "mcp"], env={**host.environment, "PYTHONPATH": path}, check=False,
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "needs the package mcp" in done.stderr
    assert "pip install 'cowdb[mcp]'" in done.stderr


def test_the_server_ends_with_its_client(host: AgentHost) -> None:
    before = {process.pid for process in psutil.process_iter()}

    async def story(mcp: Driver) -> None:
        assert (await mcp.call("db_list_branches"))["of"] == 0

    drive(host, story)

    def gone() -> bool:
        return not [process for process in psutil.process_iter(["cmdline"])
                    if process.pid not in before and process.info["cmdline"]
                    and process.info["cmdline"][-1:] == ["mcp"]]  # fmt: skip

    eventually(gone)
