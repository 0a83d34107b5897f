"""Bad days: each ends with a message, a way out and the right exit code, and leaves nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
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
    listener,
    postmaster,
    raw,
    seeded,
)
from tests.loopfs import MIB, command, missing

_NAMES = ["a/b", "../a", "it's", 'a"b', "a\nb", "a b", "", "x" * 64, "-a", ".a", "a@b", "ä", "_a"]


@pytest.fixture
def small(request: pytest.FixtureRequest) -> Iterator[AgentHost]:
    """A host of its own, with a pool that may be filled, limited or unmounted."""
    with agent_host("btrfs", size=512 * MIB) as found:
        yield found
        if found.daemon is None or found.daemon.poll() is not None:
            found.start_agent()
        found.wipe()
        left = {name: items for name, items in found.remains().items() if items}
        assert not left, f"left behind: {left}"


def _fill(host: AgentHost) -> Path:
    """Take all the room of the pool's filesystem."""
    ballast = host.mountpoint / "ballast"
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(os.urandom(MIB))
                if file.tell() % (16 * MIB) == 0:
                    os.fsync(file.fileno())
        except OSError:
            pass
    return ballast


def test_full_pool_refuses_what_is_new_and_keeps_what_is_there(small: AgentHost) -> None:
    host = small
    seeded(host)
    branch = host.json("branch", "create", "work", "--from", "main")
    host.sql(branch["dsn"], "delete from t where id > 10")
    before = host.remains()
    ballast = _fill(host)
    try:
        for words in (
            ("snapshot", "create", "main@late"),
            ("branch", "create", "late", "--from", "main"),
            ("branch", "create", "late", "--from", "work"),
            ("branch", "reset", "work"),
            ("source", "add", "late", "--empty"),
        ):
            error = host.error(*words, status=1)
            assert error["code"] == "pool_full", (words, error)
            assert "remove branches" in error["hint"]
        assert host.json("branch", "show", "work")["state"] == "running"
        assert count(host, branch["dsn"]) == 10
        assert [item["name"] for item in host.json("branch", "list")] == ["work"]
        assert host.json("snapshot", "list") == []
        assert host.remains()["volumes"] == before["volumes"]
    finally:
        ballast.unlink()
        command("sync", "-f", host.mountpoint)
    assert host.json("branch", "reset", "work")["dsn"] == branch["dsn"]
    assert count(host, branch["dsn"]) == ROWS


