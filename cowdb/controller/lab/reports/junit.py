"""The report as JUnit XML, as Jenkins and GitLab read it. Pure.

A suite for each run of a strategy; in it a case for the strategy and one for each validation.
Times are seconds. What fails is a <failure>; warnings, notes and the rest stand in <system-out>.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from cowdb.controller.diff.page.text import plain
from cowdb.controller.lab import words
from cowdb.controller.lab.model import LabReport, Run, StrategyResult
from cowdb.controller.lab.reports import telling
from cowdb.controller.lab.spec.model import Limits
from cowdb.controller.lab.verdict import judge, limits_from

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: LabReport) -> str:
    root = Element("testsuites", name=_legal(telling.title(report)))
    tests = failures = 0
    for result in report["strategies"]:
        limits = limits_from(result["limits"])
        for number, run in enumerate(result["runs"], 1):
            suite = _suite(report, result, run, number, limits)
            tests += int(suite.get("tests", "0"))
            failures += int(suite.get("failures", "0"))
            root.append(suite)
    root.set("tests", str(tests))
    root.set("failures", str(failures))
    root.set("errors", "0")
    root.set("time", _seconds(report["total_ms"]))
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, "unicode") + "\n"


def _suite(
    report: LabReport, result: StrategyResult, run: Run, number: int, limits: Limits
) -> Element:
    """:param number: of the run, from 1."""
    name = f"{report['name']}.{result['name']}"
    if len(result["runs"]) > 1:
        name += f".run-{number}"
    own = judge(result["name"], result["words"], limits, [run], expect=result["expect"])
    cases = [_strategy(report, name, own, run)]
    for item in run["validations"]:
        wrong = [] if item["passed"] else [("validation", telling.validation_text(item))]
        cases.append(_case(name, item["name"], 0.0, wrong))
    suite = Element(
        "testsuite", name=_legal(name), tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)), errors="0",
        skipped="0", time=_seconds(run["duration_ms"]),
        timestamp=run["started_at"].removesuffix("Z").partition(".")[0],
    )  # fmt: skip
    properties = SubElement(suite, "properties")
    for label, value in (("checkpoint", report["checkpoint"]), ("run", report["id"]),
                         ("branch", run["branch"])):  # fmt: skip
        SubElement(properties, "property", name=label, value=_legal(value))
    suite.extend(cases)
    return suite


def _strategy(report: LabReport, suite: str, result: StrategyResult, run: Run) -> Element:
    failed = [(reason["code"], reason["text"]) for reason in result["reasons"]
              if reason["level"] == "fail" and reason["code"] != "validation"]  # fmt: skip
    case = _case(suite, result["name"], run["duration_ms"], failed)
    SubElement(case, "system-out").text = _legal(_told(report, result))
    if run["output"]:
        SubElement(case, "system-err").text = _legal(run["output"])
    return case


def _case(suite: str, name: str, ms: float, failed: Sequence[tuple[str, str]]) -> Element:
    """:param failed: code and text of each reason."""
    case = Element("testcase", classname=_legal(suite), name=_legal(name), time=_seconds(ms))
    if failed:
        failure = SubElement(case, "failure", type=failed[0][0],
                             message=_legal(words.one_line(failed[0][1], 500)))  # fmt: skip
        failure.text = _legal("\n".join(f"{code}: {text}" for code, text in failed))
    return case


def _told(report: LabReport, result: StrategyResult) -> str:
    lines = [f"{fact.label}: {fact.text}" for fact in telling.facts(result)]
    lines += [f"{reason['level']}: {reason['text']}" for reason in result["reasons"]]
    kept, _ = telling.told_statements(result)
    lines += [f"{telling.statement_place(item)}: {telling.statement_facts(item)}: "
              + words.one_line(item["text"]) for item in kept]  # fmt: skip
    lines.append(f"recommendation: {report['recommendation']['sentence']}")
    return "\n".join(lines)


def _legal(text: str) -> str:
    """XML 1.0 has no way to write most control characters, escaped or not."""
    return _ILLEGAL.sub(lambda match: plain(match[0]), text)


def _seconds(ms: float) -> str:
    return f"{ms / 1000:.3f}"
