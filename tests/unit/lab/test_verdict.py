"""Each limit, each forbidden thing and each thing that fails by itself, told with its reason."""

from __future__ import annotations

from typing import Any

import pytest

from cowdb.controller.lab.blocking import blocked, longest_ms, total_ms
from cowdb.controller.lab.model import Run
from cowdb.controller.lab.spec.model import Limits
from cowdb.controller.lab.verdict import worst
from tests.labreports import (
    MIB,
    USERS,
    a_run,
    checked,
    disk,
    load,
    lock,
    result,
    statement,
    wait,
)
from tests.reports import changed, report

NONE: Any = Limits(max_lock_ms=None, forbid=(), warn=())
DDL = [statement(1, "ALTER TABLE users ...", 1500, rewrote=(USERS,))]
BACK = {"expect": "same-as-checkpoint"}


def reasons(run: Run, limits: Limits | None = None, **more: Any) -> list[tuple[str, str, str]]:
    found = result("a", run, limits=limits, **more)
    return [(item["level"], item["code"], item["text"]) for item in found["reasons"]]


def test_nothing_to_say() -> None:
    found = result("a", a_run(statements=DDL[:0]))
    assert (found["verdict"], found["reasons"]) == ("pass", [])


@pytest.mark.parametrize(
    ("run", "limits", "expected"),
    [
        ({"locks": [lock(1000.5)], "statements": DDL}, Limits(),
         ("fail", "max_lock_ms", "reads and writes of public.users were blocked for 1.00 s "
          "(limit 1.00 s): AccessExclusiveLock held 1.00 s, statement 1 (v2.sql:2)")),
        ({"locks": [lock(1200, "ShareLock", exact=False)], "statements": DDL}, Limits(),
         ("fail", "max_lock_ms", "writes of public.users were blocked for about 1.20 s "
          "(limit 1.00 s): ShareLock held 1.20 s, statement 1 (v2.sql:2)")),
        ({"locks": [lock(10, statement=None)]}, Limits(max_lock_ms=0),
         ("fail", "max_lock_ms", "reads and writes of public.users were blocked for 10 ms "
          "(limit 0 ms): AccessExclusiveLock held 10 ms")),
        ({"locks": [lock(10)]}, Limits(forbid=("blocked-reads",)),
         ("fail", "blocked-reads", "reads and writes of public.users were blocked for 10 ms: "
          "AccessExclusiveLock held 10 ms, statement 1")),
        ({"locks": [lock(10, "ShareLock")]}, Limits(warn=("blocked-writes",)),
         ("warn", "blocked-writes", "writes of public.users were blocked for 10 ms: ShareLock "
          "held 10 ms, statement 1")),
        ({"duration_ms": 2000.5, "statements": DDL}, Limits(max_duration="2s"),
         ("fail", "max_duration", "it took 2.00 s (limit 2.00 s), 1.50 s of it statement 1 "
          "(v2.sql:2): ALTER TABLE users ...")),
        ({"load": load(301)}, Limits(max_stall_ms=300),
         ("fail", "max_stall_ms", "no query of the load was answered for 301 ms (limit 300 ms)")),
        ({"rewritten": [USERS], "statements": DDL}, Limits(),
         ("warn", "rewrite", "public.users was written anew by statement 1 (v2.sql:2)")),
        ({"rewritten": [USERS]}, Limits(forbid=("rewrite",)),
         ("fail", "rewrite", "public.users was written anew")),
        ({"rewritten": [USERS]}, NONE, ("note", "rewrite", "public.users was written anew")),
        ({"lost": ["column public.users.email had values in 10 rows"]}, Limits(),
         ("fail", "data-loss", "column public.users.email had values in 10 rows")),
        ({"leftovers": [{"kind": "invalid index", "name": "public.i"}]}, Limits(),
         ("fail", "invalid-index", "invalid index public.i is left behind")),
        ({"leftovers": [{"kind": "not valid constraint", "name": "c on t"}]}, Limits(),
         ("warn", "not-valid-constraint", "not valid constraint c on t is left behind")),
        ({"validations": [checked(passed=False, value="f")]}, Limits(),
         ("fail", "validation", "no-nulls does not hold: the answer is f")),
        ({"validations": [checked(passed=False, error="no column\nLINE 1")]}, Limits(),
         ("fail", "validation", "no-nulls does not hold: no column LINE 1")),
        ({"exit_code": 3}, Limits(), ("fail", "failed", "the command ended with status 3")),
        ({"exit_code": None, "error": "it was ended after 5s"}, Limits(),
         ("fail", "failed", "it was ended after 5s")),
        ({"exit_code": 3, "statements": [statement(2, "x", error="ERROR: no x")]}, Limits(),
         ("fail", "failed", "statement 2 (v2.sql:4) failed: ERROR: no x")),
        ({"exit_code": 3, "statements": [statement(
            1, "x", error="canceling statement due to lock timeout")]}, Limits(),
         ("fail", "failed", "statement 1 (v2.sql:2) failed: canceling statement due to lock timeout"
          "; it gave up rather than let others wait, so it can be tried again")),
        ({"locks": [lock(10, waited=400)], "waits": [wait(400, "select pg_sleep(1)")]}, Limits(),
         ("warn", "lock-queue", "statement 1 waited 400 ms for AccessExclusiveLock on public.users "
          "behind select pg_sleep(1); whoever came after queued behind it, so set lock_timeout "
          "and try again")),
        ({"load": load(errors={"column gone": 2, "deadlock": 30})}, Limits(),
         ("warn", "load-errors",
          "32 queries of the load failed during it: deadlock (30), column gone (2)")),
        ({"load": load(after=20.0)}, Limits(),
         ("note", "load-slower", "95 % of the load's queries are answered within 20 ms after it, "
          "2.0 ms before")),
        ({"disk": disk(wal_bytes_per_second=100.0 * MIB)}, Limits(),
         ("note", "wal", "100.0 MiB/s of WAL in the busiest second: a replica may fall behind")),
    ],
)  # fmt: skip
def test_a_reason(run: dict[str, Any], limits: Limits, expected: tuple[str, str, str]) -> None:
    assert reasons(a_run(**run), limits) == [expected]


