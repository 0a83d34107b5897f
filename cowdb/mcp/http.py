"""The same server over streamable HTTP: on loopback only, for those who know the token.

The token is in the environment (COWDB_MCP_TOKEN), or in a file of the user's own that is made when
there is none. It never stands on a command line, where all processes of a host may read it.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import socket
import stat
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import anyio
import uvicorn

from cowdb.config import Config
from cowdb.controller.lab import kept
from cowdb.errors import InvalidError, NotPermittedError, PortError
from cowdb.mcp.server import server

VARIABLE = "COWDB_MCP_TOKEN"
LOOPBACK = "127.0.0.1"
_SHORTEST = 16

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def token_file() -> Path:
    return kept.directory().parent / "mcp-token"


def token() -> str:
    """:raises InvalidError: it is too short. NotPermittedError: others can read its file."""
    found = os.environ.get(VARIABLE, "")
    where = f"the variable {VARIABLE}"
    if not found:
        path = token_file()
        where = str(path)
        found = _read(path) or _make(path)
    if len(found) < _SHORTEST or not found.isascii() or not found.isprintable():
        raise InvalidError(f"{where} holds no token of {_SHORTEST} printable characters or more",
                           hint="such as: openssl rand -hex 32")  # fmt: skip
    return found


def _read(path: Path) -> str | None:
    """None where there is no file yet."""
    try:
        with path.open("rb") as stream:
            info = os.fstat(stream.fileno())
            if info.st_uid != os.geteuid() or stat.S_IMODE(info.st_mode) & 0o077:
                raise NotPermittedError(f"{path} can be read by others, or belongs to another user",
                                        hint="remove it; a new one is made")  # fmt: skip
            return stream.read(1000).decode(errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidError(f"{path} cannot be read: {error.strerror}") from error


def _make(path: Path) -> str:
    made = secrets.token_urlsafe(32)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # somebody was faster
        return _read(path) or ""
    except OSError as error:
        raise InvalidError(f"{path} cannot be written: {error.strerror}",
                           hint=f"set {VARIABLE}, or XDG_STATE_HOME") from error  # fmt: skip
    with os.fdopen(handle, "w") as stream:
        stream.write(made + "\n")
    return made


def guarded(app: App, secret: str) -> App:
    """Lets nobody through who does not know the secret, whatever they ask for."""
    expected = f"Bearer {secret}".encode()

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and not _knows(scope, expected):
            await _refuse(scope, send)
            return
        await app(scope, receive, send)

    return guard


def _knows(scope: Scope, expected: bytes) -> bool:
    given = [value for name, value in scope.get("headers", ()) if name == b"authorization"]
    return len(given) == 1 and hmac.compare_digest(given[0], expected)


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] != "http":
        return
    headers = [(b"www-authenticate", b"Bearer"), (b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": b"the token is missing or wrong\n"})


def serve_http(config: Config, port: int, say: Callable[[str], None]) -> None:
    """Until a signal ends it. :param port: 0 for any. :param say: tells where it listens.

    :raises PortError: somebody else listens there."""
    secret = token()
    app = guarded(server(config).streamable_http_app(host=LOOPBACK), secret)
    with contextlib.closing(_listener(port)) as listener:
        where = f"the variable {VARIABLE}" if os.environ.get(VARIABLE) else str(token_file())
        say(f"http://{LOOPBACK}:{listener.getsockname()[1]}/mcp, with the token in {where}")
        settings = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on")
        anyio.run(uvicorn.Server(settings).serve, [listener])


def _listener(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((LOOPBACK, port))
        found.listen(128)
    except OSError as error:
        found.close()
        raise PortError(f"port {port} cannot be listened on: {error.strerror}",
                        hint="give another one with --port") from error  # fmt: skip
    return found
