"""Run the scenario: both ways to one and the same server in turn, so that a busy machine is as
hard on one as on the other.

    direct   127.0.0.2:PORT, where the server of a branch that may sleep listens
    front    127.0.0.1:PORT, where its clients come
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from bench import machine, memory
from bench.host import bench_host
from bench.record import Claim, Record, Results, measured
from bench.scenarios import Say
from bench.stats import median, ratio_of_medians
from cowdb.controller import programs
from cowdb.controller.client import Client
from cowdb.wire import BranchInfo
from tests.agenthost import AgentHost

DATABASE = "scale 10"
WAYS = ("direct", "front")
CLIENTS = (1, 4, 16)
SIZE = 100 * 10**6  # bytes of COPY
CROWD = 20  # clients at the moment of waking
_NEVER = 86400
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Bench:
    host: AgentHost
    client: Client
    record: Record
    options: argparse.Namespace
    say: Say


def run(options: argparse.Namespace, say: Say) -> Results:
    if options.quick:
        options.wakes, options.sleepers, options.seconds, options.rounds = 2, 3, 1, 1
    described = machine.describe()
    with bench_host(8 * 2**30) as host, host.client() as client:
        bench = Bench(host, client, Record(), options, say)
        described["postgres"] = _load(bench)
        described["filesystem"] = machine.filesystem(host.pool)
        awake = client.branches.create("awake", "main@loaded", sleep_seconds=_NEVER)
        _queries(bench, awake)
        _copies(bench, awake)
        _connects(bench, awake)
        client.branches.remove("awake")
        answered = _wakes(bench)
        found = _memory(bench)
    described["load_average_at_end"] = machine.load()
    return _results(bench, described, found, answered)


def _load(bench: Bench) -> str:
    bench.say("load: pgbench -s 10")
    source = bench.client.sources.add("main")
    _pgbench(bench, source["dsn"] or "", "-q", "-i", "-I", "dtGvp", "-s", "10")
    bench.client.snapshots.create("main@loaded", settle=True)
    return source["pg_version"]


def _pgbench(bench: Bench, dsn: str, *words: str) -> str:
    version = bench.client.sources.show("main")["pg_version"]
    program = programs.find("pgbench", int(version.partition(".")[0]), bench.host.config.bindirs)
    done = subprocess.run(
        [program, *words], env=programs.environment(dsn), capture_output=True, text=True, check=True
    )
    return done.stdout


def _way(branch: BranchInfo, way: str) -> str:
    return branch["dsn"] if way == "front" else make_conninfo(branch["dsn"], host="127.0.0.2")


def _queries(bench: Bench, branch: BranchInfo) -> None:
    """pgbench -S: milliseconds a query takes, and of those what the front's CPU spends on it, which
    is the same on a busy machine."""
    _pgbench(bench, branch["dsn"], "-S", "-n", "-T", "2")
    for clients in CLIENTS:
        for number in range(bench.options.rounds):
            bench.say(f"pgbench -S with {clients} clients, {number + 1}")
            for way in WAYS:
                before = _front_cpu(bench)
                said = _pgbench(bench, _url(branch, way), "-S", "-n", "-M", "prepared", "-T",
                                str(bench.options.seconds), "-c", str(clients))  # fmt: skip
                found = re.search(r"latency average = ([0-9.]+) ms", said)
                done = re.search(r"actually processed: (\d+)", said)
                assert found is not None and done is not None, said
                bench.record.add(DATABASE, way, **{f"query_{clients}": float(found[1])})
                if way == "front":
                    spent = (_front_cpu(bench) - before) * 1000 / int(done[1])
                    bench.record.add(DATABASE, "front cpu", **{f"query_{clients}": spent})


def _front_cpu(bench: Bench) -> float:
    """Seconds."""
    (front,) = bench.host.fronts()
    spent = front.cpu_times()
    return spent.user + spent.system


def _url(branch: BranchInfo, way: str) -> str:
    return branch["dsn"] if way == "front" else branch["dsn"].replace("@127.0.0.1:", "@127.0.0.2:")


def _copies(bench: Bench, branch: BranchInfo) -> None:
    """100 MB out of the server, and into it."""
    line = b"x" * 999 + b"\n"
    with psycopg.connect(branch["dsn"], autocommit=True) as db:
        db.execute("create unlogged table big (word text)")
    for number in range(bench.options.rounds):
        bench.say(f"COPY of 100 MB, {number + 1}")
        for way in WAYS:
            with psycopg.connect(_way(branch, way), autocommit=True) as db:
                db.execute("truncate big")
                with db.cursor() as cursor:
                    took = _timed(lambda cursor=cursor: _put(cursor, line))  # type: ignore[misc]
                    bench.record.add(DATABASE, way, copy_in=took)
                    took = _timed(lambda cursor=cursor: _get(cursor))  # type: ignore[misc]
                    bench.record.add(DATABASE, way, copy_out=took)


def _put(cursor: psycopg.Cursor[Any], line: bytes) -> None:
    with cursor.copy("copy big from stdin") as copy:
        for _ in range(SIZE // 10**6):
            copy.write(line * 1000)


def _get(cursor: psycopg.Cursor[Any]) -> None:
    with cursor.copy("copy big to stdout") as copy:
        assert sum(len(data) for data in copy) == SIZE


def _connects(bench: Bench, branch: BranchInfo) -> None:
    """Connect and ask once, while the server runs."""
    bench.say("connections to a server that runs")
    for _ in range(max(2, bench.options.wakes)):
        for way in WAYS:
            bench.record.add(DATABASE, way, first_answer=_timed(lambda way=way: _ask(_way(branch, way))))  # type: ignore[misc]  # fmt: skip  # noqa: E501


def _ask(dsn: str) -> None:
    with psycopg.connect(dsn) as db:
        assert db.execute("select count(*) from pgbench_branches").fetchone() == (10,)


def _wakes(bench: Bench) -> int:
    """The first answer of a branch that sleeps; and, at last, of many who come at once."""
    branch = bench.client.branches.create("sleeper", "main@loaded", sleep_seconds=1)
    for number in range(bench.options.wakes):
        _until_asleep(bench, 1)
        if number % 10 == 0:
            bench.say(f"wake {number + 1} of {bench.options.wakes}")
        bench.record.add(DATABASE, "asleep", first_answer=_timed(lambda: _ask(branch["dsn"])))
    _until_asleep(bench, 1)
    with ThreadPoolExecutor(CROWD) as pool:
        answers = list(pool.map(lambda _: _try(branch["dsn"]), range(CROWD)))
    bench.client.branches.remove("sleeper")
    return sum(answers)


def _try(dsn: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError):
        _ask(dsn)
        return True
    return False


def _until_asleep(bench: Bench, number: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while bench.client.host.status()["branches"].get("sleeping", 0) < number:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{number} branches do not fall asleep")
        time.sleep(0.05)


def _memory(bench: Bench) -> dict[str, Any]:
    """What the host loses to branches that sleep, and to some that do not, in bytes each.
    Several rounds, since what others on the machine do can be told apart only in part."""
    number, few = bench.options.sleepers, min(bench.options.sleepers, 20)
    asleep, awake, front = [], [], 0.0
    for _ in range(bench.options.rounds):
        before = memory.alone(bench.host)
        _make(bench, number, 1)
        asleep.append((before - memory.alone(bench.host)) / number)
        front = _front_bytes(bench)
        _remove(bench, number)
        before = memory.alone(bench.host)
        _make(bench, few, 0)
        awake.append((before - memory.alone(bench.host)) / few)
        _remove(bench, few)
    _make(bench, 1, 1)
    alone = _front_bytes(bench)
    _remove(bench, 1)
    return {
        "sleepers": number, "asleep_bytes_each": median(asleep), "asleep_rounds": asleep,
        "awake": few, "awake_bytes_each": median(awake), "awake_rounds": awake,
        "front_pss_bytes": front, "front_bytes_each": (front - alone) / max(1, number - 1),
    }  # fmt: skip


def _front_bytes(bench: Bench) -> float:
    (front,) = bench.host.fronts()
    return float(front.memory_full_info().pss)


def _make(bench: Bench, number: int, sleep: int) -> None:
    bench.say(f"{number} branches that {'sleep' if sleep else 'do not sleep'}")
    for index in range(number):
        bench.client.branches.create(f"b{index}", "main@loaded", sleep_seconds=sleep)
    if sleep:
        _until_asleep(bench, number)


def _remove(bench: Bench, number: int) -> None:
    for index in range(number):
        bench.client.branches.remove(f"b{index}")


def _timed(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def _results(
    bench: Bench, described: dict[str, Any], memory: dict[str, Any], answered: int
) -> Results:
    samples, chance = bench.record.series(), random.Random(1)
    by = {(item["method"], item["measure"]): item["ms"] for item in samples}
    measures = [measure for way, measure in by if way == "direct"]
    ratios = []
    for measure in measures:
        ratio, low, high = ratio_of_medians(by["front", measure], by["direct", measure], chance)
        ratios.append({"database": DATABASE, "measure": measure, "over": "front",
                       "under": "direct", "ratio": round(ratio, 3), "low": round(low, 3),
                       "high": round(high, 3)})  # fmt: skip
    return measured(
        "sleep", quick=bench.options.quick, machine=described,
        parameters={name: getattr(bench.options, name)
                    for name in ("wakes", "sleepers", "seconds", "rounds")},
        conditions={"memory": memory, "crowd": CROWD, "crowd_answered": answered},
        databases=[{"label": DATABASE, "pgbench_scale": 10}], samples=samples,
        ratios=ratios, claims=_claims(by, memory, answered),
    )  # fmt: skip


def _claims(
    by: dict[tuple[str, str], list[float]], memory: dict[str, Any], answered: int
) -> list[Claim]:
    wake = median(by["asleep", "first_answer"])
    each = memory["asleep_bytes_each"]
    return [
        {"claim": f"{CROWD} clients that come to a sleeping branch at once all get an answer",
         "holds": answered == CROWD, "value": answered, "bar": CROWD,
         "details": f"{answered} did"},
        {"claim": "the first answer of a sleeping branch takes less than 150 ms",
         "holds": wake < 150, "value": wake, "bar": 150, "details": f"median {wake:.0f} ms"},
        {"claim": "a sleeping branch costs the host less than a tenth of one that does not",
         "holds": each < memory["awake_bytes_each"] / 10, "value": each,
         "bar": memory["awake_bytes_each"] / 10,
         "details": f"{shown(each)} ({_rounds(memory['asleep_rounds'])}), and "
         f"{shown(memory['awake_bytes_each'])} ({_rounds(memory['awake_rounds'])})"},
    ]  # fmt: skip


def shown(each: float) -> str:
    """Bytes for one branch; where others' noise is larger, they come out as less than nothing."""
    if each < 100 * 2**10:
        return f"{each / 2**10:.0f} KiB" if each > 0 else "nothing that shows"
    return f"{each / 2**20:.1f} MiB"


def _rounds(found: list[float]) -> str:
    least, most = min(found) / 2**20, max(found) / 2**20
    return f"rounds of {least:.1f} to {most:.1f} MiB"
