"""`cowdb lab run` as a command: what it takes, what it leaves, how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agenthost import COWDB, AgentHost, agent_host
from tests.host.lab import labfile
from tests.host.usecase import background, eventually, raw

FILES = {
    "add.sql": "alter table users add column level int default 1;",
    "bad.sql": "select nothing;",
}
GOOD = {"name": "good", "sql": "add.sql"}
BAD = {"name": "bad", "sql": "bad.sql"}


@pytest.fixture(scope="module")
def shop(btrfs_host: AgentHost) -> Iterator[AgentHost]:
    with labfile.cleaned(btrfs_host) as host:
        labfile.shop(host)
        yield host


@pytest.fixture
def host(shop: AgentHost) -> Iterator[AgentHost]:
    """The shop's host, with no branch left over from another test."""
    yield shop
    for branch in shop.json("branch", "list"):
        shop.run("branch", "rm", branch["name"])


def _branches(host: AgentHost) -> list[str]:
    return [item["name"] for item in host.json("branch", "list")]


def _error(host: AgentHost, path: Path, status: int) -> dict[str, str]:
    """With --json, and nothing on stdout."""
    found = host.error("lab", "run", str(path), status=status)
    assert _branches(host) == []
    return found


def test_every_strategy_as_often_as_asked(host: AgentHost) -> None:
    path = labfile.write(host, [GOOD, {"name": "longer" * 9, "command": "psql -qf add.sql"}], FILES,
                         runs=2, parallel=2)  # fmt: skip
    done = labfile.run(host, path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert [len(item["runs"]) for item in found["strategies"]] == [2, 2]
    names = [run["branch"] for item in found["strategies"] for run in item["runs"]]
    assert len(set(names)) == 4 and all(len(name) <= 63 for name in names)
    assert names[:2] == [f"lab-{found['id']}-good-{number}" for number in (1, 2)]
    assert len(found["strategies"][0]["duration_ms"]["values"]) == 2
    assert found["ends"] == {"schema": True, "rows": True, "groups": [["good", "longer" * 9]]}
    assert (found["checkpoint"], found["database"]) == ("main@loaded", "main")
    assert _branches(host) == []


def test_a_failed_verdict(host: AgentHost) -> None:
    path = labfile.write(host, [GOOD, BAD], FILES)
    done = labfile.run(host, path)
    assert done.returncode == 3
    assert "[1/2] good: run 1 took" in done.stderr
    (kept,) = _branches(host)
    assert kept.startswith("lab-") and kept.endswith("-bad-1")
    assert f"cowdb connect {kept}" in done.stdout


def test_which_branches_stay(host: AgentHost) -> None:
    path = labfile.write(host, [GOOD, BAD], FILES, keep="none")
    assert labfile.report(host, path)["verdict"] == "fail"
    assert _branches(host) == []


def test_settings_and_a_branch_that_is_kept(host: AgentHost) -> None:
    """work_mem needs a reload, max_connections a restart; the lab's own settings are gone."""
    postgres = {"settings": {"work_mem": "7MB", "max_connections": 55, "jit": False}}
    check = "select current_setting('work_mem') = '7MB' and current_setting('jit') = 'off'" \
        " and current_setting('max_connections') = '55'"  # fmt: skip
    path = labfile.write(host, [GOOD], FILES, postgres=postgres, keep="all",
                         validate=[{"name": "settings", "sql": check}])  # fmt: skip
    found = labfile.report(host, path)
    (run,) = found["strategies"][0]["runs"]
    assert run["validations"] == [
        {"name": "settings", "passed": True, "value": "true", "error": None}
    ]
    dsn = host.json("branch", "show", run["branch"])["dsn"]
    ours = host.sql(dsn, "select name from pg_file_settings where sourcefile like '%auto.conf' "
                    "and name ~ '^log_|deadlock'")  # fmt: skip
    assert ours == []
    assert host.sql(dsn, "select evtname from pg_event_trigger") == []
    assert host.sql(dsn, "select 1 from pg_namespace where nspname = 'cowdb_lab'") == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"work_memory": "1MB"}, ["settings.work_memory", "no such setting"]),
        ({"work_mem": "much"}, ["settings.work_mem", "much"]),
        ({"archive_mode": "on"}, ["settings.archive_mode", "cowdb holds it"]),
    ],
)
def test_settings_that_are_wrong(host: AgentHost, settings: Any, words: list[str]) -> None:
    path = labfile.write(host, [GOOD], FILES, postgres={"settings": settings})
    error = _error(host, path, 2)
    assert all(word in error["message"] for word in words), error


