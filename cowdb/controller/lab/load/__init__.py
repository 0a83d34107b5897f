"""Traffic while a strategy runs: what users of the database would have felt.

with running(dsn, load, directory) as traffic:
    ...                                  # as long as load.before says
    traffic.mark("during")               # the strategy begins
    ...
    traffic.mark("after")                # it has ended
    ...
traffic.result()
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cowdb.controller.lab.load.recorder import Phase, Recorder
from cowdb.controller.lab.model import LoadResult
from cowdb.controller.lab.spec.model import Load

__all__ = ["Traffic", "running"]
_BINDIRS = ("/usr/lib/postgresql/*/bin",)


class Traffic:
    """What the load has found out; the result can be had once it has ended."""

    def __init__(self) -> None:
        self._recorder = Recorder(time.monotonic())
        self._end: float | None = None

    def begin(self) -> None:
        """The strategy begins."""
        self._mark("during")

    def end(self) -> None:
        """It has ended."""
        self._mark("after")

    def _mark(self, phase: Phase) -> None:
        self._recorder.mark(phase, time.monotonic())

    def result(self) -> LoadResult:
        return self._recorder.result(self._end or time.monotonic())


@contextlib.contextmanager
def running(
    dsn: str, load: Load, directory: Path, *, bindirs: Sequence[str] = _BINDIRS
) -> Iterator[Traffic]:
    """Traffic for the length of the block; nothing of it is left when the block has ended.

    :param directory: what the files that it names start from.
    :param bindirs: globs of where PostgreSQL's programs are, for pgbench.
    :raises InvalidError: a query or the script does not work.
    :raises CommandError: nobody can connect, or there is no pgbench.
    """
    from cowdb.controller.lab.load.clients import Clients
    from cowdb.controller.lab.load.pgbench import Pgbench
    from cowdb.controller.lab.load.queries import prepared

    traffic = Traffic()
    clients: Clients | Pgbench
    if load.pgbench is not None:
        script = directory / load.pgbench
        clients = Pgbench(dsn, script, load.clients, load.rate, traffic._recorder, bindirs)
    else:
        queries = prepared(load, directory)
        clients = Clients(dsn, queries, load.clients, load.rate, traffic._recorder)
    try:
        clients.start()
        traffic._mark("before")
        yield traffic
    finally:
        traffic._end = time.monotonic()
        clients.stop()
