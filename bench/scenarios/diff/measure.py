"""Measure the row diff of two branches of one snapshot, one of which changed some rows.

    for each size: a host of its own, one table of that many rows, loaded, frozen, snapshotted
        for each number of changes: a new branch, the change, then the command, many times
        with 1,000 changes: cowdb reading everything, and the peers, on the same two servers

Every answer is checked: a diff that finds another number of rows ends the run.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench import command, machine
from bench.host import bench_host, settle_disk
from bench.kept import Kept
from bench.record import Claim, Record, Results, Series, claim, measured, values
from bench.scenarios import Say
from bench.scenarios.diff import peers
from bench.stats import median, ratio_of_medians
from cowdb.controller.client import Client
from tests.agenthost import AgentHost

COWDB, FULL = "cowdb", "cowdb, reading everything"
AT = 1000  # changes with which the peers are measured
MANY = 10**6
BAR_MS, BAR_RATIO, BAR_GROWTH, BAR_BYTES = 1000.0, 100.0, 1.5, 200 * 10**6
BAR_ROWS = 10**7
_LEAST, _LONG = 2, 60.0  # repeats of cowdb where they take long, and seconds that are long
_UNITS = {"": 1, "k": 1000, "M": 10**6}
_SPREAD = 2654435761  # a prime: multiples of it, modulo the number of rows, are all over the table
_NAMES = ("rows", "changes", "repeats", "peer_repeats", "peers_up_to", "pg_version")
LOAD = (
    "create table items (id bigint not null, customer int not null, name text not null,"
    " price numeric(10,2), placed timestamp not null, paid boolean not null, note text)",
    "insert into items select i, i % 100003, 'article ' || i % 7919, (i % 99991) / 7.0,"
    " timestamp '2024-01-01' + i * interval '1 second', i % 3 = 0,"
    " case when i % 5 > 0 then 'note ' || md5(i::text) end from generate_series(1, {rows}) i",
    "alter table items add primary key (id)",
    "vacuum (freeze, analyze) items",
    "checkpoint",
)


def amount(text: str) -> int:
    """ "10M" as a number; raises what argparse reports."""
    match = re.fullmatch(r"(\d+)([kM]?)", text.strip())
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount such as 1000, 100k or 10M")
    return int(match[1]) * _UNITS[match[2]]


def parse_amounts(text: str) -> tuple[int, ...]:
    return tuple(sorted({amount(item) for item in text.split(",")}))


def shown(number: int) -> str:
    """10M, 100k, 1,000."""
    if number >= 10**6 and number % 10**6 == 0:
        return f"{number // 10**6}M"
    return f"{number // 1000}k" if number >= 10**5 and number % 1000 == 0 else f"{number:,}"


@dataclass(frozen=True)
class Cell:
    """:param together: the changed rows lie side by side, not all over the table."""

    rows: int
    changes: int
    together: bool = False

    @property
    def label(self) -> str:
        where = " side by side" if self.together else ""
        return f"{shown(self.rows)} rows, {shown(self.changes)} changed{where}"

    @property
    def statement(self) -> str:
        change = "update items set price = coalesce(price, 0) + 1 where"
        if self.together:
            return f"{change} id <= {self.changes}"
        if self.changes * 100 >= self.rows:  # in the table's order, or it would take for ever
            step = self.rows // self.changes
            return f"{change} id % {step} = 1 and id <= {self.changes * step}"
        return (
            f"{change} id in (select 1 + k * {_SPREAD} % {self.rows}"
            f" from generate_series(1::bigint, {self.changes}) k)"
        )


def cells_of(rows: int, changes: tuple[int, ...]) -> list[Cell]:
    """As many changes as a tenth of the rows at most; that many also side by side."""
    fitting = [number for number in changes if number * 10 <= rows]
    cells = [Cell(rows, number) for number in fitting]
    if MANY in fitting:
        cells.append(Cell(rows, MANY, together=True))
    return cells


@dataclass(frozen=True)
class Bench:
    options: argparse.Namespace
    kept: Kept
    say: Say

    @property
    def record(self) -> Record:
        return self.kept.record


def run(options: argparse.Namespace, say: Say) -> Results:
    if options.quick:
        options.rows, options.changes = (20_000,), (10, AT)
        options.repeats = options.peer_repeats = 1
    described = machine.describe()
    kept = Kept.resumed(options, _NAMES, say)
    bench = Bench(options, kept, say)
    for rows in options.rows:
        parts = [cell.label for cell in cells_of(rows, options.changes)]
        if not {*parts, f"peers {rows}"} <= kept.done:
            _measure_size(bench, rows)
    described |= kept.conditions.get("machine", {})
    described["load_average_at_end"] = machine.load()
    results = _results(options, kept, described)
    kept.forget()
    return results


def _measure_size(bench: Bench, rows: int) -> None:
    with_peers = rows <= bench.options.peers_up_to
    # Table, index and WAL; a change that touches every page; with peers, the table once more.
    room = 3 * 2**30 + rows * 150 * (5 if with_peers else 3)
    with bench_host(room) as host, host.client() as client:
        _load(bench, host, client, rows)
        for cell in cells_of(rows, bench.options.changes):
            _measure_cell(bench, host, client, cell)
        bench.kept.finish(f"peers {rows}")


def _load(bench: Bench, host: AgentHost, client: Client, rows: int) -> None:
    bench.say(f"{shown(rows)} rows: load")
    begun = time.monotonic()
    source = client.sources.add("main", version=bench.options.pg_version)
    assert source["dsn"] is not None
    with psycopg.connect(source["dsn"], autocommit=True) as db:
        for statement in LOAD:
            db.execute(statement.format(rows=rows).encode())
        row = db.execute(
            "select pg_table_size('items'), pg_total_relation_size('items')"
        ).fetchone()
    assert row is not None
    assert client.snapshots.create("main@s", settle=True)["settled"]
    client.sources.stop("main")
    client.branches.create("a", "main@s")
    bench.say(f"{shown(rows)} rows: loaded in {time.monotonic() - begun:.0f} s")
    bench.kept.conditions["machine"] = {
        "postgres": source["pg_version"], "filesystem": machine.filesystem(host.pool),
    }  # fmt: skip
    bench.kept.cells[f"load {rows}"] = {"table_bytes": row[0], "total_bytes": row[1]}


def _measure_cell(bench: Bench, host: AgentHost, client: Client, cell: Cell) -> None:
    peered = cell.changes == AT and not cell.together
    if cell.label in bench.kept.done:
        return
    for key in [key for key in bench.record.samples if key[0] == cell.label]:
        del bench.record.samples[key]  # of a run that was interrupted in the middle of it
    bench.say(f"{cell.label}: change")
    other = client.branches.create("b", "main@s")
    facts: dict[str, Any] = {
        "label": cell.label, "rows": cell.rows, "changes": cell.changes, "together": cell.together,
        **bench.kept.cells[f"load {cell.rows}"], "peak_bytes": {},
    }  # fmt: skip
    bench.kept.cells[cell.label] = facts
    with psycopg.connect(_dsn(other), autocommit=True) as db:
        db.execute(cell.statement.encode())
    _diff(bench, host, cell, COWDB, ("a", "b"), "first")
    settle_disk(host.pool)
    begun = time.monotonic()
    for number in range(bench.options.repeats):
        if number >= _LEAST and time.monotonic() - begun > _LONG:
            break
        _diff(bench, host, cell, COWDB, ("a", "b"), "command")
    if peered or bench.options.quick:
        dsns = [_dsn(client.branches.show("a")), _dsn(other)]
        _read_everything(bench, host, cell, dsns)
        if cell.rows <= bench.options.peers_up_to:
            _measure_peers(bench, client, cell, dsns)
    client.branches.remove("b")
    took = median(bench.record.samples[cell.label, COWDB, "command"])
    bench.say(f"{cell.label}: {took:.0f} ms by {facts['method']}")
    bench.kept.finish(cell.label)


def _dsn(branch: Any) -> str:  # noqa: ANN401
    assert branch["dsn"] is not None
    return str(branch["dsn"])


def _read_everything(bench: Bench, host: AgentHost, cell: Cell, dsns: list[str]) -> None:
    """The same two databases, given as URLs."""
    with tempfile.TemporaryDirectory() as folder:
        plain, passwords = peers.without_passwords(dsns, Path(folder))
        for _ in range(min(2, bench.options.repeats)):
            _diff(bench, host, cell, FULL, (plain[0], plain[1]), "command", passwords)


def _diff(
    bench: Bench, host: AgentHost, cell: Cell, method: str, sides: tuple[str, str], measure: str,
    more: dict[str, str] | None = None,
) -> None:  # fmt: skip
    """`cowdb diff A B --rows --json` from its start to its end, and its own account of that."""
    words = command.cowdb("diff", *sides, "--rows", "--json")
    done = peers.timed(words, {**command.environment(host), **(more or {})})
    if done.status != 3:
        raise RuntimeError(f"cowdb diff ended with {done.status}: {done.error[-500:]}")
    report = json.loads(done.out)
    (line,) = report["rows"]
    if (line["added"], line["removed"], line["changed"]) != (0, 0, cell.changes):
        raise RuntimeError(f"{cell.label}: cowdb found {line}")
    times = {f"{measure}.{name}": took for name, took in report["timings_ms"].items()}
    bench.record.add(cell.label, method, **{measure: done.ms, **times})
    facts = bench.kept.cells[cell.label]
    facts["peak_bytes"][method] = max(done.peak, facts["peak_bytes"].get(method, 0))
    if method == COWDB:
        facts["method"] = report["method"]["public.items"]


def _measure_peers(bench: Bench, client: Client, cell: Cell, dsns: list[str]) -> None:
    _repeat(bench, cell, peers.COUNT, lambda: peers.count_both(dsns, cell.rows))
    _measure_reladiff(bench, cell, dsns)
    bench.say(f"{cell.label}: both tables into one database, for EXCEPT")
    both = _dsn(client.branches.create("p", "main@s"))
    try:
        with psycopg.connect(both, autocommit=True) as db:
            db.execute("create table other as select * from items")
            db.execute(cell.statement.replace("update items", "update other").encode())
            db.execute("vacuum (freeze, analyze)")
        _repeat(bench, cell, peers.EXCEPT, lambda: peers.except_both_ways(both, cell.changes))
    finally:
        client.branches.remove("p")


def _measure_reladiff(bench: Bench, cell: Cell, dsns: list[str]) -> None:
    try:
        program = peers.install_reladiff()
    except subprocess.CalledProcessError as error:
        bench.say(f"reladiff cannot be installed: {(error.stderr or '').strip()[-300:]}")
        return
    conditions = bench.kept.conditions
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def run(split: tuple[int, int]) -> peers.Run:
            done, found = peers.reladiff(program, dsns, split, cell.changes, folder)
            if found < cell.changes:
                conditions.setdefault("reladiff_missed", []).append(
                    [cell.label, *split, cell.changes - found]
                )
            return done

        if "reladiff_split" not in conditions:
            tried = {}
            for split in peers.SPLITS:
                tried[split] = run(split).ms
                bench.say(f"{cell.label}: reladiff, split {split}: {tried[split] / 1000:.1f} s")
            conditions["reladiff_split"] = min(tried, key=lambda split: tried[split])
            conditions["reladiff_tried_ms"] = [[*split, ms] for split, ms in tried.items()]
        split = tuple(conditions["reladiff_split"])

        def once() -> float:
            done = run((split[0], split[1]))
            peak = bench.kept.cells[cell.label]["peak_bytes"]
            peak[peers.RELADIFF] = max(done.peak, peak.get(peers.RELADIFF, 0))
            return done.ms

        _repeat(bench, cell, peers.RELADIFF, once)


def _repeat(bench: Bench, cell: Cell, method: str, once: Callable[[], float]) -> None:
    begun = time.monotonic()
    for number in range(bench.options.peer_repeats):
        if number and time.monotonic() - begun > bench.options.peer_budget:
            break
        took = once()
        bench.say(f"{cell.label}: {method}: {took / 1000:.2f} s")
        bench.record.add(cell.label, method, command=took)


def _results(options: argparse.Namespace, kept: Kept, described: dict[str, Any]) -> Results:
    samples = kept.record.series()
    cells = [cell for rows in options.rows for cell in cells_of(rows, options.changes)]
    return measured(
        "diff",
        quick=options.quick,
        machine=described,
        parameters={**kept.options, "load": list(LOAD)},
        conditions={
            **{name: value for name, value in kept.conditions.items() if name != "machine"},
            "reladiff": peers.VERSION, "reladiff_threads": peers.THREADS,
            "except_settings": peers.EXCEPT_SETTINGS,
            "page_cache": "warm for all",
        },
        databases=[kept.cells[cell.label] for cell in cells],
        samples=samples,
        ratios=ratios(samples, cells),
        claims=claims(samples, cells, kept.cells),
    )  # fmt: skip


def _values(samples: list[Series], cell: Cell, method: str) -> list[float]:
    return values(samples, cell.label, method, "command")


def ratios(samples: list[Series], cells: list[Cell]) -> list[dict[str, Any]]:
    """How many times longer each other way took than cowdb's whole command."""
    rows = []
    for cell in cells:
        for method in (FULL, *peers.ALL):
            if theirs := _values(samples, cell, method):
                ratio = median(theirs) / median(_values(samples, cell, COWDB))
                rows.append({"database": cell.label, "method": method, "ratio": round(ratio, 2)})
    return rows


