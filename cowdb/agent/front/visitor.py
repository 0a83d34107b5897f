"""One connection to a door, until it is passed on to the server or refused.

greeting     it has not said yet what it wants; nobody is woken for it
waiting      it wants a session, and the server does not run; the door counts it
connecting   the server runs
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from typing import TYPE_CHECKING

from cowdb.agent.front import startup
from cowdb.agent.front.poller import IN, OUT, Poller
from cowdb.agent.front.relay import Relay

if TYPE_CHECKING:
    from cowdb.agent.front.door import Door

_QUESTIONS = 2  # about encryption: GSSAPI, then TLS
_TRIES = 3  # a server that is said to run and refuses


class Visitor:
    """:param since: when it came, by the monotonic clock.
    :param counted: it wants, or has, a session.
    :param welcome: there is room for it; else it is told so when it can understand."""

    __slots__ = (
        "_door", "_poller", "_questions", "_server", "_socket", "_tries",
        "counted", "relay", "said", "since", "welcome",
    )  # fmt: skip

    def __init__(self, poller: Poller, door: Door, client: socket.socket, *, welcome: bool) -> None:
        self._poller, self._door, self._socket = poller, door, client
        self._server: socket.socket | None = None
        self._questions = self._tries = 0
        self.said = bytearray()
        self.since = time.monotonic()
        self.counted = False
        self.welcome = welcome
        self.relay: Relay | None = None
        poller.watch(client.fileno(), IN, self._greet)

    def _greet(self, event: int) -> None:
        try:
            heard = self._socket.recv(startup.LONGEST + 1 - len(self.said))
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        if not heard:
            self.leave()
            return
        self.said += heard
        while True:
            kind, length = startup.read(self.said)
            if kind != "encrypt":
                break
            self._questions += 1
            del self.said[:length]
            if self._questions > _QUESTIONS or not self._answer(startup.REFUSE_ENCRYPTION):
                self.leave()
                return
        if kind == "nonsense":
            self.leave()
        elif kind != "more":
            self._poller.forget(self._socket.fileno())
            self._door.asked(self, session=kind == "session")

    def wait(self) -> None:
        """Until the door opens; one that goes away meanwhile is forgotten."""
        self._poller.watch(self._socket.fileno(), IN, self._stir)

    def _stir(self, event: int) -> None:
        try:
            gone = not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            self.leave()
        else:  # it talks before it is answered; its relay will hear it
            self._poller.forget(self._socket.fileno())

    def enter(self, address: tuple[str, int]) -> None:
        """Be passed on to the server that listens there."""
        self._poller.forget(self._socket.fileno())
        self._tries += 1
        try:
            server = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self.refuse(startup.TOO_MANY_CONNECTIONS, f"cowdb has no room: {error.strerror}")
            return
        self._server = server
        code = server.connect_ex(address)
        if code in (0, errno.EINPROGRESS):
            self._poller.watch(server.fileno(), OUT, self._connected)
        else:
            self._not_connected(code)

    def _connected(self, event: int) -> None:
        assert self._server is not None
        code = self._server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._poller.forget(self._server.fileno())
        if code:
            self._not_connected(code)
            return
        server, self._server = self._server, None
        self.relay = Relay(self._poller, self._socket, server, bytes(self.said), self._ended)
        self.said = bytearray()

    def _not_connected(self, code: int) -> None:
        """The server has died, or its host is out of ports."""
        self._drop_server()
        if self._tries < _TRIES and code == errno.ECONNREFUSED and self.counted:
            self._door.deserted(self)
        else:
            text = f"the server of this branch cannot be reached: {os.strerror(code)}"
            self.refuse(startup.CANNOT_CONNECT_NOW, text, "cowdb doctor says more")

    def refuse(self, sqlstate: str, message: str, hint: str = "") -> None:
        self._answer(startup.refusal(sqlstate, message, hint))
        self.leave()

    def _answer(self, words: bytes) -> bool:
        """False when they were not taken: what is this short always is, by a living client."""
        try:
            return self._socket.send(words) == len(words)
        except OSError:
            return False

    def leave(self) -> None:
        """Close whatever is open."""
        if self.relay is not None:
            self.relay.close()
            return
        self._drop_server()
        self._poller.forget(self._socket.fileno())
        with contextlib.suppress(OSError):
            self._socket.close()
        self._ended()

    def _drop_server(self) -> None:
        if self._server is not None:
            self._poller.forget(self._server.fileno())
            self._server.close()
            self._server = None

    def _ended(self) -> None:
        self._door.left(self)
