"""The report as a page that needs nothing but itself: what to take, and the time line of each
strategy's locks and traffic. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from jinja2 import Environment

from cowdb.controller.diff.page.frame import TEMPLATES, environment, frame, read
from cowdb.controller.lab import words
from cowdb.controller.lab.blocking import longest_ms
from cowdb.controller.lab.model import LabReport, Run, Statement, StrategyResult, Verdict
from cowdb.controller.lab.reports import telling
from cowdb.controller.lab.reports.picture import HEIGHT, Picture, picture
from cowdb.controller.lab.verdict import typical

_HERE = Path(__file__).parent / "template"
_VERDICTS: dict[Verdict, tuple[str, str]] = {
    "pass": ("added", "passes"), "warn": ("changed", "warns"), "fail": ("removed", "fails"),
}  # fmt: skip
_LEVELS = {"fail": "removed", "warn": "changed", "note": "plain"}


@dataclass(frozen=True)
class _Line:
    """Of the table that compares the strategies."""

    id: str
    name: str
    verdict: tuple[str, str]
    cells: list[str]


@dataclass(frozen=True)
class _Shown:
    """A strategy's section.

    :param more: how many statements are not in the table."""

    id: str
    result: StrategyResult
    run: Run
    verdict: tuple[str, str]
    facts: list[tuple[str, list[telling.Fact]]]
    picture: Picture
    statements: list[tuple[Statement, bool]]
    more: int


def html(report: LabReport) -> str:
    """The whole page."""
    css = read(TEMPLATES, "page.css") + read(_HERE, "lab.css")
    strategies = [_shown(number, item) for number, item in enumerate(report["strategies"], 1)]
    return _environment().get_template("lab.html").render(
        **frame(css, read(TEMPLATES, "frame.js")),
        report=report,
        title=telling.title(report),
        setting=telling.setting(report),
        ends=telling.ends(report),
        verdict=_VERDICTS[report["verdict"]],
        heads=["Duration", "Reads blocked", "Writes blocked", "Rewritten", "WAL", "Disk", "Stall"],
        lines=[_line(number, item) for number, item in enumerate(report["strategies"], 1)],
        strategies=strategies,
        levels=_LEVELS,
        height=HEIGHT,
        duration=words.span,
    )  # fmt: skip


@cache
def _environment() -> Environment:
    return environment(_HERE, {
        "span": words.span, "place": telling.statement_place, "facts": telling.statement_facts,
    })  # fmt: skip


def _line(number: int, result: StrategyResult) -> _Line:
    run = typical(result)
    disk = run["disk"]
    stalls = [phase["stall_ms"] for phase in (run["load"]["phases"] if run["load"] else [])
              if phase["phase"] == "during"]  # fmt: skip
    blocked = [longest_ms(run["locks"], "reads"), longest_ms(run["locks"], "writes")]
    return _Line(f"s{number}", result["name"], _VERDICTS[result["verdict"]], [
        words.spread(result["duration_ms"]["values"]),
        *("no" if not ms else words.span(ms) for ms in blocked),
        ", ".join(run["rewritten"]) or "nothing",
        words.size_text(disk["wal_bytes"]),
        words.size_text(disk["cow_bytes"]),
        words.span(stalls[0]) if stalls else "no load",
    ])  # fmt: skip


def _shown(number: int, result: StrategyResult) -> _Shown:
    kept, more = telling.told_statements(result)
    blame = {reason["statement"] for reason in result["reasons"] if reason["level"] != "note"}
    run = typical(result)
    grouped = [(label, list(facts)) for label, facts in
               groupby(telling.facts(result), lambda fact: fact.label)]  # fmt: skip
    return _Shown(
        f"s{number}", result, run, _VERDICTS[result["verdict"]], grouped,
        picture(run), [(item, item["number"] in blame) for item in kept], more,
    )  # fmt: skip
