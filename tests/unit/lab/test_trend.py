"""Did it get worse from one run to another?"""

from __future__ import annotations

from typing import Any

import pytest

from cowdb.controller.lab.model import LabReport
from cowdb.controller.lab.trend import Trend, lines, trend
from tests.labreports import MIB, USERS, a_report, a_run, disk, load, lock, result


def of(*runs: dict[str, Any]) -> LabReport:
    return a_report(result("a", *(a_run(**run) for run in runs)))


def between(was: LabReport, now: LabReport) -> Trend:
    found = trend(was, now)
    assert found["worse"] is any(item["change"] == "worse" for item in found["strategies"])
    return found


@pytest.mark.parametrize(
    ("was", "now", "figure"),
    [
        ({"duration_ms": 1000.0}, {"duration_ms": 1400.0}, "duration_ms"),
        ({"locks": [lock(30)]}, {"locks": [lock(60)]}, "locked_ms"),
        ({"disk": disk(10 * MIB)}, {"disk": disk(15 * MIB)}, "wal_bytes"),
        ({"load": load(10)}, {"load": load(90)}, "stall_ms"),
    ],
)
def test_a_figure_that_got_worse_or_better(
    was: dict[str, Any], now: dict[str, Any], figure: str
) -> None:
    for one, two, change in ((was, now, "worse"), (now, was, "better"), (was, was, "same")):
        found = between(of(one), of(two))
        (strategy,) = found["strategies"]
        changes = {item["figure"]: item["change"] for item in strategy["figures"]}
        assert strategy["change"] == changes[figure] == change
        assert set(changes.values()) <= {change, "same"}
        assert found["worse"] is (change == "worse")


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ([1000.0], [1240.0]),
        ([20.0], [110.0]),
        ([1000.0, 1900.0], [1800.0, 2600.0]),
    ],
)
def test_within_the_spread_nothing_got_worse(was: list[float], now: list[float]) -> None:
    reports = [of(*({"duration_ms": ms} for ms in side)) for side in (was, now)]
    assert between(*reports)["strategies"][0]["change"] == "same"


def test_a_rewrite_and_a_verdict_are_no_matter_of_degree() -> None:
    (found,) = between(of({}), of({"rewritten": [USERS]}))["strategies"]
    assert (found["change"], found["rewrites"]) == ("worse", [USERS])
    assert found["verdicts"] == ["pass", "warn"]
    (found,) = between(of({"rewritten": [USERS]}), of({}))["strategies"]
    assert (found["change"], found["rewrites_gone"]) == ("better", [USERS])
    (found,) = between(of({}), of({"exit_code": 1}))["strategies"]
    assert (found["change"], found["verdicts"]) == ("worse", ["pass", "fail"])


def test_one_thing_worse_is_worse_whatever_is_better() -> None:
    was, now = {"duration_ms": 5000.0}, {"duration_ms": 1000.0, "rewritten": [USERS]}
    assert between(of(was), of(now))["worse"] is True


def test_what_cannot_be_compared_is_told() -> None:
    was = a_report(result("a"), result("gone"), id="one", pg_version="15.18")
    now = a_report(result("new"), result("a"), id="two", pg_version="16.14")
    found = between(was, now)
    assert [item["name"] for item in found["strategies"]] == ["a"]
    assert found["only"] == {"one": ["gone"], "two": ["new"]}
    assert found["differs"] == ["PostgreSQL: 15.18, now 16.14"]
    assert found["worse"] is False
    assert lines(found)[-3:] == [
        "only in one: gone", "only in two: new", "not the same: PostgreSQL: 15.18, now 16.14",
    ]  # fmt: skip


def test_for_people() -> None:
    found = trend(of({"duration_ms": 1000.0}), of({"duration_ms": 2000.0}, {"duration_ms": 3000.0}))
    assert lines(found)[:3] == [
        "a: worse (pass)",
        "  duration          1.00 s -> 2.50 s (2.00 s to 3.00 s)  worse",
        "  longest lock      0 ms -> 0 ms (0 ms to 0 ms)  same",
    ]