def test_a_database_that_is_not_there(host: AgentHost) -> None:
    error = _error(host, labfile.write(host, [GOOD], FILES, postgres={"databases": ["shop"]}), 4)
    assert "'shop'" in error["message"] and "main" in error["hint"]


def test_a_checkpoint_by_its_name_alone(host: AgentHost) -> None:
    missing = labfile.write(host, [GOOD], FILES, checkpoint="unloaded")
    assert "no source has a snapshot named 'unloaded'" in _error(host, missing, 4)["message"]
    host.json("source", "add", "other", "--empty")
    host.json("snapshot", "create", "other@loaded")
    try:
        error = _error(host, labfile.write(host, [GOOD], FILES), 2)
        assert "main@loaded, other@loaded" in error["message"]
        exact = labfile.write(host, [GOOD], FILES, checkpoint="main@loaded")
        assert labfile.report(host, exact)["verdict"] == "pass"
    finally:
        host.run("snapshot", "rm", "other@loaded")
        host.run("source", "rm", "other")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ended_by_a_signal(host: AgentHost, number: signal.Signals) -> None:
    """What had failed stays, everything else goes: the branches, the command and its children."""
    mark = host.base / "began"
    mark.unlink(missing_ok=True)
    slow = {"name": "slow", "command": f"touch {mark}; psql -c 'select pg_sleep(300)'"}
    path = labfile.write(host, [BAD, slow], FILES)
    with background(host, "lab", "run", str(path), "--json") as lab:
        eventually(mark.exists, 60)
        lab.send_signal(number)
        out, err = lab.communicate(timeout=60)
    assert (lab.returncode, out) == (1, "")
    error = json.loads(err)["error"]
    (kept,) = _branches(host)
    assert "-bad-1" in kept and kept in error["hint"] and number.name in error["message"]
    assert not _runs("pg_sleep(300)")


def _runs(text: str) -> bool:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in entry.read_bytes() and int(entry.parent.name) != os.getpid():
                return True
        except OSError:
            continue
    return False


def test_the_environment_of_a_command(host: AgentHost) -> None:
    """In the lab file's directory, with the branch's address, as the caller, without stdin."""
    script = (
        'test "$PWD" = "$(pwd)" && test -f add.sql && test "$MORE" = x && ! read line'
        ' && psql "$DATABASE_URL" -Atc "select current_database()" && psql -Atc "select 1" && id -u'
    )
    strategy = {"name": "env", "command": script, "environment": {"MORE": "x"}}
    found = labfile.report(host, labfile.write(host, [strategy], FILES))
    run = found["strategies"][0]["runs"][0]
    assert (run["exit_code"], run["output"]) == (0, f"main\n1\n{os.getuid()}\n")


def test_validations(host: AgentHost) -> None:
    validate = [
        {"name": "holds", "sql": "select count(*) > 0 from users"},
        {"name": "does not", "sql": "select count(*) = 0 from users"},
        {"name": "null", "sql": "select null::boolean"},
        {"name": "a number", "sql": "select 1"},
        {"name": "an error", "sql": "select nothing"},
        {"name": "writes", "sql": "delete from users returning true"},
    ]
    found = labfile.report(host, labfile.write(host, [GOOD], FILES, validate=validate))
    (run,) = found["strategies"][0]["runs"]
    checks = {item["name"]: item for item in run["validations"]}
    assert [name for name, item in checks.items() if item["passed"]] == ["holds"]
    assert checks["does not"]["value"] == "false"
    assert "not true or false" in checks["a number"]["error"]
    assert "nothing" in checks["an error"]["error"]
    assert "read-only" in checks["writes"]["error"]
    assert run["difference"]["counts"][-1]["counts"] == [labfile.ROWS, labfile.ROWS]


