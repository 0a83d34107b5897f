"""Which snapshots deserve how many spares, and what to do about it next. Pure.

A snapshot is to have as many as was asked for it; of those that nobody said anything about, the few
that branches were made of most recently get some by themselves. What all want is granted in
rounds, one for each in turn, for as long as memory and ports last: so a small budget gives the
first spare to many rather than all to one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cowdb.model import BranchRecord, SnapshotRecord

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Automatic:
    """What snapshots get by themselves.

    :param each: spares for a snapshot.
    :param snapshots: how many get some.
    :param window: how recently a branch must have been made of it.
    """

    each: int
    snapshots: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Budget:
    """:param memory: bytes for all of them.
    :param ports: how many there may be.
    :param costs: bytes of one spare, by snapshot, where it was measured.
    :param cost: bytes where it was not."""

    memory: int
    ports: int
    costs: Mapping[str, int]
    cost: int


@dataclass(frozen=True, slots=True)
class Change:
    """:param drop: ids of spares.
    :param make: the snapshot that gets one next; None when all have what is granted to them."""

    drop: tuple[str, ...] = ()
    make: str | None = None


def can_have(snapshot: SnapshotRecord) -> bool:
    """A spare is made of what starts without recovery, and of what somebody can name."""
    named = not snapshot.implicit and not snapshot.removed
    return named and snapshot.state == "ready" and snapshot.settled is not None


def wanted(
    snapshots: Collection[SnapshotRecord], automatic: Automatic, now: datetime
) -> dict[str, int]:
    """Spares by snapshot, those that come first first: what was asked for before what was not,
    and then the most recently used."""
    found = {
        item.id: item.spares
        for item in sorted(snapshots, key=_recency, reverse=True)
        if item.spares and not item.implicit
    }
    since = now - automatic.window
    used = [item for item in snapshots
            if item.spares is None and can_have(item) and _recency(item) > since]  # fmt: skip
    used.sort(key=_recency, reverse=True)
    return found | {item.id: automatic.each
                    for item in used[: automatic.snapshots] if automatic.each}  # fmt: skip


def _recency(snapshot: SnapshotRecord) -> datetime:
    return snapshot.branched_at or _NEVER


def granted(wishes: Mapping[str, int], budget: Budget) -> dict[str, int]:
    """As much of the wishes as there is memory and ports for."""
    given = dict.fromkeys(wishes, 0)
    memory, ports = budget.memory, budget.ports
    for level in range(1, max(wishes.values(), default=0) + 1):
        for snapshot, number in wishes.items():
            cost = budget.costs.get(snapshot, budget.cost)
            if number >= level and given[snapshot] == level - 1 and ports and cost <= memory:
                given[snapshot] = level
                memory, ports = memory - cost, ports - 1
    return given


def change(
    grants: Mapping[str, int], snapshots: Mapping[str, SnapshotRecord],
    spares: Sequence[BranchRecord], unsound: Collection[str], resting: Collection[str] = (),
) -> Change:  # fmt: skip
    """What is next: everything that is too much goes, and then one is made.

    :param spares: all that are ready, the oldest first.
    :param unsound: ids of those that nobody would be given, such as the dead.
    :param resting: snapshots of which none is made for now.
    """
    drop, kept = [], dict.fromkeys(grants, 0)
    for spare in spares:
        snapshot = snapshots.get(spare.snapshot)
        fresh = snapshot is not None and can_have(snapshot) and snapshot.settled == spare.base
        number = kept.get(spare.snapshot, 0)
        if spare.id in unsound or not fresh or number >= grants.get(spare.snapshot, 0):
            drop.append(spare.id)
        else:
            kept[spare.snapshot] = number + 1
    short = [item for item, number in grants.items()
             if kept[item] < number and item not in resting
             and item in snapshots and can_have(snapshots[item])]  # fmt: skip
    return Change(tuple(drop), min(short, key=kept.__getitem__, default=None))
