"""Who may do what, as two users of the group find it, over the real socket."""

from __future__ import annotations

import contextlib
import grp
import inspect
import json
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.agenthost import COWDB, AgentHost
from tests.host.usecase import ROWS, background, count, eventually, raw, seeded

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Person:
    """An OS user without privilege."""

    name: str
    host: AgentHost

    @property
    def identity(self) -> dict[str, Any]:
        entry = pwd.getpwnam(self.name)
        groups = os.getgrouplist(self.name, entry.pw_gid)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}

    def run(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in self.host.environment.items()
                       if name not in ("HOME", "USER")}  # fmt: skip
        done = subprocess.run(
            [*COWDB, *words], env={**environment, "HOME": "/nonexistent"}, cwd=REPOSITORY,
            capture_output=True, text=True, check=False, timeout=120, **self.identity,
        )  # fmt: skip
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def error(self, *words: str, status: int) -> dict[str, str]:
        done = self.run(*words, "--json", status=status)
        assert done.stdout == ""
        found: dict[str, str] = json.loads(done.stderr)["error"]
        return found


@pytest.fixture(scope="module")
def names() -> Iterator[list[str]]:
    """Two users in the group cowdb and one outside."""
    made = [f"cowdbtest{os.getpid() % 100000}{letter}" for letter in "abc"]
    try:
        grp.getgrnam("cowdb")
    except KeyError:
        pytest.skip("needs the group cowdb: hostprep/test makes it")
    try:
        for name in made:
            words = [] if name.endswith("c") else ["--groups", "cowdb"]
            subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", *words, name],
                           check=True, capture_output=True)  # fmt: skip
        yield made
    finally:
        for name in made:
            subprocess.run(["userdel", name], check=False, capture_output=True)


@pytest.fixture
def people(host: AgentHost, names: list[str]) -> list[Person]:
    return [Person(name, host) for name in names]


