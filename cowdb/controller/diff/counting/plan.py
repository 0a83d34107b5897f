"""Who reads which blocks, so that few are read. Pure.

With S the snapshot that all sides come from, T a table in file F, and X blocks that hold all of
those that a side has changed:

    rows of T on the side = rows in S - rows in X of S + rows in X of the side

Rows in S are known from before, or one side (the *leader*) is counted in full and the equation is
turned round. Blocks of S are read wherever they still are: on another side that has not changed
them, else on the *base*, a clone of S that is made for this. docs/diff.md has the proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cowdb.controller.diff.counting.ranges import Ranges, joined, total, without

BASE = -1
"""The reader that is no side, but a clone of the snapshot."""

_GAP = 2  # blocks that are cheaper to read than another range is to begin
_QUERY = 3  # blocks that a count of everything reads while one range is begun
BASE_WORTH = 4096  # blocks; to count fewer in full takes no longer than to make a clone


@dataclass(frozen=True)
class Place:
    """A table of one side on disk.

    :param pages: blocks, about."""

    table: str
    pages: int


@dataclass(frozen=True)
class Reading:
    """Blocks whose rows are to be counted.

    :param reader: number of a side, or BASE.
    :param side: whose number of rows this is for.
    :param sign: 1 for the side's own blocks, -1 for the snapshot's."""

    reader: int
    file: str
    ranges: Ranges
    side: int
    sign: int


@dataclass
class Plan:
    """:param readings: which blocks to count where.
    :param full: for each side, files to count in full.
    :param leader: for each file without a known number, the side that tells it.
    :param derived: (side, file) whose number follows from the snapshot's."""

    readings: list[Reading] = field(default_factory=list)
    full: list[set[str]] = field(default_factory=list)
    leader: dict[str, int] = field(default_factory=dict)
    derived: set[tuple[int, str]] = field(default_factory=set)

    @property
    def needs_base(self) -> bool:
        return any(reading.reader == BASE for reading in self.readings)


def plan(
    tables: Sequence[Mapping[str, Place]], written: Sequence[Mapping[str, Ranges]],
    known: Mapping[str, int], *, base: bool,
) -> Plan:  # fmt: skip
    """:param tables: for each side, the tables that blocks can tell of, by file.
    :param written: for each side and file, the blocks that are not the snapshot's.
    :param known: rows in the snapshot, by file.
    :param base: whether a clone of the snapshot can be had."""
    done = _plan(tables, written, known)
    poor = {reading.file for reading in done.readings if reading.reader == BASE}
    pages = sum(max(side[file].pages for side in tables if file in side) for file in poor)
    if poor and not (base and pages >= BASE_WORTH):
        for file in poor:
            _give_up(done, file, tables)
    return done


def _give_up(done: Plan, file: str, tables: Sequence[Mapping[str, Place]]) -> None:
    """Count it in full wherever that needs the base."""
    lost = {item.side for item in done.readings if item.file == file and item.reader == BASE}
    if done.leader.get(file) in lost:  # without the snapshot's number no other follows
        del done.leader[file]
        lost = {side for side, each in enumerate(tables) if file in each}
    for side in lost:
        done.full[side].add(file)
        done.derived.discard((side, file))
    done.readings = [item for item in done.readings if item.file != file or item.side not in lost]


def _plan(
    tables: Sequence[Mapping[str, Place]], written: Sequence[Mapping[str, Ranges]],
    known: Mapping[str, int],
) -> Plan:  # fmt: skip
    done = Plan(full=[set() for _ in tables])
    load = [0] * len(tables)
    for file in sorted({file for side in tables for file in side}):
        sides = [side for side, each in enumerate(tables) if file in each]
        changed = {side: joined(written[side].get(file, ())) for side in sides}
        wide = {side: joined(changed[side], _GAP) for side in sides}
        cheap = [side for side in sides if _is_worth_it(wide[side], tables[side][file].pages)]
        if file not in known and cheap:
            leader = min(cheap, key=lambda side: load[side])
            done.leader[file] = leader
        for side in sides:
            if side in cheap and (file in known or side != done.leader[file]):
                done.derived.add((side, file))
            else:
                done.full[side].add(file)
                load[side] += tables[side][file].pages
        told = [done.leader[file]] if file in done.leader else []
        for side in [*told, *(side for side in cheap if (side, file) in done.derived)]:
            done.readings += _readings(side, file, wide[side], changed)
    return done


def _is_worth_it(ranges: Ranges, pages: int) -> bool:
    """Whether reading some blocks twice costs less than reading all."""
    return not ranges or len(ranges) * _QUERY + total(ranges) * 2 <= pages


def _readings(side: int, file: str, wide: Ranges, changed: Mapping[int, Ranges]) -> list[Reading]:
    """A side's own blocks, and the snapshot's from whoever still has them."""
    if not wide:
        return []
    found = [Reading(side, file, wide, side, 1)]
    left = list(wide)
    for other, theirs in changed.items():
        if other != side and (part := without(left, theirs)):
            found.append(Reading(other, file, part, side, -1))
            left = without(left, part)
    return [*found, Reading(BASE, file, left, side, -1)] if left else found
