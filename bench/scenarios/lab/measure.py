"""Run the scenario: the demo's shop and the lab file of `cowdb lab init`, as they stand.

Each round goes through all ways to try the three strategies, so that what else the machine does
falls on all of them alike; then each migration is run watched and bare, in turns.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench import machine, peers
from bench.ground import bindirs
from bench.host import bench_host, folder, settle_disk, warm
from bench.record import FORMAT, Claim, Record, Results, Series, claim, summary, values
from bench.scenarios import Say
from bench.scenarios.lab import serial, watched
from bench.stats import median, ratio_of_medians
from cowdb.agent.engines.postgres import binaries
from cowdb.agent.engines.postgres.server import FAST
from cowdb.config import BRANCH_SETTINGS
from cowdb.controller.client import Client
from cowdb.controller.lab import spec
from cowdb.controller.lab.spec.model import Lab
from cowdb.demo.script import data_files, run_script
from cowdb.demo.story import DATABASE, SNAPSHOT, SOURCE
from tests.agenthost import AgentHost

COWDB, TWO, THREE = "cowdb lab run", "cowdb lab run, 2 at once", "cowdb lab run, 3 at once"
AT_ONCE = {COWDB: 1, TWO: 2, THREE: 3}
LABEL = "the shop"
MINUTE = 60_000.0
WATCHED_BAR = 1.1
DDL_BAR_MS, STATEMENT_BAR_US = 20.0, 200.0
_CHECK = "select count(*) from products"


@dataclass(frozen=True)
class Amounts:
    scale: float
    repeats: int
    watched: int
    statements: int
    ways: tuple[str, ...]

    @classmethod
    def of(cls, options: argparse.Namespace) -> Amounts:
        if options.quick:
            return cls(0.002, 1, 1, 20, (COWDB, *serial.ALL))
        return cls(options.scale, options.repeats, options.watched, 10_000,
                   (COWDB, TWO, THREE, *serial.ALL))  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """:param folder: of the lab files and their migrations. :param lab: what init wrote.
    :param facts: what is known of the database, and what the ways found out."""

    host: AgentHost
    client: Client
    amounts: Amounts
    record: Record
    say: Say
    folder: Path
    lab: Lab
    origin: serial.Origin
    facts: dict[str, Any] = field(default_factory=dict)


def run(options: argparse.Namespace, say: Say) -> Results:
    amounts, described = Amounts.of(options), machine.describe()
    room = int((2 + 12 * amounts.scale) * 2**30)
    with bench_host(room, config={"bindirs": list(bindirs())}) as host, host.client() as client:
        facts = _load(client, amounts.scale, options.pg_version, say)
        described["postgres"] = facts["postgres"]
        described["filesystem"] = machine.filesystem(host.pool)
        with _prepared(host, client, amounts, facts, say) as bench:
            for number in range(amounts.repeats):
                for way in amounts.ways:
                    settle_disk(host.pool)
                    say(f"round {number + 1} of {amounts.repeats}: {way}")
                    _try(bench, way)
            bench.origin.stage.server.stop()  # in nobody's way from here on
            _watched(bench)
    described["load_average_at_end"] = machine.load()
    return _results(options, bench, described)


def _load(client: Client, scale: float, version: str | None, say: Say) -> dict[str, Any]:
    """The demo's source, at rest, and its settled snapshot."""
    say("load: the demo's shop")
    begun = time.monotonic()
    source = client.sources.add(SOURCE, database=DATABASE, version=version, loading=True)
    dsn = source["dsn"] or ""
    run_script(dsn, data_files(), progress=lambda _: None, settings={"demo.scale": str(scale)})
    client.sources.loaded(SOURCE)
    with psycopg.connect(dsn) as db:
        rows = db.execute("select (select count(*) from users), (select count(*) from products), "
                          "pg_database_size(current_database())").fetchall()  # fmt: skip
    taken = client.snapshots.create(SNAPSHOT, settle=True)
    assert taken["settled"]
    client.sources.stop(SOURCE)
    return {
        "label": LABEL, "users": rows[0][0], "products": rows[0][1], "database_bytes": rows[0][2],
        "postgres": source["pg_version"], "loaded_in_s": round(time.monotonic() - begun, 1),
        "datadir": source["datadir"],
    }  # fmt: skip


