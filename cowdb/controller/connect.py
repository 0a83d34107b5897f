"""Find the agent, or be it: the one place where the unprivileged side may compose an agent, in
process, for a root user who runs none."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

from cowdb.config import Config
from cowdb.controller.client import Client
from cowdb.controller.transport import Report, SocketTransport


@contextlib.contextmanager
def connect(config: Config) -> Iterator[Client]:
    """A client of this host's agent.

    :raises UnreachableError: there is none, and this user is not root.
    """
    if os.geteuid() != 0 or _listens(config):
        yield Client(SocketTransport(config.socket))
        return
    from cowdb.agent.compose import agent

    with agent(config, "in-process") as api:
        yield Client(_InProcess(api))


def _listens(config: Config) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(config.socket))
        except OSError:
            return False
        return True


class _InProcess:
    """The agent's API called directly; bodies and answers still go through JSON, so that both
    ways accept and return the very same."""

    def __init__(self, api: Any) -> None:  # noqa: ANN401 (the agent's type is not ours to know)
        self._api = api

    def call(self, method: str, path: str, body: dict[str, Any] | None, report: Report) -> Any:  # noqa: ANN401
        from cowdb.agent.compose import caller_here, to_json

        target, _, query = path.partition("?")
        values = dict(item.split("=", 1) for item in query.split("&") if item)
        content = b"" if body is None else json.dumps(body).encode()
        answer = self._api.call(method, target, values, content, caller_here(), report)
        return json.loads(to_json(answer))
