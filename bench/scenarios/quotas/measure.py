"""Measure the life of a branch under each way of accounting for disk, beside more and more
snapshots that share blocks with it.

    off      no quotas
    simple   btrfs' simple quotas, and a limit on each branch: `cowdb branch create --disk`
    full     btrfs' older accounting, which finds out at each commit who shares what; no limit

    for 0, 50, 200 snapshots, each of a database that was changed since the one before:
        rounds through the ways, in turn: create, write, write out, remove, clean up
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import time
from typing import Any

import btrfsutil
import psycopg

from bench import ground, machine, peers, shop
from bench.clock import since
from bench.ground import Ground
from bench.record import Claim, Record, Results, Series, claim, measured, values
from bench.scenarios import Say
from bench.stats import median, ratio_of_medians
from cowdb.agent.storage import btrfs_quota

OFF, SIMPLE, FULL = "off", "simple", "full"
MODES = (OFF, SIMPLE, FULL)
PARTS = ("create", "write", "write_out", "remove", "clean_up")
"""Of a branch's life; `life` is their sum."""
BAR = 1.25
WRITTEN, CHANGED, LIMIT = 2000, 500, 2**30
_LABEL, _WORKER = "100MB", "worker"
_PATIENCE = 120.0


def run(options: argparse.Namespace, say: Say) -> Results:
    label = _LABEL
    if options.quick:
        label, options.snapshots, options.rounds, options.repeats = "10MB", [0, 2], 1, 1
    described, record = machine.describe(), Record()
    with ground.prepared(label, options.pg_version, say) as place:
        try:
            volumes = _measure(place, options, record, say)
        finally:
            account(place, OFF)
        facts = {**place.facts, "volumes": volumes}
    described |= {name: facts[name] for name in ("postgres", "filesystem")}
    described["load_average_at_end"] = machine.load()
    samples, counts = record.series(), sorted(options.snapshots)
    return measured(
        "quotas", quick=options.quick, machine=described, samples=samples, databases=[facts],
        parameters={"snapshots": counts, "rounds": options.rounds, "repeats": options.repeats,
                    "full_budget": options.full_budget,
                    "written_rows": WRITTEN, "changed_rows": CHANGED, "limit_bytes": LIMIT},
        conditions={"branch_settings": ground.branch_settings(), "page_cache": "warm for all"},
        ratios=ratios(samples, counts), claims=claims(samples, counts),
    )  # fmt: skip


def _measure(
    place: Ground, options: argparse.Namespace, record: Record, say: Say
) -> dict[str, int]:
    """Returns how many subvolumes there were, by the number of snapshots."""
    worker = place.client.branches.create(_WORKER, ground.SNAPSHOT)
    taken, ref, volumes = 0, ground.SNAPSHOT, {}
    for count in sorted(options.snapshots):
        say(f"{count} snapshots")
        account(place, OFF)
        with psycopg.connect(worker["dsn"], autocommit=True) as db:
            while taken < count:
                _change(place, db, random.Random(taken), CHANGED)
                taken += 1
                ref = f"{_WORKER}@s{taken}"
                place.client.snapshots.create(ref, settle=True)
        volumes[str(count)] = len(list((place.host.pool / "volumes").iterdir()))
        spent = 0.0  # by full accounting
        for number in range(options.rounds):
            for mode in MODES:
                if mode == FULL and spent > options.full_budget:
                    continue
                say(f"{count} snapshots, quotas {mode}, round {number + 1} of {options.rounds}")
                account(place, mode)
                begun = time.monotonic()
                _live(place, Record(), str(count), mode, ref)  # a first time, not counted
                for turn in range(options.repeats):
                    over = spent + time.monotonic() - begun > options.full_budget
                    if mode == FULL and over and (number or turn):
                        break  # but one is measured in any case
                    _live(place, record, str(count), mode, ref)
                spent += (time.monotonic() - begun) * (mode == FULL)
    return volumes