@contextlib.contextmanager
def _prepared(
    host: AgentHost, client: Client, amounts: Amounts, facts: dict[str, Any], say: Say
) -> Iterator[Bench]:
    """The peers' server over a copy of the data directory, their dump, and the lab files."""
    say("copy and dump it for the peers")
    datadir = Path(facts.pop("datadir"))
    owner = datadir.stat()
    tools = binaries.pick(host.config.bindirs, facts["postgres"])
    with (
        folder(host.mountpoint, owner.st_uid, owner.st_gid) as place,
        peers.staged(tools.directory, datadir, host.mountpoint, DATABASE, _CHECK,
                     facts["products"]) as stage,
    ):  # fmt: skip
        stage.server.settings = serial.SERVER
        warm(stage.server.datadir)
        stage.server.start()
        host.run("lab", "init", str(place / "lab.yaml"))
        origin, dump_ms = serial.prepared(stage, place)
        facts["dump_ms"] = round(dump_ms, 1)
        facts["dump_bytes"] = warm(origin.dump)
        original, restored = (origin.schemas[way] for way in (serial.TEMPLATE, serial.RESTORE))
        facts["lines_changed_by_restore"] = serial.differing(original, restored)
        yield Bench(host, client, amounts, Record(), say, place, spec.read(place / "lab.yaml"),
                    origin, facts)  # fmt: skip


def _try(bench: Bench, way: str) -> None:
    """All strategies, once; the parts of the time are sums over them."""
    if way in AT_ONCE:
        _by_lab(bench, way)
    else:
        _serially(bench, way)


def _by_lab(bench: Bench, way: str) -> None:
    found = watched.by_lab(bench.host, _at_once(bench.folder, AT_ONCE[way]))
    each = {item["name"]: item["runs"][0]["duration_ms"] for item in found["strategies"]}
    bench.record.add(LABEL, way, total=found["command_ms"], migrate=sum(each.values()),
                     **{f"migrate.{name}": took for name, took in each.items()})  # fmt: skip
    told = [
        {"strategy": item["name"], "verdict": item["verdict"],
         "same_as_checkpoint": item["runs"][0]["same_as_checkpoint"],
         "valid": all(check["passed"] for check in item["runs"][0]["validations"]),
         "schema_differences": len(item["runs"][0]["difference"]["schema"])}
        for item in found["strategies"]
    ]  # fmt: skip
    bench.facts.setdefault("found", {}).setdefault(way, []).append(told)
    if way == COWDB:  # of durations that are not in each other's way
        bench.facts["recommendation"] = found["recommendation"]["sentence"]


def _at_once(place: Path, number: int) -> Path:
    """The lab file that init wrote, with `parallel` where it is more than one."""
    path = place / "lab.yaml"
    if number == 1:
        return path
    text = path.read_text()
    asked = text.replace("# parallel: 2 ", f"parallel: {number} ")
    assert asked != text
    target = place / f"lab-{number}.yaml"
    target.write_text(asked)
    return target


def _serially(bench: Bench, way: str) -> None:
    told, parts, each = [], dict.fromkeys(serial.PARTS, 0.0), {}
    for strategy in bench.lab.tests.migration.branches:
        settle_disk(bench.host.pool)
        found = serial.tried(bench.origin, way, bench.lab, strategy)
        for part, took in found.ms.items():
            parts[part] += took
        each[f"migrate.{strategy.name}"] = found.ms["migrate"]
        told.append({"strategy": strategy.name, "valid": found.valid,
                     "schema_lines": found.lines, "tables_counted_otherwise": found.counted,
                     })  # fmt: skip
    bench.record.add(LABEL, way, total=sum(parts.values()), **parts, **each)
    bench.facts.setdefault("found", {}).setdefault(way, []).append(told)


def _watched(bench: Bench) -> None:
    overheads: dict[str, list[float]] = {}
    migrations = watched.written(bench.folder, bench.amounts.statements)
    files = {item.name: watched.lab_file(bench.folder, SNAPSHOT, DATABASE, item)
             for item in migrations}  # fmt: skip
    for number in range(bench.amounts.watched):
        for migration in migrations:
            bench.say(f"watched and bare, {number + 1} of {bench.amounts.watched}: "
                      f"{migration.says}")  # fmt: skip
            for way in (watched.BARE, watched.LAB)[:: 1 if number % 2 else -1]:
                settle_disk(bench.host.pool)
                if way == watched.BARE:
                    took = watched.bare(bench.client, SNAPSHOT, bench.folder, migration)
                else:
                    found = watched.by_lab(bench.host, files[migration.name])
                    (one,) = found["strategies"][0]["runs"]
                    took = one["duration_ms"]
                    overheads.setdefault(migration.name, []).append(one["sampling"]["overhead"])
                bench.record.add(LABEL, way, **{migration.name: took})
    bench.facts["migrations"] = [
        {"name": item.name, "says": item.says, "file": item.file,
         "reported_overhead": overheads[item.name]} for item in migrations
    ]  # fmt: skip


