"""What a lab run finds out, made by hand: small parts to test with, and a whole report to look
at."""

from __future__ import annotations

import math
from typing import Any, cast

from cowdb.controller.lab.model import (
    Checked,
    Disk,
    LabReport,
    LoadResult,
    Lock,
    Run,
    Second,
    Statement,
    StrategyResult,
    Traffic,
    Wait,
)
from cowdb.controller.lab.recommend import recommend
from cowdb.controller.lab.spec.model import Limits
from cowdb.controller.lab.verdict import judge, worst
from tests.reports import changed, report

USERS = "public.users"
MIB = 2**20
BLOCKS = {"AccessExclusiveLock": "reads", "ExclusiveLock": "writes", "ShareLock": "writes",
          "ShareRowExclusiveLock": "writes", "ShareUpdateExclusiveLock": "ddl"}  # fmt: skip


def lock(held: float, mode: str = "AccessExclusiveLock", *, at: float = 5, waited: float = 0,
         relation: str = USERS, statement: int | None = 1, exact: bool = True) -> Lock:  # fmt: skip
    return cast(Lock, {
        "relation": relation, "mode": mode, "blocks": BLOCKS[mode], "at_ms": at, "held_ms": held,
        "waited_ms": waited, "statement": statement, "exact": exact,
    })  # fmt: skip


def statement(number: int, text: str, duration: float = 5, *, at: float = 5,
              rewrote: tuple[str, ...] = (), error: str | None = None, file: str | None = "v2.sql",
              wal: int | None = 8192, scanned: tuple[str, ...] = ()) -> Statement:  # fmt: skip
    return {
        "number": number, "text": text, "file": file, "line": None if file is None else number * 2,
        "at_ms": at, "duration_ms": duration, "exact": True, "waited_ms": 0, "wal_bytes": wal,
        "rewrote": list(rewrote), "scanned": list(scanned), "error": error,
    }  # fmt: skip


def wait(ms: float, *behind: str, who: str = "strategy", mode: str = "AccessExclusiveLock",
         relation: str = USERS, at: float = 5) -> Wait:  # fmt: skip
    return cast(Wait, {"at_ms": at, "waited_ms": ms, "relation": relation, "mode": mode,
                       "who": who, "behind": list(behind)})  # fmt: skip


def disk(wal: int = 8192, cow: int | None = 65536, **more: Any) -> Disk:
    whole = {"logical_bytes": 8192, "cow_bytes": cow, "temp_bytes": 0, "wal_bytes": wal,
             "wal_bytes_per_second": float(wal)}  # fmt: skip
    return cast(Disk, whole | more)


def traffic(phase: str, stall: float = 4, *, errors: int = 0, p95: float | None = 2.0) -> Traffic:
    return cast(Traffic, {
        "phase": phase, "transactions": 3000, "per_second": 1000.0, "errors": errors,
        "p50_ms": p95 and p95 / 2, "p95_ms": p95, "p99_ms": p95 and p95 * 2, "longest_ms": stall,
        "stall_ms": stall,
    })  # fmt: skip


def load(stall: float = 4, *, errors: dict[str, int] | None = None, after: float = 2.0,
         line: list[Second] | None = None) -> LoadResult:  # fmt: skip
    failed = errors or {}
    return {
        "phases": [traffic("before"), traffic("during", stall, errors=sum(failed.values())),
                   traffic("after", p95=after)],
        "line": line or [], "errors": failed,
    }  # fmt: skip


def checked(name: str = "no-nulls", *, passed: bool = True, value: str | None = "t",
            error: str | None = None) -> Checked:  # fmt: skip
    return {"name": name, "passed": passed, "value": value, "error": error}


def a_run(**parts: Any) -> Run:
    """Nothing happened but the given parts."""
    whole = {
        "branch": "lab-a-1", "kept": False, "connect": None,
        "started_at": "2026-11-20T13:00:00.000Z", "duration_ms": 100.0, "exit_code": 0,
        "error": None, "output": "", "statements": [], "locks": [], "locked": [], "waits": [],
        "sampling": {"interval_ms": 5.0, "samples": 20, "longest_gap_ms": 8.0, "overhead": 0.01},
        "rewritten": [], "scanned": [], "disk": disk(), "lost": [], "leftovers": [],
        "validations": [], "difference": report(), "same_as_checkpoint": None, "load": None,
        "notes": [],
    }  # fmt: skip
    return cast(Run, whole | parts)


def result(name: str = "a", *runs: Run, limits: Limits | None = None, command: str = "v2.sql",
           expect: Any = None) -> StrategyResult:  # fmt: skip
    return judge(name, command, limits or Limits(), runs or (a_run(),), expect=expect)


ENDS: Any = {"schema": True, "rows": True, "groups": []}


def a_report(*strategies: StrategyResult, ends: Any = None, **parts: Any) -> LabReport:
    whole = {
        "id": "20261120-130000-ecommerce-7f3a", "name": "ecommerce-migration-test",
        "version": "1.0.0", "file": "lab.yaml", "checkpoint": "shop@production-loaded",
        "database": "ecommerce", "pg_version": "15.18", "started_at": "2026-11-20T13:00:00.000Z",
        "total_ms": 48_200.0, "verdict": worst(item["verdict"] for item in strategies),
        "strategies": list(strategies), "ends": ends or ENDS,
        "recommendation": recommend(strategies, ends or ENDS),
        "limits": {"max_lock_ms": 1000, "max_duration": None, "max_stall_ms": None,
                   "forbid": ["data-loss", "invalid-index", "schema-left"],
                   "warn": ["rewrite", "not-valid-constraint"]},
    }  # fmt: skip
    return cast(LabReport, whole | parts)


