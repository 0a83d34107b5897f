"""Measure branch creation for databases of several sizes, all from one pgbench source each.

Rounds go through the sizes in turn, so that what else the machine does falls on all of them alike.
Every time ends with a query over a fresh connection answered correctly.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench import command, machine, peers
from bench.clock import since
from bench.host import bench_host, settle_disk, warm
from bench.peers import check
from bench.record import Claim, Record, Results, Series, measured, values
from bench.scenarios import Say
from bench.sizes import bytes_of, parse_sizes
from bench.stats import median, percentile, ratio_of_medians
from cowdb.agent.engines.postgres import binaries
from cowdb.agent.engines.postgres.server import FAST
from cowdb.config import BRANCH_SETTINGS
from cowdb.controller import programs
from cowdb.controller.client import Client
from tests.agenthost import AgentHost

COWDB = "cowdb"
BAR_MS = 150.0
GROWTH_BAR = 1.25
WRITTEN_ROWS = 200
_BYTES_PER_SCALE = 14_900_000  # of pgbench, its primary keys included
_ROWS_PER_SCALE = 100_000
_QUERY = "select count(*) from pgbench_branches"


def scale_of(size: str) -> int:
    """pgbench's scale for a database of about this size."""
    return max(1, round(bytes_of(size) / _BYTES_PER_SCALE))


DEFAULT_SIZES = parse_sizes("100MB,1GB,3GB")


