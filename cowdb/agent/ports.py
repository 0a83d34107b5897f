"""TCP ports for servers: chosen from the configured range, never one that something else holds."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Collection

import psutil

from cowdb.errors import ConflictError, InvalidError, PortError

_HELD = (errno.EADDRINUSE, errno.EACCES)
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 (who listens there has 127.0.0.1, too)


class TakenError(PortError):
    """Somebody else has that port. Where any would do, another one can be tried."""

    def __init__(self, host: str, port: int) -> None:
        """Names the process where it can be known."""
        holder = _holder(host, port) or "another program"
        super().__init__(f"port {port} is held by {holder}", hint="stop that program")
        self.port = port


def listening(host: str, port: int, queue: int) -> socket.socket:
    """A socket that nobody accepts from yet. SO_REUSEADDR as Postgres sets it: connections in
    TIME_WAIT do not count, a listener does, also one on all addresses.

    :param queue: connections that the kernel holds.
    :raises TakenError: somebody else has the port.
    """
    try:
        return _listen(host, port, queue)
    except OSError as error:
        if error.errno in _HELD:
            raise TakenError(host, port) from error
        raise


def _listen(host: str, port: int, queue: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(queue)
    except BaseException:
        listener.close()
        raise
    return listener


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    try:
        _listen(host, port, 1).close()
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True


def choose(span: tuple[int, int], taken: Collection[int], host: str) -> int:
    """The lowest port of the range that neither cowdb nor anybody else holds.

    :raises PortError: there is none.
    """
    first, last = span
    for port in range(first, last + 1):
        if port not in taken and is_free(host, port):
            return port
    raise PortError(
        f"no port is free between {first} and {last}",
        hint="remove branches, or widen 'ports' in /etc/cowdb/config.toml",
    )


def require(port: int, taken: Collection[int], host: str) -> int:
    """A port that the caller asked for; raises InvalidError, ConflictError or PortError."""
    if not 1024 <= port <= 65535:
        raise InvalidError(
            f"port {port} is not between 1024 and 65535",
            hint="leave --port out to get a free one",
        )
    if port in taken:
        raise ConflictError(
            f"port {port} belongs to another server of cowdb",
            hint="leave --port out to get a free one",
        )
    require_free(host, port)
    return port


def require_free(host: str, port: int) -> None:
    """:raises TakenError: somebody holds the port."""
    if not is_free(host, port):
        raise TakenError(host, port)


def _holder(host: str, port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for item in psutil.net_connections("tcp"):
            if item.status != psutil.CONN_LISTEN or not item.laddr or not item.pid:
                continue
            if item.laddr.port == port and item.laddr.ip in (host, *_EVERYWHERE):
                return f"process {item.pid} ({psutil.Process(item.pid).name()})"
    return ""