@pytest.fixture
def desk() -> Iterator[Path]:
    """A directory that everybody can read, which pytest's own is not."""
    made = Path(tempfile.mkdtemp(prefix="cowdb-test-", dir="/var/tmp"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def test_socket_is_the_groups(host: AgentHost) -> None:
    found = host.config.socket.stat()
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert grp.getgrgid(found.st_gid).gr_name == "cowdb"
    assert found.st_uid == 0
    for path in (host.config.store, host.config.state_dir / "secret.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(host.config.log_dir.stat().st_mode) == 0o750


def test_nobody_loses_a_name_or_a_reset_by_another_ones_removal(people: list[Person]) -> None:
    ann, bob, _ = people
    seeded(ann.host)
    ann.json("branch", "create", "anns", "--from", "main")
    bob.json("snapshot", "create", "anns@bobs")
    error = ann.error("branch", "rm", "anns", "--promote", status=7)
    assert "rename snapshot 'anns@bobs'" in error["message"]
    ann.json("snapshot", "create", "anns@mine")
    bob.json("branch", "create", "bobs", "--from", "anns@mine")
    error = ann.error("snapshot", "rm", "anns@mine", "--promote", status=7)
    assert "take its snapshot from branch 'bobs'" in error["message"]
    for words in (("branch", "rm", "anns"), ("snapshot", "rm", "anns@mine")):
        bob.error(*words, "--promote", status=7)
    bob.json("snapshot", "rm", "anns@bobs")
    bob.json("branch", "create", "implicit", "--from", "anns")  # has no name that could change
    moved = ann.json("branch", "rm", "anns", "--promote")["snapshots"]
    assert moved == [{"was": "anns@mine", "ref": "main@anns.mine"}]
    bob.json("branch", "reset", "bobs")
    bob.json("branch", "reset", "implicit")


def test_a_user_has_so_many_branches_and_not_more(people: list[Person]) -> None:
    ann, bob, _ = people
    host = ann.host
    seeded(host)
    host.configure(branches_per_user=2)
    host.restart_agent()
    try:
        for name in ("a", "b"):
            ann.json("branch", "create", name, "--from", "main")
        error = ann.error("branch", "create", "c", "--from", "main", status=5)
        assert error["code"] == "too_many"
        assert f"user {ann.name!r} has 2 branches" in error["message"]
        assert host.json("snapshot", "list") == [], "none was taken for nothing"
        bob.json("branch", "create", "bobs", "--from", "main")
        for name in ("x", "y", "z"):
            host.json("branch", "create", name, "--from", "main")
        ann.json("snapshot", "create", "a@s")
        found = ann.json("diff", "a", "a@s", "--schema")  # by a hidden branch of the snapshot
        assert found["identical"]
        ann.json("branch", "rm", "b")
        ann.json("branch", "create", "c", "--from", "main")
    finally:
        host.configure()
        host.restart_agent()


def test_member_makes_and_removes_what_is_his(people: list[Person]) -> None:
    ann, bob, _ = people
    seeded(ann.host)
    made = ann.json("branch", "create", "anns", "--from", "main")
    assert made["owner"] == ann.name
    assert count(ann.host, made["dsn"]) == ROWS
    ann.json("branch", "stop", "anns")
    ann.json("branch", "start", "anns")
    ann.json("branch", "reset", "anns")
    ann.json("snapshot", "create", "anns@s")
    seen = bob.json("branch", "show", "anns")
    assert urlsplit(seen["dsn"]).password is None
    assert urlsplit(seen["dsn"]).port == made["port"]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(seen["dsn"])
    for words in (
        ("branch", "rm", "anns"), ("branch", "reset", "anns"), ("branch", "stop", "anns"),
        ("branch", "start", "anns"), ("branch", "protect", "anns"), ("snapshot", "rm", "anns@s"),
        ("snapshot", "protect", "anns@s"), ("snapshot", "create", "anns@t", "--mode", "stop"),
        ("snapshot", "create", "main@t", "--mode", "stop"), ("source", "rm", "main"),
        ("source", "stop", "main"), ("init",), ("init", "--undo"), ("doctor", "--repair"),
        ("doctor", "--rebuild"),
        ("source", "add", "x", "--attach", "/var/lib"),
    ):  # fmt: skip
        error = bob.error(*words, status=7)
        assert error["code"] == "not_permitted", words
        assert error["hint"], words
    assert urlsplit(ann.json("source", "show", "main")["dsn"]).password is None
    assert bob.json("snapshot", "show", "anns@s")["ref"] == "anns@s"
    mine = bob.json("branch", "create", "bobs", "--from", "anns@s")
    assert urlsplit(mine["dsn"]).password
    bob.json("branch", "rm", "bobs")
    ann.json("snapshot", "rm", "anns@s")
    ann.json("branch", "rm", "anns")


def test_root_may_all(people: list[Person]) -> None:
    ann = people[0]
    seeded(ann.host)
    made = ann.json("branch", "create", "anns", "--from", "main")
    assert ann.host.json("branch", "show", "anns")["dsn"] == made["dsn"]
    ann.host.json("branch", "rm", "anns")


def test_member_may_diff_run_and_connect(people: list[Person]) -> None:
    ann, _, _ = people
    made = seeded(ann.host)
    ann.json("snapshot", "create", "main@s")
    ann.json("branch", "create", "anns", "--from", "main@s")
    assert ann.json("diff", "main@s", "anns")["identical"]
    done = ann.run("run", "--from", "main@s", "--", "psql", "-XAtc", "select count(*) from t")
    assert done.stdout == f"{ROWS}\n"
    assert ann.run("connect", "anns", "--", "-XAtc", "select 1").stdout == "1\n"
    done = ann.run("connect", "main", "--", "-wXAtc", "select 1", status=2)  # psql's own status
    assert "password" in done.stderr
    assert made["dsn"] not in done.stderr


def test_what_a_user_brings_is_read_with_his_rights(people: list[Person], desk: Path) -> None:
    """SQL and dumps are loaded by the client: what only root can read stays closed."""
    ann, _, _ = people
    script = desk / "own.sql"
    script.write_text("create table mine as select 1 one;\n")
    made = ann.json("source", "add", "anns", "--sql", str(script))
    assert made["owner"] == ann.name
    assert ann.host.sql(made["dsn"], "select * from mine") == [(1,)]
    script.write_text("\\i " + str(ann.host.config.state_dir / "secret.key") + "\n")
    error = ann.error("source", "add", "other", "--sql", str(script), status=1)
    assert "Permission denied" in error["message"]
    script.chmod(0o600)
    error = ann.error("source", "add", "other", "--sql", str(script), status=2)
    assert "not readable" in error["message"]
    assert [item["name"] for item in ann.json("source", "list")] == ["anns"]
    ann.json("source", "rm", "anns")


def test_member_does_not_finish_the_loading_of_another(people: list[Person], desk: Path) -> None:
    ann, bob, _ = people
    script = desk / "slow.sql"
    script.write_text("select pg_sleep(60);\n")
    with background(ann.host, "source", "add", "slow", "--sql", str(script), cwd=REPOSITORY,
                    **ann.identity):  # fmt: skip
        eventually(lambda: [item["state"] for item in ann.json("source", "list")] == ["loading"])
        assert bob.error("source", "rm", "slow", status=7)["code"] == "not_permitted"
    eventually(lambda: ann.json("source", "list") == [])


def test_user_outside_the_group(people: list[Person]) -> None:
    cid = people[2]
    error = cid.error("branch", "list", status=7)
    assert "cowdb" in error["hint"]
    cid.host.stop_agent()
    assert cid.error("branch", "list", status=6)["code"] == "agent_unreachable"
    done = cid.run("agent", "serve", status=7)
    assert "root" in done.stderr


def test_caller_is_who_the_socket_says(people: list[Person]) -> None:
    ann = people[0]
    seeded(ann.host)
    ann.json("branch", "create", "anns", "--from", "main")
    lines = [json.loads(line) for line in
             (ann.host.config.log_dir / "audit.jsonl").read_text().splitlines()]  # fmt: skip
    line = [item for item in lines if (item["body"] or {}).get("name") == "anns"][-1]
    assert (line["user"], line["uid"]) == (ann.name, pwd.getpwnam(ann.name).pw_uid)
    assert line["outcome"] == "done"
    # What she runs must not need the checkout, which may be in root's home.
    code = (
        f"{inspect.getsource(raw)}\n"
        f"print(raw(Path({str(ann.host.config.socket)!r}), 'DELETE', '/v1/sources/main', None, "
        "**{'X-Remote-Uid': '0', 'Remote-User': 'root'})[0])"
    )
    imports = "from __future__ import annotations\nimport http.client, json, socket\n" \
              "from pathlib import Path\nfrom typing import Any\n"  # fmt: skip
    done = subprocess.run([COWDB[0], "-c", imports + code], cwd="/", capture_output=True, text=True,
                          check=False, **ann.identity)  # fmt: skip
    assert done.stdout == "403\n", done.stderr
    assert raw(ann.host.config.socket, "GET", "/v1/sources/main")[0] == 200


def test_socket_of_a_branch_is_nobodys(people: list[Person]) -> None:
    """Peer authentication leads to the superuser: only root and the server may get there."""
    ann = people[0]
    made = seeded(ann.host)
    (sockets,) = (ann.host.config.run_dir / "servers").iterdir()
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    done = subprocess.run(
        ["psql", "-h", str(sockets), "-p", str(made["port"]), "-U", "postgres", "-Xc", "select 1"],
        capture_output=True, text=True, check=False, cwd="/", **ann.identity,
    )  # fmt: skip
    assert done.returncode == 2
    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{made['port']}/main")
        raise AssertionError("it let somebody in without a password")