@dataclass(frozen=True)
class Amounts:
    sizes: tuple[str, ...]
    creations: int
    commands: int
    repeats: int
    peer_budget: float

    @classmethod
    def of(cls, options: argparse.Namespace) -> Amounts:
        if options.quick:
            return cls(("15MB",), 2, 1, 1, 0.0)
        return cls(options.sizes, options.creations, max(1, options.creations // 3),
                   options.repeats, options.peer_budget)  # fmt: skip


@dataclass(frozen=True)
class Database:
    """A source that was loaded, and its settled snapshot."""

    label: str
    source: str
    ref: str
    scale: int
    facts: dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """Everything that the parts of a run share."""

    host: AgentHost
    client: Client
    databases: tuple[Database, ...]
    amounts: Amounts
    record: Record
    chance: random.Random
    say: Say

    def rounds(self, title: str, count: int, once: Callable[[Database, int], None]) -> None:
        settle_disk(self.host.pool)
        for number in range(count):
            self.say(f"{title}: {number + 1} of {count}")
            for database in self.databases:
                once(database, number)


def run(options: argparse.Namespace, say: Say) -> Results:
    amounts, described = Amounts.of(options), machine.describe()
    total = sum(bytes_of(size) for size in amounts.sizes)
    room = 2 * 2**30 + total + 5 * max(bytes_of(size) for size in amounts.sizes)
    with bench_host(room) as host, host.client() as client:
        databases = tuple(_load(host, client, size, options.pg_version, say)
                          for size in amounts.sizes)  # fmt: skip
        bench = Bench(host, client, databases, amounts, Record(), random.Random(1), say)
        described["postgres"] = client.sources.show(databases[0].source)["pg_version"]
        described["filesystem"] = machine.filesystem(host.pool)
        for database in databases:  # a first time each, not counted
            _make(bench, database, Record(), 0)
        bench.rounds(
            "cowdb branch, by the agent",
            amounts.creations,
            lambda database, number: _make(bench, database, bench.record, number),
        )
        bench.rounds(
            "cowdb branch create, whole command",
            amounts.commands,
            lambda database, number: _command(bench, database, number),
        )
        _measure_living(bench)
        for database in databases:
            _measure_peers(bench, database)
    described["load_average_at_end"] = machine.load()
    return _results(options, bench, described)


def _load(host: AgentHost, client: Client, size: str, version: str | None, say: Say) -> Database:
    """A managed source filled by pgbench, warm in the page cache, with a settled snapshot."""
    name, scale = f"db{size.lower()}", scale_of(size)
    say(f"load {size}: pgbench -s {scale}")
    begun = time.monotonic()
    source = client.sources.add(name, version=version)
    assert source["dsn"] is not None
    program = programs.find("pgbench", peers.major_of(source["pg_version"]), host.config.bindirs)
    subprocess.run([program, "-q", "-i", "-I", "dtGvp", "-s", str(scale)], check=True,
                   env=programs.environment(source["dsn"]), stderr=subprocess.DEVNULL)  # fmt: skip
    with psycopg.connect(source["dsn"], autocommit=True) as db:
        row = db.execute("select pg_database_size(current_database())").fetchone()
    assert row is not None
    taken = client.snapshots.create(f"{name}@loaded", settle=True)
    assert taken["settled"]
    facts = {
        "label": size,
        "pgbench_scale": scale,
        "database_bytes": row[0],
        "loaded_in_s": round(time.monotonic() - begun, 1),
        "snapshot_ms": taken["timings_ms"],
    }
    return Database(size, name, f"{name}@loaded", scale, facts)


def _answered(dsn: str | None, database: Database) -> None:
    assert dsn is not None
    with psycopg.connect(dsn) as db:
        check(db, _QUERY, database.scale)


def _make(bench: Bench, database: Database, record: Record, number: int) -> None:
    """Create, ask, remove. `agent` is its own time from the request to its own first query,
    `request` the client's, `query` until this process had an answer over the branch's DSN."""
    name, begun = f"b{number}", time.perf_counter()
    made = bench.client.branches.create(name, database.ref)
    requested = since(begun)
    _answered(made["dsn"], database)
    asked = since(begun)
    parts = {f"agent.{part}": took for part, took in made["timings_ms"].items() if part != "total"}
    begun = time.perf_counter()
    bench.client.branches.remove(name)
    record.add(database.label, COWDB, agent=made["timings_ms"]["total"], request=requested,
               query=asked, remove=since(begun), **parts)  # fmt: skip


def _beside(bench: Bench, database: Database, number: int) -> None:
    """One more between the peers' repeats: the machine's other work comes and goes, and a ratio
    is fair only between times of the same minutes."""
    settle_disk(bench.host.pool)
    apart = Record()
    _make(bench, database, apart, number)
    (took,) = apart.samples[database.label, COWDB, "query"]
    bench.record.add(database.label, COWDB, beside=took)


def _command(bench: Bench, database: Database, number: int) -> None:
    words = command.cowdb("branch", "create", f"c{number}", "--from", database.ref, "--json")
    took, said = command.timed(words, command.environment(bench.host))
    _answered(json.loads(said)["dsn"], database)
    bench.client.branches.remove(f"c{number}")
    bench.record.add(database.label, COWDB, command=took)


def _measure_living(bench: Bench) -> None:
    """Branches of a running branch that has just been written, and its reset."""
    for database in bench.databases:
        bench.client.branches.create(f"p-{database.source}", database.ref)
    bench.rounds(f"cowdb branch of a running one, {WRITTEN_ROWS} rows written",
                 bench.amounts.creations, lambda *what: _of_living(bench, *what))  # fmt: skip
    bench.rounds("cowdb reset", bench.amounts.creations, lambda *what: _reset(bench, *what))
    for database in bench.databases:
        bench.client.branches.remove(f"p-{database.source}")


def _of_living(bench: Bench, database: Database, number: int) -> None:
    parent = f"p-{database.source}"
    _write(bench, database, bench.client.branches.show(parent)["dsn"])
    begun = time.perf_counter()
    made = bench.client.branches.create(f"l{number}", parent)
    _answered(made["dsn"], database)
    asked = since(begun)
    bench.client.branches.remove(f"l{number}")
    bench.record.add(database.label, COWDB, live=made["timings_ms"]["total"], live_query=asked)


def _reset(bench: Bench, database: Database, number: int) -> None:
    parent = f"p-{database.source}"
    _write(bench, database, bench.client.branches.show(parent)["dsn"])
    done = bench.client.branches.reset(parent)
    _answered(done["dsn"], database)
    bench.record.add(database.label, COWDB, reset=done["timings_ms"]["total"])


def _write(bench: Bench, database: Database, dsn: str | None) -> None:
    assert dsn is not None
    rows = bench.chance.sample(range(1, database.scale * _ROWS_PER_SCALE), WRITTEN_ROWS)
    with psycopg.connect(dsn) as db:
        db.execute("update pgbench_accounts set abalance = abalance + 1 where aid = any(%s)",
                   (rows,))  # fmt: skip


def _measure_peers(bench: Bench, database: Database) -> None:
    client, host = bench.client, bench.host
    bench.say(f"{database.label}: stop the source, copy it for the peers")
    source = client.sources.stop(database.source)
    tools = binaries.pick(host.config.bindirs, source["pg_version"])
    origin = Path(source["datadir"])
    with peers.staged(tools.directory, origin, host.mountpoint, source["database"], _QUERY,
                      database.scale) as stage:  # fmt: skip
        database.facts["datadir_bytes"] = warm(stage.server.datadir)
        _repeat(bench, database, peers.COPY, stage, peers.copy_and_start)
        stage.server.start()
        for method, once in peers.template_methods(tools.major).items():
            _repeat(bench, database, method, stage, once)
        _repeat(bench, database, peers.DUMP_FILES, stage, peers.dump_to_files)
        _repeat(bench, database, peers.DUMP_PIPE, stage, peers.dump_through_pipe)


def _repeat(
    bench: Bench, database: Database, method: str, stage: peers.Stage,
    once: Callable[[peers.Stage], float],
) -> None:  # fmt: skip
    begun = time.monotonic()
    for number in range(bench.amounts.repeats):
        if number and time.monotonic() - begun > bench.amounts.peer_budget:
            break
        settle_disk(stage.place)
        warm(stage.server.datadir)
        took = once(stage)
        bench.say(f"{database.label}: {method}: {took / 1000:.2f} s")
        bench.record.add(database.label, method, query=took)
        _beside(bench, database, number)


def _results(options: argparse.Namespace, bench: Bench, described: dict[str, Any]) -> Results:
    amounts, samples = bench.amounts, bench.record.series()
    return measured(
        "branch",
        quick=options.quick,
        machine=described,
        parameters={
            "sizes": list(amounts.sizes),
            "creations": amounts.creations,
            "commands": amounts.commands,
            "repeats": amounts.repeats,
            "peer_budget_s": amounts.peer_budget,
            "written_rows": WRITTEN_ROWS,
            "query": _QUERY,
        },
        conditions={
            "peer_settings": dict(peers.SETTINGS),
            "branch_settings": {**BRANCH_SETTINGS, **FAST},
            "page_cache": "warm for all: data read whole before each repeat, dirty pages written "
            "out before each repeat of a peer and each series of cowdb's, nothing dropped",
        },
        databases=[database.facts for database in bench.databases],
        samples=samples,
        ratios=ratios(samples, amounts.sizes),
        claims=claims(samples, amounts.sizes),
    )  # fmt: skip


def ratios(samples: list[Series], sizes: tuple[str, ...]) -> list[dict[str, Any]]:
    """How many times longer each peer took than cowdb between the peers' repeats, both to an
    answered query of a client's own."""
    rows = []
    for size in sizes:
        ours = median(values(samples, size, COWDB, "beside"))
        for peer in peers.ALL:
            if theirs := values(samples, size, peer, "query"):
                ratio = round(median(theirs) / ours, 2)
                rows.append({"database": size, "method": peer, "ratio": ratio})
    return rows


def claims(samples: list[Series], sizes: tuple[str, ...]) -> list[Claim]:
    """What the issue wants, of the agent's own time."""
    times = {size: values(samples, size, COWDB, "agent") for size in sizes}
    slowest = max(sizes, key=lambda size: median(times[size]))
    worst = median(times[slowest])
    found: list[Claim] = [{
        "claim": f"a branch of a settled snapshot answers within {BAR_MS:.0f} ms",
        "holds": worst < BAR_MS,
        "value": round(worst, 2),
        "bar": BAR_MS,
        "details": f"median {worst:.0f} ms, p95 {percentile(times[slowest], 95):.0f} ms "
                   f"({slowest}, the slowest)",
    }]  # fmt: skip
    least, most = min(sizes, key=bytes_of), max(sizes, key=bytes_of)
    if least != most:
        ratio, low, high = ratio_of_medians(times[most], times[least], random.Random(1))
        factor = bytes_of(most) / bytes_of(least)
        found.append({
            "claim": "a branch takes the same whatever the size of the database",
            "holds": ratio <= GROWTH_BAR,
            "value": round(ratio, 3),
            "bar": GROWTH_BAR,
            "details": f"{most} takes {ratio:.2f} times as long as {least} (95 % interval "
                       f"{low:.2f} to {high:.2f}), with {factor:.0f} times the data",
        })  # fmt: skip
    return found
