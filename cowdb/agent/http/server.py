"""The daemon: the application on a Unix socket that root and the members of a group may open."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

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

    # An exception from a signal handler may strike anywhere, also while cheroot starts or ends its
    # threads, and then some never end. A byte in a pipe strikes nowhere.
    told, tell = os.pipe()

    def end(*_: object) -> None:
        os.write(tell, b".")

    def work() -> None:
        try:
            server.serve()
        finally:
            end()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    serving = threading.Thread(target=work, name="server")
    before = os.umask(0o117)  # nobody else, from the first instant on
    try:
        server.prepare()
        gid = group_id(group)
        os.chown(path, 0, gid if gid is not None else 0)
        path.chmod(0o660)
        os.umask(before)
        serving.start()
        os.read(told, 1)
    finally:
        os.umask(before)
        server.stop()
        if serving.ident is not None:
            serving.join()
        app.drain()
        path.unlink(missing_ok=True)
