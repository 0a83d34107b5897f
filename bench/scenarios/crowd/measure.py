"""Measure a host with many branches: some hundreds live, the others stopped, of many snapshots.

few     each command, with one branch of one snapshot
live    as many as shall live, made by 1, 2, 4, 8 threads at once; what the host then lost
rest    made and stopped, until there are as many as shall be
many    each command again
peer    as many databases in one server, made in the same way; psql among them
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench import command, crew, ground, machine, memory, peers, shop
from bench.clock import since
from bench.ground import Ground
from bench.record import Claim, Record, Results, Series, claim, measured, values
from bench.scenarios import Say
from bench.stats import median, percentile
from bench.ways import CLONE, COWDB, Way
from cowdb.controller.client import Client

PSQL, PYTHON = "psql", "python"
HELP = "cowdb --help"
LISTS = ("cowdb branch list", "cowdb branch list --json", "cowdb status", "cowdb status --json",
         "cowdb snapshot list", "cowdb snapshot list --json")  # fmt: skip
THEIRS = ("psql --help", "psql -l", "psql -l --csv")
BARE = "python3 -c pass"
HELP_BAR, LIST_BAR, MEMORY_BAR = 80.0, 200.0, 10e6
_LABEL = "10MB"
_THREADS, _ASKED = 4, 50
_CALM = 2.0  # seconds until what was just made is idle


@dataclass
class Bench:
    """:param rates: branches a second, by way and number of threads.
    :param memory: what the host had with so many branches live: `alone` for all others, and
    `accounted` to the benchmark's processes, in bytes."""

    place: Ground
    options: argparse.Namespace
    record: Record
    say: Say
    rates: dict[str, dict[str, float]] = field(default_factory=dict)
    memory: list[dict[str, float]] = field(default_factory=list)

    @property
    def client(self) -> Client:
        return self.place.client

    def at_once(self, count: int, threads: int, once: Callable[[int], None]) -> float:
        """Seconds that it takes so many threads to do it for each number."""
        numbers = iter(range(count))
        lock = threading.Lock()

        def work(stop: threading.Event) -> None:
            while not stop.is_set():
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                once(number)

        begun = time.monotonic()
        crew.work([work] * threads)
        return time.monotonic() - begun


def run(options: argparse.Namespace, say: Say) -> Results:
    if options.quick:
        options.branches, options.live, options.snapshots = 6, 4, 2
        options.threads, options.repeats = [1, 2], 1
    described, record = machine.describe(), Record()
    with ground.prepared(_LABEL, options.pg_version, say) as place:
        bench = Bench(place, options, record, say)
        _make_snapshots(bench)
        bench.client.branches.create("first", ground.SNAPSHOT)
        _commands(bench, "few", _ours(bench))
        bench.client.branches.remove("first")
        _live(bench)
        _rest(bench)
        _commands(bench, "many", _ours(bench))
        told = bench.client.host.status()
        facts = {
            **place.facts,
            "branches": told["branches"],
            "rates": bench.rates,
            "memory": bench.memory,
            "snapshots": len(bench.client.snapshots.list()),
        }
        facts["databases"] = _peer(bench)
    described |= {name: facts[name] for name in ("postgres", "filesystem")}
    described["load_average_at_end"] = machine.load()
    samples = record.series()
    return measured(
        "crowd", quick=options.quick, machine=described, samples=samples, databases=[facts],
        parameters={name: getattr(options, name)
                    for name in ("branches", "live", "snapshots", "threads", "repeats")},
        conditions={"server_settings": ground.SERVER_SETTINGS,
                    "branch_settings": ground.branch_settings()},
        ratios=ratios(samples), claims=claims(samples, facts),
    )  # fmt: skip


def _snapshot(number: int) -> str:
    return f"{ground.SOURCE}@crowd-{number}"


def _make_snapshots(bench: Bench) -> None:
    count = bench.options.snapshots - 1  # there is one
    bench.say(f"{count} more snapshots, settled")
    bench.at_once(count, _THREADS,
                  lambda number: _settled(bench.client, _snapshot(number)))  # fmt: skip


def _settled(client: Client, ref: str) -> None:
    if not client.snapshots.create(ref, settle=True)["settled"]:
        raise RuntimeError(f"{ref} is not settled")


def _ours(bench: Bench) -> dict[str, tuple[str, command.Words]]:
    """(method, words) by the command as one writes it."""
    found: dict[str, tuple[str, command.Words]] = {
        said: (COWDB, command.cowdb(*said.split()[1:])) for said in (HELP, *LISTS)
    }
    return {**found, BARE: (PYTHON, [sys.executable, "-c", "pass"])}


def _commands(bench: Bench, when: str, commands: dict[str, tuple[str, command.Words]]) -> None:
    """All in turn; the first time is not counted."""
    environment = command.environment(bench.place.host)
    bench.say(f"commands: {when}")
    bench.place.settle()
    for number in range(bench.options.repeats + 1):
        for said, (method, words) in commands.items():
            took, _ = command.timed(words, environment)
            if number:
                bench.record.add(_LABEL, method, **{f"{when}.{said}": took})


