"""One HTTP/1.1 exchange over a Unix socket, as much of HTTP as the agent speaks.

http.client does the same, but takes as long to be imported as all the rest of a command
(docs/decisions/spares.md).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

_LINE_LIMIT = 2**16  # bytes of a line of a head


class BrokenError(Exception):
    """The other side ended in the middle, or does not speak HTTP."""


class Answer:
    """The head of an answer; its body is read once, as a whole or line by line.

    :param headers: by their names in lower case.
    """

    def __init__(self, status: int, headers: dict[str, str], stream: BinaryIO) -> None:
        self.status, self.headers, self._stream = status, headers, stream

    def read(self) -> bytes:
        return b"".join(self._parts())

    def lines(self) -> Iterator[bytes]:
        """Each as soon as it is there, with its end."""
        left = b""
        for part in self._parts():
            *whole, left = (left + part).split(b"\n")
            yield from (line + b"\n" for line in whole)
        if left:
            yield left

    def _parts(self) -> Iterator[bytes]:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := _number(_line(self._stream).partition(b";")[0], 16):
                yield self._exactly(size)
                _line(self._stream)
        elif (length := self.headers.get("content-length")) is not None:
            yield self._exactly(_number(length.encode(), 10))
        else:
            yield self._stream.read()

    def _exactly(self, size: int) -> bytes:
        found = self._stream.read(size)
        if len(found) < size:
            raise BrokenError(f"{size - len(found)} bytes of the answer are missing")
        return found


class Exchange:
    """A connection for one question."""

    def __init__(self, path: Path) -> None:
        """:raises OSError: nobody listens there, or this user may not ask."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._stream: BinaryIO = self._socket.makefile("rb")

    def __enter__(self) -> Exchange:
        return self

    def ask(self, method: str, path: str, body: bytes | None, accept: str) -> Answer:
        """:param path: quoted, with its query.
        :raises BrokenError, OSError: there is no whole head of an answer."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        head += f"Accept: {accept}\r\n" if accept else ""
        head += f"Content-Length: {len(body)}\r\n" if body is not None else ""
        self._socket.sendall(head.encode("ascii") + b"\r\n" + (body or b""))
        version, _, rest = _line(self._stream).partition(b" ")
        if not version.startswith(b"HTTP/1."):
            raise BrokenError("the answer is not HTTP")
        headers = {}
        while line := _line(self._stream):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        return Answer(_number(rest.partition(b" ")[0], 10), headers, self._stream)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._stream.close()
        self._socket.close()


def _line(stream: BinaryIO) -> bytes:
    found = stream.readline(_LINE_LIMIT)
    if not found.endswith(b"\n"):
        raise BrokenError("the agent sent no whole answer")
    return found.rstrip(b"\r\n")


def _number(text: bytes, base: int) -> int:
    try:
        return int(text, base)
    except ValueError:
        raise BrokenError(f"{text!r} is not a number") from None
