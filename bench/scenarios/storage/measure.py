"""Measure one storage driver, on a new filesystem, with the driver's own calls and no agent.

    root        a volume with a data directory that initdb and pgbench made; its server is stopped
    clones      space; then snapshot, clone, destroy; then the same beside a plain copy
    tps         a server on the root and one on a clone, with the same settings, taking turns
    chain       a branch of a branch of a branch ..., each written to

Space comes first: what is destroyed gives its room back later, in the background.
"""

from __future__ import annotations

import argparse
import os
import pwd
import random
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine, peers
from bench.clock import since
from bench.host import bench_filesystem, btrfs_used, folder, settle_disk, warm
from bench.peers import Server, Stage, check
from bench.record import Claim, Record, Results, Series, measured
from bench.scenarios import Say
from bench.scenarios.storage import guest
from bench.stats import median, summarise
from cowdb.agent.engines.postgres import binaries
from cowdb.agent.storage.pools import make_pool, open_pool
from cowdb.agent.storage.protocol import Pool, VolumeId
from cowdb.config import Config
from cowdb.model import PoolRecord

DRIVERS = {"btrfs": "btrfs", "reflink": "xfs", "zfs": "zfs"}
"""And the filesystem that each is measured on."""
TPS_SETTINGS = {"shared_buffers": "64MB", "max_wal_size": "1GB", "autovacuum": "off"}
UNWRITTEN = 64 * 2**20
CHANGED_ROWS = 100
_SIZE = 6 * 2**30
_QUERY = "select count(*) from pgbench_branches"
_ROWS_PER_SCALE = 100_000
_ROOT, _SNAPSHOT = VolumeId("root"), VolumeId("snapshot")


