"""Locks of a run, merged from what all witnesses say. Pure.

* An *event* says what a session held when a DDL command ended: it misses no lock of those, however
  short, and knows no begin.
* A *statement* may say itself what it locks (TRUNCATE, LOCK TABLE).
* A *sample* shows every lock, of any statement, if it is held for longer than samples are apart.
* The *log* says when each statement began and ended, when each transaction ended (then its locks
  end), and when a lock that was waited for was got.

A lock's end is its transaction's end, but for statements that run several transactions (VACUUM,
CREATE INDEX CONCURRENTLY): those let go earlier, and the last sample has to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cowdb.controller.lab.model import Lock, Locked, LockMode
from cowdb.controller.lab.probe import spoken
from cowdb.controller.lab.probe.events import Gathered, Held
from cowdb.controller.lab.probe.sightings import HoldKey, Sightings, Waiting
from cowdb.controller.lab.probe.statements import Ran, Told

Blocks = Literal["reads", "writes", "ddl"]
BLOCKS: Mapping[str, Blocks] = {
    "AccessExclusiveLock": "reads",
    "ExclusiveLock": "writes",
    "ShareRowExclusiveLock": "writes",
    "ShareLock": "writes",
    "ShareUpdateExclusiveLock": "ddl",
    "RowExclusiveLock": "ddl",
}
"""Whom a mode makes wait first: readers (and so everybody), writers, or only DDL and VACUUM."""
_SLACK = 0.002
"""The log counts whole milliseconds."""

_Found = tuple[tuple[int, str], str, Lock]
"""Of a session's transaction, an index's table if it is one, and the lock."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One that was there before the strategy began, named as the diff engine names it.

    :param kind: pg_class.relkind.
    :param table: an index's."""

    name: str
    kind: str
    table: str = ""

    def feels(self, mode: str) -> bool:
        """Whether that lock on it makes anybody wait who does not wait for its table's anyway."""
        return mode in BLOCKS and not (self.kind in "iIS" and mode == "RowExclusiveLock")


@dataclass(slots=True)
class _Evidence:
    """Of one lock, in seconds since the epoch.

    :param missing: the last moment before `first` at which it was seen not to be held.
    :param ran: the statement in which an event says that it is held, and when `event` says so."""

    first: float
    last: float
    missing: float = 0.0
    ran: Ran | None = None
    event: float | None = None
    asked: float | None = None
    got: float | None = None


def merge(
    gathered: Gathered, seen: Sightings, relations: Mapping[int, Relation], began: float,
    ended: float,
) -> list[Lock]:  # fmt: skip
    """The strategy's locks, in the order in which they were got.

    :param relations: by oid; locks on anything else concern nobody.
    :param began: seconds since the epoch, where `at_ms` is 0. :param ended: when all was over."""
    told = gathered.told
    names = {oid: item.name for oid, item in relations.items()}
    evidence = _evidence(gathered, seen, list(spoken.locks(told, names)))
    found: list[_Found] = []
    for key, item in evidence.items():
        pid, vxid, relation, mode = key
        known = relations.get(relation)
        if pid in told.pids and known is not None and known.feels(mode):
            lock = _lock(known.name, mode, item, told, (pid, vxid), began, ended)
            found.append(((pid, vxid), known.table, lock))
    locks = [lock for place, (_, _, lock) in enumerate(found) if not _hidden(found, place)]
    got = {(pid, relation, mode) for pid, _, relation, mode in evidence}
    for wait_key, wait in seen.waiting.items():
        wait_pid, _, oid, mode, _ = wait_key
        known = relations.get(oid) if oid is not None else None
        if known is None or wait_pid not in told.pids or (wait_pid, oid, mode) in got:
            continue
        if wait.kind == "relation" and known.feels(mode):
            locks.append(_never(known.name, mode, wait, told, wait_pid, began))
    return sorted(locks, key=lambda lock: (lock["at_ms"], lock["relation"], lock["mode"]))


def _hidden(found: Sequence[_Found], place: int) -> bool:
    """Whether the same transaction holds a stronger lock on the relation, or on the index's table,
    all the while: then this one makes nobody wait."""
    session, table, lock = found[place]
    return any(
        other_session == session and other is not lock
        and (
            (other["relation"] == lock["relation"] and _stronger(other["mode"], lock["mode"]))
            or (table and other["relation"] == table and other["blocks"] == "reads")
        )
        and other["at_ms"] <= lock["at_ms"] + _SLACK * 1000
        and _end(other) >= _end(lock) - _SLACK * 1000
        for other_session, _, other in found
    )  # fmt: skip


def _stronger(one: str, other: str) -> bool:
    ranks = list(BLOCKS)
    return ranks.index(one) < ranks.index(other)


def _end(lock: Lock) -> float:
    return lock["at_ms"] + lock["held_ms"]