def test_pool_that_fills_up_in_the_middle_of_a_reset(small: AgentHost) -> None:
    """Not seen beforehand (no reserve is kept), so that the server itself meets the full disk."""
    host = small
    host.stop_agent()
    host.configure(min_free_bytes=0)
    host.start_agent()
    seeded(host)
    branch = host.json("branch", "create", "work", "--from", "main")
    host.sql(branch["dsn"], "delete from t where id > 10", "checkpoint")
    ballast = _fill(host)
    try:
        for words in (
            ("source", "add", "late", "--empty"),
            ("branch", "create", "late", "--from", "main"),
            ("branch", "reset", "work"),
        ):
            done = subprocess.run(
                [*COWDB, *words, "--json"], env=host.environment, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
            if done.returncode:  # a branch that needs but a few pages may still find them
                assert done.returncode == 1
                assert "space" in done.stderr or "full" in done.stderr, done.stderr
                assert '"hint": ""' not in done.stderr, done.stderr
        names = {item["name"] for item in host.json("branch", "list")}
        assert names <= {"work", "late"}
    finally:
        ballast.unlink()
        command("sync", "-f", host.mountpoint)
    if host.json("branch", "show", "work")["state"] != "running":
        host.json("branch", "start", "work")
    assert count(host, branch["dsn"]) in (10, ROWS)


def test_quota_on_the_pool(small: AgentHost) -> None:
    host = small
    source = seeded(host)
    branch = host.json("branch", "create", "work", "--from", "main")
    command("btrfs", "quota", "enable", host.mountpoint)
    command("btrfs", "quota", "rescan", "-w", host.mountpoint)
    command("btrfs", "qgroup", "limit", "1K", host.pool)
    for words in (
        ("snapshot", "create", "main@late"),
        ("branch", "create", "late", "--from", "main"),
        ("branch", "reset", "work"),
        ("source", "add", "late", "--empty"),
    ):
        error = host.error(*words, status=1)
        assert error["code"] == "pool_full", (words, error)
        assert "quota" in error["message"]
        assert "raise the quota" in error["hint"]
    assert host.json("snapshot", "list") == []
    assert [item["name"] for item in host.json("branch", "list")] == ["work"]
    assert count(host, source["dsn"]) == count(host, branch["dsn"]) == ROWS
    # btrfs may want room in the quota to delete, too: then it is said, and rm tries again.
    done = subprocess.run([*COWDB, "branch", "rm", "work", "--json"], env=host.environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        assert '"pool_full"' in done.stderr
        findings = host.json("doctor", status=1)
        assert any("branch rm work" in item["subject"] for item in findings), findings
    command("btrfs", "quota", "disable", host.mountpoint)
    if done.returncode:
        host.json("branch", "rm", "work")
    host.json("doctor")


def test_port_that_another_program_holds(host: AgentHost) -> None:
    seeded(host)
    port = host.ports[1]
    with listener(port):
        error = host.error("branch", "create", "a", "--from", "main", "--port", str(port), status=5)
        assert error["code"] == "port_unavailable"
        assert f"process {os.getpid()}" in error["message"]
        assert error["hint"]
    with listener(port, "0.0.0.0"):
        host.error("branch", "create", "a", "--from", "main", "--port", str(port), status=5)
    made = host.json("branch", "create", "a", "--from", "main", "--port", str(port))
    assert made["port"] == port
    error = host.error("branch", "create", "b", "--from", "main", "--port", str(port), status=5)
    assert "cowdb" in error["message"]


@pytest.mark.parametrize("port", ["80", "0", "-1", "70000", "many"])
def test_port_that_is_none(host: AgentHost, port: str) -> None:
    seeded(host)
    host.error("branch", "create", "a", "--from", "main", "--port", port, status=2)


def test_port_of_a_stopped_branch_that_somebody_took_meanwhile(host: AgentHost) -> None:
    seeded(host)
    branch = host.json("branch", "create", "a", "--from", "main")
    host.json("branch", "stop", "a")
    with listener(branch["port"]):
        error = host.error("branch", "start", "a", status=5)
        assert error["code"] == "port_unavailable"
        assert f"process {os.getpid()}" in error["message"]
        assert host.json("branch", "show", "a")["state"] == "stopped"
        host.error("branch", "reset", "a", status=5)
        assert host.json("branch", "show", "a")["state"] == "stopped"
        other = host.json("branch", "create", "b", "--from", "main")
        assert other["port"] != branch["port"]
    assert host.json("branch", "start", "a")["port"] == branch["port"]
    assert count(host, branch["dsn"]) == ROWS


def test_ports_run_out() -> None:
    with agent_host("btrfs", ports=2) as host:
        seeded(host)
        host.json("branch", "create", "a", "--from", "main")
        error = host.error("branch", "create", "b", "--from", "main", status=5)
        assert error["code"] == "port_unavailable"
        assert "ports" in error["hint"]
        host.error("source", "add", "other", "--empty", status=5)
        host.json("branch", "rm", "a")
        host.json("branch", "create", "b", "--from", "main")
        host.wipe()
        assert not any(host.remains().values())


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


@pytest.mark.parametrize("name", _NAMES, ids=[repr(name) for name in _NAMES])
def test_names_that_are_none(host: AgentHost, name: str) -> None:
    """One process for all the ways to say it: the client validates nothing, the agent does."""
    for words in (
        ("branch", "create", "--from", "main@s", "--", name),
        ("snapshot", "create", "--", f"main@{name}"),
        ("source", "add", "--empty", "--", name),
    ):
        done = subprocess.run([*COWDB, *words], env=host.environment, capture_output=True,
                              text=True, check=False)  # fmt: skip
        assert done.returncode == 2, (words, done.stderr)
        assert "hint" in done.stderr, (words, done.stderr)
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", [*_NAMES, "\udcff", "?sizes=1", "%2e%2e", "."])
def test_names_that_are_none_are_not_found_either(host: AgentHost, name: str) -> None:
    for words in (("branch", "rm"), ("snapshot", "show"), ("source", "stop")):
        done = subprocess.run([*COWDB, *words, "--json", "--", name], env=host.environment,
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode in (2, 4), (words, done.stderr)
        assert '"hint"' in done.stderr, (words, done.stderr)


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


def _mount(host: AgentHost) -> None:
    command("mount", "-o", "loop,noatime", host.mountpoint.parent / "image", host.mountpoint)


def test_pool_that_was_unmounted(small: AgentHost) -> None:
    host = small
    seeded(host)
    host.json("snapshot", "create", "main@s", "--settle")
    branch = host.json("branch", "create", "a", "--from", "main@s")
    host.json("branch", "stop", "a")
    host.json("source", "stop", "main")
    for restarted in (False, True):
        if restarted:
            host.stop_agent()
        command("umount", host.mountpoint)
        try:
            if restarted:
                host.start_agent()
            for words in (
                ("branch", "create", "b", "--from", "main@s"),
                ("branch", "create", "b", "--from", "main"),
                ("branch", "start", "a"),
                ("branch", "reset", "a"),
                ("snapshot", "create", "main@t"),
                ("source", "start", "main"),
                ("source", "add", "c", "--empty"),
            ):
                error = host.error(*words, status=1)
                assert error["code"] == "pool_missing", (words, error)
                assert error["hint"], words
            assert [item["state"] for item in host.json("status")["pools"]] == ["missing"]
            states = {item["name"]: item["state"] for item in host.json("branch", "list")}
            assert states == {"a": "stopped"}
            assert host.json("source", "list")[0]["state"] == "stopped"
            host.json("snapshot", "list", "--sizes")
            findings = host.json("doctor", status=1)
            assert any(item["level"] == "problem" and str(host.pool) in item["subject"]
                       for item in findings)  # fmt: skip
            assert list(host.mountpoint.iterdir()) == []
        finally:
            _mount(host)
        assert host.json("branch", "start", "a")["dsn"] == branch["dsn"]
        assert count(host, branch["dsn"]) == ROWS
        host.json("branch", "stop", "a")
        host.json("doctor")


def test_branch_cannot_go_while_the_pool_is_away_and_goes_afterwards(small: AgentHost) -> None:
    host = small
    seeded(host)
    host.json("branch", "create", "a", "--from", "main")
    host.json("branch", "stop", "a")
    host.json("source", "stop", "main")
    command("umount", host.mountpoint)
    try:
        assert host.error("branch", "rm", "a", status=1)["code"] == "pool_missing"
        assert [item["name"] for item in host.json("branch", "list")] == ["a"]
    finally:
        _mount(host)
    host.json("branch", "rm", "a")
    assert host.json("branch", "list") == []


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


def test_things_that_are_not_there(host: AgentHost) -> None:
    seeded(host)
    for words in (
        ("branch", "show", "x"), ("branch", "rm", "x"), ("branch", "reset", "x"),
        ("branch", "create", "a", "--from", "x"), ("branch", "create", "a", "--from", "main@x"),
        ("branch", "start", "main"), ("snapshot", "rm", "main@x"), ("snapshot", "show", "x@y"),
        ("snapshot", "create", "x@y"), ("source", "show", "x"), ("source", "rm", "x"),
        ("diff", "main", "x"), ("connect", "x"),
    ):  # fmt: skip
        error = host.error(*words, status=4)
        assert error["code"] == "not_found", words
        assert error["hint"], words
    host.error("run", "--from", "x", "--json", "--", "true", status=4)


def test_words_that_are_wrong(host: AgentHost) -> None:
    seeded(host)
    for words in (
        ("branch", "create", "a", "--from", "main", "--ttl", "soon"),
        ("branch", "create", "a", "--from", "main", "--ttl", "0s"),
        ("branch", "create", "a", "--from", "main", "--ttl", "9999d"),
        ("branch", "create", "a", "--from", "main@"),
        ("branch", "create", "a", "--from", "@s"),
        ("branch", "create", "a"),
        ("branch", "create"),
        ("branch", "rm"),
        ("branch", "create", "a", "--from", "main", "--colour", "red"),
        ("snapshot", "create", "main"),
        ("snapshot", "create", "main@s", "--mode", "fast"),
        ("source", "add", "x"),
        ("source", "add", "x", "--empty", "--dsn", "postgresql://h/d"),
        ("source", "add", "x", "--dump", "/nonexistent"),
        ("source", "add", "x", "--empty", "--superuser", "me"),
        ("source", "add", "x", "--dsn", "not a dsn"),
        ("init", "--size", "large"),
        ("init", "--size", "1K"),
        ("init", "--driver", "ext4"),
        ("diff", "main"),
        ("diff", "main", "a/b"),
        ("nonsense",),
    ):
        error = host.error(*words, status=2)
        assert error["code"] == "invalid", words
        assert error["hint"], (words, error)
    assert host.json("branch", "list") == []


def test_configuration_that_is_wrong(host: AgentHost) -> None:
    path = host.base / "wrong.toml"
    environment = {**host.environment, "COWDB_CONFIG": str(path)}
    for text in ("ports = [1, 2]\n", "colour = 1\n", "= = =\n", None):
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        done = subprocess.run([*COWDB, "status", "--json"], env=environment, capture_output=True,
                              text=True, check=False)  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert done.stdout == ""
        assert '"invalid"' in done.stderr


def test_requests_that_no_client_of_ours_would_send(host: AgentHost) -> None:
    socket = host.config.socket
    for method, target, body, status in (
        ("POST", "/v1/branches", b'{"name": "a", "origin": "b", "colour": 1}', 400),
        ("POST", "/v1/branches", b'{"name": "a"}', 400),
        ("POST", "/v1/branches", b'{"name": 1, "origin": "b"}', 400),
        ("POST", "/v1/branches", b"[]", 400),
        ("POST", "/v1/branches", b"{", 400),
        ("POST", "/v1/branches", b"\xff\xfe", 400),
        ("POST", "/v1/branches", b'{"name": "../x", "origin": "b", "hidden": true}', 400),
        ("POST", "/v1/branches", b" " * (2**20 + 1), 400),
        ("POST", "/v1/sources", b'{"name": "a", "loading": "yes"}', 400),
        ("POST", "/v2/branches", b"{}", 404),
        ("GET", "/", None, 404),
        ("GET", "/v1/nonsense", None, 404),
        ("DELETE", "/v1/branches", None, 404),
        ("GET", "/v1/branches/..%2f..", None, 404),
    ):
        found, answer = raw(socket, method, target, body)
        assert found == status, (method, target, body and body[:40], answer)
        assert set(answer["error"]) == {"code", "message", "hint"}
    assert raw(socket, "GET", "/v1/branches", None, **{"X-Remote-Uid": "0"}) == (200, [])


def test_body_whose_length_is_a_lie(host: AgentHost) -> None:
    for length in ("-5", "many"):
        status, _ = _status_only(host, length)
        assert status in (400, 411, 413)
    assert host.json("status")["pid"] == host.daemon.pid if host.daemon else False


def _status_only(host: AgentHost, length: str) -> tuple[int, bytes]:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as conn:
        conn.settimeout(20)
        conn.connect(str(host.config.socket))
        conn.sendall(
            f"POST /v1/branches HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        answer = conn.recv(65536)
    return int(answer.split()[1]), answer


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


def test_pool_full_in_process_and_killed_clients_leave_no_lock(host: AgentHost) -> None:
    """A root user's own command that is killed gives the host back at once."""
    host.stop_agent()
    with background(host, "source", "add", "late", "--empty") as client:
        eventually(lambda: any((host.pool / "volumes").iterdir()))
        client.kill()
        client.wait(20)
    assert host.json("source", "list") == []
    assert list((host.pool / "volumes").iterdir()) == []


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
