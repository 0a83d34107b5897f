"""The report for a terminal. Pure.

Names, statements and messages come from files and databases that may not be friendly: nothing but
printable characters gets through to the terminal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import click

from cowdb.controller.diff.page.text import plain
from cowdb.controller.lab import words
from cowdb.controller.lab.model import LabReport, StrategyResult, Verdict
from cowdb.controller.lab.reports import telling

_HUES: dict[str, str] = {"pass": "green", "warn": "yellow", "fail": "red", "note": "bright_black"}
_SIGNS: dict[Verdict, str] = {"pass": "PASS", "warn": "WARN", "fail": "FAIL"}
_LABEL = 15
_WIDTH = 100
_LINES = 8


class _Ink:
    def __init__(self, color: bool) -> None:
        self._color = color

    def __call__(self, text: str, hue: str | None = None, *, bold: bool = False) -> str:
        shown = plain(text)
        if not self._color or (hue is None and not bold):
            return shown
        return click.style(shown, fg=hue, bold=bold or None)


def text(report: LabReport, *, color: bool) -> str:
    """Ends in a newline."""
    ink = _Ink(color)
    blocks = [[ink(telling.title(report), bold=True) + f"  {plain(telling.setting(report))}"]]
    blocks += [list(_strategy(item, ink)) for item in report["strategies"]]
    blocks.append(list(_end(report, ink)))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _strategy(result: StrategyResult, ink: _Ink) -> Iterator[str]:
    verdict = result["verdict"]
    head = ink(_SIGNS[verdict], _HUES[verdict], bold=True)
    yield f"{head}  {ink(result['name'], bold=True)}  {plain(words.one_line(result['words']))}"
    last = ""
    for fact in telling.facts(result):
        label = "" if fact.label == last else fact.label
        yield from _labelled(label, fact.text, ink, "red" if fact.bad else None)
        last = fact.label
    for reason in result["reasons"]:
        hue = _HUES[reason["level"]]
        yield from _labelled(reason["level"], reason["text"], ink, label_hue=hue)
    yield from _statements(result, ink)
    yield from _output(result, ink)


def _labelled(
    label: str, text: str, ink: _Ink, hue: str | None = None, *, label_hue: str | None = None
) -> Iterator[str]:
    """A fact beside its label, in as many lines as it needs."""
    shown = f"{label:<{_LABEL}}"
    lines = textwrap.wrap(plain(text), _WIDTH - _LABEL - 2, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        front = " " * _LABEL if number else shown if label_hue is None else ink(
            shown, label_hue, bold=True
        )  # fmt: skip
        yield f"  {front}{ink(line, hue)}"


def _statements(result: StrategyResult, ink: _Ink) -> Iterator[str]:
    kept, more = telling.told_statements(result)
    blame = {reason["statement"] for reason in result["reasons"] if reason["level"] != "note"}
    for item in kept:
        hue = "red" if item["number"] in blame or item["error"] else None
        place = ink(telling.statement_place(item), hue, bold=True)
        yield f"  {'statement':<{_LABEL}}{place}  {plain(telling.statement_facts(item))}"
        yield from _labelled("", words.one_line(item["text"]), ink)
        if item["error"]:
            yield from _labelled("", words.one_line(item["error"]), ink, "red")
    if more and kept:
        yield from _labelled("", f"{words.many(more, 'statement')} more, which took little", ink)


def _output(result: StrategyResult, ink: _Ink) -> Iterator[str]:
    """The last lines of a command that failed."""
    run = next((run for run in result["runs"] if run["error"] or run["exit_code"]), None)
    if run is None:
        return
    for number, line in enumerate(run["output"].splitlines()[-_LINES:]):
        yield f"  {'output' if not number else '':<{_LABEL}}{ink(line)}"


def _end(report: LabReport, ink: _Ink) -> Iterator[str]:
    if ends := telling.ends(report):
        different = False in (report["ends"]["schema"], report["ends"]["rows"])
        yield from (ink(line, "yellow" if different else None) for line in _wrapped(ends))
    sentence = _wrapped(f"Recommendation: {report['recommendation']['sentence']}")
    yield from (ink(line, bold=True) for line in sentence)
    verdict = report["verdict"]
    yield (
        ink(_SIGNS[verdict], _HUES[verdict], bold=True)
        + f" in {words.span(report['total_ms'])}, kept as {plain(report['id'])} (cowdb lab show)"
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(plain(text), _WIDTH, break_on_hyphens=False)
