"""What the event triggers and the server said in its log. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cowdb.controller.lab.probe.instruments import MARK
from cowdb.controller.lab.probe.log import Entry
from cowdb.controller.lab.probe.statements import Ran, Reader, Told

_WAIT = re.compile(
    r"process (?P<pid>\d+) (?P<what>still waiting for|acquired|failed to acquire|"
    r"avoided deadlock for|detected deadlock while waiting for) (?P<mode>\w+) on "
    r"(?P<object>.*?) after (?P<ms>[\d.]+) ms",
    re.DOTALL,
)
_RELATION = re.compile(r"relation (\d+) of database \d+")
_HOLDERS = re.compile(r"Process(?:es)? holding the lock: ([\d, ]+)\.")


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that a session held at a moment.

    :param ran: the statement that it was in."""

    pid: int
    vxid: str
    relation: int
    mode: str
    at: float
    ran: Ran | None


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A table that a statement writes anew, and PostgreSQL's reason (2 is a default)."""

    pid: int
    relation: int
    reason: int
    at: float
    ran: Ran | None


@dataclass(frozen=True, slots=True)
class Scanned:
    """A table that a DDL command has read, and how many rows of it."""

    relation: int
    rows: int
    ran: Ran | None


@dataclass(frozen=True, slots=True)
class Waited:
    """A line of log_lock_waits.

    :param relation: None where something else is waited for, such as a row's transaction.
    :param got: it has the lock now; else it still waits."""

    pid: int
    vxid: str
    relation: int | None
    mode: str
    at: float
    after_ms: float
    got: bool
    holders: tuple[int, ...]
    what: str


@dataclass
class Gathered:
    """Everything that a log has of one run."""

    told: Told
    held: list[Held] = field(default_factory=list)
    rewritten: list[Rewritten] = field(default_factory=list)
    scanned: list[Scanned] = field(default_factory=list)
    waited: list[Waited] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Gatherer:
    """Takes entries one by one.

    :param others: beginnings of the application names of sessions that are not the strategy's."""

    def __init__(self, others: Sequence[str]) -> None:
        self._others = tuple(others)
        self._reader = Reader()
        self._found = Gathered(Told())
        self._scans: dict[int, dict[str, list[int]]] = {}

    def add(self, entry: Entry) -> None:
        if entry.level == "LOG" and (waited := _waited(entry)) is not None:
            self._found.waited.append(waited)
        if not entry.vxid or entry.app.startswith(self._others):
            return
        if entry.level == "LOG" and entry.text.startswith(MARK):
            self._event(entry)
        self._reader.add(entry)

    def done(self) -> Gathered:
        self._found.told = self._reader.told()
        return self._found

    def _event(self, entry: Entry) -> None:
        ran = self._reader.running(entry.pid)
        try:
            said = json.loads(entry.text.removeprefix(MARK))
            if "rewrites" in said:
                self._found.rewritten.append(
                    Rewritten(entry.pid, int(said["rewrites"]), int(said["reason"]), entry.at, ran)
                )
            self._found.held += [
                Held(entry.pid, str(vxid), int(relation), str(mode), entry.at, ran)
                for relation, mode, vxid in said.get("locks", ())
            ]
            if "scans_before" in said:
                self._scans[entry.pid] = said["scans_before"] or {}
            elif "scans" in said:
                self._scan(entry.pid, said["scans"] or {}, ran)
            if "failed" in said:
                self._found.failures.append(f"an event trigger of the lab failed: {said['failed']}")
        except (LookupError, ValueError, TypeError, AttributeError):
            self._found.failures.append("a line of the lab's event triggers could not be read")

    def _scan(self, pid: int, scans: Mapping[str, Sequence[int]], ran: Ran | None) -> None:
        """:param scans: scans and rows read by table, which count on until the session is idle for
        a while: so what was there when the command began is taken off."""
        before = self._scans.pop(pid, {})
        for oid, (times, rows) in scans.items():
            known = before.get(oid, [0, 0])
            if times > known[0]:
                self._found.scanned.append(Scanned(int(oid), rows - known[1], ran))


def _waited(entry: Entry) -> Waited | None:
    found = _WAIT.match(entry.text)
    if found is None:
        return None
    relation = _RELATION.search(found["object"])
    holders = _HOLDERS.search(entry.detail)
    return Waited(
        int(found["pid"]), entry.vxid, int(relation[1]) if relation else None, found["mode"],
        entry.at, float(found["ms"]), found["what"] == "acquired",
        tuple(int(pid) for pid in holders[1].split(",")) if holders else (), found["object"],
    )  # fmt: skip