def claims(
    samples: list[Series], cells: list[Cell], facts: dict[str, dict[str, Any]]
) -> list[Claim]:
    found: list[Claim] = []
    scattered = [cell for cell in cells if cell.changes == AT and not cell.together]
    large = next((cell for cell in scattered if cell.rows == BAR_ROWS), None)
    if large is not None:
        ours = _values(samples, large, COWDB)
        found.append(claim(f"{large.label}: compared in under a second", median(ours), BAR_MS,
                            median(ours) < BAR_MS,
                            f"whole command, median {median(ours):.0f} ms"))  # fmt: skip
        theirs = _values(samples, large, peers.RELADIFF)
        ratio = median(theirs) / median(ours) if theirs else 0.0
        details = f"{ratio:.0f} times" if theirs else "reladiff was not measured"
        found.append(claim(f"{large.label}: at least {BAR_RATIO:.0f} times as fast as reladiff",
                            ratio, BAR_RATIO, ratio >= BAR_RATIO, details))  # fmt: skip
    if len(scattered) > 1:
        least, most = scattered[0], scattered[-1]
        times = [_values(samples, cell, COWDB) for cell in (most, least)]
        ratio, low, high = ratio_of_medians(times[0], times[1], random.Random(1))
        found.append(claim("the time does not follow the size of the table", ratio, BAR_GROWTH,
                            ratio <= BAR_GROWTH,
                            f"{most.label} takes {ratio:.2f} times as long as {least.label} "
                            f"(95 % interval {low:.2f} to {high:.2f})"))  # fmt: skip
    many = [cell for cell in cells if cell.changes >= MANY]
    if many:
        peak = {cell.label: max(facts[cell.label]["peak_bytes"].values()) for cell in many}
        worst = max(peak, key=lambda label: peak[label])
        found.append(claim("a million changes are found in under 200 MB of memory", peak[worst],
                            BAR_BYTES, peak[worst] < BAR_BYTES,
                            f"at most {peak[worst] / 1e6:.0f} MB ({worst})"))  # fmt: skip
    return found
