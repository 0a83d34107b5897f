"""One lab run: every strategy on fresh branches of the checkpoint, and the report of it all."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from cowdb.controller.branching import Connect, throw_away
from cowdb.controller.diff.model import Side
from cowdb.controller.lab import checkpoint as checkpoints
from cowdb.controller.lab import compared, redaction
from cowdb.controller.lab.attempt import Bench, Done, attempt
from cowdb.controller.lab.branches import LabBranches, name_of
from cowdb.controller.lab.model import Ends, LabReport, StrategyResult
from cowdb.controller.lab.recommend import recommend
from cowdb.controller.lab.spec.model import Lab, Strategy
from cowdb.controller.lab.steps import step
from cowdb.controller.lab.steps.command import Stop
from cowdb.controller.lab.verdict import judge, worst
from cowdb.controller.transport import Report, quiet
from cowdb.errors import CowdbError
from cowdb.wire import BranchInfo

_PATIENCE = 5.0  # seconds for attempts to end by themselves when the lab is ended


@dataclass(frozen=True)
class Asked:
    """:param file: the lab file, whose directory commands run in.
    :param bindirs: where programs of PostgreSQL are.
    :param stop: ends the run from a signal handler.
    :param say: lines for people, while it runs."""

    lab: Lab
    file: Path
    bindirs: Sequence[str]
    stop: Stop = field(default_factory=Stop)
    report: Report = quiet


@dataclass(frozen=True)
class Outcome:
    """:param artifacts: texts for who keeps the run, by their path."""

    report: LabReport
    artifacts: dict[str, str]
    left: list[str]
    """Branches that could not be removed, and why."""


@dataclass
class _Result:
    strategy: Strategy
    done: dict[int, Done] = field(default_factory=dict)


class LabEnded(CowdbError):
    """Somebody ended the lab before it was done.

    :param kept: branches of strategies that had failed already."""

    code = "failed"

    def __init__(self, reason: str, kept: Sequence[str]) -> None:
        names = ", ".join(kept)
        super().__init__(
            f"the lab was ended: {reason}",
            hint=f"kept, since their strategies had failed: {names}" if kept else "",
        )


def run(connect: Connect, asked: Asked) -> Outcome:
    """:raises CowdbError: there is no such checkpoint, a setting or database is wrong, a branch
    cannot be made or watched; or LabEnded."""
    started, clock = datetime.now(UTC), time.perf_counter()
    migration = asked.lab.tests.migration
    with connect() as client:
        ref = checkpoints.choose(client.snapshots.list(), migration.checkpoint)
    run_id = secrets.token_hex(3)
    with _checkpoint(connect, ref, asked) as (origin, branch):
        bench = Bench(connect, migration, asked.file.parent, asked.bindirs, origin, asked.stop)
        lab = _LabRun(bench, asked, LabBranches(connect, ref, asked.report), run_id)
        try:
            results = lab.all_attempts()
            asked.report("comparing how the strategies end", None, None)
            ends = lab.ends(results)
            strategies = [lab.judged(item) for item in results]
        except CowdbError as error:
            lab.branches.close()
            error.hint = "; ".join(filter(None, [error.hint, *lab.branches.left]))
            raise
        finally:
            lab.branches.close()
    report: LabReport = {
        "id": run_id,
        "name": asked.lab.name,
        "version": str(asked.lab.version),
        "file": str(asked.file),
        "checkpoint": ref,
        "database": _database(asked.lab, branch),
        "pg_version": branch["pg_version"],
        "started_at": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "total_ms": round((time.perf_counter() - clock) * 1000, 1),
        "verdict": worst(item["verdict"] for item in strategies),
        "strategies": strategies,
        "ends": ends,
        "recommendation": recommend(strategies, ends),
        "limits": _limits(migration.limits),
    }
    artifacts: dict[str, str] = {}
    for item in results:
        for done in item.done.values():
            artifacts |= done.artifacts
    return Outcome(report, artifacts, lab.branches.left)


@contextlib.contextmanager
def _checkpoint(connect: Connect, ref: str, asked: Asked) -> Iterator[tuple[Side, BranchInfo]]:
    """A hidden branch of the checkpoint to compare with; the place where a database that is not
    there is found out before anything runs."""
    databases = asked.lab.services.postgres.config.databases
    with throw_away(connect, ref, "lab", hidden=True, report=asked.report) as branch:
        dsn = checkpoints.database_dsn(branch, databases)
        yield Side(ref, dsn, branch["name"]), branch


def _database(lab: Lab, branch: BranchInfo) -> str:
    return next(iter(lab.services.postgres.config.databases), branch["database"])


def _limits(limits: object) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(limits)
    return found


class _LabRun:
    def __init__(self, bench: Bench, asked: Asked, branches: LabBranches, run_id: str) -> None:
        self._bench, self._asked, self.branches, self._id = bench, asked, branches, run_id
        self._migration = bench.migration
        self._total = len(self._migration.branches) * self._migration.runs
        self._finished = 0

    def all_attempts(self) -> list[_Result]:
        """Every strategy once, then every strategy a second time: what changes on the machine
        meanwhile changes for all of them."""
        results = [_Result(strategy) for strategy in self._migration.branches]
        with ThreadPoolExecutor(self._migration.parallel or 1, "cowdb-lab") as pool:
            futures = [
                pool.submit(self._attempt, place, result, number)
                for number in range(1, self._migration.runs + 1)
                for place, result in enumerate(results)
            ]
            try:
                self._await(futures)
            except BaseException as error:
                self._asked.stop.now(str(error) or type(error).__name__)
                for future in futures:
                    future.cancel()
                wait(futures, timeout=_PATIENCE)
                self.branches.close()  # whoever still works on one fails now
                raise
        return results

    def _await(self, futures: Sequence[Future[None]]) -> None:
        while True:
            done, waiting = wait(futures, timeout=0.2, return_when=FIRST_EXCEPTION)
            if self._asked.stop.said:
                raise LabEnded(self._asked.stop.reason, self.branches.kept())
            for future in done:
                future.result()
            if not waiting:
                return

    def _attempt(self, place: int, result: _Result, number: int) -> None:
        strategy = result.strategy
        name = name_of(self._id, strategy.name, number, place + 1)
        if self._asked.stop.said:
            return
        self._say(f"{strategy.name}: run {number}")
        branch = self.branches.create(name)
        settings = self._asked.lab.services.postgres.config
        checkpoints.configure(self._bench.connect, branch, settings.settings)
        dsn = checkpoints.database_dsn(branch, settings.databases)
        done = attempt(self._bench, strategy, branch, dsn)
        if self._asked.stop.said:
            return
        result.done[number] = done
        self._keep_or_not(result, done, last=number > 1)
        self._finished += 1
        self._say(f"{strategy.name}: run {number} took {done.run['duration_ms'] / 1000:.1f} s")

    def _say(self, text: str) -> None:
        self._asked.report(text, self._finished, self._total)

    def _keep_or_not(self, result: _Result, done: Done, *, last: bool) -> None:
        """A first run's branch stays until the ends have been compared."""
        keep, run = self._migration.keep, done.run
        failed = self._judge(result, [done])["verdict"] == "fail"
        if keep == "all" or (keep == "failed" and failed):
            self.branches.keep(run["branch"])
            run["kept"], run["connect"] = True, f"cowdb connect {run['branch']}"
        elif last:
            self.branches.remove(run["branch"])

    def _judge(self, result: _Result, done: Sequence[Done]) -> StrategyResult:
        strategy = result.strategy
        return judge(
            strategy.name, redaction.cleaned(redaction.shown(step.words(strategy)), ()),
            strategy.limits.over(self._migration.limits), [item.run for item in done],
            expect=strategy.expect,
        )  # fmt: skip

    def judged(self, result: _Result) -> StrategyResult:
        return self._judge(result, [result.done[number] for number in sorted(result.done)])

    def ends(self, results: Sequence[_Result]) -> Ends:
        """Of those that went through and were not rolled back, after their first run."""
        found = [
            compared.End(item.strategy.name, item.done[1].side, item.done[1].run["difference"])
            for item in results
            if item.strategy.expect is None and item.done[1].run["exit_code"] == 0
        ]  # fmt: skip
        return compared.ends(self._bench.connect, found)