@pytest.mark.parametrize(
    ("run", "limits"),
    [
        ({"locks": [lock(1000)]}, Limits()),
        ({"locks": [lock(9000, "ShareUpdateExclusiveLock", waited=900)]},
         Limits(forbid=("blocked-writes",))),
        ({"locks": [lock(500, "ShareLock")]}, Limits(forbid=("blocked-reads",))),
        ({"locks": [lock(90_000)]}, NONE),
        ({"duration_ms": 2000.0}, Limits(max_duration="2s")),
        ({"load": load(300)}, Limits(max_stall_ms=300)),
        ({"load": load(90_000)}, Limits()),
        ({"validations": [checked()]}, Limits()),
        ({"locks": [lock(10, waited=99)]}, Limits()),
        ({"load": load(after=5.0)}, Limits()),
        ({"difference": report(schema=[changed("table", "t")])}, Limits()),
    ],
)  # fmt: skip
def test_no_reason(run: dict[str, Any], limits: Limits) -> None:
    assert reasons(a_run(**run), limits) == []


def test_waiting_counts_since_others_queue_behind() -> None:
    run = a_run(locks=[lock(10, waited=2900)])
    found = [item for item in reasons(run) if item[0] == "fail"]
    assert found == [("fail", "max_lock_ms", "reads and writes of public.users were blocked for "
                      "2.91 s (limit 1.00 s): AccessExclusiveLock held 10 ms after waiting 2.90 s,"
                      " statement 1")]  # fmt: skip


def test_locks_of_one_transaction_on_one_relation_are_one_time() -> None:
    locks = [lock(600, "ShareLock", at=0), lock(600, at=500), lock(300, at=2000)]
    assert longest_ms(locks, "writes") == 1100
    assert longest_ms(locks, "reads") == 600
    assert total_ms([*locks, lock(100, at=1050, relation="public.b")], "writes") == 1450
    assert [item.ms for item in blocked(locks, "writes")] == [1100, 300]
    assert reasons(a_run(locks=locks))[0][1] == "max_lock_ms"


def test_a_failed_statement_that_the_command_went_on_after() -> None:
    run = a_run(statements=[statement(1, "x", error="ERROR: no x", file=None)])
    assert reasons(run, command="psql -f x.sql") == [
        ("warn", "statement-error", "statement 1 failed and the command went on: ERROR: no x "
         "(psql stops at an error with -v ON_ERROR_STOP=1)"),
    ]  # fmt: skip
    assert "psql" not in reasons(run, command="alembic upgrade head")[0][2]