def account(place: Ground, mode: str) -> None:
    """Turn the filesystem's accounting to one of MODES."""
    mountpoint = place.host.mountpoint
    subprocess.run(["btrfs", "quota", "disable", mountpoint], check=False, capture_output=True)
    if mode == SIMPLE:
        if not btrfs_quota.is_simple_known():
            raise RuntimeError("this kernel has no simple quotas for btrfs: they came with 6.7")
        fd = os.open(place.host.pool, os.O_RDONLY | os.O_DIRECTORY)
        try:
            btrfs_quota.turn_on(fd)
        finally:
            os.close(fd)
    elif mode == FULL:
        subprocess.run(["btrfs", "quota", "enable", mountpoint], check=True, capture_output=True)
        subprocess.run(["btrfs", "quota", "rescan", "-w", mountpoint], check=True,
                       capture_output=True)  # fmt: skip
    place.settle()


def _change(place: Ground, db: psycopg.Connection[Any], chance: random.Random, count: int) -> None:
    rows = chance.sample(range(1, place.rows), min(count, place.rows - 1))
    db.execute("update lines set amount = amount + 1 where id = any(%s)", [rows])


def _live(place: Ground, record: Record, count: str, mode: str, ref: str) -> None:
    """A branch is made, written to, written out, removed, and cleaned up after."""
    took = {}
    limit = LIMIT if mode == SIMPLE else None
    begun = time.perf_counter()
    made = place.client.branches.create("life", ref, disk_bytes=limit)
    took["create"] = since(begun)
    if made["limits"]["disk_bytes"] != limit:
        raise RuntimeError(f"the branch has the limits {made['limits']}")
    with psycopg.connect(made["dsn"], autocommit=True) as db:
        peers.check(db, shop.QUERY, shop.CUSTOMERS)
        begun = time.perf_counter()
        _change(place, db, random.Random(1), WRITTEN)
        db.execute("checkpoint")
        took["write"] = since(begun)
    begun = time.perf_counter()
    place.settle()
    took["write_out"] = since(begun)
    begun = time.perf_counter()
    place.client.branches.remove("life")
    took["remove"] = since(begun)
    begun = time.perf_counter()
    _clean_up(place)
    took["clean_up"] = since(begun)
    record.add(count, mode, **took, life=sum(took.values()))


def _clean_up(place: Ground) -> None:
    """Returns when the filesystem has given back what was removed, which it would begin by itself
    within 30 seconds."""
    deadline = time.monotonic() + _PATIENCE
    btrfsutil.sync(str(place.host.mountpoint))  # unlike syncfs it wakes the cleaner, too
    while btrfsutil.deleted_subvolumes(str(place.host.mountpoint)):
        if time.monotonic() > deadline:
            raise TimeoutError("btrfs does not clean up after a removal")
        time.sleep(0.002)


def ratios(samples: list[Series], counts: list[int]) -> list[dict[str, Any]]:
    """How many times as long as without quotas."""
    rows = []
    for count in map(str, counts):
        for mode in (SIMPLE, FULL):
            for measure in (*PARTS, "life"):
                theirs, ours = (values(samples, count, way, measure) for way in (mode, OFF))
                if theirs:
                    rows.append({"database": count, "method": mode, "measure": measure,
                                 "ratio": round(median(theirs) / median(ours), 3)})  # fmt: skip
    return rows


def claims(samples: list[Series], counts: list[int]) -> list[Claim]:
    most, found = str(counts[-1]), []
    for measure, words in (("create", "making a branch"), ("remove", "removing a branch"),
                           ("life", "a branch's whole life")):  # fmt: skip
        pair = [values(samples, most, mode, measure) for mode in (SIMPLE, OFF)]
        ratio, low, high = ratio_of_medians(pair[0], pair[1], random.Random(1))
        found.append(
            claim(
                f"{words} with a limit of disk takes at most {BAR:g} times as long as "
                f"without, beside {most} snapshots",
                ratio,
                BAR,
                ratio <= BAR,
                f"{ratio:.2f} times (95 % interval {low:.2f} to {high:.2f})",
            )
        )
    return found
