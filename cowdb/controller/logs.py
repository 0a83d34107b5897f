"""What a branch's server prints, read piece by piece from the agent."""

from __future__ import annotations

import time
from collections.abc import Iterator

from cowdb.controller.branching import Connect
from cowdb.controller.client import Client
from cowdb.wire import LogInfo

_SCREEN = 65536  # bytes from the end, for people
_PAUSE = 0.3  # seconds between looks at a log that has not grown


def piece(client: Client, name: str, after: int | None) -> LogInfo:
    """The last 64 KB, or what comes after a byte."""
    last = _SCREEN if after is None else None
    return client.branches.log(name, after=after, last=last)


def once(connect: Connect, name: str, after: int | None) -> Iterator[str]:
    with connect() as client:
        yield piece(client, name, after)["text"]


def follow(connect: Connect, name: str, after: int | None) -> Iterator[str]:
    """For ever; a client for each look, since an in-process agent holds the host meanwhile."""
    while True:
        with connect() as client:
            found = piece(client, name, after)
        if found["text"]:
            yield found["text"]
        after = found["next"]
        if after >= found["size"] or not found["text"]:
            time.sleep(_PAUSE)


def since(connect: Connect, name: str, after: int) -> Iterator[str]:
    """All that was printed after a byte, up to now."""
    while True:
        with connect() as client:
            found = client.branches.log(name, after=after)
        if not found["text"]:
            return
        yield found["text"]
        after = found["next"]


def size(connect: Connect, name: str) -> int:
    with connect() as client:
        return client.branches.log(name, last=0)["size"]
