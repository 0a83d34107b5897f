"""What a branch's superuser plants in its data directory is never followed by root, and cowdb
says what is wrong where it cannot go on."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.agenthost import AgentHost
from tests.host.truths.clusters import until
from tests.host.truths.conftest import Fleet


@pytest.fixture
def roots() -> Iterator[Path]:
    """A directory of root's with files that nothing may read into a branch, change or remove."""
    place = Path(tempfile.mkdtemp(prefix="cowdb-truths-", dir="/var/tmp"))
    (place / "sub").mkdir()
    for path in (place / "file", place / "sub/state"):
        path.write_text("work_mem = '77MB'\n")
        path.chmod(0o600)
    yield place
    shutil.rmtree(place)


def _facts(place: Path) -> list[tuple[Any, ...]]:
    found = []
    for path in [place, *sorted(place.rglob("*"))]:
        status = path.lstat()
        text = path.read_text() if path.is_file() else ""
        found.append((str(path), status.st_uid, status.st_gid, status.st_mode, text))
    return found


@dataclass
class Branch:
    host: AgentHost
    name: str
    dsn: str
    data: Path

    def program(self, command: str) -> None:
        """Run a shell command as the branch's superuser can, in the data directory."""
        quoted = command.replace("'", "''")
        self.host.sql(self.dsn, f"copy (select 1) to program '{quoted}'")

    def plant(self, name: str, target: Path | None) -> None:
        """Put a link, or a FIFO, in the place of what is there."""
        new = f"ln -s {target}" if target else "mkfifo"
        self.program(f"rm -rf {name}.was; mv {name} {name}.was; {new} {name}")

    @property
    def state(self) -> str:
        return str(self.host.json("branch", "show", self.name)["state"])


@pytest.fixture
def branch(fleet: Fleet) -> Branch:
    return _branch(fleet)


@pytest.fixture
def any_branch(any_fleet: Fleet) -> Branch:
    return _branch(any_fleet)


def _branch(fleet: Fleet) -> Branch:
    made = fleet.host.json("source", "add", "prod", "--empty")
    fleet.host.sql(made["dsn"], "create table users as select generate_series(1, 10) as id")
    fleet.host.json("snapshot", "create", "prod@s")
    found = fleet.branch("b", "prod@s")
    return Branch(fleet.host, "b", found["dsn"], Path(found["datadir"]))


FILES = ["postmaster.pid", "postgresql.conf", "postgresql.auto.conf", "pg_replslot",
         "pg_stat_tmp", "standby.signal", "tablespace_map"]  # fmt: skip


def test_links_in_a_running_branch(any_branch: Branch, roots: Path) -> None:
    """Reset, list, snapshot and remove, with every name planted at once."""
    branch, host = any_branch, any_branch.host
    before = _facts(roots)
    for name in FILES:
        branch.plant(name, roots / ("sub" if name.startswith("pg_") else "file"))
    branch.program(f"ln -s {roots}/sub extra; ln -s {roots}/file server.key; mkfifo pipe")
    assert branch.state == "running"
    host.json("snapshot", "create", "b@planted")
    child = host.json("branch", "create", "c", "--from", "b@planted")
    assert host.sql(child["dsn"], "select count(*) from users") == [(10,)]
    assert host.sql(child["dsn"], "show work_mem") != [("77MB",)]
    data = Path(child["datadir"])
    assert [path for path in data.rglob("*") if path.is_symlink()] == []
    assert _facts(roots) == before
    host.json("branch", "rm", "c")
    host.json("snapshot", "rm", "b@planted")
    host.json("branch", "reset", "b")
    assert host.sql(branch.dsn, "select count(*) from users") == [(10,)]
    assert [path for path in branch.data.rglob("*") if path.is_symlink()] == []
    assert _facts(roots) == before