def _live(bench: Bench) -> None:
    share, made = _share(bench), 0
    _note(bench, 0)
    for threads in bench.options.threads:
        bench.say(f"{share} live branches, by {threads} threads")
        first = made

        def once(number: int, first: int = first, threads: int = threads) -> None:
            begun = time.perf_counter()
            bench.client.branches.create(f"b{first + number}", _of(bench, first + number))
            bench.record.add(_LABEL, COWDB, **{f"create.{threads}": since(begun)})

        took = bench.at_once(share, threads, once)
        bench.rates.setdefault(COWDB, {})[str(threads)] = round(share / took, 2)
        made += share
        _note(bench, made)
    for item in random.Random(1).sample(bench.client.branches.list(), min(_ASKED, made)):
        with psycopg.connect(item["dsn"]) as db:
            peers.check(db, shop.QUERY, shop.CUSTOMERS)


def _share(bench: Bench) -> int:
    """Of the live ones, for each number of threads."""
    found: int = bench.options.live // len(bench.options.threads)
    return max(1, found)


def _of(bench: Bench, number: int) -> str:
    return _snapshot(number % max(1, bench.options.snapshots - 1))


def _note(bench: Bench, live: int) -> None:
    """What is left of the host's memory with so many live branches."""
    bench.place.settle()
    time.sleep(_CALM)
    host = bench.place.host
    bench.memory.append({"live": live, "alone": memory.alone(host),
                         "accounted": memory.accounted(memory.own(host))})  # fmt: skip


def _rest(bench: Bench) -> None:
    have = len(bench.client.branches.list())
    count = bench.options.branches - have
    bench.say(f"{count} branches that are stopped")

    def once(number: int) -> None:
        name = f"b{have + number}"
        bench.client.branches.create(name, _of(bench, have + number))
        bench.client.branches.stop(name)

    bench.at_once(count, _THREADS, once)


def _peer(bench: Bench) -> int:
    """As many databases by PostgreSQL's clone, where this major has it; 0 where not."""
    if CLONE not in ground.usable([CLONE], bench.options.pg_version):
        return 0
    with ground.opened(bench.place, CLONE) as way:
        share, made = _share(bench), 0
        for threads in bench.options.threads:
            bench.say(f"{share} databases, by {threads} threads")
            took = _databases(bench, way, made, share, threads, f"create.{threads}")
            bench.rates.setdefault(CLONE, {})[str(threads)] = round(share / took, 2)
            made += share
        rest = bench.options.branches - made
        bench.say(f"{rest} more databases")
        _databases(bench, way, made, rest, _THREADS, "")
        with way.connect(None) as session:
            room = session.info.host
        reached = ["-X", "-h", room, "-U", "postgres"]
        words: dict[str, tuple[str, command.Words]] = {
            said: (PSQL, [bench.place.bindir / "psql", *said.split()[1:], *reached])
            for said in THEIRS
        }
        _commands(bench, "many", words)
    return made + int(rest)


def _databases(bench: Bench, way: Way, first: int, count: int, threads: int, measure: str) -> float:
    def once(number: int) -> None:
        begun = time.perf_counter()
        way.create(f"b{first + number}", None)
        if measure:
            bench.record.add(_LABEL, CLONE, **{measure: since(begun)})

    return bench.at_once(count, threads, once)


def each(facts: dict[str, Any]) -> tuple[float, float]:
    """Bytes that each live branch costs: what the host lost, and what is accounted to processes."""
    none, all_of_them = facts["memory"][0], facts["memory"][-1]
    live = all_of_them["live"]
    return ((none["alone"] - all_of_them["alone"]) / live,
            (all_of_them["accounted"] - none["accounted"]) / live)  # fmt: skip


def ratios(samples: list[Series]) -> list[dict[str, Any]]:
    """How many times as long as with one branch each command takes with many."""
    rows = []
    for said in (HELP, *LISTS):
        few, many = (values(samples, _LABEL, COWDB, f"{when}.{said}") for when in ("few", "many"))
        if few and many:
            rows.append({"database": _LABEL, "method": COWDB, "measure": said,
                         "ratio": round(median(many) / median(few), 2)})  # fmt: skip
    return rows


def claims(samples: list[Series], facts: dict[str, Any]) -> list[Claim]:
    count = sum(facts["branches"].values())
    found = []
    times = values(samples, _LABEL, COWDB, f"many.{HELP}")
    found.append(claim(f"`{HELP}` takes less than {HELP_BAR:.0f} ms", median(times), HELP_BAR,
                       median(times) < HELP_BAR, _said(times)))  # fmt: skip
    for said in LISTS:
        times = values(samples, _LABEL, COWDB, f"many.{said}")
        found.append(claim(f"`{said}` with {count:,} branches takes less than {LIST_BAR:.0f} ms",
                           median(times), LIST_BAR, median(times) < LIST_BAR,
                           _said(times)))  # fmt: skip
    lost, own = each(facts)
    live = facts["memory"][-1]["live"]
    found.append(claim("a live branch that is idle costs the host less than 10 MB", lost,
                       MEMORY_BAR, lost < MEMORY_BAR,
                       f"{lost / 1e6:.1f} MB each of {live}, of which {own / 1e6:.1f} MB are "
                       "accounted to its processes"))  # fmt: skip
    return found


def _said(times: list[float]) -> str:
    return f"median {median(times):.0f} ms, p95 {percentile(times, 95):.0f} ms"
