"""The story that cowdb exists for, on an e-commerce database of a million users.

    build -> snapshot -> three branches at once -> three migrations at once -> what changed

Told through a Narrator, so that the command line shows it live and a program gets the facts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Protocol, TypedDict

from cowdb.controller.branching import Connect
from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.model import Origin, Report, Wanted
from cowdb.controller.diff.sides import resolve
from cowdb.demo.script import SQL, Progress, data_files, run_script
from cowdb.errors import ConflictError, NotFoundError
from cowdb.units import size_text
from cowdb.wire import BranchInfo

SOURCE, SNAPSHOT, DATABASE = "shop", "shop@production-loaded", "ecommerce"


@dataclass(frozen=True, slots=True)
class Strategy:
    """:param branch: the branch that it runs on.
    :param files: under demo/sql, run in order.
    :param says: one line for people."""

    branch: str
    files: tuple[str, ...]
    says: str


STRATEGIES = (
    Strategy("add-column-with-default", ("v2-strategy-a.sql",), "a constant default"),
    Strategy("add-column-backfill", ("v2-strategy-b.sql",), "nullable, backfilled, closed"),
    Strategy("rollback-test", ("v2-up.sql", "v2-down.sql"), "up, then down again"),
)


class Outcome(TypedDict):
    """One strategy: `seconds` it took, what the branch then costs in disk."""

    branch: str
    says: str
    seconds: float
    used_bytes: int | None
    dsn: str


class Facts(TypedDict):
    """What the demo found; durations in seconds."""

    snapshot: str
    database_bytes: int
    build_seconds: float
    snapshot_ms: float
    branch_ms: dict[str, float]
    outcomes: list[Outcome]
    diff: Report
    total_seconds: float


class Narrator(Protocol):
    """Who tells the story while it happens."""

    def stage(self, title: str) -> AbstractContextManager[None]:
        """A chapter; its duration is told when it ends."""

    def step(self, what: str, done: int | None = None, total: int | None = None) -> None:
        """What is going on right now."""

    def note(self, text: str) -> None:
        """A fact that stays on the screen."""


def tell(connect: Connect, narrator: Narrator, *, seed: int, scale: float) -> Facts:
    """Run the whole story.

    :param scale: 1 for a million users.
    :raises ConflictError: it is there from an earlier run.
    """
    began = time.monotonic()
    _refuse_if_there(connect)
    size, build_seconds = _build(connect, narrator, seed, scale)
    with narrator.stage(f"Taking the snapshot {SNAPSHOT}"), connect() as client:
        snapshot = client.snapshots.create(SNAPSHOT, settle=True, report=narrator.step)
        took = snapshot["timings_ms"]["total"]
        narrator.note(f"{size_text(size)} of database in {took:.0f} ms, and no block was copied")
    branches = _branch(connect, narrator)
    outcomes = _migrate(connect, narrator, branches)
    with narrator.stage("Comparing all three with the snapshot"):
        names = [SNAPSHOT, *(item.branch for item in STRATEGIES)]
        with resolve(connect, names, narrator.step) as sides:
            diff = compare(sides, Wanted(), narrator.step, origin=Origin(sides[0]))
        for strategy in STRATEGIES:
            narrator.note(f"{strategy.branch:<24} {_verdict(diff, strategy.branch)}")
    return {
        "snapshot": SNAPSHOT,
        "database_bytes": size,
        "build_seconds": round(build_seconds, 2),
        "snapshot_ms": took,
        "branch_ms": {branch["name"]: branch["timings_ms"]["total"] for branch in branches},
        "outcomes": outcomes,
        "diff": diff,
        "total_seconds": round(time.monotonic() - began, 2),
    }


def _refuse_if_there(connect: Connect) -> None:
    with connect() as client:
        names = {item["name"] for item in client.sources.list()}
        names |= {item["name"] for item in client.branches.list()}
    taken = names & {SOURCE, *(item.branch for item in STRATEGIES)}
    if taken:
        raise ConflictError(
            f"{sorted(taken)[0]!r} is there already, from an earlier demo",
            hint="remove it: cowdb demo --clean",
        )


def _build(connect: Connect, narrator: Narrator, seed: int, scale: float) -> tuple[int, float]:
    """(bytes of the database, seconds that it took)."""
    began = time.monotonic()
    users = f"{round(1_000_000 * scale):,}"
    with narrator.stage(f"Building the database {DATABASE}: {users} users and what they did"):
        with connect() as client:
            source = client.sources.add(
                SOURCE, database=DATABASE, loading=True, report=narrator.step
            )
        try:
            dsn = source["dsn"] or ""
            settings = {"demo.seed": str(seed), "demo.scale": str(scale)}
            run_script(dsn, data_files(), progress=_telling(narrator), settings=settings)
            rows, size = _measure(dsn)
            narrator.note(f"{rows}; {size_text(size)}")
            with connect() as client:
                client.sources.loaded(SOURCE)
        except BaseException:
            with connect() as client:
                client.sources.remove(SOURCE)
            raise
    return size, time.monotonic() - began


def _telling(narrator: Narrator) -> Callable[[Progress], None]:
    def tell_step(progress: Progress) -> None:
        if progress.seconds is None:
            narrator.step(f"{progress.step.title} ({progress.number}/{progress.total})")

    return tell_step


def _measure(dsn: str) -> tuple[str, int]:
    """(row counts in words, bytes of the database)."""
    import psycopg

    with psycopg.connect(dsn) as db:
        counts = []
        for table in ("users", "orders", "order_lines", "events", "products"):
            row = db.execute(f"select count(*) from {table}").fetchone()
            counts.append(f"{row[0] if row else 0:,} {table.replace('_', ' ')}")
        size = db.execute("select pg_database_size(current_database())").fetchone()
    return ", ".join(counts), int(size[0]) if size else 0


def _branch(connect: Connect, narrator: Narrator) -> list[BranchInfo]:
    def make(name: str) -> BranchInfo:
        return client.branches.create(name, SNAPSHOT)

    with narrator.stage("Making three branches of it at once"), connect() as client:
        with ThreadPoolExecutor(len(STRATEGIES)) as pool:
            made = list(pool.map(make, [item.branch for item in STRATEGIES]))
        for branch in made:
            narrator.note(
                f"{branch['name']:<24} port {branch['port']}  "
                f"{branch['timings_ms']['total']:.0f} ms to its first query"
            )
    return made


def _migrate(connect: Connect, narrator: Narrator, branches: Sequence[BranchInfo]) -> list[Outcome]:
    dsns = {branch["name"]: branch["dsn"] for branch in branches}

    def run(strategy: Strategy) -> float:
        began = time.monotonic()
        files = [SQL / name for name in strategy.files]
        run_script(dsns[strategy.branch], files, progress=_telling(narrator), workers=1)
        return time.monotonic() - began

    with narrator.stage("Running a migration on each, at once"):
        with ThreadPoolExecutor(len(STRATEGIES)) as pool:
            seconds = list(pool.map(run, STRATEGIES))
        outcomes = list(_outcomes(connect, seconds))
        for item in outcomes:
            narrator.note(
                f"{item['branch']:<24} {item['seconds']:6.2f} s   "
                f"{size_text(item['used_bytes']):>9} of disk   {item['says']}"
            )
    return outcomes


def _outcomes(connect: Connect, seconds: Sequence[float]) -> Iterator[Outcome]:
    import psycopg

    with connect() as client:
        for strategy, took in zip(STRATEGIES, seconds, strict=True):
            dsn = client.branches.show(strategy.branch)["dsn"]
            with psycopg.connect(dsn, autocommit=True) as db:
                db.execute("checkpoint")  # pages in shared buffers cost no disk yet
            branch = client.branches.show(strategy.branch)
            yield {
                "branch": strategy.branch,
                "says": strategy.says,
                "seconds": round(took, 3),
                "used_bytes": branch["used_bytes"],
                "dsn": branch["dsn"],
            }


def _verdict(diff: Report, branch: str) -> str:
    """How a branch compares with the snapshot, in one line."""
    column = diff["sides"].index(branch)
    changed = sum(item["side"] == branch for item in diff["schema"])
    tables = sum(item["counts"][column] != item["counts"][0] for item in diff["counts"])
    if not changed and not tables:
        return "the snapshot's schema and row counts again, exactly"
    return f"{changed} changes in the schema, {tables} tables with another number of rows"


def clean(connect: Connect) -> list[str]:
    """Remove what the demo made, and nothing else; returns what was there."""
    removed = []
    with connect() as client:
        for strategy in STRATEGIES:
            with suppress(NotFoundError):
                client.branches.remove(strategy.branch)
                removed.append(strategy.branch)
        with suppress(NotFoundError):
            client.snapshots.remove(SNAPSHOT)
            removed.append(SNAPSHOT)
        with suppress(NotFoundError):
            client.sources.remove(SOURCE)
            removed.append(SOURCE)
    return removed
