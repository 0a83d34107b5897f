"""Find the agent, or be it: the one place where the unprivileged side may compose an agent, in
process, for a root user who runs none."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from cowdb.config import Config
from cowdb.controller.client import Client
from cowdb.controller.transport import NoAgentError, Report, SocketTransport, Transport
from cowdb.errors import BusyError, CowdbError

_PATIENCE = 60.0  # seconds that a command waits for another root user's command
_LOOK = 0.25  # seconds after which it looks whether a daemon listens by now


@contextlib.contextmanager
def connect(config: Config) -> Iterator[Client]:
    """A client of this host's agent. Nothing is asked yet, so that a command makes one round trip.

    Calls raise UnreachableError when there is none, and this user is not root.
    """
    transport = SocketTransport(config.socket)
    if os.geteuid() != 0:
        yield Client(transport)
        return
    with contextlib.ExitStack() as stack:
        yield Client(_Either(transport, lambda: stack.enter_context(_here(config))))


@contextlib.contextmanager
def _here(config: Config) -> Iterator[Transport]:
    """:raises BusyError: another agent has this host."""
    from cowdb.agent.compose import agent

    with agent(config, "in-process", _LOOK) as api:
        yield _InProcess(api)


class _Either:
    """The agent that listens or, when the first question finds none, one in this process. What
    has answered once is asked for all that follows."""

    def __init__(self, socket: Transport, here: Callable[[], Transport]) -> None:
        self._socket, self._here = socket, here
        self._lock = threading.Lock()
        self.chosen: Transport | None = None

    def call(self, method: str, path: str, body: dict[str, Any] | None, report: Report) -> Any:  # noqa: ANN401
        deadline = time.monotonic() + _PATIENCE
        while self.chosen is None:
            try:
                answer = self._socket.call(method, path, body, report)
            except NoAgentError:
                self._be_it(last=time.monotonic() > deadline)
            except CowdbError:
                self.chosen = self.chosen or self._socket
                raise
            else:
                self.chosen = self.chosen or self._socket
                return answer
        return self.chosen.call(method, path, body, report)

    def _be_it(self, *, last: bool) -> None:
        """Unless another one has this host: that may be a daemon about to listen.

        :raises BusyError: another one has, and this was the last look."""
        with self._lock:
            try:
                self.chosen = self.chosen or self._here()
            except BusyError:
                if last:
                    raise


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
