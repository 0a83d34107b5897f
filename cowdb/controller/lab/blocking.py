"""For how long others would have had to wait for a strategy's locks. Pure.

Who comes after a request for a lock that conflicts with theirs queues behind it, whether it has
been granted or waits itself: so a lock blocks from when it was asked for until it was let go.
Locks on one relation that overlap, such as ShareLock and then AccessExclusiveLock in the same
transaction, are one time to those who wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from cowdb.controller.lab.model import Lock

Who = Literal["reads", "writes"]
_BLOCKERS: dict[Who, tuple[str, ...]] = {"reads": ("reads",), "writes": ("reads", "writes")}


@dataclass(frozen=True)
class Blocked:
    """A time in which reads or writes of one relation would have waited; milliseconds.

    :param lock: the longest of the locks that made it so."""

    who: Who
    relation: str
    begin_ms: float
    end_ms: float
    lock: Lock

    @property
    def ms(self) -> float:
        return self.end_ms - self.begin_ms


def blocked(locks: Iterable[Lock], who: Who) -> list[Blocked]:
    """The longest first."""
    found: list[Blocked] = []
    by_relation: dict[str, list[Lock]] = {}
    for lock in locks:
        if lock["blocks"] in _BLOCKERS[who]:
            by_relation.setdefault(lock["relation"], []).append(lock)
    for relation, held in by_relation.items():
        held.sort(key=begin)
        group = [held[0]]
        for lock in held[1:]:
            if begin(lock) <= max(map(end, group)):
                group.append(lock)
            else:
                found.append(_together(who, relation, group))
                group = [lock]
        found.append(_together(who, relation, group))
    return sorted(found, key=lambda item: (-item.ms, item.begin_ms, item.relation))


def longest(locks: Iterable[Lock], who: Who) -> Blocked | None:
    return next(iter(blocked(locks, who)), None)


def longest_ms(locks: Iterable[Lock], who: Who) -> float:
    found = longest(locks, who)
    return found.ms if found is not None else 0.0


def total_ms(locks: Iterable[Lock], who: Who) -> float:
    """For how long anything at all was blocked: times of several relations count once."""
    covered, until = 0.0, float("-inf")
    for item in sorted(blocked(locks, who), key=lambda item: item.begin_ms):
        covered += max(0.0, item.end_ms - max(item.begin_ms, until))
        until = max(until, item.end_ms)
    return covered


def begin(lock: Lock) -> float:
    """When it was asked for."""
    return lock["at_ms"] - lock["waited_ms"]


def end(lock: Lock) -> float:
    return lock["at_ms"] + lock["held_ms"]


def _together(who: Who, relation: str, group: Sequence[Lock]) -> Blocked:
    worst = max(group, key=lambda lock: lock["held_ms"] + lock["waited_ms"])
    return Blocked(who, relation, min(map(begin, group)), max(map(end, group)), worst)
