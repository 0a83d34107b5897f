"""What is asked wrongly: names, words, configuration, requests. Each is refused with the right exit
code and a hint."""

from __future__ import annotations

import subprocess

import pytest

from tests.agenthost import COWDB, AgentHost
from tests.host.usecase import (
    raw,
    seeded,
)

_NAMES = ["a/b", "../a", "it's", 'a"b', "a\nb", "a b", "", "x" * 64, "-a", ".a", "a@b", "ä", "_a"]


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