def test_a_way_back() -> None:
    schema = [changed("column", "public.users.x", ("default", None, "0"))]
    rows = [{"table": USERS, "added": 2, "removed": 0, "changed": 1_500}]
    assert reasons(a_run(same_as_checkpoint=True), **BACK) == []
    left = a_run(same_as_checkpoint=False, difference=report(schema=schema, rows=rows))
    told = [
        ("fail", "schema-left", "the schema is not the checkpoint's again: column public.users.x "
         "changed"),
        ("fail", "rows-left", "the rows are not the checkpoint's again: public.users (2 added, "
         "1,500 changed)"),
    ]  # fmt: skip
    assert reasons(left, **BACK) == told
    assert reasons(left, NONE, **BACK) == told
    warned = reasons(left, Limits(forbid=(), warn=("schema-left",)), **BACK)
    assert [item[:2] for item in warned] == [("fail", "rows-left"), ("warn", "schema-left")]
    busy = a_run(same_as_checkpoint=False, load=load(), difference=report(rows=rows))
    assert reasons(busy, **BACK)[0][2].endswith("give it queries that only read)")
    unread = a_run(same_as_checkpoint=False, difference=report(not_compared=["table public.x"]))
    assert reasons(unread, **BACK) == [
        ("fail", "not-compared", "it could not be compared with the checkpoint: table public.x")
    ]
    failed = a_run(exit_code=1, same_as_checkpoint=None)
    assert [item[1] for item in reasons(failed, **BACK)] == ["failed"]


def test_of_several_runs_the_worst_is_told() -> None:
    runs = [a_run(locks=[lock(ms)], duration_ms=ms + 10) for ms in (1100, 900, 1400)]
    found = result("a", *runs)
    (reason,) = found["reasons"]
    assert "blocked for 1.40 s" in reason["text"]
    assert reason["text"].endswith("(in 2 of 3 runs)")
    assert found["duration_ms"] == {
        "median": 1110, "least": 910, "most": 1410, "values": [1110, 910, 1410],
    }  # fmt: skip
    assert found["locked_ms"]["median"] == 1100


def test_tables_are_told_apart_and_the_same_one_only_once() -> None:
    locks = [lock(1500), lock(1600, at=4000), lock(1700, relation="public.b")]
    texts = [item[2] for item in reasons(a_run(locks=locks))]
    assert [text.partition(" were")[0] for text in texts] == [
        "reads and writes of public.b", "reads and writes of public.users",
    ]  # fmt: skip
    assert "1.60 s" in texts[1]


def test_what_fails_comes_first_and_decides() -> None:
    run = a_run(locks=[lock(1500)], rewritten=[USERS], load=load(after=50.0))
    found = result("a", run)
    assert [item["level"] for item in found["reasons"]] == ["fail", "warn", "note"]
    assert found["verdict"] == "fail"
    assert result("a", a_run(rewritten=[USERS])).get("verdict") == "warn"
    assert result("a", a_run(load=load(after=50.0)))["verdict"] == "pass"
    assert [worst([]), worst(["pass", "warn"]), worst(["fail", "pass"])] == ["pass", "warn", "fail"]


def test_gaps_between_looks_are_told_where_times_hang_on_them() -> None:
    sampling = {"interval_ms": 5.0, "samples": 2, "longest_gap_ms": 480.0, "overhead": 0.1}
    inexact = a_run(sampling=sampling, locks=[lock(10, exact=False)])
    assert [item[1] for item in reasons(inexact)] == ["sampling"]
    assert reasons(a_run(sampling=sampling, locks=[lock(10)])) == []


def test_a_table_read_whole_under_a_lock() -> None:
    reading = [statement(1, "x", 300, at=50, scanned=(USERS, "public.b"))]
    run = a_run(statements=reading, locks=[lock(400)])
    assert [item[:2] for item in reasons(run)] == [("note", "scan")]
    for locks in ([lock(3)], [lock(400, "ShareUpdateExclusiveLock")], [lock(400, at=351)]):
        assert reasons(a_run(statements=reading, locks=locks)) == []


def test_why_a_lock_was_held_so_long() -> None:
    reading = [statement(1, "x", 300, at=50, scanned=(USERS,))]
    for facts, why in (({"statements": reading}, "read it whole"),
                       ({"rewritten": [USERS]}, "wrote it anew")):  # fmt: skip
        run = a_run(locks=[lock(1500)], **facts)
        assert reasons(run)[0][2].endswith(f", which {why}")


def test_of_several_waits_for_one_table_the_longest_is_told() -> None:
    run = a_run(locks=[lock(1, waited=150), lock(1, at=2000, waited=400)])
    (found,) = reasons(run)
    assert "waited 400 ms" in found[2]
