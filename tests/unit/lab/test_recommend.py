"""Which strategy a DBA would take, and what the sentence gives as the reason."""

from __future__ import annotations

from typing import Any

import pytest

from cowdb.controller.lab.model import StrategyResult
from cowdb.controller.lab.recommend import recommend
from tests.labreports import (
    ENDS,
    MIB,
    USERS,
    a_run,
    disk,
    load,
    lock,
    result,
    statement,
    whole_report,
)
from tests.reports import changed, report

FAST = a_run(locks=[lock(12)], duration_ms=40)
BACK: Any = "same-as-checkpoint"
CALM = "it blocks reads of public.users for 12 ms at the longest, takes 40 ms"
SUMMARY = f"{CALM}, rewrites no table and writes 8.0 KiB of WAL"


def told(*strategies: StrategyResult, ends: Any = ENDS) -> tuple[str | None, str]:
    found = recommend(strategies, ends)
    assert found["sentence"].endswith(".")
    return found["strategy"], found["sentence"][:-1]


@pytest.mark.parametrize(
    ("better", "worse", "sentence"),
    [
        ({"locks": [lock(12)]}, {"locks": [lock(800)], "rewritten": [USERS]},
         "Use b: it blocks reads of public.users for 12 ms at the longest, against 800 ms with a, "
         "which rewrites public.users"),
        ({"locks": [lock(12)]}, {"locks": [lock(5, waited=90)]},
         "Use b: it blocks reads of public.users for 12 ms at the longest, against 95 ms with a, "
         "most of it waiting for the lock; it takes 100 ms"),
        ({"locks": [lock(1900, "ShareUpdateExclusiveLock")], "duration_ms": 1950},
         {"locks": [lock(800, "ShareLock")], "duration_ms": 810},
         "Use b: it blocks no writes, against 800 ms with a, although it takes 1.95 s against "
         "810 ms with a"),
        ({"locks": [lock(300, "ShareLock")]}, {"locks": [lock(300)]},
         "Use b: it blocks no reads, against 300 ms with a; it takes 100 ms, rewrites no table and "
         "writes 8.0 KiB of WAL"),
        ({"load": load(20), "locks": [lock(500)]}, {"load": load(400)},
         "Use b: the load waits 20 ms for an answer at the longest, against 400 ms with a, "
         "although it blocks reads for 500 ms against 0 ms with a; it blocks reads of"),
        ({"locks": [lock(20)]}, {"locks": [lock(12)], "rewritten": ["public.small"]},
         "Use b: it rewrites no table, while a rewrites public.small; it blocks reads of"),
        ({"locks": [lock(12)], "duration_ms": 40}, {"locks": [lock(40)], "duration_ms": 41_000},
         "Use b: it takes 40 ms, against 41.0 s with a; it blocks reads of public.users for 12 ms "
         "at the longest, rewrites no table and writes 8.0 KiB of WAL"),
        ({"disk": disk(10 * MIB)}, {"disk": disk(80 * MIB)},
         "Use b: it writes 10.0 MiB of WAL, against 80.0 MiB with a; it blocks neither"),
        ({"disk": disk(cow=10 * MIB)}, {"disk": disk(cow=80 * MIB)},
         "Use b: it takes 10.0 MiB of disk, against 80.0 MiB with a; it blocks neither"),
        ({}, {"leftovers": [{"kind": "not valid constraint", "name": "c"}]},
         "Use b: its locks are as short, and a comes with a warning (not valid constraint c is "
         "left behind); it blocks neither"),
        ({"locks": [lock(900)]}, {"statements": [statement(1, "x", error="ERROR: no x")]},
         "Use b: nothing fails with it, while with a statement 1 (v2.sql:2) failed and the "
         "command went on: ERROR: no x"),
    ],
)  # fmt: skip
def test_what_decides(better: dict[str, Any], worse: dict[str, Any], sentence: str) -> None:
    one, two = result("a", a_run(**worse)), result("b", a_run(**better))
    strategy, found = told(one, two)
    assert strategy == "b"
    assert found.startswith(sentence)
    assert told(two, one)[0] == "b"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"locks": [lock(3)]}, {"locks": [lock(48)]}),
        ({"duration_ms": 100}, {"duration_ms": 340}),
        ({"duration_ms": 10_000}, {"duration_ms": 12_400}),
        ({"disk": disk(1 * MIB, 1 * MIB)}, {"disk": disk(15 * MIB, 15 * MIB)}),
        ({"disk": disk(cow=None)}, {"disk": disk(cow=900 * MIB)}),
        ({"load": load(20)}, {"load": None}),
    ],
)
def test_what_nobody_would_notice_decides_nothing(one: Any, two: Any) -> None:
    for first, second in ((one, two), (two, one)):
        strategy, found = told(result("a", a_run(**first)), result("b", a_run(**second)))
        assert strategy == "a"
        assert "nothing that was measured tells a and b apart" in found
        assert "it comes first in the file" in found


