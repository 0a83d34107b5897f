"""Bad days: each ends with a message, a way out and the right exit code, and leaves nothing."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agenthost import COWDB, AgentHost, agent_host
from tests.host.truths.clusters import Cluster, as_owner, home
from tests.host.usecase import (
    ROWS,
    background,
    count,
    eventually,
    postmaster,
    seeded,
)
from tests.loopfs import missing


def test_agent_killed_while_it_works_for_somebody(host: AgentHost) -> None:
    seeded(host)
    with background(host, "source", "add", "late", "--empty", "--json") as client:
        eventually(lambda: "source add late begun" in host.log.read_text())
        assert host.daemon is not None
        host.daemon.send_signal(signal.SIGKILL)
        host.daemon.wait(20)
        out, err = client.communicate(timeout=60)
    assert client.returncode == 6, err
    assert out == ""
    assert "agent_unreachable" in err
    assert "starts again" in err
    host.start_agent()
    assert [item["name"] for item in host.json("source", "list")] == ["main"]
    assert host.remains()["doctor"] == []
    host.json("source", "add", "late", "--empty")


def test_attached_source_that_is_down(host: AgentHost) -> None:
    if not Path("/usr/lib/postgresql").is_dir():
        missing("needs PostgreSQL under /usr/lib/postgresql")
    with home(host, "prod") as place:
        data, run = place / "data", Path(tempfile.mkdtemp(prefix="cowdb-test-", dir="/var/tmp"))
        shutil.chown(run, "postgres", "postgres")
        prod = Cluster(data, run)
        try:
            as_owner(prod.bin / "initdb", "-D", data, "-A", "trust", "-N")
            prod.configure(unix_socket_directories=run, port=prod.port)
            prod.start()
            host.json("source", "add", "prod", "--attach", str(data))
            prod.stop()
            assert host.json("source", "show", "prod")["state"] == "stopped"
            error = host.error("diff", "prod", "prod2", status=5)
            assert "start" in error["hint"]
            assert json.loads(host.run("connect", "prod", "--json").stdout)["dsn"] is None
            error = host.error("source", "start", "prod", status=2)
            assert "what runs it" in error["hint"]
            for mode in ("online", "checkpoint", "stop"):  # it needs no server: it is at rest
                taken = host.json("snapshot", "create", f"prod@{mode}", "--mode", mode)
                assert taken["consistency"] == "clean"
            branch = host.json("branch", "create", "a", "--from", "prod@online")
            assert host.sql(branch["dsn"], "select 1") == [(1,)]
            host.wipe()
        finally:
            prod.close()
            shutil.rmtree(run)


def test_no_agent_and_not_root(host: AgentHost) -> None:
    host.stop_agent()
    done = _as_nobody(host, "status")
    assert done.returncode == 6, done.stderr
    assert "agent_unreachable" in done.stderr
    assert "cowdb agent serve" in done.stderr


def test_user_who_is_not_in_the_group(host: AgentHost) -> None:
    done = _as_nobody(host, "status")
    assert done.returncode == 7, done.stderr
    assert "not_permitted" in done.stderr
    assert "cowdb" in done.stderr


def _as_nobody(host: AgentHost, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COWDB, *words, "--json"], env=host.environment, cwd="/", user="nobody",
        group="nogroup", extra_groups=[], capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_server_that_does_not_start_shows_its_log(host: AgentHost) -> None:
    seeded(host)
    branch = host.json("branch", "create", "a", "--from", "main")
    host.sql(branch["dsn"], "alter system set work_mem = '1MB'")
    host.json("branch", "stop", "a")
    auto = Path(branch["datadir"]) / "postgresql.auto.conf"
    good = auto.read_text()
    auto.write_text(good + "no_such_setting = 1\n")
    error = host.error("branch", "start", "a", status=1)
    assert error["code"] == "server"
    assert "no_such_setting" in error["message"]
    assert error["hint"]
    assert host.json("branch", "show", "a")["state"] == "stopped"
    auto.write_text(good)
    assert host.json("branch", "start", "a")["state"] == "running"
    assert count(host, branch["dsn"]) == ROWS


def test_reset_mends_a_branch_whose_files_are_broken(host: AgentHost) -> None:
    seeded(host)
    branch = host.json("branch", "create", "a", "--from", "main")
    host.json("branch", "stop", "a")
    (Path(branch["datadir"]) / "global/pg_control").unlink()
    host.error("branch", "start", "a", status=1)
    assert host.json("branch", "reset", "a")["state"] == "running"
    assert count(host, branch["dsn"]) == ROWS


def test_a_database_that_keeps_the_agent_out_keeps_no_branch_back(host: AgentHost) -> None:
    """The agent's first session is with the database that clients will ask for."""
    made = seeded(host)
    name = made["database"]
    host.sql(made["dsn"], "create role weak", f"alter database {name} set role = 'weak'",
             f"alter database {name} set statement_timeout = '1ms'")  # fmt: skip
    first = host.json("branch", "create", "weak", "--from", "main")
    assert host.sql(first["dsn"], "show role") == [("weak",)]
    change = f"alter database {name} set session_preload_libraries = 'not_there'"
    host.sql(made["dsn"].replace(f"/{name}", "/postgres"), change)
    other = host.json("branch", "create", "other", "--from", "main")
    assert host.sql(other["dsn"].replace(f"/{name}", "/postgres"), "select 1") == [(1,)]


