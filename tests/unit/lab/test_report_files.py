"""Reports for other programs: JUnit XML, and Markdown for a pull request."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from cowdb.controller.lab.model import LabReport
from cowdb.controller.lab.reports.junit import junit
from cowdb.controller.lab.reports.markdown import escaped, markdown
from cowdb.controller.lab.reports.telling import facts
from tests.labreports import a_report, a_run, checked, lock, result, statement, whole_report

# Of what Jenkins' junit-10.xsd allows and demands, what this report has: children, attributes.
ALLOWED: dict[str, tuple[set[str], set[str]]] = {
    "testsuites": ({"testsuite"}, {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"properties", "testcase"},
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    ),
    "properties": ({"property"}, set()),
    "property": (set(), {"name", "value"}),
    "testcase": ({"failure", "system-out", "system-err"}, {"classname", "name", "time"}),
    "failure": (set(), {"type", "message"}),
    "system-out": (set(), set()),
    "system-err": (set(), set()),
}
EVIL = "a\x00\x1b[2J\x0b]]>&<b> | `x` @team #12 ![x](http://e) \ud800 \uffff"


def hostile() -> LabReport:
    run = a_run(
        exit_code=1, output=EVIL, statements=[statement(1, EVIL, error=EVIL, file=EVIL)],
        locks=[lock(5000, relation=EVIL)], rewritten=[EVIL], validations=[checked(EVIL)],
    )  # fmt: skip
    return a_report(result("a", run, command=EVIL), name=EVIL, checkpoint=EVIL)


def parsed(report: LabReport) -> Element:
    text = junit(report)
    text.encode()  # so that it can be written
    return ElementTree.fromstring(text)


@pytest.mark.parametrize("report", [whole_report(), hostile(), a_report()])
def test_junit_is_as_its_readers_know_it(report: LabReport) -> None:
    root = parsed(report)
    for element in root.iter():
        children, attributes = ALLOWED[element.tag]
        assert {child.tag for child in element} <= children
        assert set(element.attrib) == attributes
        if "time" in element.attrib:
            assert re.fullmatch(r"\d+\.\d{3}", element.attrib["time"])
        if "timestamp" in element.attrib:
            assert element.attrib["timestamp"] == "2026-11-20T13:00:00"
    for counted in (root, *root.findall("testsuite")):  # what viewers add up
        assert counted.get("tests") == str(len(counted.findall(".//testcase")))
        assert counted.get("failures") == str(len(counted.findall(".//failure")))


def test_junit_has_a_case_for_each_strategy_and_each_validation() -> None:
    runs = [
        a_run(validations=[checked("a"), checked("a b", passed=False, value=None)]),
        a_run(duration_ms=2500.0, locks=[lock(1500)], validations=[checked("a"), checked("a b")]),
    ]
    root = parsed(a_report(result("one", *runs)))
    told = [
        (suite.get("name"), suite.get("time"),
         [(case.get("name"), failure.get("type") if (failure := case.find("failure")) is not None
           else None) for case in suite.findall("testcase")])
        for suite in root.findall("testsuite")
    ]  # fmt: skip
    name = "ecommerce-migration-test.one.run-"
    assert told == [
        (f"{name}1", "0.100", [("one", None), ("a", None), ("a b", "validation")]),
        (f"{name}2", "2.500", [("one", "max_lock_ms"), ("a", None), ("a b", None)]),
    ]
    failure = root.find(".//failure[@type='validation']")
    assert failure is not None
    assert failure.get("message") == "a b does not hold: the answer is null"


def test_junit_says_what_it_cannot_write() -> None:
    text = junit(hostile())
    assert r"a\x00\x1b[2J" in text
    assert "&amp;&lt;b&gt;" in text


def test_markdown_tells_all() -> None:
    text = markdown(whole_report())
    assert text.startswith(
        "### ❌ fail: ecommerce-migration-test 1.0.0\n\n**add-column-backfill is"
    )
    assert "| ❌ fail | 3.40 s | 3.39 s | 3.39 s | public.users | 442.0 MiB |" in text
    for item in whole_report()["strategies"]:
        for reason in item["reasons"]:
            assert escaped(reason["text"]) in text
        for fact in facts(item):
            assert escaped(fact.text) in text
    assert (
        "`ALTER TABLE users ADD COLUMN premium_level text NOT NULL DEFAULT random_level()`" in text
    )


def test_nothing_becomes_markup() -> None:
    text = markdown(hostile())
    assert "\x1b" not in text
    outside = re.sub(r"(`+) ?.*?[^`]\1(?!`)", "", text)
    for wrong in (r"(?<!\\)<b", r"(?<!\\)\]\(", "@team", "#12", "http://"):
        assert re.search(wrong, outside) is None
    table = [line for line in text.splitlines() if line.startswith("| a")]
    assert len(re.findall(r"(?<!\\)\|", table[0])) == 8
