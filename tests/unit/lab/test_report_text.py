"""What somebody reads in the terminal."""

from __future__ import annotations

import pytest

from cowdb.controller.lab.reports.text import text
from tests.labreports import a_report, a_run, load, lock, result, statement, traffic, whole_report
from tests.reports import report

WHOLE = text(whole_report(), color=False)


def section(name: str, whole: str = WHOLE) -> str:
    """From a strategy's heading on, with each fact on one line."""
    block = next(part for part in whole.split("\n\n") if name in part.splitlines()[0])
    return " ".join(block.split())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("add-column-with-default", [
            "FAIL add-column-with-default psql -f v2-strategy-a.sql",
            "duration 3.40 s, reads blocked for 3.39 s (public.users)",
            "locks public.users: AccessExclusiveLock 3.39 s, blocks reads and writes",
            "row counts public.orders: 20,000 before, 20,010 after (+10) 1,000,000 rows in 1 table",
            "validation no-nulls holds", "rewritten public.users", "during: 1,000/s",
            "statement v2-strategy-a.sql:4 3.21 s, 420.0 MiB of WAL, rewrote public.users ALTER",
            "fail reads and writes of public.users were blocked for 3.39 s (limit 1.00 s)",
            "kept lab-add-column-with-default-1: cowdb connect lab-add-column-with-default-1",
        ]),
        ("add-column-backfill", [
            "PASS", "reads blocked for 258 ms, 255 ms at the longest", "read whole public.users",
            "in 2 times, 243 ms at the longest, waited 12 ms", "schema column public.users.premium",
        ]),
        ("rollback-test", [
            "after rollback does not match the checkpoint: column public.users.premium_level",
            "not compared large objects",
        ]),
        ("The strategies end", [
            "The strategies end in the same schema. Recommendation:",
            "they do not end in the same rows (add-column-with-default | add-column-b",
            "Recommendation: add-column-backfill is the only one",
            "FAIL in 48.2 s, kept as 20261120-130000-ecommerce-7f3a",
        ]),
    ],
)  # fmt: skip
def test_each_branch_is_told(name: str, expected: list[str]) -> None:
    told = section(name)
    for part in expected:
        assert part in told


def test_no_line_is_too_long() -> None:
    assert [line for line in WHOLE.splitlines() if len(line) > 100] == []


def test_matches_the_checkpoint_is_only_said_of_what_does() -> None:
    for same, said in ((True, True), (False, False), (None, False)):
        run = a_run(same_as_checkpoint=same)
        told = text(a_report(result("back", run, expect="same-as-checkpoint")), color=False)
        assert ("schema and rows match the checkpoint" in told) is said
    assert "match the checkpoint" not in text(a_report(result("a", a_run())), color=False)


def test_colours_and_nothing_else_that_a_terminal_would_act_on() -> None:
    evil = "x\x1b[2J\x07\u202e"
    run = a_run(
        exit_code=1, output=evil, statements=[statement(1, evil, error=evil, file=evil)],
        locks=[lock(5000, relation=evil)], rewritten=[evil], load=load(errors={evil: 1}),
        difference=report(counts=[{"table": evil, "counts": [1, 2], "exact": True,
                                   "method": "full-scan"}], not_compared=[evil]),
    )  # fmt: skip
    hostile = a_report(result("a", run, command=evil), name=evil, checkpoint=evil)
    plain_text = text(hostile, color=False)
    assert all(line.isprintable() for line in plain_text.splitlines())
    colored = text(hostile, color=True)
    assert "\x1b[2J" not in colored
    assert "\x1b[31m" in colored


def test_runs_and_failures() -> None:
    runs = [a_run(duration_ms=ms) for ms in (100.0, 300.0, 200.0)]
    told = text(a_report(result("a", *runs)), color=False)
    assert "duration       200 ms (100 ms to 300 ms in 3 runs), neither reads nor writes" in told
    run = a_run(
        exit_code=1, output="one\ntwo", statements=[statement(1, "drop", error="ERROR: no")]
    )
    told = section("FAIL  a", text(a_report(result("a", run)), color=False))
    assert "fail statement 1 (v2.sql:2) failed: ERROR: no" in told
    assert told.endswith("output one two")


def test_what_could_not_be_measured_is_told() -> None:
    told = text(a_report(result("a", a_run(notes=["nobody looked"]))), color=False)
    assert "mind           nobody looked" in told


def test_a_load_that_was_never_answered() -> None:
    found = load(2000)
    found["phases"] = [traffic("during", 2000, p95=None)]
    told = text(a_report(result("a", a_run(load=found))), color=False)
    assert "during: 1,000/s, longest 2.00 s, without an answer for 2.00 s" in told
