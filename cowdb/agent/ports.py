"""TCP ports for servers: chosen from the configured range, never one that something else holds."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Collection

import psutil

from cowdb.errors import ConflictError, InvalidError, PortError


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now. SO_REUSEADDR as Postgres sets it: connections in
    TIME_WAIT do not count, a listener does, also one on all addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
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
    """:raises PortError: somebody holds the port; names the process where it can be known."""
    if is_free(host, port):
        return
    holder = _holder(port)
    raise PortError(
        f"port {port} is held by {holder}" if holder else f"port {port} is held by another program",
        hint="stop that program, or choose another port",
    )


def _holder(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for item in psutil.net_connections("tcp"):
            if item.status != psutil.CONN_LISTEN or not item.laddr or not item.pid:
                continue
            if item.laddr.port == port:
                return f"process {item.pid} ({psutil.Process(item.pid).name()})"
    return ""