def test_another_servers_memory_is_not_taken_for_its_own(host: AgentHost) -> None:
    """Postgres knows its memory by the device and inode of its directory, and btrfs gives the
    number of a volume that is gone to the next one."""
    seeded(host)
    made = host.json("branch", "create", "a", "--from", "main")
    host.json("branch", "stop", "a")
    with memory_of(Path(made["datadir"])):
        host.json("branch", "start", "a")
    assert count(host, made["dsn"]) == ROWS


@contextlib.contextmanager
def memory_of(datadir: Path) -> Iterator[None]:
    """System V shared memory, in use, that looks like that of a server of this directory."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    libc.shmat.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
    libc.shmdt.argtypes = (ctypes.c_void_p,)
    at = datadir.stat()
    key = at.st_ino & 0x7FFFFFFF
    header = struct.pack("@iiQQI4xQQQ", 679834894, 1, 4096, 64, 0, 0, at.st_dev, at.st_ino)
    # Where somebody has that number, Postgres tries the next one, too.
    made = (libc.shmget(key + more, 4096, 0o1000 | 0o2000 | 0o666) for more in range(10_000))
    segment = next(number for number in made if number >= 0)
    place = libc.shmat(segment, None, 0)
    try:
        ctypes.memmove(place, header, len(header))
        yield
    finally:
        libc.shmctl(segment, 0, None)  # IPC_RMID
        libc.shmdt(place)


def test_two_want_the_same_name_at_once(host: AgentHost) -> None:
    seeded(host)
    words = ("branch", "create", "mine", "--from", "main", "--json")
    with background(host, *words) as one, background(host, *words) as two:
        ends = [(child.communicate(timeout=60), child.returncode) for child in (one, two)]
    assert sorted(code for _, code in ends) == [0, 5], ends
    loser = next(err for (_, err), code in ends if code)
    assert '"conflict"' in loser
    assert "cowdb branch rm mine" in loser
    assert len(list((host.pool / "volumes").iterdir())) == 3  # source, snapshot, branch


def test_postgres_binaries_are_missing(host: AgentHost) -> None:
    seeded(host)
    host.json("snapshot", "create", "main@s", "--settle")
    branch = host.json("branch", "create", "a", "--from", "main@s")
    host.json("branch", "stop", "a")
    host.stop_agent()
    host.configure(bindirs=["/nonexistent/*"])
    host.extra["PATH"] = "/usr/sbin:/sbin"  # where no pg_config is, to find them by
    host.start_agent()
    try:
        for words in (
            ("branch", "create", "b", "--from", "main@s"),
            ("branch", "start", "a"),
            ("source", "add", "c", "--empty"),
        ):
            error = host.error(*words, status=1)
            assert "PostgreSQL" in error["message"], words
            assert "bindirs" in error["hint"], words
        assert {item["name"] for item in host.json("branch", "list")} == {"a"}
        host.error("source", "add", "d", "--empty", "--pg-version", "newest", status=2)
    finally:
        del host.extra["PATH"]
        host.stop_agent()
        host.configure()
        host.start_agent()
    host.json("branch", "start", "a")
    assert count(host, branch["dsn"]) == ROWS


def test_what_is_protected_or_has_descendants_stays(host: AgentHost) -> None:
    seeded(host)
    host.json("snapshot", "create", "main@s", "--protect")
    host.json("branch", "create", "a", "--from", "main@s")
    host.json("branch", "create", "b", "--from", "a")
    host.json("branch", "protect", "b")
    for words, hint in (
        (("branch", "rm", "b"), "cowdb branch protect b --off"),
        (("branch", "reset", "b"), "cowdb branch protect b --off"),
        (("snapshot", "rm", "main@s"), "cowdb snapshot protect main@s --off"),
        (("branch", "rm", "a"), "cowdb branch rm b"),
        (("source", "rm", "main"), "cowdb snapshot rm main@s"),
        (("snapshot", "create", "main@s"), "cowdb snapshot rm main@s"),
        (("source", "add", "a", "--empty"), "cowdb branch rm a"),
        (("init", "--undo"), "remove it first"),
    ):
        error = host.error(*words, status=5)
        assert hint in error["hint"], (words, error)
    host.json("snapshot", "protect", "main@s", "--off")
    assert "cowdb branch rm a" in host.error("snapshot", "rm", "main@s", status=5)["hint"]
    host.json("branch", "protect", "b", "--off")
    host.json("branch", "rm", "b", "a")
    host.json("snapshot", "rm", "main@s")
    host.json("source", "rm", "main")


def test_source_that_has_branches_of_bare_name_stays(host: AgentHost) -> None:
    seeded(host)
    host.json("branch", "create", "a", "--from", "main")
    error = host.error("source", "rm", "main", status=5)
    assert "branch a" in error["message"], error
    assert "cowdb branch rm a" in error["hint"], error


def test_server_killed_while_its_backend_is_deep_in_a_query(host: AgentHost) -> None:
    """A backend that waits for nothing does not notice that its postmaster is gone."""
    seeded(host)
    branch = host.json("branch", "create", "a", "--from", "main")
    loop = "do $$ begin loop perform 1; end loop; end $$"

    def spin() -> None:
        with pytest.raises(Exception):  # noqa: B017 (whatever the driver makes of it)
            host.sql(branch["dsn"], loop)

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        host_dsn = branch["dsn"]
        eventually(lambda: host.sql(
            host_dsn, "select 1 from pg_stat_activity where query like 'do $$ begin loop%' "
            "and state = 'active' and pid <> pg_backend_pid()"))  # fmt: skip
        os.kill(postmaster(host, branch["datadir"]), signal.SIGKILL)
        eventually(lambda: host.json("branch", "show", "a")["state"] == "crashed")
        assert host.json("branch", "start", "a")["state"] == "running"
        assert count(host, branch["dsn"]) == ROWS
    finally:
        if thread.is_alive():
            host.run("branch", "rm", "a")
        thread.join(30)


def test_everything_goes_at_once_when_root_takes_cowdb_away() -> None:
    with agent_host("btrfs") as host:
        seeded(host)
        host.json("snapshot", "create", "main@s", "--protect")
        host.json("branch", "create", "a", "--from", "main@s")
        host.json("branch", "create", "b", "--from", "a")
        host.json("branch", "protect", "b")
        refused = host.error("init", "--undo", status=5)
        assert "--everything" in refused["hint"]
        host.run("init", "--undo", "--everything")
        assert host.servers() == []
        assert not host.pool.exists()
        assert host.json("status")["pools"] == []
