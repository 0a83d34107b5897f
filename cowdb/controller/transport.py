"""How a request reaches the agent: over its Unix socket, or in this very process."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from cowdb.errors import NotPermittedError, UnreachableError, from_json

Report = Callable[[str, int | None, int | None], None]
"""(what is being done, how much of it is done, of how much)."""

_STREAM = "application/x-ndjson"


def quiet(what: str, done: int | None, total: int | None) -> None:
    """A report that nobody reads."""


class Transport(Protocol):
    def call(self, method: str, path: str, body: dict[str, Any] | None, report: Report) -> Any:  # noqa: ANN401 (JSON)
        """The answer as a JSON value.

        :raises CowdbError: what the agent raised, or UnreachableError.
        """


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


class SocketTransport:
    """One connection for each request, so that a client may be used by several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def call(self, method: str, path: str, body: dict[str, Any] | None, report: Report) -> Any:  # noqa: ANN401
        connection = _Connection(self._path)
        content = None if body is None else json.dumps(body)
        headers = {"Accept": _STREAM} if method != "GET" else {}
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            if response.headers.get("Content-Type") == _STREAM:
                return _follow(response, report)
            return _answer(response)
        except PermissionError as error:
            raise NotPermittedError(
                f"this user may not open the agent's socket {self._path}",
                hint="adduser USER cowdb, then log in again; or run it as root",
            ) from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise UnreachableError(
                f"no agent is listening on {self._path}", hint="start it: cowdb agent serve"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(
                f"the agent ended the conversation: {error or type(error).__name__}",
                hint="what it had begun is finished or undone when it starts again",
            ) from error
        finally:
            connection.close()


def _answer(response: http.client.HTTPResponse) -> Any:  # noqa: ANN401
    value = json.loads(response.read() or b"null")
    if response.status != http.client.OK:
        raise from_json(value["error"])
    return value


def _follow(response: http.client.HTTPResponse, report: Report) -> Any:  # noqa: ANN401
    """Read a stream of progress to its result."""
    while line := response.readline():
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
