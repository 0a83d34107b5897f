"""The client's side of the socket, against a server that says exactly what a test wants."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cowdb.controller.client import Client
from cowdb.controller.transport import SocketTransport, quiet
from cowdb.errors import (
    ConflictError,
    CowdbError,
    NotFoundError,
    NotPermittedError,
    UnreachableError,
)


class Script:
    """Answers one request with fixed bytes, then hangs up. `heard` is the request."""

    def __init__(self, path: Path, answer: bytes) -> None:
        self.path, self._answer, self.heard = path, answer, b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            self.heard = connection.recv(65536)
            while b"\r\n\r\n" in self.heard and not self._whole():
                self.heard += connection.recv(65536)
            connection.sendall(self._answer)

    def _whole(self) -> bool:
        head, _, body = self.heard.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
        return not lengths or len(body) >= int(lengths[0].split(b":")[1])

    def close(self) -> None:
        self._thread.join(10)
        self._socket.close()


@contextmanager
def answering(folder: Path, answer: bytes) -> Iterator[tuple[SocketTransport, Script]]:
    script = Script(folder / "s", answer)
    try:
        yield SocketTransport(script.path), script
    finally:
        script.close()


def plain(value: object, status: str = "200 OK") -> bytes:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def stream(*events: object, end: bool = True) -> bytes:
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
    head += "Transfer-Encoding: chunked\r\n\r\n"
    lines = [json.dumps(event).encode() + b"\n" for event in events]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in lines)
    return head.encode() + chunks + (b"0\r\n\r\n" if end else b"")


PROGRESS = {"event": "progress", "step": "clone", "done": 1, "total": 2}
ERROR = {"code": "conflict", "message": "branch 'x' is protected", "hint": "off"}


def test_an_answer(tmp_path: Path) -> None:
    with answering(tmp_path, plain([{"name": "a"}])) as (transport, script):
        assert transport.call("GET", "/v1/branches", None, quiet) == [{"name": "a"}]
    assert script.heard.startswith(b"GET /v1/branches HTTP/1.1\r\n")


def test_names_are_quoted_in_the_path(tmp_path: Path) -> None:
    with answering(tmp_path, plain({})) as (transport, script):
        Client(transport).snapshots.show("ma/in@be fore")
    assert script.heard.startswith(b"GET /v1/snapshots/ma%2Fin@be%20fore HTTP/1.1\r\n")


def test_a_body_has_only_what_was_given(tmp_path: Path) -> None:
    answer = stream({"event": "result", "result": {"name": "b"}})
    with answering(tmp_path, answer) as (transport, script):
        Client(transport).branches.create("b", "main", ttl_seconds=60, report=lambda *what: None)
    assert json.loads(script.heard.partition(b"\r\n\r\n")[2]) == {
        "name": "b", "origin": "main", "ttl_seconds": 60, "hidden": False,
    }  # fmt: skip
    assert b"application/x-ndjson" in script.heard


def test_nobody_is_told_of_progress_who_does_not_listen(tmp_path: Path) -> None:
    with answering(tmp_path, plain({"name": "b"})) as (transport, script):
        assert Client(transport).branches.create("b", "main") == {"name": "b"}
    assert b"ndjson" not in script.heard


def test_a_chunk_may_end_anywhere(tmp_path: Path) -> None:
    text = '{"event": "progress", "step": "xé", "done": null, "total": null}\n'.encode()
    text += b'{"event": "result", "result": [1, 2]}'
    chunks = b"".join(b"%X;extension\r\n%s\r\n" % (len(part), part)
                      for part in (text[:5], text[5:-9], text[-9:]))  # fmt: skip
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nTRANSFER-ENCODING: chunked"
    with answering(tmp_path, head + b"\r\n\r\n" + chunks + b"0\r\n\r\n") as (transport, _):
        assert transport.call("POST", "/v1/branches", {}, lambda *what: None) == [1, 2]


def test_an_answer_of_unknown_length_ends_with_the_connection(tmp_path: Path) -> None:
    with answering(tmp_path, b"HTTP/1.0 200 OK\r\n\r\n[3]") as (transport, _):
        assert transport.call("GET", "/v1/branches", None, quiet) == [3]


def test_a_stream_reports_and_ends_with_its_result(tmp_path: Path) -> None:
    seen: list[tuple[str, int | None, int | None]] = []
    answer = stream(PROGRESS, PROGRESS, {"event": "result", "result": {"name": "a"}})
    with answering(tmp_path, answer) as (transport, _):
        result = transport.call("POST", "/v1/branches", {}, lambda *what: seen.append(what))
    assert result == {"name": "a"}
    assert seen == [("clone", 1, 2)] * 2


def test_an_error_in_a_stream_is_the_agents_own(tmp_path: Path) -> None:
    answer = stream(PROGRESS, {"event": "error", "error": ERROR})
    with answering(tmp_path, answer) as (transport, _), pytest.raises(ConflictError) as raised:
        transport.call("POST", "/v1/branches", {}, quiet)
    assert raised.value.as_json() == ERROR


def test_an_error_without_a_stream_too(tmp_path: Path) -> None:
    error = {"code": "not_found", "message": "there is no branch 'x'", "hint": ""}
    answer = plain({"error": error}, "404 Not Found")
    with answering(tmp_path, answer) as (transport, _), pytest.raises(NotFoundError, match="'x'"):
        transport.call("GET", "/v1/branches/x", None, quiet)


@pytest.mark.parametrize(
    "answer",
    [b"", b"220 mail.example.com ESMTP\r\n", b"HTTP/1.1 200 OK\r\nContent-Le",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[",
     stream(PROGRESS, end=False), stream(PROGRESS)],
    ids=["nothing", "no HTTP", "half a head", "no chunk", "half an answer", "half a stream",
         "a stream without a result"],
)  # fmt: skip
def test_an_agent_that_dies_meanwhile(tmp_path: Path, answer: bytes) -> None:
    with answering(tmp_path, answer) as (transport, _), pytest.raises(CowdbError) as raised:
        transport.call("POST", "/v1/branches", {}, quiet)
    assert "finish" in raised.value.hint


def test_no_agent(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="no agent is listening"):
        SocketTransport(tmp_path / "none").call("GET", "/v1/status", None, quiet)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "stale"))
    left.close()
    with pytest.raises(UnreachableError) as raised:
        SocketTransport(tmp_path / "stale").call("GET", "/v1/status", None, quiet)
    assert raised.value.hint == "start it: cowdb agent serve"


def test_a_socket_that_this_user_may_not_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        if os.geteuid() == 0:  # for whom every socket is open

            def refuse(self: object, address: object) -> None:
                raise PermissionError(13, "Permission denied")

            monkeypatch.setattr("socket.socket.connect", refuse)
        with pytest.raises(NotPermittedError, match="may not open"):
            SocketTransport(path).call("GET", "/v1/status", None, quiet)
