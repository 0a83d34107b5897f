"""What agent and front say to each other: JSON, one message a packet, over a Unix socket.

agent   {"do": "hello", "serves": true}               who comes; the last that came is heard
        {"do": "doors", "after": ""}                  up to PAGE of them, by id
        {"do": "hold", "id", "sleep_after"} + listening socket
        {"do": "open" | "asleep", "id"}               its server runs, or does not
        {"do": "shut", "id", "force"}                 its server is about to stop
        {"do": "refuse", "id", "message", "hint"}     it could not be woken
        {"do": "release", "id", "message"}
        {"do": "end"}                                 every session ends
front   {"ok": true, ...} or {"ok": false, ...} to each       in the order asked
        {"event": "wake" | "idle", "id"}              in between, to an agent that serves
"""

from __future__ import annotations

import array
import json
import socket
from typing import Any

VERSION = 1
PAGE = 500
LONGEST = 128 * 1024  # bytes of a message


def send(link: socket.socket, message: dict[str, Any], passed: socket.socket | None = None) -> None:
    """:param passed: a socket that the other side gets a descriptor of."""
    control = []
    if passed is not None:
        handle = array.array("i", [passed.fileno()])
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handle)]
    link.sendmsg([json.dumps(message).encode()], control)


def receive(link: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next message, with the descriptors that came with it; None at the end.

    :raises ValueError: not a message; descriptors are closed then."""
    text, control, flags, _ = link.recvmsg(LONGEST, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
    passed = array.array("i")
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            passed.frombytes(data[: len(data) - len(data) % passed.itemsize])
    try:
        if not text:
            raise EOFError
        if flags & socket.MSG_TRUNC:
            raise ValueError("the message is too long")
        message = json.loads(text)
        if not isinstance(message, dict):
            raise ValueError("the message is no object")
    except (EOFError, ValueError) as error:
        for handle in passed:
            socket.close(handle)
        if isinstance(error, EOFError):
            return None, []
        raise
    return message, list(passed)
