"""Looks at a branch's locks every few milliseconds, on a connection of its own.

It asks for no lock itself, and is as seldom as it must be to take no more than a tenth of one
core: what it took is measured where the kernel counts it, in the server's own process.
"""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import psycopg

from cowdb.controller.lab.probe.instruments import connected
from cowdb.controller.lab.probe.sightings import LockRow, Sample, Session, Sightings

_EVERY = 0.005
_SHARE = 10  # at most one in so many parts of the time
_RECENT = 8
_LONGEST = 0.05  # seconds between two looks, however slow they are
_QUERY = """
SELECT extract(epoch FROM c.at)::float8, (c.wal - '0/0')::float8, l.pid, l.virtualtransaction,
    l.locktype, l.relation::bigint, l.mode, l.granted, extract(epoch FROM l.waitstart)::float8,
    CASE WHEN NOT l.granted THEN pg_blocking_pids(l.pid) END
FROM (SELECT clock_timestamp() AS at, pg_current_wal_insert_lsn() AS wal) c
LEFT JOIN pg_locks l ON l.pid <> pg_backend_pid() AND NOT (l.pid = ANY(%s) AND l.granted)
    AND (NOT l.granted OR (l.locktype = 'relation' AND l.relation >= 16384
        AND l.database = %s AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')))
"""
_WHO = """
SELECT pid, application_name, backend_type, coalesce(query, ''), leader_pid
FROM pg_stat_activity WHERE pid = ANY(%s)
"""


class Sampler:
    """A thread between `start` and `stop`; what it saw is in `sightings`.

    :param quiet: beginnings of the names of applications whose granted locks are not wanted."""

    def __init__(self, dsn: str, database: int, quiet: tuple[str, ...]) -> None:
        self._dsn, self._database, self._quiet = dsn, database, quiet
        self.sightings = Sightings()
        self.failure = ""
        self.overhead = 0.0
        self.not_clients: set[int] = set()
        self.everyone: dict[int, Session] = {}
        self._ignored: list[int] = []
        self._end, self._ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="cowdb-lab-sampler", daemon=True)

    def start(self) -> None:
        """Returns after the first look."""
        self._thread.start()
        self._ready.wait(30)

    def stop(self) -> None:
        self._end.set()
        self._thread.join(60)

    def _run(self) -> None:
        try:
            with connected(self._dsn) as db:
                self._loop(db)
        except psycopg.Error as error:  # the server was stopped, or the session ended
            self.failure = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        finally:
            self._ready.set()

    def _loop(self, db: psycopg.Connection[Any]) -> None:
        meter = _Meter(db.info.backend_pid)
        recent: list[float] = []
        self._look(db)  # the first one plans and reads catalogs
        while True:
            began = time.perf_counter()
            self.sightings.add(self._look(db))
            took = time.perf_counter() - began
            meter.asked += took
            self._ready.set()
            recent = [*recent, took][-_RECENT:]
            # The least of a few: one that had to wait for a processor cost the server nothing.
            pause = min(_LONGEST, min(recent) * (_SHARE - 1))
            if self._end.wait(max(_EVERY - took, pause)):
                break
        self.overhead = meter.share()

    def _look(self, db: psycopg.Connection[Any]) -> Sample:
        found = db.execute(_QUERY, [self._ignored, self._database], prepare=True).fetchall()
        rows = [
            LockRow(pid, vxid, kind, relation, mode, granted, since, tuple(behind or ()))
            for _, _, pid, vxid, kind, relation, mode, granted, since, behind in found
            if pid is not None
        ]
        rows = [row for row in rows if row.pid not in self.not_clients or not row.granted]
        sessions = self._sessions(db, rows)
        return Sample(found[0][0], int(found[0][1]), rows, sessions)

    def _sessions(self, db: psycopg.Connection[Any], rows: list[LockRow]) -> dict[int, Session]:
        """Of those who wait and those in front of them, as they are now; others once."""
        waiting = {row.pid for row in rows if not row.granted}
        waiting |= {pid for row in rows for pid in row.behind}
        asked = waiting | {row.pid for row in rows if row.pid not in self.everyone}
        if not asked:
            return {}
        found = {}
        for pid, application, backend, query, leader in db.execute(_WHO, [list(asked)]).fetchall():
            found[pid] = Session(application, backend, query)
            if (leader is not None and leader != pid) or backend != "client backend":
                self.not_clients.add(pid)
            if application.startswith(self._quiet) and pid not in self._ignored:
                self._ignored.append(pid)
        self.everyone |= found
        return found


class _Meter:
    """What looking costs the server: the processor time of the session's own process as the
    kernel counts it, or, where that cannot be read, the time that answers took, which is more."""

    def __init__(self, pid: int) -> None:
        self._file = Path(f"/proc/{pid}/schedstat")
        self._began, self._before = time.perf_counter(), self._read()
        self.asked = 0.0

    def share(self) -> float:
        passed = time.perf_counter() - self._began
        now = self._read()
        used = self.asked if now is None or self._before is None else now - self._before
        return used / passed if passed else 0.0

    def _read(self) -> float | None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(self._file.read_text().split()[0]) / 1e9
        return None
