"""Measure what a database costs that was ready before it was asked for, and one that was not.

All ways take turns, on one filesystem, so that what else the machine does falls on all of them.
Every time is of a database that then answers a query rightly.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench import command, ground, machine, peers, shop
from bench.clock import since
from bench.ground import Ground
from bench.record import Claim, Record, Results, Series, claim, measured, values
from bench.scenarios import Say
from bench.scenarios.spares import kinds
from bench.scenarios.spares.kinds import COLD, OURS, POOL, SPARE, Branches, Databases, Kind
from bench.sizes import bytes_of
from bench.stats import median, percentile, ratio_of_medians
from bench.ways import CLONE_SINCE

AGENT_BAR, COMMAND_BAR, COLD_BAR, GROWTH_BAR = 5.0, 100.0, 40.0, 1.25
_REST = 0.05  # seconds in which the agent ends what it does after an answer


@dataclass
class Bench:
    """:param spent: seconds that each peer took so far of this database."""

    place: Ground
    kinds: dict[str, Kind]
    options: argparse.Namespace
    record: Record
    spent: dict[str, float]

    def turns(self, what: str, count: int, say: Say) -> Iterator[tuple[str, Kind, str]]:
        """(method, way, a new name), by turns; no further one of a peer that took too long."""
        for number in range(count):
            if number % 10 == 0:
                say(f"{self.place.label}: {what}, {number + 1} of {count}")
            for method, kind in self.kinds.items():
                begun = time.monotonic()
                if self.spent.get(method, 0.0) < self.options.peer_budget or method in OURS:
                    kind.prepare()
                    self.place.settle()
                    time.sleep(_REST)
                    yield method, kind, f"{what}_{number}_{method}"
                    self.spent[method] = self.spent.get(method, 0.0) + time.monotonic() - begun


def run(options: argparse.Namespace, say: Say) -> Results:
    if options.quick:
        options.sizes, options.repeats, options.commands = ("10MB",), 2, 1
        options.spares = 1
    described, record, databases = machine.describe(), Record(), []
    for size in options.sizes:
        with ground.prepared(size, options.pg_version, say) as place:
            databases.append(_measure_size(place, options, record, say))
    described |= {name: databases[0][name] for name in ("postgres", "filesystem")}
    described["load_average_at_end"] = machine.load()
    samples = record.series()
    return measured(
        "spares", quick=options.quick, machine=described, samples=samples, databases=databases,
        parameters={name: getattr(options, name)
                    for name in ("sizes", "repeats", "commands", "spares", "peer_budget")},
        conditions={"server_settings": ground.SERVER_SETTINGS,
                    "branch_settings": ground.branch_settings(), "page_cache": "warm for all"},
        ratios=ratios(samples), claims=claims(samples, options.sizes),
    )  # fmt: skip


def _measure_size(
    place: Ground, options: argparse.Namespace, record: Record, say: Say
) -> dict[str, Any]:
    place.client.snapshots.create(kinds.COLD_REF, settle=True)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_server(place))
        ways: dict[str, Kind] = {
            SPARE: Branches(place, ground.SNAPSHOT, options.spares),
            COLD: Branches(place, kinds.COLD_REF, 0),
        }
        strategies = {kinds.WAL_LOG: "wal_log"}
        if peers.major_of(place.facts["postgres"]) >= CLONE_SINCE:
            strategies = {kinds.CLONE: "file_copy", **strategies}
        best = next(iter(strategies.values()))
        for method, strategy in {POOL: best, **strategies}.items():
            pool = options.spares if method == POOL else 0
            made = Databases(server, place.database, strategy, pool)
            stack.callback(made.close)
            ways[method] = made
        say(f"{place.label}: what is made ahead of time")
        space = {method: kinds.space_of(place, ways[method], options.spares)
                 for method in kinds.AHEAD}  # fmt: skip
        bench = Bench(place, ways, options, record, {})
        for method, kind in ways.items():  # a first time each, not counted
            kind.prepare()
            kind.take(f"first_{method}")
            _ask(kind, f"first_{method}")
            kind.remove(f"first_{method}")
        for method, kind, name in bench.turns("take", options.repeats, say):
            _take(bench, method, kind, name)
        bench.spent.clear()
        for method, kind, name in bench.turns("command", options.commands, say):
            _command(bench, method, kind, name)
    return {**place.facts, "bytes_each": space, "pool_strategy": best}


@contextlib.contextmanager
def _server(place: Ground) -> Iterator[peers.Server]:
    """One server over a copy of the source's data directory: its database is the template."""
    with peers.staged(place.bindir, place.datadir, place.host.mountpoint, place.database,
                      shop.QUERY, shop.CUSTOMERS) as stage:  # fmt: skip
        major = peers.major_of(place.facts["postgres"])
        clone = {"file_copy_method": "clone"} if major >= CLONE_SINCE else {}
        stage.server.settings = {**ground.SERVER_SETTINGS, **clone}
        stage.server.start()
        yield stage.server


