"""Bytes both ways between a client and a server, as they come.

What one side cannot take yet is kept, at most one buffer of it, and nothing more is read from the
other side until it has gone. A client that has said its last word (half-closed) still hears the
answer; a server that has ended the conversation has ended it, once its last word is delivered.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from cowdb.agent.front.poller import IN, OUT, Poller

BUFFER = 64 * 1024  # bytes kept for each direction at most
_scratch = memoryview(bytearray(BUFFER))


class _End:
    """One side. `owed`: bytes that its socket did not take yet. `over`: it said its last word."""

    __slots__ = ("fd", "interest", "other", "over", "owed", "socket")

    def __init__(self, side: socket.socket) -> None:
        self.socket, self.fd = side, side.fileno()
        self.owed: bytes | memoryview = b""
        self.over = False
        self.interest = 0
        self.other: _End = self


class Relay:
    """:param ended: called once, when both sockets are closed."""

    def __init__(
        self, poller: Poller, client: socket.socket, server: socket.socket, first: bytes,
        ended: Callable[[], None],
    ) -> None:  # fmt: skip
        """:param first: what the client has said already."""
        self._poller, self._ended = poller, ended
        self._client, self._server = _End(client), _End(server)
        self._client.other, self._server.other = self._server, self._client
        for end in (self._client, self._server):
            end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.owed = first
        self._settle(self._client)
        self._settle(self._server)

    def _settle(self, end: _End) -> None:
        """Watch a side for what can be done with it now."""
        wanted = (0 if end.over or end.other.owed else IN) | (OUT if end.owed else 0)
        if wanted != end.interest:
            end.interest = wanted
            handler = self._on_client if end is self._client else self._on_server
            self._poller.watch(end.fd, wanted, handler)

    def _on_client(self, event: int) -> None:
        self._on(self._client, event)

    def _on_server(self, event: int) -> None:
        self._on(self._server, event)

    def _on(self, end: _End, event: int) -> None:
        try:
            if event & ~IN and end.owed:
                self._deliver(end)
            if event & ~OUT and end.interest & IN and not end.other.owed:
                self._pass_on(end)
        except BlockingIOError:
            pass
        except OSError:  # one of them is gone
            self.close()

    def _pass_on(self, end: _End) -> None:
        size = end.socket.recv_into(_scratch)
        other = end.other
        if not size:
            end.over = True
            self._settle(end)
            self._last_word(end)
            return
        try:
            sent = other.socket.send(_scratch[:size])
        except BlockingIOError:
            sent = 0
        except OSError:
            if other is self._server:
                self._hear_out()
            raise
        if sent < size:
            other.owed = bytes(_scratch[sent:size])
            self._settle(end)
            self._settle(other)

    def _deliver(self, end: _End) -> None:
        sent = end.socket.send(end.owed)
        end.owed = memoryview(end.owed)[sent:] if sent < len(end.owed) else b""
        if not end.owed:
            self._settle(end)
            self._settle(end.other)
            if end.other.over:
                self._last_word(end.other)

    def _hear_out(self) -> None:
        """Deliver what a server that takes nothing more has left: it says why."""
        with contextlib.suppress(OSError):
            while size := self._server.socket.recv_into(_scratch):
                self._client.socket.send(_scratch[:size])

    def _last_word(self, end: _End) -> None:
        """What a side will not say any more, once the other one has all that it said."""
        if end.other.owed:
            return
        if end is self._server:
            self.close()
        else:
            self._server.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Harmless when it is closed."""
        if self._client.fd < 0:
            return
        for end in (self._client, self._server):
            self._poller.forget(end.fd)
            end.fd = -1
            with contextlib.suppress(OSError):
                end.socket.close()
        self._ended()