def _results(options: argparse.Namespace, bench: Bench, described: dict[str, Any]) -> Results:
    amounts, samples = bench.amounts, bench.record.series()
    return {
        "format": FORMAT, "scenario": "lab", "quick": options.quick, "machine": described,
        "parameters": {"scale": amounts.scale, "repeats": amounts.repeats,
                       "watched": amounts.watched, "statements": amounts.statements,
                       "ways": list(amounts.ways)},
        "conditions": {"peer_settings": dict(serial.SERVER),
                       "branch_settings": {**BRANCH_SETTINGS, **FAST}},
        "databases": [bench.facts], "samples": samples, "summary": summary(samples),
        "ratios": ratios(samples, amounts.ways), "claims": claims(samples, amounts, bench.facts),
    }  # fmt: skip


def ratios(samples: list[Series], ways: tuple[str, ...]) -> list[dict[str, Any]]:
    """Each way's time over the lab's, and each watched migration's over the bare one's, with their
    95 % intervals."""
    pairs = [(way, COWDB, "total") for way in ways if way != COWDB]
    pairs += [(watched.LAB, watched.BARE, item["measure"]) for item in samples
              if item["method"] == watched.BARE]  # fmt: skip
    rows = []
    for over, under, measure in pairs:
        above, below = (values(samples, LABEL, way, measure) for way in (over, under))
        ratio, low, high = ratio_of_medians(above, below, random.Random(1))
        rows.append({"database": LABEL, "method": over, "under": under, "measure": measure,
                     "ratio": round(ratio, 3), "low": round(low, 3),
                     "high": round(high, 3)})  # fmt: skip
    return rows


def claims(samples: list[Series], amounts: Amounts, facts: dict[str, Any]) -> list[Claim]:
    total = median(values(samples, LABEL, COWDB, "total"))
    by = {(row["method"], row["measure"]): row for row in ratios(samples, amounts.ways)}
    restore = by[serial.RESTORE, "total"]
    backfill = by[watched.LAB, watched.BACKFILL]
    more = {name: _more(samples, name) for name in (watched.DDL, watched.STATEMENTS)}
    each = more[watched.STATEMENTS] * 1000 / amounts.statements
    right, looked = _right(facts["found"])
    return [
        claim("three strategies are tried and compared in under a minute", total / 1000,
              MINUTE / 1000, total < MINUTE, f"median {total / 1000:.1f} s"),
        claim("quicker than serially with a restore before each", restore["ratio"], 1,
              restore["low"] > 1, f"that takes {_interval(restore)}"),
        claim("a migration of seconds takes less than a tenth longer when it is watched",
              backfill["ratio"], WATCHED_BAR, backfill["ratio"] < WATCHED_BAR,
              f"the backfill takes {_interval(backfill)}"),
        claim(f"one of milliseconds takes less than {DDL_BAR_MS:.0f} ms longer",
              more[watched.DDL], DDL_BAR_MS, more[watched.DDL] < DDL_BAR_MS,
              f"ALTER TABLE: {more[watched.DDL]:+.1f} ms"),
        claim(f"a statement costs less than {STATEMENT_BAR_US:.0f} us more", each,
              STATEMENT_BAR_US, each < STATEMENT_BAR_US,
              f"{each:+.0f} us, of {amounts.statements:,} one after the other"),
        claim("every way finds the same of what both can find", right, looked, right == looked,
              f"{right} of {looked} strategies: valid; a new schema, or the old one again"),
    ]  # fmt: skip


def _more(samples: list[Series], migration: str) -> float:
    """Milliseconds by which the median is longer when it is watched."""
    lab, bare = (median(values(samples, LABEL, way, migration))
                 for way in (watched.LAB, watched.BARE))  # fmt: skip
    return lab - bare


def _interval(row: dict[str, Any]) -> str:
    return (f"{row['ratio']:.2f} times as long (95 % interval {row['low']:.2f} to "
            f"{row['high']:.2f})")  # fmt: skip


def _right(found: dict[str, list[list[dict[str, Any]]]]) -> tuple[int, int]:
    """Of all strategies that were tried, those of which the truth was told, whoever told it."""
    told = [item for rounds in found.values() for strategies in rounds for item in strategies]
    right = 0
    for item in told:
        back = item["strategy"] == "rollback-test"
        changed = item.get("schema_lines", item.get("schema_differences"))
        same = bool(item.get("same_as_checkpoint", back))  # to the row: the lab alone says so
        right += item["valid"] and (changed == 0) == back == same
    return right, len(told)
