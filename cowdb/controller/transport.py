"""How a request reaches the agent: over its Unix socket, or in this very process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from cowdb.controller.exchange import Answer, BrokenError, Exchange
from cowdb.errors import NotPermittedError, UnreachableError, from_json

Report = Callable[[str, int | None, int | None], None]
"""(what is being done, how much of it is done, of how much)."""

_STREAM = "application/x-ndjson"
_OK = 200


def quiet(what: str, done: int | None, total: int | None) -> None:
    """A report that nobody reads."""


class Transport(Protocol):
    def call(self, method: str, path: str, body: dict[str, Any] | None, report: Report) -> Any:  # noqa: ANN401 (JSON)
        """The answer as a JSON value.

        :raises CowdbError: what the agent raised, or UnreachableError.
        """


class NoAgentError(UnreachableError):
    """Nobody listens on the socket, so that nothing has been asked."""


class SocketTransport:
    """One connection for each request, so that a client may be used by several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def call(self, method: str, path: str, body: dict[str, Any] | None, report: Report) -> Any:  # noqa: ANN401
        """Progress is asked for where somebody follows it: a stream costs the agent a thread."""
        content = None if body is None else json.dumps(body).encode()
        accept = _STREAM if method != "GET" and report is not quiet else ""
        try:
            with self._open() as exchange:
                answer = exchange.ask(method, path, content, accept)
                if answer.headers.get("content-type") == _STREAM:
                    return _follow(answer, report)
                return _answer(answer)
        except (OSError, BrokenError) as error:
            raise UnreachableError(
                f"the agent ended the conversation: {error or type(error).__name__}",
                hint="what it had begun is finished or undone when it starts again",
            ) from error

    def _open(self) -> Exchange:
        try:
            return Exchange(self._path)
        except PermissionError as error:
            raise NotPermittedError(
                f"this user may not open the agent's socket {self._path}",
                hint="adduser USER cowdb, then log in again; or run it as root",
            ) from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NoAgentError(
                f"no agent is listening on {self._path}", hint="start it: cowdb agent serve"
            ) from error


def _answer(answer: Answer) -> Any:  # noqa: ANN401
    value = json.loads(answer.read() or b"null")
    if answer.status != _OK:
        raise from_json(value["error"])
    return value


def _follow(answer: Answer, report: Report) -> Any:  # noqa: ANN401
    """Read a stream of progress to its result."""
    for line in answer.lines():
        event = json.loads(line)
        if event["event"] == "progress":
            report(event["step"], event["done"], event["total"])
        elif event["event"] == "error":
            raise from_json(event["error"])
        else:
            return event["result"]
    raise UnreachableError(
        "the agent ended in the middle of the operation",
        hint="it finishes or undoes it when it starts again: cowdb agent serve",
    )