@pytest.mark.parametrize("target", ["file", "fifo"])
@pytest.mark.parametrize("name", ["postgresql.conf", "postgresql.auto.conf"])
def test_a_planted_settings_file_over_a_restart(
    branch: Branch, roots: Path, name: str, target: str
) -> None:
    """The server itself stumbles over it, as its own OS user; cowdb waits for no FIFO."""
    host, before = branch.host, _facts(roots)
    branch.plant(name, roots / target if target == "file" else None)
    host.json("branch", "stop", "b")
    assert branch.state == "stopped"
    if target == "fifo":
        error = host.error("branch", "start", "b", status=1)
        assert error["code"] == "unsound"
        assert name in error["message"]
        assert "reset" in error["hint"]
    elif name == "postgresql.conf":  # of the other Postgres only says that it cannot read it
        error = host.error("branch", "start", "b", status=1)
        assert error["code"] == "server"
        assert name in error["message"]
        assert "Permission denied" in error["message"]
    child = host.json("branch", "create", "c", "--from", "b")
    assert host.sql(child["dsn"], "select count(*) from users") == [(10,)]
    assert host.sql(child["dsn"], "show work_mem") != [("77MB",)]
    host.json("branch", "reset", "b")
    assert host.sql(branch.dsn, "select count(*) from users") == [(10,)]
    assert _facts(roots) == before


@pytest.mark.parametrize("target", ["file", "fifo"])
def test_a_planted_lock_file_while_it_runs_and_after_it_was_killed(
    branch: Branch, roots: Path, target: str
) -> None:
    host, before = branch.host, _facts(roots)
    for kill in (False, True):
        branch.plant("postmaster.pid", roots / target if target == "file" else None)
        if kill:
            branch.program("kill -9 $(head -1 postmaster.pid.was)")
            until(lambda: branch.state == "crashed")
        states = [item["state"] for item in host.json("branch", "list")]
        assert states == ["crashed" if kill else "running"]
        host.json("branch", "show", "b")
        host.run("status")
        child = host.json("branch", "create", "c", "--from", "b")
        assert host.sql(child["dsn"], "select count(*) from users") == [(10,)]
        if kill:
            host.restart_agent()
            assert [item["name"] for item in host.json("branch", "list")] == ["b", "c"]
            host.json("branch", "start", "b")
            assert host.sql(branch.dsn, "select count(*) from users") == [(10,)]
        host.json("branch", "rm", "c")
        host.json("branch", "reset", "b")
        assert host.sql(branch.dsn, "select count(*) from users") == [(10,)]
        branch.data = Path(host.json("branch", "show", "b")["datadir"])
    assert _facts(roots) == before


@pytest.mark.parametrize("name", ["pg_tblspc/99999", "base/99999", "pg_wal"])
def test_a_link_that_data_would_go_through_is_refused(
    any_branch: Branch, roots: Path, name: str
) -> None:
    branch, host = any_branch, any_branch.host
    before = _facts(roots)
    if name == "pg_wal":
        branch.program(f"mv pg_wal pg_wal.was; ln -s {roots}/sub pg_wal")
    else:
        branch.program(f"ln -s {roots}/sub {name}")
    for words in (["snapshot", "create", "b@x"], ["branch", "create", "c", "--from", "b"]):
        error = host.error(*words, status=1)
        assert error["code"] == "unsound"
        assert name in error["message"]
        assert str(roots) in error["message"]
        assert error["hint"]
    if name != "pg_wal":
        host.json("branch", "stop", "b")
        host.json("branch", "start", "b")
    host.json("branch", "reset", "b")
    assert host.sql(branch.dsn, "select count(*) from users") == [(10,)]
    assert _facts(roots) == before


def test_removing_reaches_nothing_outside(any_branch: Branch, roots: Path) -> None:
    branch, host = any_branch, any_branch.host
    before = _facts(roots)
    branch.program(f"mkdir -p a/b; ln -s {roots} a/b/c; ln -s {roots} pg_replslot/x; "
                   f"ln -s {roots}/sub pg_tblspc/99999; mkdir pg_replslot/y; mkfifo a/pipe; "
                   f"ln -s {roots}/sub pg_replslot/y/z")  # fmt: skip
    host.json("branch", "rm", "b")
    assert _facts(roots) == before
    assert not os.path.lexists(branch.data)