def line(duration: float, stalls: tuple[tuple[float, float], ...]) -> list[Second]:
    """A load's time line in slices of 100 ms from a second before until one after."""
    found = []
    for number in range(-10, int(duration // 100) + 11):
        at = number * 100.0
        still = any(begin <= at < end for begin, end in stalls)
        wave = 1 + 0.3 * math.sin(number / 3)
        found.append(Second(
            at_ms=at, answered=0 if still else int(110 * wave), errors=0,
            p50_ms=None if still else 0.9 * wave, p99_ms=None if still else 4.2 * wave,
            longest_ms=None if still else 6.0 * wave,
        ))  # fmt: skip
    return found


def whole_report() -> LabReport:
    """Three strategies as the demo has them: one that rewrites, one that backfills, a way back
    that leaves something."""
    difference = report(
        schema=[changed("column", "public.users.premium_level", ("default", None, "0"))],
        counts=[{"table": USERS, "counts": [1_000_000, 1_000_000], "exact": True,
                 "method": "full-scan"},
                {"table": "public.orders", "counts": [20_000, 20_010], "exact": True,
                 "method": "full-scan"}],
        not_compared=["large objects: there are none on either side"],
    )  # fmt: skip
    rewriting = a_run(
        branch="lab-add-column-with-default-1", kept=True,
        connect="cowdb connect lab-add-column-with-default-1", duration_ms=3400.0,
        statements=[
            statement(1, "BEGIN", 0.1, at=2, file="v2-strategy-a.sql"),
            statement(2, "ALTER TABLE users ADD COLUMN premium_level text NOT NULL DEFAULT "
                      "random_level()", 3210, at=4, rewrote=(USERS,), file="v2-strategy-a.sql",
                      wal=420 * MIB),
            statement(3, "CREATE INDEX users_premium ON users (premium_level)", 160, at=3220,
                      file="v2-strategy-a.sql", wal=22 * MIB),
        ],
        locks=[lock(3390, at=4, statement=2), lock(165, "ShareLock", at=3220, statement=3)],
        locked=[{"relation": USERS, "mode": "AccessExclusiveLock", "blocks": "reads",
                 "total_ms": 3390.0, "longest_ms": 3390.0, "waited_ms": 0.0, "times": 1}],
        waits=[wait(3380, "ALTER TABLE users ADD COLUMN premium_level text", who="load",
                    mode="AccessShareLock")],
        rewritten=[USERS], scanned=[USERS],
        disk=disk(442 * MIB, 311 * MIB, wal_bytes_per_second=160.0 * MIB, temp_bytes=12 * MIB),
        validations=[checked()], difference=difference,
        load=load(3381, line=line(3400, ((0, 3400),))),
    )  # fmt: skip
    backfill = a_run(
        branch="lab-add-column-backfill-1", duration_ms=9100.0,
        statements=[
            statement(1, "ALTER TABLE users ADD COLUMN premium_level text", 3.1, at=4,
                      file="v2-strategy-b.sql"),
            statement(2, "UPDATE users SET premium_level = 'standard' WHERE id BETWEEN 1 AND "
                      "500000", 4300, at=12, file="v2-strategy-b.sql", wal=260 * MIB),
            statement(3, "UPDATE users SET premium_level = 'standard' WHERE id > 500000", 4200,
                      at=4320, file="v2-strategy-b.sql", wal=255 * MIB),
            statement(4, "ALTER TABLE users ALTER COLUMN premium_level SET NOT NULL", 240, at=8600,
                      file="v2-strategy-b.sql", scanned=(USERS,)),
        ],
        locks=[lock(3.4, at=4, statement=1), lock(243, at=8640, waited=12, statement=4)],
        locked=[{"relation": USERS, "mode": "AccessExclusiveLock", "blocks": "reads",
                 "total_ms": 246.4, "longest_ms": 243.0, "waited_ms": 12.0, "times": 2}],
        scanned=[USERS],
        disk=disk(515 * MIB, 402 * MIB, wal_bytes_per_second=61.0 * MIB),
        validations=[checked()], difference=difference,
        load=load(251, line=line(9100, ((8600, 8900),))),
    )  # fmt: skip
    way_back = a_run(
        branch="lab-rollback-test-1", kept=True, connect="cowdb connect lab-rollback-test-1",
        duration_ms=412.0, statements=[statement(1, "ALTER TABLE users ADD COLUMN x int", 4)],
        locks=[lock(4)], same_as_checkpoint=False, difference=difference,
        load=load(12, line=line(412, ())),
    )  # fmt: skip
    return a_report(
        result("add-column-with-default", rewriting, command="psql -f v2-strategy-a.sql"),
        result("add-column-backfill", backfill, command="psql -f v2-strategy-b.sql"),
        result("rollback-test", way_back, expect="same-as-checkpoint",
               command="psql -f v2-up.sql && psql -f v2-down.sql"),
        ends={"schema": True, "rows": False,
              "groups": [["add-column-with-default"], ["add-column-backfill"]]},
    )  # fmt: skip