def _take(bench: Bench, method: str, kind: Kind, name: str) -> None:
    """`request` is the taker's call, `answer` ends with an answered query of its own; `again` is
    how long it then takes until as many are at hand as before."""
    begun = time.perf_counter()
    parts = kind.take(name)
    requested = since(begun)
    _ask(kind, name)
    answered = since(begun)
    bench.record.add(bench.place.label, method, request=requested, answer=answered, **parts)
    if method in kinds.AHEAD:
        begun = time.perf_counter()
        kind.prepare()
        bench.record.add(bench.place.label, method, again=since(begun))
    kind.remove(name)


def _command(bench: Bench, method: str, kind: Kind, name: str) -> None:
    words, environment = kind.words(name)
    took, said = command.timed(words, environment)
    kind.taken(name, said)
    _ask(kind, name)
    kind.remove(name)
    bench.record.add(bench.place.label, method, command=took)


def _ask(kind: Kind, name: str) -> None:
    with kind.connect(name) as db:
        peers.check(db, shop.QUERY, shop.CUSTOMERS)


def ratios(samples: list[Series]) -> list[dict[str, Any]]:
    """How many times as long as a spare each other way takes."""
    rows = []
    for item in samples:
        ours = values(samples, item["database"], SPARE, item["measure"])
        if ours and item["method"] != SPARE:
            rows.append({"database": item["database"], "method": item["method"],
                         "measure": item["measure"],
                         "ratio": round(median(item["ms"]) / median(ours), 2)})  # fmt: skip
    return rows


def claims(samples: list[Series], sizes: tuple[str, ...]) -> list[Claim]:
    bars = (
        (SPARE, "agent", AGENT_BAR, "a branch from a warm spare, in the agent"),
        (SPARE, "command", COMMAND_BAR, "`cowdb branch create` with a warm spare, whole command"),
        (COLD, "agent", COLD_BAR, "a branch without a spare, in the agent, to its first query"),
    )
    found = []
    for method, measure, bar, said in bars:
        times = {size: values(samples, size, method, measure) for size in sizes}
        slowest = max(sizes, key=lambda size: median(times[size]))
        worst = median(times[slowest])
        found.append(claim(f"{said}, takes less than {bar:.0f} ms", worst, bar, worst < bar,
                           f"median {worst:.1f} ms, p95 {percentile(times[slowest], 95):.1f} ms "
                           f"({slowest}, the slowest)"))  # fmt: skip
    least, most = min(sizes, key=bytes_of), max(sizes, key=bytes_of)
    if least != most:
        pair = [values(samples, size, SPARE, "answer") for size in (most, least)]
        ratio, low, high = ratio_of_medians(pair[0], pair[1], random.Random(1))
        found.append(claim("a branch from a spare takes the same whatever the size of the database",
                           ratio, GROWTH_BAR, ratio <= GROWTH_BAR,
                           f"to its first answer {ratio:.2f} times as long with {most} as with "
                           f"{least} (95 % interval {low:.2f} to {high:.2f})"))  # fmt: skip
    return found
