"""Measure single operations at the n-th branch of trees of three shapes, and at the end of a deep
one, on databases of several sizes, by cowdb and by its peers.

    spine     each branch of the one before
    bushy     each branch has three children
    fan-out   each branch of the root

With several threads each grows a tree of its own out of the same root; together they make as many
branches as one thread does alone.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench import crew, ground, machine, shop
from bench.clock import since
from bench.kept import Kept
from bench.record import Claim, Record, Results, Series, claim, measured, values
from bench.scenarios import Say
from bench.shop import Session, WrongError, note_step, require_trail
from bench.sizes import bytes_of
from bench.stats import median, ratio_of_medians
from bench.ways import CLONE, COWDB, PEERS, REFUSED, Way

SPINE, BUSHY, FAN_OUT = "spine", "bushy", "fan-out"
_CHILDREN = 3  # of each branch of a bushy tree
PARENTS: dict[str, Callable[[int], int | None]] = {
    SPINE: lambda number: number - 1 if number else None,
    BUSHY: lambda number: (number - 1) // _CHILDREN if number else None,
    FAN_OUT: lambda number: None,
}
"""The number of the parent of the n-th branch; None for the root."""
OPERATIONS = ("create", "connect", "read", "range", "update", "ddl", "remove")
DEEP_BAR, SIZE_BAR = 1.2, 1.25
DEEP_CHANGES, RANGE, UPDATED = 50, 100, 20
_DEEP_BUDGETS = 4  # of a tree, for the deep one
_ROUNDS, _READS = 20, 100  # of point reads at either end
_NAMES = ("sizes", "branches", "threads", "deep", "peer_budget", "pg_version", "peers")


@dataclass
class Cell:
    """A tree of one shape that some threads grow in one way.

    :param measure: begins the names of its series, as "spine.2.".
    :param deadline: on time.monotonic; no branch is begun after it."""

    way: Way
    record: Record
    label: str
    method: str
    measure: str
    rows: int
    deadline: float
    lock: threading.Lock = field(default_factory=threading.Lock)
    made: list[tuple[int, str]] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    looked_at: int = 0

    def timed(self, operation: str, call: Callable[..., object], *arguments: object) -> None:
        begun = time.perf_counter()
        call(*arguments)
        self.record.add(self.label, self.method, **{f"{self.measure}{operation}": since(begun)})


def run(options: argparse.Namespace, say: Say) -> Results:
    if options.quick:
        options.sizes, options.branches, options.deep = ("10MB",), 4, 3
        options.threads, options.peer_budget = [1, 2], 3.0
    described = machine.describe()
    kept = Kept.resumed(options, _NAMES, say)
    for size in options.sizes:
        if not {cell for cell, *_ in _cells(options, size)} <= kept.done:
            _measure_size(options, kept, size, say)
    described |= kept.conditions.get("machine", {})
    described["load_average_at_end"] = machine.load()
    results = _results(options, kept, described)
    kept.forget()
    return results


def _cells(options: argparse.Namespace, size: str) -> list[tuple[str, str, str, int]]:
    """(name, method, shape, threads); the deep one is a spine without threads."""
    found = []
    for method in ground.usable([COWDB, *options.peers], options.pg_version):
        threads = options.threads if method in (COWDB, CLONE) else options.threads[:1]
        found += [(f"{size}/{method}/{shape}.{count}", method, shape, count)
                  for shape in PARENTS for count in threads]  # fmt: skip
        if method in (COWDB, CLONE):
            found.append((f"{size}/{method}/deep", method, SPINE, 0))
    return found


def _measure_size(options: argparse.Namespace, kept: Kept, size: str, say: Say) -> None:
    with ground.prepared(size, options.pg_version, say) as place:
        kept.cells[size] = place.facts
        kept.conditions["machine"] = {
            name: place.facts[name] for name in ("postgres", "filesystem")
        }  # fmt: skip
        for name, method, shape, threads in _cells(options, size):
            if name in kept.done:
                continue
            say(f"{size}, {method}: {shape}, {threads} threads" if threads else
                f"{size}, {method}: {options.deep} deep")  # fmt: skip
            measure = f"{shape}.{threads}." if threads else "deep."
            kept.record.forget(size, method, measure)
            place.settle()
            budget = options.peer_budget * (1 if threads else _DEEP_BUDGETS)
            budget = math.inf if method == COWDB else budget
            with ground.opened(place, method) as way:
                cell = Cell(way, kept.record, size, method, measure, place.rows,
                            time.monotonic() + budget)  # fmt: skip
                if threads:
                    _grow_tree(cell, shape, options.branches, threads)
                else:
                    _go_deep(cell, options.deep)
                _remove_all(cell)
            kept.cells[name] = {
                "database": size, "method": method, "shape": shape, "threads": threads,
                "made": len(cell.made), "refusals": dict(cell.refusals), "wrong": cell.wrong[:5],
                "wrong_count": len(cell.wrong), "looked_at": cell.looked_at,
            }  # fmt: skip
            kept.finish(name)


def _grow_tree(cell: Cell, shape: str, branches: int, threads: int) -> None:
    def worker(thread: int) -> crew.Worker:
        def work(stop: threading.Event) -> None:
            trails: dict[int | None, tuple[str, ...]] = {None: ()}
            for number in range(thread, branches, threads):
                if stop.is_set() or time.monotonic() > cell.deadline:
                    return
                place = number // threads
                parent = PARENTS[shape](place)
                try:
                    trails[place] = _branch(cell, shape, thread, place, parent, trails[parent])
                except (*REFUSED, WrongError) as error:
                    with cell.lock:
                        if isinstance(error, WrongError):
                            cell.wrong.append(str(error))
                        else:
                            cell.refusals[type(error).__name__] += 1
                    return

        return work

    crew.work([worker(number) for number in range(threads)])


def _name(shape: str, thread: int, place: int | None) -> str | None:
    return None if place is None else f"{shape}-{thread}-{place}"


def _branch(cell: Cell, shape: str, thread: int, place: int, parent: int | None,
            trail: tuple[str, ...]) -> tuple[str, ...]:  # fmt: skip
    """Make the branch, do one of everything there, and see that it is what it should be."""
    name = f"{shape}-{thread}-{place}"
    cell.timed("create", cell.way.create, name, _name(shape, thread, parent))
    with cell.lock:
        cell.made.append((len(trail) + 1, name))
    chance = random.Random(name)
    begun = time.perf_counter()
    with cell.way.connect(name) as session:
        cell.record.add(cell.label, cell.method, **{f"{cell.measure}connect": since(begun)})
        _look(cell, session, trail, name)
        for _ in range(5):
            cell.timed("read", read, session, chance.randint(1, cell.rows))
        cell.timed("range", read_range, session, chance.randint(1, cell.rows - RANGE))
        cell.timed("update", update, session, cell.rows, chance, UPDATED)
        change = f'alter table customers add column "of_{name}" int default 1'
        cell.timed("ddl", session.execute, change.encode())
        note_step(session, name)
    return (*trail, name)


def _look(cell: Cell, session: Session, trail: tuple[str, ...], name: str) -> None:
    with cell.lock:
        cell.looked_at += 1
    try:
        require_trail(session, trail)
    except WrongError as error:
        with cell.lock:
            cell.wrong.append(f"{name}: {error}")


def read(session: Session, number: int) -> None:
    """:raises WrongError: there is no such line."""
    found = session.execute("select item from lines where id = %s", [number],
                            prepare=True).fetchone()  # fmt: skip
    if found != (number % shop.ITEMS + 1,):
        raise WrongError(f"line {number} is of item {found}")


def read_range(session: Session, first: int) -> None:
    found = session.execute("select id, item, amount, note from lines where id between %s and %s",
                            [first, first + RANGE - 1]).fetchall()  # fmt: skip
    if len(found) != RANGE:
        raise WrongError(f"{len(found)} lines from {first} on, and not {RANGE}")


def update(session: Session, rows: int, chance: random.Random, count: int) -> None:
    changed = chance.sample(range(1, rows), count)
    session.execute("update lines set amount = amount + 1 where id = any(%s)", [changed])


def _go_deep(cell: Cell, deep: int) -> None:
    """A spine with changes at each level; then the same point reads at its end and in a branch of
    the root that is as young, turn by turn: rows never read there before, and the same again."""
    trail: tuple[str, ...] = ()
    parent = None
    for level in range(deep):
        if time.monotonic() > cell.deadline:
            return
        name, chance = f"deep-{level}", random.Random(level)
        cell.timed("create", cell.way.create, name, parent)
        cell.made.append((level + 1, name))
        with cell.way.connect(name) as session:
            _look(cell, session, trail, name)
            update(session, cell.rows, chance, DEEP_CHANGES)
            note_step(session, name)
        trail, parent = (*trail, name), name
    cell.way.create("deep-root", None)
    cell.made.append((1, "deep-root"))
    chance = random.Random(1)
    with cell.way.connect("deep-root") as root, cell.way.connect(parent) as last:
        _look(cell, last, trail, "the last")
        _look(cell, root, (), "the root's branch")
        ends = {"root": root, "last": last}
        with _on_one_processor(*(session.info.backend_pid for session in ends.values())):
            for turn in range(_ROUNDS):
                asked = [chance.randint(1, cell.rows) for _ in range(_READS)]
                for end in sorted(ends, reverse=bool(turn % 2)):
                    for again in ("", ".again"):
                        for number in asked:
                            cell.timed(f"{end}{again}", read, ends[end], number)


@contextlib.contextmanager
def _on_one_processor(*backends: int) -> Iterator[None]:
    """These and this thread: a read takes twice as long where its server happens to run on another
    processor than its client, and that would be the whole difference."""
    before = os.sched_getaffinity(0)
    for pid in (0, *backends):
        os.sched_setaffinity(pid, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _remove_all(cell: Cell) -> None:
    """Children first."""
    for _, name in sorted(cell.made, reverse=True):
        try:
            cell.timed("remove", cell.way.remove, name)
        except REFUSED as error:
            cell.refusals[f"remove: {type(error).__name__}"] += 1


def _results(options: argparse.Namespace, kept: Kept, described: dict[str, Any]) -> Results:
    samples = kept.record.series()
    databases = [
        {**kept.cells[size], "runs": [kept.cells[name] for name, *_ in _cells(options, size)]}
        for size in options.sizes
    ]  # fmt: skip
    return measured(
        "operations",
        quick=options.quick,
        machine=described,
        parameters={
            **kept.options, "range_rows": RANGE, "updated_rows": UPDATED,
            "changes_a_level": DEEP_CHANGES, "deep_reads": _ROUNDS * _READS,
        },
        conditions={
            "server_settings": ground.SERVER_SETTINGS, "copy_settings": ground.COPY_SETTINGS,
            "branch_settings": ground.branch_settings(), "page_cache": "warm for all",
        },
        databases=databases,
        samples=samples,
        ratios=ratios(samples),
        claims=claims(databases, samples),
    )  # fmt: skip


def ratios(samples: list[Series]) -> list[dict[str, Any]]:
    """How many times longer each peer took than cowdb for each operation."""
    rows = []
    for item in samples:
        ours = values(samples, item["database"], COWDB, item["measure"])
        if item["method"] in PEERS and ours:
            ratio = round(median(item["ms"]) / median(ours), 2)
            rows.append({"database": item["database"], "method": item["method"],
                         "measure": item["measure"], "ratio": ratio})  # fmt: skip
    return rows


def claims(databases: list[dict[str, Any]], samples: list[Series]) -> list[Claim]:
    ours = [item for database in databases for item in database["runs"]
            if item["method"] == COWDB]  # fmt: skip
    refused = sum(sum(item["refusals"].values()) for item in ours)
    wrong = sum(item["wrong_count"] for item in ours)
    looks = sum(item["looked_at"] for item in ours)
    found = [claim("a branch has its ancestors' changes and nobody else's", wrong + refused, 0.0,
                   not wrong and not refused,
                   f"{wrong} wrong answers in {looks:,} looks, {refused} refusals")]  # fmt: skip
    found += _deep_claims(databases, samples)
    return [*found, *_size_claims(databases, samples)]


def _deep_claims(databases: list[dict[str, Any]], samples: list[Series]) -> list[Claim]:
    found = []
    for label in (database["label"] for database in databases):
        depth = len(values(samples, label, COWDB, "deep.create"))
        for again, words in ((".again", "point reads"), ("", "first point reads")):
            last, root = (values(samples, label, COWDB, f"deep.{end}{again}")
                          for end in ("last", "root"))  # fmt: skip
            if not last or not root:
                continue
            ratio, low, high = ratio_of_medians(last, root, random.Random(1), rounds=200)
            found.append(claim(f"{label}: {words} {depth} branches deep are as quick as at the "
                               "root", ratio, DEEP_BAR, ratio < DEEP_BAR,
                               f"{ratio:.2f} times as long (95 % interval {low:.2f} to {high:.2f}),"
                               f" median {median(last) * 1000:.0f} us"))  # fmt: skip
    return found


def _size_claims(databases: list[dict[str, Any]], samples: list[Series]) -> list[Claim]:
    least = min(databases, key=lambda item: bytes_of(item["label"]))["label"]
    most = max(databases, key=lambda item: bytes_of(item["label"]))["label"]
    found = []
    for shape in PARENTS if least != most else ():
        pair = [values(samples, label, COWDB, f"{shape}.1.create") for label in (most, least)]
        if all(pair):
            ratio, low, high = ratio_of_medians(pair[0], pair[1], random.Random(1))
            found.append(claim(f"{shape}: a branch takes the same whatever the size of the "
                               "database", ratio, SIZE_BAR, ratio <= SIZE_BAR,
                               f"{most} takes {ratio:.2f} times as long as {least} (95 % interval "
                               f"{low:.2f} to {high:.2f})"))  # fmt: skip
    return found
