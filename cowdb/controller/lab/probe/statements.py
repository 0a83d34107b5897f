"""From a log's entries to the statements that ran and the transactions that they ran in. Pure.

`log_statement = all` tells a statement's begin and text, `log_min_duration_statement = 0` its end;
the virtual transaction in the prefix tells at each entry whether a transaction is still open. A
transaction ends with its last statement, or, where a client went away in the middle of it, with the
session.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from cowdb.controller.lab.probe.log import Entry

_STARTS = re.compile(r"(?:statement|execute (?P<name>.*?)): (?P<text>.*)", re.DOTALL)
_DURATION = re.compile(r"duration: (?P<ms>[\d.]+) ms")
_PREPARING = re.compile(r"duration: [\d.]+ ms  (?:parse|bind) ")
_OPENS = re.compile(r"\s*(?:begin|start\s+transaction)\b", re.IGNORECASE)
_SEVERAL = re.compile(r"\s*(?:vacuum|cluster|reindex|call|do|repack)\b|\bconcurrently\b", re.I)

_SLACK = 0.0015
"""Seconds: the log counts whole milliseconds."""


@dataclass(slots=True)
class Ran:
    """One statement as the server ran it; times in seconds since the epoch.

    :param ended: None while nothing tells its end."""

    pid: int
    vxid: str
    text: str
    began: float
    ended: float | None = None
    error: str = ""
    code: str = ""
    number: int = 0

    @property
    def several(self) -> bool:
        """It may run several transactions, and then frees locks before it ends."""
        return _SEVERAL.search(self.text) is not None

    def covers(self, at: float, slack: float) -> bool:
        """:param slack: seconds."""
        return self.began - slack <= at and (self.ended is None or at <= self.ended + slack)


@dataclass(slots=True)
class Transaction:
    began: float
    ended: float | None
    several: bool


@dataclass
class Told:
    """What a log told of the sessions that were asked for, in the order of time."""

    statements: list[Ran] = field(default_factory=list)
    transactions: dict[tuple[int, str], Transaction] = field(default_factory=dict)
    pids: set[int] = field(default_factory=set)
    temp_bytes: int = 0
    by_pid: dict[int, list[Ran]] = field(default_factory=dict)

    def at(self, pid: int, moment: float) -> Ran | None:
        """The statement that a session ran then: the latest that had begun."""
        for slack in (0.0, _SLACK):
            covering = [ran for ran in self.by_pid.get(pid, ()) if ran.covers(moment, slack)]
            if covering:
                return covering[-1]
        return None

    def within(self, pid: int, vxid: str, began: float, ended: float) -> list[Ran]:
        """The statements of a transaction that ran at some moment between the two; not those that
        only open or close it."""
        return [
            ran for ran in self.by_pid.get(pid, ())
            if ran.vxid == vxid and ran.began <= ended and not _OPENS.match(ran.text)
            and (ran.ended is None or ran.ended >= began)
        ]  # fmt: skip


class Reader:
    """Takes entries one by one, so that a long log need not be held."""

    def __init__(self) -> None:
        self._open: dict[int, Ran] = {}
        self._vxids: dict[int, str] = {}  # of the last entry of each session
        self._blocks: set[tuple[int, str]] = set()
        self._told = Told()

    def add(self, entry: Entry) -> None:
        """Of the strategy's sessions only."""
        pid = entry.pid
        self._told.pids.add(pid)
        self._follow_transaction(entry)
        if entry.level == "LOG":
            self._log(entry)
        elif entry.level in ("ERROR", "FATAL", "PANIC"):
            self._error(entry)
        if entry.text.startswith("disconnection:"):
            self._gone(entry)
        self._vxids[pid] = entry.vxid

    def running(self, pid: int) -> Ran | None:
        """The statement that a session is in at this entry."""
        return self._open.get(pid)

    def told(self) -> Told:
        for number, ran in enumerate(self._told.statements, 1):
            ran.number = number
        return self._told

    def _log(self, entry: Entry) -> None:
        if started := _STARTS.fullmatch(entry.text):
            self._begin(entry, started["text"])
        elif entry.text.startswith("temporary file:"):
            self._told.temp_bytes += int(entry.text.rpartition("size ")[2] or 0)
        elif (took := _DURATION.match(entry.text)) and not _PREPARING.match(entry.text):
            ran = self._open.pop(entry.pid, None)
            if ran is not None:
                # Both moments are cut to milliseconds, the time between them is not.
                seconds = float(took["ms"]) / 1000
                ran.began = max(ran.began, entry.at - seconds)
                ran.ended = ran.began + seconds
                self._extend(ran, entry)

    def _begin(self, entry: Entry, text: str) -> None:
        before = self._open.pop(entry.pid, None)
        if before is not None:  # its end was not logged
            before.ended = entry.at
            self._extend(before, entry)
        self._add(Ran(entry.pid, entry.vxid, text.strip(), entry.at))

    def _add(self, ran: Ran) -> None:
        self._open[ran.pid] = ran
        self._told.statements.append(ran)
        self._told.by_pid.setdefault(ran.pid, []).append(ran)
        key = (ran.pid, ran.vxid)
        if _OPENS.match(ran.text):
            self._blocks.add(key)
        known = self._told.transactions.get(key)
        if known is None:
            self._told.transactions[key] = Transaction(ran.began, None, ran.several)
        else:
            known.several |= ran.several

    def _extend(self, ran: Ran, entry: Entry) -> None:
        """Its transaction is over with it, unless a block is open. (The extended protocol commits
        just after the end of a statement is logged.)"""
        if entry.vxid != ran.vxid or (ran.pid, ran.vxid) not in self._blocks:
            self._told.transactions[(ran.pid, ran.vxid)].ended = ran.ended

    def _error(self, entry: Entry) -> None:
        if entry.pid not in self._open:
            if not entry.statement:
                return  # of the session, such as a refused connection
            # A syntax error comes before the statement is logged.
            self._add(Ran(entry.pid, entry.vxid, entry.statement.strip(), entry.at))
        ran = self._open.pop(entry.pid)
        ran.ended, ran.error, ran.code = entry.at, entry.text, entry.code
        self._extend(ran, entry)

    def _follow_transaction(self, entry: Entry) -> None:
        """An aborted block is over with its error, which only the next entry shows."""
        before = self._vxids.get(entry.pid, "")
        if before in ("", entry.vxid):
            return
        known = self._told.transactions.get((entry.pid, before))
        if known is not None and known.ended is None and entry.pid not in self._open:
            last = self._told.by_pid[entry.pid][-1]
            known.ended = last.ended if last.error else entry.at

    def _gone(self, entry: Entry) -> None:
        ran = self._open.pop(entry.pid, None)
        if ran is not None:
            ran.ended = entry.at
        for (pid, _), known in self._told.transactions.items():
            if pid == entry.pid and known.ended is None:
                last = self._told.by_pid[pid][-1]
                failed = last.error != "" and last.code != "" and entry.vxid.endswith("/0")
                known.ended = last.ended if failed else entry.at


def read(entries: Iterable[Entry]) -> Told:
    reader = Reader()
    for entry in entries:
        reader.add(entry)
    return reader.told()
