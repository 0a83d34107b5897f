"""A front without an agent: a server that sends back what it hears, and a hand at the control
socket."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cowdb.agent.front import messages
from cowdb.agent.front.control import Front

OUTSIDE, BEHIND = "127.0.0.1", "127.0.0.2"


head = struct.Struct("!II").pack


STARTUP = head(19, 3 << 16) + b"user\0me\0\0\0\0"


class Echo:
    """Answers the startup packet with it, and so on, one thread for each connection."""

    def __init__(self, port: int) -> None:
        self.heard: list[bytes] = []
        self._listener = socket.create_server((BEHIND, port), backlog=64)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._echo, args=(client,), daemon=True).start()

    def _echo(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            self.heard.append(b"")
            index = len(self.heard) - 1
            while data := client.recv(65536):
                self.heard[index] = (self.heard[index] + data)[:100]
                client.sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Hand:
    """The agent's part: orders, and the events that came in between."""

    def __init__(self, place: str) -> None:
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._link.settimeout(10)
        self._link.connect(place)
        self.events: list[tuple[str, str]] = []

    def __call__(self, do: str, passed: socket.socket | None = None, **more: Any) -> dict[str, Any]:
        messages.send(self._link, {"do": do, **more}, passed)
        while True:
            message, _ = messages.receive(self._link)
            assert message is not None
            if "event" not in message:
                return message
            self.events.append((message["event"], message["id"]))

    def door(self) -> dict[str, Any]:
        found: list[dict[str, Any]] = self("doors", after="")["doors"]
        (only,) = found
        return only

    def until(self, what: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not what():
            assert time.monotonic() < deadline
            self.door()  # hears what came
            time.sleep(0.005)

    def close(self) -> None:
        self._link.close()


class House:
    def __init__(self, folder: Path, **options: Any) -> None:
        self.place = str(folder / "control.sock")
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ear.bind(self.place)
        ear.listen()
        given = {"agent_uid": os.getuid(), "patience": 30.0, "descriptors": 4096, **options}
        self.front = Front(ear, behind=BEHIND, **given)
        self.turns = 0
        turn = self.front._poller.turn

        def counted(longest: float = 60.0) -> None:
            self.turns += 1
            turn(longest)

        self.front._poller.turn = counted  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.port = 0
        self.echo: Echo | None = None

    def _run(self) -> None:
        try:
            self.front.run()
        finally:
            self.front.close()

    def hand(self, *, serves: bool = True, sleep_after: float = 600) -> Hand:
        """An agent that has its one door held."""
        hand = Hand(self.place)
        assert hand("hello", serves=serves)["version"] == messages.VERSION
        with socket.create_server((OUTSIDE, 0), backlog=64) as listener:
            self.port = self.port or listener.getsockname()[1]
            hand("hold", listener, id="b", sleep_after=sleep_after)
        return hand

    def serve(self) -> Echo:
        self.echo = Echo(self.port)
        return self.echo

    def call(self, *said: bytes) -> socket.socket:
        client = socket.create_connection((OUTSIDE, self.port), timeout=10)
        for words in said:
            client.sendall(words)
        return client

    def close(self) -> None:
        if self._thread.is_alive():
            hand = Hand(self.place)
            hand("end")
            hand.close()
        self._thread.join(10)
        assert not self._thread.is_alive()
        if self.echo is not None:
            self.echo.close()


def heard(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (more := client.recv(size - len(found))):
        found += more
    return found


def refusal(client: socket.socket) -> dict[str, str]:
    """The fields of the error that the connection ends with."""
    text = b""
    while more := client.recv(4096):
        text += more
    assert text[:1] == b"E" and struct.unpack("!I", text[1:5])[0] == len(text) - 1
    return {part[:1].decode(): part[1:].decode() for part in text[5:].split(b"\0") if part}