def _evidence(
    gathered: Gathered, seen: Sightings, said: Sequence[Held]
) -> dict[HoldKey, _Evidence]:
    found = {
        key: _Evidence(item.first, item.last, item.missing) for key, item in seen.holding.items()
    }
    for event in (*gathered.held, *said):
        key = (event.pid, event.vxid, event.relation, event.mode)
        item = found.setdefault(key, _Evidence(event.at, event.at))
        if item.event is None or event.at < item.event:
            item.ran, item.event = event.ran, event.at
        item.first, item.missing = min(item.first, event.at), min(item.missing, event.at)
        item.last = max(item.last, event.at)
    for (pid, vxid, oid, mode, since), wait in seen.waiting.items():
        if oid is not None and wait.kind == "relation" and (pid, vxid, oid, mode) in found:
            item = found[(pid, vxid, oid, mode)]
            item.asked = since if item.asked is None else min(item.asked, since)
            item.missing = max(item.missing, wait.last)
    for waited in gathered.waited:
        if waited.relation is not None and waited.got:
            key = (waited.pid, waited.vxid, waited.relation, waited.mode)
            item = found.setdefault(key, _Evidence(waited.at, waited.at))
            item.got, item.asked = waited.at, waited.at - waited.after_ms / 1000
            item.first = min(item.first, max(waited.at, item.asked))
    return found


def _lock(
    name: str, mode: str, item: _Evidence, told: Told, session: tuple[int, str], began: float,
    ended: float,
) -> Lock:  # fmt: skip
    ran, got, sure = _got(item, told, session)
    transaction = told.transactions.get(session)
    known_end = transaction is not None and not transaction.several
    if transaction is not None and known_end:
        until = transaction.ended if transaction.ended is not None else ended
    else:
        until = item.last
    until = max(until, item.last, got)
    asked = min(item.asked, got) if item.asked is not None else got
    return {
        "relation": name, "mode": _mode(mode), "blocks": BLOCKS[mode],
        "at_ms": _ms(got - began), "held_ms": _ms(until - got), "waited_ms": _ms(got - asked),
        "statement": ran.number if ran else None, "exact": sure and known_end,
    }  # fmt: skip


def _got(
    item: _Evidence, told: Told, session: tuple[int, str]
) -> tuple[Ran | None, float, bool]:  # fmt: skip
    """(by which statement, when, whether an event tells). A statement takes its locks when it
    begins: where no sample shows that it did not have it by then, that is when."""
    pid, vxid = session
    by = item.ran or told.at(pid, item.first)
    if item.got is not None:
        return by, item.got, True
    if item.asked is not None:
        return by, item.first, False
    if item.ran is None:  # only samples: it may have been any that ran since the one before
        possible = told.within(pid, vxid, item.missing, item.first)
        if len(possible) != 1:
            return by, item.first, False
        by = possible[0]
    if by is not None and item.missing <= by.began + _SLACK:
        return by, min(by.began, item.first), True
    if by is not None and item.event is not None and item.event <= item.first:
        # An event tells at the end what may have been held all the while.
        return by, max(by.began, item.missing), False
    return by, item.first, False


def _never(name: str, mode: str, wait: Waiting, told: Told, pid: int, began: float) -> Lock:
    """It was asked for and not got: others queued behind it all the same."""
    ran = told.at(pid, wait.since)
    until = ran.ended if ran is not None and ran.ended is not None else wait.last
    until = max(until, wait.last)
    return {
        "relation": name, "mode": _mode(mode), "blocks": BLOCKS[mode], "at_ms": _ms(until - began),
        "held_ms": 0.0, "waited_ms": _ms(until - wait.since),
        "statement": ran.number if ran else None, "exact": ran is not None,
    }  # fmt: skip


def _mode(mode: str) -> LockMode:
    return mode  # type: ignore[return-value]  # one of the keys of BLOCKS


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def together(locks: Iterable[Lock]) -> list[Locked]:
    """All locks of one mode on one relation; times in which several overlap count once."""
    grouped: dict[tuple[str, LockMode], list[Lock]] = {}
    for lock in locks:
        grouped.setdefault((lock["relation"], lock["mode"]), []).append(lock)
    found: list[Locked] = [
        {
            "relation": relation, "mode": mode, "blocks": BLOCKS[mode],
            "total_ms": _covered(items),
            "longest_ms": max(item["held_ms"] for item in items),
            "waited_ms": round(sum(item["waited_ms"] for item in items), 3),
            "times": len(items),
        }
        for (relation, mode), items in grouped.items()
    ]  # fmt: skip
    return sorted(found, key=lambda item: -item["total_ms"])


def _covered(locks: Sequence[Lock]) -> float:
    covered, until = 0.0, float("-inf")
    for lock in sorted(locks, key=lambda item: item["at_ms"]):
        end = lock["at_ms"] + lock["held_ms"]
        covered += max(0.0, end - max(lock["at_ms"], until))
        until = max(until, end)
    return round(covered, 3)