def test_under_load(host: AgentHost) -> None:
    """Traffic waits for the strategy's lock, and is told from it."""
    load = {"queries": [{"name": "read", "sql": "select count(*) from tiny"}], "clients": 2,
            "before": "300ms", "after": "300ms"}  # fmt: skip
    sql = "begin;\nlock table tiny;\nselect pg_sleep(0.7);\ncommit;\n"
    path = labfile.write(host, [{"name": "locking", "sql": "lock.sql"}],
                         {**FILES, "lock.sql": sql}, load=load)  # fmt: skip
    found = labfile.report(host, path)
    (run,) = found["strategies"][0]["runs"]
    phases = {item["phase"]: item for item in run["load"]["phases"]}
    assert set(phases) == {"before", "during", "after"}
    assert phases["during"]["stall_ms"] > 600
    waiting = [item for item in run["waits"] if item["who"] == "load"]
    assert waiting and max(item["waited_ms"] for item in waiting) > 500
    assert all("lock table tiny" in item["behind"][0] or "pg_sleep" in item["behind"][0]
               for item in waiting)  # fmt: skip
    assert [item["text"] for item in run["statements"]] == [
        "begin;", "lock table tiny;", "select pg_sleep(0.7);", "commit;"
    ]  # fmt: skip
    assert ("public.tiny", "AccessExclusiveLock") in labfile.locks(run, "reads")


def test_a_run_is_kept(host: AgentHost) -> None:
    found = labfile.report(host, labfile.write(host, [GOOD], FILES))
    folder = (
        host.state_home / "cowdb/lab" / found["id"] / found["strategies"][0]["runs"][0]["branch"]
    )
    assert "alter table users add column level" in (folder / "statements.sql").read_text()
    assert "statement: alter table users" in (folder / "server.log").read_text()
    assert "wal" in (folder / "samples.jsonl").read_text()


def test_the_log_of_a_branch(host: AgentHost) -> None:
    host.json("branch", "create", "talk", "--from", "main@loaded")
    dsn = host.json("branch", "show", "talk")["dsn"]
    before = host.json("branch", "log", "talk")
    assert "ready to accept connections" in before["text"]
    host.sql(dsn, "do $$ begin raise log 'hello from sql'; end $$")
    after = host.json("branch", "log", "talk", "--after", str(before["next"]))
    assert "hello from sql" in after["text"] and after["after"] == before["next"]
    assert after["next"] == after["size"]
    assert "hello from sql" in host.run("branch", "log", "talk").stdout
    with background(host, "branch", "log", "talk", "--follow") as follower:
        assert follower.stdout is not None
        stream = follower.stdout.fileno()
        os.set_blocking(stream, False)
        host.sql(dsn, "do $$ begin raise log 'hello again'; end $$")
        said: list[bytes] = []

        def told() -> bool:
            with contextlib.suppress(BlockingIOError):
                said.append(os.read(stream, 65536))
            return b"hello again" in b"".join(said)

        eventually(told, 60)
        follower.send_signal(signal.SIGINT)
        follower.communicate(timeout=20)
        assert follower.returncode == 0
    status, answer = raw(host.config.socket, "GET", "/v1/branches/talk/log?after=x")
    assert (status, answer["error"]["code"]) == (400, "invalid")


def test_the_log_of_somebody_else_s_branch(host: AgentHost) -> None:
    """It may hold whatever statements hold."""
    host.json("branch", "create", "mine", "--from", "main@loaded")
    script = (
        "import sys; from pathlib import Path; from tests.host.usecase import raw;"
        "print(*raw(Path(sys.argv[1]), 'GET', '/v1/branches/mine/log'))"
    )
    host.config.socket.chmod(0o666)
    try:
        done = subprocess.run(
            [COWDB[0], "-c", script, str(host.config.socket)], user=65534, group=65534,
            extra_groups=[], capture_output=True, text=True, check=True, env=host.environment,
            cwd=Path(__file__).parents[3],
        )  # fmt: skip
    finally:
        host.config.socket.chmod(0o660)
    assert done.stdout.startswith("403") and "belongs to" in done.stdout


def test_without_an_agent() -> None:
    """Root's own commands serve themselves, one at a time."""
    with agent_host("btrfs", agent=False) as host:
        labfile.shop(host)
        path = labfile.write(host, [GOOD, {"name": "also", "sql": "add.sql"}], FILES, parallel=2)
        assert labfile.report(host, path)["verdict"] == "pass"
        assert _branches(host) == []
        host.wipe()