@dataclass(frozen=True)
class Amounts:
    scale: int
    repeats: int
    copies: int
    seconds: int
    started: int
    write_every: int
    clones: int = 100
    chain: int = 50
    rounds: int = 3
    reads: int = 2000

    @classmethod
    def of(cls, options: argparse.Namespace) -> Amounts:
        if options.quick:
            return cls(1, 2, 1, 1, 1, 1, clones=3, chain=3, rounds=1, reads=50)
        return cls(options.scale, options.repeats, options.copies, options.seconds,
                   options.started, options.write_every)  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """Everything that the parts of a run share.

    :param room: a directory for sockets and logs, the servers' user's.
    :param facts: what is measured and is no series of times.
    """

    driver: str
    pool: Pool
    mountpoint: Path
    pool_name: str
    room: Path
    bindir: Path
    amounts: Amounts
    say: Say
    record: Record = field(default_factory=Record)
    facts: dict[str, Any] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    def add(self, method: str, **measures: float) -> None:
        self.record.add(self.driver, method, **measures)

    def settle(self) -> None:
        settle_disk(self.mountpoint)

    def clone(self, name: VolumeId, snapshot: VolumeId = _SNAPSHOT) -> float:
        return _timed(lambda: self.pool.clone(snapshot, name, {"role": "bench"}))

    def snapshot(self, origin: VolumeId, name: VolumeId = _SNAPSHOT) -> float:
        return _timed(lambda: self.pool.snapshot(origin, name, {"role": "bench"}))

    def destroy(self, name: VolumeId) -> float:
        return _timed(lambda: self.pool.destroy(name))

    def server(self, volume: VolumeId, **settings: str) -> Server:
        """On a volume's data directory, not started.

        :param settings: instead of those of the peers.
        """
        room = self.room / volume
        room.mkdir(exist_ok=True)
        os.chown(room, *_owner())
        chosen = settings or peers.SETTINGS
        return Server(self.bindir, self.pool.path(volume) / "data", room, settings=chosen)

    @contextmanager
    def serving(self, volume: VolumeId, **settings: str) -> Iterator[Server]:
        server = self.server(volume, **settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def has_zfs() -> bool:
    return Path("/sys/module/zfs").exists()


def run(options: argparse.Namespace, say: Say) -> Results:
    if options.part == "zfs" and not has_zfs():
        return guest.run(options, say)
    amounts, described = Amounts.of(options), machine.describe()
    found = binaries.pick(Config().bindirs)
    described["postgres"] = found.version
    with bench_filesystem(DRIVERS[options.part], _SIZE) as (mountpoint, name):
        facts = make_pool(Path(name), options.part)
        record = PoolRecord(id=facts.id, driver=facts.driver, path=name,
                            created_at=datetime.now(UTC))  # fmt: skip
        described["filesystem"] = machine.filesystem(mountpoint)
        with folder(mountpoint, *_owner()) as room:
            bench = Bench(options.part, open_pool(record), mountpoint, name, room,
                          found.directory, amounts, say)  # fmt: skip
            for part in (_load, _space, _operations, _beside_a_copy, _throughput, _chain):
                part(bench)
    described["load_average_at_end"] = machine.load()
    return _results(options, bench, described)


def _load(bench: Bench) -> None:
    """The root volume, warm in the page cache, and a snapshot of it."""
    scale = bench.amounts.scale
    bench.say(f"{bench.driver}: initdb, pgbench -s {scale}")
    bench.pool.create(_ROOT, {"role": "bench"})
    server = bench.server(_ROOT)
    server.datadir.mkdir(mode=0o700)
    os.chown(server.datadir, *_owner())
    uid, gid = _owner()
    subprocess.run([bench.bindir / "initdb", "--no-sync", "-A", "trust", "-U", "postgres", "-D",
                    server.datadir], user=uid, group=gid, extra_groups=[], cwd=server.datadir,
                   check=True, stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        server.start()
        words = ["-q", "-i", "-I", "dtGvp", "-s", str(scale), "postgres"]
        subprocess.run(server.client("pgbench", *words), check=True, stderr=subprocess.DEVNULL)
    finally:
        server.stop()
    peers.drop_spare_wal(bench.bindir, server.datadir)
    bench.settle()
    bench.snapshot(_ROOT)
    bench.facts["datadir_bytes"] = warm(server.datadir)
    bench.facts["files"] = sum(path.is_file() for path in server.datadir.rglob("*"))


def _space(bench: Bench) -> None:
    """Room that clones take: untouched, and after a server has been started and stopped."""
    names = [VolumeId(f"clone-{number}") for number in range(bench.amounts.clones)]
    bench.say(f"{bench.driver}: space of {len(names)} clones")
    free, used = bench.pool.space().free, _used(bench)
    for name in names:
        bench.add("many", clone=bench.clone(name))
    untouched = _used(bench)
    space = {"clones": len(names), "free_before": free, "free_after": bench.pool.space().free,
             "clones_bytes": untouched - used}  # fmt: skip
    started = names[: bench.amounts.started]
    bench.say(f"{bench.driver}: space of {len(started)} branches that were started")
    for name in started:
        with bench.serving(name) as server:
            _ask(server, bench)
    space["started"], space["started_bytes"] = len(started), _used(bench) - untouched
    bench.facts["space"] = space
    for name in names:
        bench.add("many", destroy=bench.destroy(name))


def _used(bench: Bench) -> int:
    """Bytes in use, as the filesystem counts them; what is written in both copies counts twice."""
    bench.settle()
    if bench.driver == "zfs":
        zpool = bench.pool_name.removeprefix("zfs:").partition("/")[0]
        _said("zpool", "sync", zpool)
        return int(_said("zpool", "list", "-Hp", "-o", "allocated", zpool))
    if bench.driver == "btrfs":
        return btrfs_used(bench.mountpoint)
    room = os.statvfs(bench.mountpoint)
    return (room.f_blocks - room.f_bfree) * room.f_frsize


def _said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def _operations(bench: Bench) -> None:
    """Of a root at rest; then snapshots that have to write out what was written a moment ago."""
    bench.say(f"{bench.driver}: snapshot, clone, destroy, {bench.amounts.repeats} times")
    snapshot, clone = VolumeId("again"), VolumeId("again-clone")
    bench.settle()
    for _ in range(bench.amounts.repeats):
        bench.add("cowdb", snapshot=bench.snapshot(_ROOT, snapshot),
                  clone=bench.clone(clone, snapshot), destroy=bench.destroy(clone),
                  destroy_snapshot=bench.destroy(snapshot))  # fmt: skip
    written = bench.pool.path(_ROOT) / "written"
    for _ in range(bench.amounts.copies):
        with written.open("wb") as file:  # random: ZFS would make little of zeros
            file.write(os.urandom(UNWRITTEN))
        bench.add("cowdb", snapshot_unwritten=bench.snapshot(_ROOT, snapshot))
        bench.destroy(snapshot)
    written.unlink()


def _beside_a_copy(bench: Bench) -> None:
    """Until a query is answered: a clone with a start, and a plain copy with a start."""
    place, branch = VolumeId("copies"), VolumeId("branch")
    bench.pool.create(place, {"role": "bench"})
    origin = bench.server(_ROOT)
    with folder(bench.pool.path(place), *_owner()) as where:
        stage = Stage(origin, where, "postgres", _QUERY, bench.amounts.scale)
        for number in range(bench.amounts.copies):
            bench.say(
                f"{bench.driver}: beside a plain copy, {number + 1} of {bench.amounts.copies}"
            )
            bench.settle()
            bench.add("copy", start=peers.copy_and_start(stage))
            for _ in range(2):
                bench.settle()
                server, begun = bench.server(branch), time.perf_counter()
                bench.clone(branch)
                try:
                    server.start()
                    _ask(server, bench)
                    bench.add("cowdb", start=since(begun))
                finally:
                    server.stop()
                bench.destroy(branch)


def _throughput(bench: Bench) -> None:
    """pgbench on the root, which has a snapshot, and on a clone of that; fsync is on."""
    branch = VolumeId("branch")
    bench.clone(branch)
    found: dict[str, dict[str, list[float]]] = {}
    with bench.serving(_ROOT, **TPS_SETTINGS) as root:
        with bench.serving(branch, **TPS_SETTINGS) as cloned:
            for mode, options in {"read": ["-S"], "write": []}.items():
                for _ in range(bench.amounts.rounds):
                    for side, server in {"source": root, "branch": cloned}.items():
                        bench.say(f"{bench.driver}: pgbench {mode} on the {side}")
                        tps = _pgbench(bench, server, options)
                        found.setdefault(mode, {}).setdefault(side, []).append(tps)
    bench.destroy(branch)
    bench.facts["tps"] = found


def _pgbench(bench: Bench, server: Server, options: list[str]) -> float:
    with server.connect("postgres") as db:
        db.execute("checkpoint")
    words = server.client("pgbench", "-n", "-c", "2", "-T", str(bench.amounts.seconds), *options)
    said = subprocess.run([*words, "postgres"], check=True, capture_output=True, text=True).stdout
    match = re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)
    assert match is not None, said
    return float(match[1])


def _chain(bench: Bench) -> None:
    """Each branch changes rows of its own; at the end the same point reads at both ends."""
    parent, rows = _ROOT, bench.amounts.scale * _ROWS_PER_SCALE
    for depth in range(1, bench.amounts.chain + 1):
        if depth % 10 == 1:
            bench.say(f"{bench.driver}: chain, {depth} of {bench.amounts.chain}")
        snapshot, child = VolumeId(f"chain-{depth}-from"), VolumeId(f"chain-{depth}")
        bench.settle()
        bench.add("chain", create=bench.snapshot(parent, snapshot) + bench.clone(child, snapshot))
        if depth % bench.amounts.write_every == 0:
            _change(bench, child, rows)
        parent = child
    asked = [bench.chance.randint(1, rows) for _ in range(bench.amounts.reads)]
    found: dict[str, dict[str, float]] = {}
    for end, volume in {"root": _ROOT, "last": parent}.items():
        _forget(bench, volume)
        with bench.serving(volume) as server:
            for turn in ("first", "again"):
                found[f"{end}_{turn}"] = _point_reads(server, asked)
    bench.facts["reads_ms"] = found


def _change(bench: Bench, volume: VolumeId, rows: int) -> None:
    with bench.serving(volume) as server, server.connect("postgres") as db:
        changed = [bench.chance.randint(1, rows) for _ in range(CHANGED_ROWS)]
        db.execute("update pgbench_accounts set abalance = 1 where aid = any(%s)", [changed])


def _forget(bench: Bench, volume: VolumeId) -> None:
    """Drop a volume's files from the page cache. ZFS has a cache of its own and keeps it."""
    bench.settle()
    for path in (bench.pool.path(volume) / "data").rglob("*"):
        if path.is_file():
            fd = os.open(path, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def _point_reads(server: Server, asked: list[int]) -> dict[str, float]:
    times = []
    with server.connect("postgres") as db:
        for aid in asked:
            begun = time.perf_counter()
            db.execute("select abalance from pgbench_accounts where aid = %s", [aid],
                       prepare=True).fetchone()  # fmt: skip
            times.append(since(begun))
    return {**summarise(times).as_json(), "mean": round(sum(times) / len(times), 3)}


def _results(options: argparse.Namespace, bench: Bench, described: dict[str, Any]) -> Results:
    samples = bench.record.series()
    facts = {"label": bench.driver, "pgbench_scale": bench.amounts.scale, "emulated": False,
             "write_every": bench.amounts.write_every, "machine": described,
             **bench.facts}  # fmt: skip
    return measured(
        "storage", quick=options.quick, machine=described, samples=samples, databases=[facts],
        parameters={**vars(bench.amounts), "query": _QUERY, "changed_rows": CHANGED_ROWS},
        conditions={"settings": dict(peers.SETTINGS), "tps_settings": dict(TPS_SETTINGS)},
        ratios=ratios(bench.driver, samples), claims=_claims(bench.driver, samples),
    )  # fmt: skip


def _median(samples: list[Series], method: str, measure: str) -> float:
    return median(next(item["ms"] for item in samples
                       if (item["method"], item["measure"]) == (method, measure)))  # fmt: skip


def ratios(driver: str, samples: list[Series]) -> list[dict[str, Any]]:
    """How long each operation takes, where a plain copy with a start takes 1."""
    copy = _median(samples, "copy", "start")
    return [
        {"database": driver, "method": measure,
         "ratio": round(_median(samples, "cowdb", measure) / copy, 6)}
        for measure in ("snapshot", "snapshot_unwritten", "clone", "destroy", "destroy_snapshot",
                        "start")
    ]  # fmt: skip


def _claims(driver: str, samples: list[Series]) -> list[Claim]:
    ratio = _median(samples, "copy", "start") / _median(samples, "cowdb", "start")
    return [{
        "claim": f"{driver}: a clone with a start is quicker than a plain copy with a start",
        "holds": ratio > 1,
        "value": round(ratio, 2),
        "bar": 1.0,
        "details": f"the copy takes {ratio:.1f} times as long",
    }]  # fmt: skip


def _owner() -> tuple[int, int]:
    found = pwd.getpwnam("postgres")
    return found.pw_uid, found.pw_gid


def _ask(server: Server, bench: Bench) -> None:
    with server.connect("postgres") as db:
        check(db, _QUERY, bench.amounts.scale)


def _timed(call: Callable[[], None]) -> float:
    begun = time.perf_counter()
    call()
    return since(begun)
