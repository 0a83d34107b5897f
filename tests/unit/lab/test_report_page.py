"""The page: everything is on it, nothing in it acts, and the picture is where the figures are."""

from __future__ import annotations

import math

import pytest

from cowdb.controller.diff.page.text import plain
from cowdb.controller.lab.reports.html import html
from cowdb.controller.lab.reports.picture import HEIGHT, picture
from cowdb.controller.lab.reports.telling import facts
from tests.labreports import a_report, a_run, line, load, lock, result, statement, whole_report
from tests.unit.lab.test_report_files import EVIL, hostile
from tests.unit.page.parsed import parse


def test_everything_that_is_told_is_on_the_page() -> None:
    report = whole_report()
    text = parse(html(report)).text
    assert " ".join(report["recommendation"]["sentence"].split()) in text
    for item in report["strategies"]:
        for reason in item["reasons"]:
            assert reason["text"] in text
        for fact in facts(item):
            assert fact.text in text
    assert "v2-strategy-a.sql:4" in text


def test_nothing_from_a_database_becomes_markup() -> None:
    page = html(hostile())
    assert page.count("<b>") == 1  # the template's own
    assert "\x1b" not in page
    assert plain(EVIL)[:12] in parse(page).text
    page.encode()


@pytest.mark.parametrize("report", [a_report(), a_report(result("a", a_run(duration_ms=0.0)))])
def test_a_page_of_almost_nothing(report: object) -> None:
    assert html(report).startswith("<!doctype html>")  # type: ignore[arg-type]


def test_locks_stand_where_they_were_held() -> None:
    found = picture(a_run(
        duration_ms=1000.0, statements=[statement(1, "x", 100, at=500)],
        locks=[lock(200, at=300, waited=100), lock(50, "ShareLock", at=900),
               lock(10, at=600)],
    ))  # fmt: skip
    assert (found.since, found.until) == (0, 100)
    kinds = [(lane.name, [(mark.kind, mark.x, mark.width) for mark in lane.marks])
             for lane in found.lanes]  # fmt: skip
    assert kinds == [
        ("", [("statement", 50, 10)]),
        ("public.users", [("waiting", 20, 10), ("reads", 30, 20), ("reads", 60, 1)]),
        ("public.users", [("writes", 90, 5)]),
    ]
    assert [(tick.x, tick.label, tick.anchor) for tick in found.ticks] == [
        (0, "0", "start"), (20, "200 ms", "middle"), (40, "400 ms", "middle"),
        (60, "600 ms", "middle"), (80, "800 ms", "middle"), (100, "1.00 s", "end"),
    ]  # fmt: skip
    assert "after waiting 100 ms: reads and writes wait" in found.lanes[1].text


def test_traffic_is_on_the_same_axis() -> None:
    found = picture(
        a_run(duration_ms=2000.0, load=load(line=line(2000, ((500, 1000),))), locks=[lock(500)])
    )
    assert [tick.label for tick in found.ticks] == ["-1.00 s", "0", "1.00 s", "2.00 s", "3.00 s"]
    assert (found.since, found.until) == (24.39, 73.171)
    answers = next(lane for lane in found.lanes if lane.text.startswith("Answers"))
    still = [mark for mark in answers.marks if mark.height == 0]
    assert len(answers.marks) == 41
    assert len(still) == 5
    assert math.isclose(still[0].x, (500 + 1000) / 4100 * 100, abs_tol=0.01)
    assert max(mark.height for mark in answers.marks) == HEIGHT
    assert answers.text == "Answers of the load: up to 1,420 a second"


@pytest.mark.parametrize("ms", [0.001, 0.4, 7, 99, 1234, 61_000, 5_000_000])
def test_there_are_a_few_ticks_whatever_the_time(ms: float) -> None:
    ticks = picture(a_run(duration_ms=ms)).ticks
    assert 2 <= len(ticks) <= 7
    assert len({tick.label for tick in ticks}) == len(ticks)
