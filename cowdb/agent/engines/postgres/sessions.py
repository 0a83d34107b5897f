"""Sessions with running servers that stay open for a moment.

Who branches a running server often asks for several branches of it, one after the other, and each
time the agent has to ask it where it stands: with a session that is there already that takes a
fifth of the time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from cowdb.agent.engines.postgres import admin
from cowdb.agent.engines.postgres.admin import Place
from cowdb.model import Process

LINGER = 1.0
"""Seconds. DROP DATABASE and its like wait 5 for others to leave the database, so that nobody is
refused because of a session that is kept."""

_Connection = psycopg.Connection[Any]
_Answer = TypeVar("_Answer")


class Sessions:
    """At most one for each server; who comes while it is in use has one of their own."""

    def __init__(self, linger: float = LINGER) -> None:
        self._linger = linger
        self._kept: dict[Process, tuple[float, _Connection]] = {}
        self._lock = threading.Lock()
        self._closing = False

    def ask(
        self, place: Place, process: Process, query: Callable[[_Connection], _Answer]
    ) -> _Answer:
        """What `query` answers; it is asked again where a session that was kept has ended.

        :raises ServerError: another process than `process` answered.
        :raises psycopg.Error: what the server refused."""
        with self._lock:
            _, kept = self._kept.pop(process, (0.0, None))
        if kept is not None:
            try:
                return self._asked(process, kept, query)
            except psycopg.OperationalError:  # such as pg_terminate_backend, or a crash
                pass
        return self._asked(process, admin.opened(place, process), query)

    def _asked(
        self, process: Process, session: _Connection, query: Callable[[_Connection], _Answer]
    ) -> _Answer:
        try:
            answer = query(session)
        except BaseException:
            session.close()
            raise
        self._keep(process, session)
        return answer

    def _keep(self, process: Process, session: _Connection) -> None:
        with self._lock:
            _, other = self._kept.pop(process, (0.0, None))
            self._kept[process] = (time.monotonic() + self._linger, session)
            begin, self._closing = not self._closing, True
        if other is not None:
            other.close()
        if begin:
            threading.Thread(target=self._close_old, name="close sessions", daemon=True).start()

    def _close_old(self) -> None:
        """Until none is left."""
        while True:
            with self._lock:
                now = time.monotonic()
                old = [process for process, (until, _) in self._kept.items() if until <= now]
                ended = [self._kept.pop(process)[1] for process in old]
                soonest = min((until for until, _ in self._kept.values()), default=None)
                self._closing = soonest is not None
            for session in ended:
                session.close()
            if soonest is None:
                return
            time.sleep(max(0.0, soonest - time.monotonic()))

    def close(self) -> None:
        with self._lock:
            kept, self._kept = self._kept, {}
        for _, session in kept.values():
            session.close()
