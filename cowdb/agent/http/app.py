"""The WSGI application: a request in, an answer or a stream of progress out.

An operation that has begun runs to its end although its client may go away: it is journaled, and
half an operation helps nobody.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from cowdb.agent.api import Api, failure
from cowdb.agent.policy import Caller
from cowdb.errors import CowdbError, InvalidError, NotPermittedError

log = logging.getLogger("cowdb.http")

LIMIT = 2**20  # bytes of a request's body
STREAM = "application/x-ndjson"
_REASONS = {
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 409: "Conflict",
    422: "Unprocessable Content", 500: "Internal Server Error", 503: "Service Unavailable",
    507: "Insufficient Storage",
}  # fmt: skip
Start = Callable[[str, list[tuple[str, str]]], Any]


class App:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._working: set[threading.Thread] = set()

    def drain(self) -> None:
        """Wait for the operations whose clients went away: their threads are nobody else's."""
        for thread in self._working.copy():
            thread.join()

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        try:
            caller, body = _caller(environ), _body(environ)
        except CowdbError as error:
            return _refuse(error, start)
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        if STREAM in environ.get("HTTP_ACCEPT", ""):
            start("200 OK", [("Content-Type", STREAM)])
            return self._stream(method, path, query, body, caller)
        try:
            answer = self._api.call(method, path, query, body, caller, _quiet)
        except Exception as error:
            return _refuse(_explain(error), start)
        return _send(200, answer, start)

    def _stream(
        self, method: str, path: str, query: dict[str, str], body: bytes, caller: Caller
    ) -> Iterator[bytes]:
        events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

        def report(what: str, done: int | None, total: int | None) -> None:
            events.put({"event": "progress", "step": what, "done": done, "total": total})

        def work() -> None:
            try:
                answer = self._api.call(method, path, query, body, caller, report)
                events.put({"event": "result", "result": answer})
            except Exception as error:
                events.put({"event": "error", "error": _explain(error).as_json()})
            finally:
                events.put(None)
                self._working.discard(threading.current_thread())

        thread = threading.Thread(target=work, name=f"{method} {path}"[:60])
        self._working.add(thread)
        thread.start()
        while (event := events.get()) is not None:
            yield msgspec.json.encode(event) + b"\n"


def _quiet(what: str, done: int | None, total: int | None) -> None:
    """Nobody listens to the progress of a plain request."""


def _caller(environ: dict[str, Any]) -> Caller:
    """Who the kernel says is at the other end; a client's headers have no say in it."""
    try:
        return Caller(int(environ["X_REMOTE_UID"]), int(environ["X_REMOTE_PID"]))
    except (KeyError, ValueError):
        raise NotPermittedError("the socket does not say who is calling") from None


def _body(environ: dict[str, Any]) -> bytes:
    text = environ.get("CONTENT_LENGTH") or "0"
    if not text.isdecimal():
        raise InvalidError("the request's Content-Length is not a number of bytes")
    length = int(text)
    if length > LIMIT:
        raise InvalidError(f"the request is larger than {LIMIT} bytes")
    body: bytes = environ["wsgi.input"].read(length) if length else b""
    return body


def _explain(error: Exception) -> CowdbError:
    if not isinstance(error, CowdbError):
        log.error("unforeseen", exc_info=error)
    return failure(error)


def _refuse(error: CowdbError, start: Start) -> list[bytes]:
    return _send(error.http_status, {"error": error.as_json()}, start)


def _send(status: int, value: object, start: Start) -> list[bytes]:
    body = msgspec.json.encode(value)
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start(f"{status} {_REASONS.get(status, 'Error')}", headers)
    return [body]
