"""The daemon: the application on a Unix socket that root and the members of a group may open."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path
from types import FrameType

from cheroot import wsgi

from cowdb.agent.http.app import App
from cowdb.agent.system import group_id
from cowdb.errors import ConflictError

THREADS = 64  # requests at once; each waits for the kernel or a server most of its time
_QUEUE = 256


def listens(path: Path) -> bool:
    """Whether an agent answers on the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def serve(app: App, path: Path, group: str) -> None:
    """Serve until SIGTERM or SIGINT; requests at work are finished first.

    :raises ConflictError: another agent has the socket.
    """
    if listens(path):
        raise ConflictError(f"an agent is already listening on {path}")
    path.unlink(missing_ok=True)
    server = wsgi.Server(
        str(path), app, numthreads=THREADS, request_queue_size=_QUEUE, peercreds_enabled=True,
        timeout=60, shutdown_timeout=600,
    )  # fmt: skip

    def end(number: int, frame: FrameType | None) -> None:
        # cheroot ends on KeyboardInterrupt, in the thread that serves
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    before = os.umask(0o117)  # nobody else, from the first instant on
    try:
        server.prepare()
        gid = group_id(group)
        os.chown(path, 0, gid if gid is not None else 0)
        path.chmod(0o660)
        os.umask(before)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve()
    finally:
        os.umask(before)
        server.stop()
        path.unlink(missing_ok=True)
