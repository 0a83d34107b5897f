"""Watches one branch while something happens on it, and says what was seen.

Nothing that goes wrong here is silent: it is a note of the run. Nothing of the instruments is left
on the branch, also where the strategy failed or was ended.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg

from cowdb.controller import logs
from cowdb.controller.branching import Connect
from cowdb.controller.lab.probe import facts, instruments, log
from cowdb.controller.lab.probe.events import Gathered, Gatherer
from cowdb.controller.lab.probe.facts import Facts
from cowdb.controller.lab.probe.instruments import connected
from cowdb.controller.lab.probe.log import Entry
from cowdb.controller.lab.probe.sampler import Sampler
from cowdb.errors import ServerError

LOAD = "cowdb load"
OTHERS = ("cowdb ",)
"""How application names of sessions begin that are not the strategy's."""
_ENTRIES = 50_000
_LEAVING = 1.0  # seconds for sessions to be gone by themselves
_ENDING = 10.0
_STRAYS = """
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
AND application_name !~ '^cowdb '
"""


@dataclass
class Seen:
    """:param after: None where the database could not be read any more.
    :param disk_before: bytes that the branch had taken on the pool."""

    before: Facts
    sampler: Sampler
    gathered: Gathered
    after: Facts | None = None
    disk_before: int | None = None
    notes: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    """Of the log, the first ones, for who keeps them."""


@contextlib.contextmanager
def watching(connect: Connect, branch: str, dsn: str) -> Iterator[Seen]:
    """For the length of a block; `after` and `gathered` are there when it is over.

    :raises ServerError: the branch cannot be watched."""
    with _explained(branch), instruments.logging(dsn):
        offset = logs.size(connect, branch)
        try:
            with connected(dsn) as db:
                instruments.install(db)
                db.execute("CHECKPOINT")
                before = facts.read(db)
            sampler = Sampler(dsn, before.database, (LOAD,))
            seen = Seen(before, sampler, Gatherer(OTHERS).done())
            seen.disk_before = taken(connect, branch)
            sampler.start()
            try:
                yield seen
            finally:
                sampler.stop()
            _settle(dsn, seen)
        finally:
            _remove(dsn)
    gatherer = Gatherer(OTHERS)
    for entry in log.entries(logs.since(connect, branch, offset)):
        gatherer.add(entry)
        if len(seen.entries) < _ENTRIES and not entry.app.startswith(OTHERS):
            seen.entries.append(entry)
    seen.gathered = gatherer.done()
    seen.notes += dict.fromkeys(seen.gathered.failures)
    if sampler.failure:
        seen.notes.append(f"locks were not sampled to the end: {sampler.failure}")


@contextlib.contextmanager
def _explained(branch: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ServerError(f"branch {branch!r} cannot be watched: {said}") from error


def taken(connect: Connect, branch: str) -> int | None:
    with connect() as client:
        return client.branches.show(branch)["used_bytes"]


def _settle(dsn: str, seen: Seen) -> None:
    """End what the strategy left running, then read the facts: statistics of a session are there
    for others when it has ended."""
    try:
        with connected(dsn) as db:
            left = _end_sessions(db)
            if left:
                seen.notes.append(f"sessions that the strategy left open were ended: {left}")
            (prepared,) = db.execute("SELECT count(*) FROM pg_prepared_xacts").fetchall()[0]
            if prepared:
                seen.notes.append(f"prepared transactions were left behind: {prepared}; they hold "
                                  "their locks until they are committed")  # fmt: skip
            seen.after = facts.read(db)
    except psycopg.Error as error:
        text = str(error).strip().splitlines()
        seen.notes.append(f"the database could not be read afterwards: {text[0] if text else ''}")


def _end_sessions(db: psycopg.Connection[Any]) -> int:
    """How many were still there and had to be ended."""
    deadline, ended = time.monotonic() + _LEAVING, 0
    last = deadline + _ENDING
    while True:
        ((left,),) = db.execute(f"SELECT count(*) {_STRAYS}").fetchall()
        if not left or time.monotonic() > last:
            return ended
        if time.monotonic() > deadline and not ended:
            ended = left
        if ended:
            db.execute(f"SELECT pg_terminate_backend(pid) {_STRAYS}")
        time.sleep(0.01)


def _remove(dsn: str) -> None:
    """A database or server that is gone has no instruments any more."""
    with contextlib.suppress(psycopg.OperationalError):
        with connected(dsn) as db:
            _end_sessions_at_once(db)
        instruments.remove(dsn)


def _end_sessions_at_once(db: psycopg.Connection[Any]) -> None:
    """Where the block ended with an error, nobody has ended them yet."""
    db.execute(f"SELECT pg_terminate_backend(pid) {_STRAYS}")
