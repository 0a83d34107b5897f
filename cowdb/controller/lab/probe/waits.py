"""Who waited, for whom and for how long, from samples and log_lock_waits. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cowdb.controller.lab.model import Wait
from cowdb.controller.lab.probe.events import Gathered, Waited
from cowdb.controller.lab.probe.locks import Relation
from cowdb.controller.lab.probe.sightings import Session, Sightings, WaitKey

Who = Literal["strategy", "load", "other"]
_MOST = 500
"""Waits that a report keeps, the longest."""
_NEAR = 0.05
"""Seconds by which the log's and a sample's idea of one wait's begin may differ."""


@dataclass(frozen=True, slots=True)
class Spell:
    """One wait. `since` in seconds since the epoch, `waited` in seconds."""

    pid: int
    since: float
    waited: float
    relation: int | None
    mode: str
    behind: tuple[str, ...]


def spells(gathered: Gathered, seen: Sightings) -> list[Spell]:
    """Everybody's, each once, whether samples or the log or both told of it."""
    lines = _last_lines(gathered)
    found = []
    for key, wait in seen.waiting.items():
        pid, _, oid, mode, since = key
        line = next((line for line in lines if _same(key, line)), None)
        if line is not None:
            lines.remove(line)
        waited = max(wait.last - since, line.after_ms / 1000 if line else 0.0)
        found.append(Spell(pid, since, waited, oid, mode, tuple(wait.behind)))
    for line in lines:  # too short for any sample
        since = line.at - line.after_ms / 1000
        ahead = tuple(_holder(gathered, pid, since) for pid in line.holders)
        found.append(Spell(line.pid, since, line.after_ms / 1000, line.relation, line.mode, ahead))
    return found


def _holder(gathered: Gathered, pid: int, moment: float) -> str:
    ran = gathered.told.at(pid, moment)
    return f"{ran.text} (holds it)" if ran is not None else f"process {pid}"


def listed(
    found: Sequence[Spell], gathered: Gathered, sessions: Mapping[int, Session],
    relations: Mapping[int, Relation], began: float, shown: Callable[[str], str],
) -> list[Wait]:  # fmt: skip
    """In the order of time, the longest where there are too many.

    :param sessions: by pid. :param shown: takes out of a statement what must not be seen."""
    longest = sorted(found, key=lambda spell: -spell.waited)[:_MOST]
    waits = []
    for spell in longest:
        known = relations.get(spell.relation) if spell.relation is not None else None
        waits.append(Wait(
            at_ms=round((spell.since - began) * 1000, 3),
            waited_ms=round(spell.waited * 1000, 3),
            relation=known.name if known else None,
            mode=spell.mode,
            who=who(spell.pid, gathered, sessions),
            behind=[shown(text) for text in spell.behind],
        ))  # fmt: skip
    return sorted(waits, key=lambda wait: wait["at_ms"])


def _last_lines(gathered: Gathered) -> list[Waited]:
    """Each wait is told when it has lasted for deadlock_timeout, and again when it is over."""
    found: dict[tuple[int, str, int | None, str, int], Waited] = {}
    for line in gathered.waited:
        since = round(line.at * 1000 - line.after_ms)
        near = [key for key in found if key[:4] == (line.pid, line.vxid, line.relation, line.mode)
                and abs(key[4] - since) <= _NEAR * 1000]  # fmt: skip
        key = near[0] if near else (line.pid, line.vxid, line.relation, line.mode, since)
        found[key] = line
    return list(found.values())


def _same(key: WaitKey, line: Waited) -> bool:
    pid, vxid, relation, mode, since = key
    return (
        (pid, vxid, relation, mode) == (line.pid, line.vxid, line.relation, line.mode)
        and abs(line.at - line.after_ms / 1000 - since) <= _NEAR
    )  # fmt: skip


def who(pid: int, gathered: Gathered, sessions: Mapping[int, Session]) -> Who:
    if pid in gathered.told.pids:
        return "strategy"
    session = sessions.get(pid)
    return "load" if session is not None and session.application == "cowdb load" else "other"