def test_durations_that_overlap_between_runs_decide_nothing() -> None:
    def at(*durations: float) -> StrategyResult:
        return result("ab"[len(durations) % 2], *(a_run(duration_ms=ms) for ms in durations))

    slow, quick = at(3000, 3100), at(900, 1000, 1100)
    assert told(slow, quick)[0] == "b"
    assert told(at(3000, 1050), quick)[0] == "a"


def test_one_strategy_only() -> None:
    assert told(result("a", FAST)) == ("a", f"a passes: {SUMMARY}")
    strategy, sentence = told(result("a", a_run(rewritten=[USERS])))
    assert strategy == "a"
    assert sentence.startswith("a can be used: it blocks neither reads nor writes, takes 100 ms")
    assert sentence.endswith("; mind that public.users was written anew")


def test_a_tie() -> None:
    assert told(result("a", FAST), result("b", FAST)) == (
        "a", f"Use a: nothing that was measured tells a and b apart ({SUMMARY}), and it comes "
        "first in the file",
    )  # fmt: skip


def test_all_failed() -> None:
    assert told(result("a", a_run(exit_code=2))) == (
        None, "None can be used; a fails: the command ended with status 2",
    )  # fmt: skip
    strategy, sentence = told(
        result("a", a_run(exit_code=2, lost=["column x"])), result("b", a_run(locks=[lock(4000)]))
    )
    assert strategy is None
    assert sentence == (
        "None of these can be recommended; a fails: the command ended with status 2 (and 1 more "
        "reason); b fails: reads and writes of public.users were blocked for 4.00 s (limit 1.00 s)"
        ": AccessExclusiveLock held 4.00 s, statement 1"
    )


def test_the_one_that_is_left() -> None:
    assert told(result("a", a_run(exit_code=2)), result("b", FAST)) == (
        "b", f"b is the only one that can be recommended: {SUMMARY}; a fails: the command ended "
        "with status 2",
    )  # fmt: skip


def test_a_way_back_is_no_candidate_and_is_told_of_when_it_does_not_come_back() -> None:
    fine = result("back", a_run(same_as_checkpoint=True, duration_ms=1), expect=BACK)
    assert told(result("a", FAST), fine) == ("a", f"a passes: {SUMMARY}")
    assert told(fine) == (
        None, "There is nothing to recommend, since only ways back were tried; back comes back to "
        "the checkpoint",
    )  # fmt: skip
    left = report(schema=[changed("index", "public.i")])
    bad = result("back", a_run(same_as_checkpoint=False, difference=left), expect=BACK)
    assert told(result("a", FAST), bad)[1].endswith(
        "; back does not come back: the schema is not the checkpoint's again: index public.i "
        "changed"
    )
    broken = result("back", a_run(exit_code=1), expect=BACK)
    assert told(result("a", FAST), broken)[1].endswith(
        "; back fails: the command ended with status 1"
    )


def test_rivals_that_fall_out_by_different_things() -> None:
    strategy, sentence = told(
        result("a", a_run(locks=[lock(500)], duration_ms=1000)),
        result("b", a_run(locks=[lock(20)], duration_ms=8000)),
        result("c", a_run(locks=[lock(22)], duration_ms=2000, rewritten=["public.x"])),
        result("d", a_run(locks=[lock(600)], duration_ms=1000)),
    )
    assert (strategy, sentence) == (
        "b", "Use b: it blocks reads of public.users for 20 ms at the longest, against 500 ms with "
        "a and 600 ms with d, and it rewrites no table, while c rewrites public.x, although it "
        "takes 8.00 s against 1.00 s with a; it takes 8.00 s and writes 8.0 KiB of WAL",
    )  # fmt: skip


def test_ends_that_differ_are_told() -> None:
    ends = {"schema": True, "rows": False, "groups": [["a"], ["b", "c"]]}
    assert told(result("a", FAST), result("b", FAST), ends=ends)[1].endswith(
        "; they do not end in the same rows (a | b, c)"
    )


def test_the_whole_report() -> None:
    found = whole_report()["recommendation"]
    assert found["strategy"] == "add-column-backfill"
    assert "against" not in found["sentence"]
    for part in ("blocked for 3.39 s", "which wrote it anew", "rollback-test does not come back",
                 "statement 2 (v2-strategy-a.sql:4)"):  # fmt: skip
        assert part in found["sentence"]
