"""What samples of pg_locks have shown so far: spells of holding and of waiting. Pure; takes samples
one by one, so that a long run needs no more memory than it has locks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LockRow:
    """One row of pg_locks.

    :param since: when it began to wait, in seconds since the epoch.
    :param behind: the sessions that block it, where it waits."""

    pid: int
    vxid: str
    kind: str
    relation: int | None
    mode: str
    granted: bool
    since: float | None = None
    behind: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """Who a process is.

    :param query: what it runs or ran last."""

    application: str
    backend: str
    query: str


@dataclass(frozen=True, slots=True)
class Sample:
    """:param at: seconds since the epoch, by the server's clock.
    :param wal: bytes written since the server's beginning.
    :param sessions: those who wait and those in front of them, as they are now."""

    at: float
    wal: int
    rows: Sequence[LockRow]
    sessions: Mapping[int, Session] = field(default_factory=dict)


@dataclass(slots=True)
class Holding:
    """:param missing: the last sample before, which did not show it yet."""

    first: float
    last: float
    missing: float


@dataclass(slots=True)
class Waiting:
    kind: str
    since: float
    last: float
    behind: list[str] = field(default_factory=list)
    """The longest chain that was seen, nearest first."""
    who: Session | None = None


HoldKey = tuple[int, str, int, str]
"""pid, virtual transaction, relation, mode."""
WaitKey = tuple[int, str, int | None, str, float]
"""The same, and since when."""


class Sightings:
    def __init__(self) -> None:
        self.holding: dict[HoldKey, Holding] = {}
        self.waiting: dict[WaitKey, Waiting] = {}
        self.applications: dict[int, Session] = {}
        self.count, self.longest_gap = 0, 0.0
        self.gaps: list[float] = []
        self.wal: list[tuple[float, int]] = []
        self._last = 0.0

    def add(self, sample: Sample) -> None:
        before = self._last or sample.at
        self.count += 1
        self._note_gap(sample.at - before)
        self._last = sample.at
        if not self.wal or sample.wal != self.wal[-1][1] or sample.at - self.wal[-1][0] > 1:
            self.wal.append((sample.at, sample.wal))
        self.applications.update(sample.sessions)
        for row in sample.rows:
            if row.granted and row.relation is not None and row.kind == "relation":
                self._hold((row.pid, row.vxid, row.relation, row.mode), sample.at, before)
            elif not row.granted:
                self._wait(row, sample)

    def _note_gap(self, gap: float) -> None:
        self.longest_gap = max(self.longest_gap, gap)
        if self.count > 1 and len(self.gaps) < 100_000:
            self.gaps.append(gap)

    def _hold(self, key: HoldKey, at: float, before: float) -> None:
        known = self.holding.get(key)
        if known is None:
            self.holding[key] = Holding(at, at, before)
        else:
            known.last = at

    def _wait(self, row: LockRow, sample: Sample) -> None:
        since = row.since if row.since is not None else sample.at
        key: WaitKey = (row.pid, row.vxid, row.relation, row.mode, since)
        known = self.waiting.setdefault(key, Waiting(row.kind, since, sample.at))
        known.last = sample.at
        known.who = sample.sessions.get(row.pid, known.who)
        behind = chain(row, sample)
        if len(behind) > len(known.behind):
            known.behind = behind


def chain(row: LockRow, sample: Sample) -> list[str]:
    """Who is in front, nearest first, and what each of them does."""
    blockers = {item.pid: item.behind for item in sample.rows if not item.granted}
    found: list[str] = []
    seen, level = {row.pid}, list(row.behind)
    while level:
        following: list[int] = []
        for pid in level:
            if pid in seen:
                continue
            seen.add(pid)
            session = sample.sessions.get(pid)
            waits = "waits, itself behind others" if pid in blockers else "holds it"
            what = f"{session.application or session.backend}: {session.query}" if session else ""
            found.append(f"{what or f'process {pid}'} ({waits})")
            following += blockers.get(pid, ())
        level = following
    return found
