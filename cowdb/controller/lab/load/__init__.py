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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cowdb.controller.lab.load.recorder import Recorder
from cowdb.controller.lab.model import LoadResult
from cowdb.controller.lab.spec.model import Load, seconds

__all__ = ["Traffic", "running"]
_LOOK = 0.05  # seconds between looks at whether to stop
_BINDIRS = ("/usr/lib/postgresql/*/bin",)


class Traffic:
    """What the load has found out; the result can be had once it has ended.

    :param stopped: asked while it waits, whether everything shall end."""

    def __init__(self, before: float, after: float, stopped: Callable[[], bool]) -> None:
        self._before, self._after, self._stopped = before, after, stopped
        self._recorder = Recorder(time.monotonic())
        self._end: float | None = None

    def begin(self) -> None:
        """Wait for the end of the phase before; the strategy begins when this returns."""
        self._wait(self._before)
        self._recorder.mark("during", time.monotonic())

    def end(self) -> None:
        """The strategy has ended; wait for the end of the phase after."""
        self._recorder.mark("after", time.monotonic())
        self._wait(self._after)

    def _wait(self, duration: float) -> None:
        until = time.monotonic() + duration
        while (left := until - time.monotonic()) > 0 and not self._stopped():
            time.sleep(min(left, _LOOK))

    def result(self) -> LoadResult:
        return self._recorder.result(self._end or time.monotonic())


@contextlib.contextmanager
def running(
    dsn: str, load: Load, directory: Path, *, bindirs: Sequence[str] = _BINDIRS,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Traffic]:  # fmt: skip
    """Traffic for the length of the block; nothing of it is left when the block has ended.

    :param directory: what the files that it names start from.
    :param bindirs: globs of where PostgreSQL's programs are, for pgbench.
    :param stopped: ends the waiting of begin and end.
    :raises InvalidError: a query or the script does not work.
    :raises CommandError: nobody can connect, or there is no pgbench.
    """
    from cowdb.controller.lab.load.clients import Clients
    from cowdb.controller.lab.load.pgbench import Pgbench
    from cowdb.controller.lab.load.queries import prepared

    traffic = Traffic(seconds(load.before), seconds(load.after), stopped)
    clients: Clients | Pgbench
    if load.pgbench is not None:
        script = directory / load.pgbench
        clients = Pgbench(dsn, script, load.clients, load.rate, traffic._recorder, bindirs)
    else:
        queries = prepared(load, directory)
        clients = Clients(dsn, queries, load.clients, load.rate, traffic._recorder)
    try:
        clients.start()
        traffic._recorder.mark("before", time.monotonic())
        yield traffic
    finally:
        traffic._end = time.monotonic()
        clients.stop()
