"""Where everything of a strategy's time line stands, in percent of its width. Pure.

Locks and traffic are lanes, one below the other, on one axis: from where the load began before the
strategy (or its begin, without a load) until where it ended.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cowdb.controller.lab import words
from cowdb.controller.lab.blocking import begin, end
from cowdb.controller.lab.model import Lock, Run, Second
from cowdb.controller.lab.reports.telling import statement_facts, statement_place

HEIGHT = 40
"""Of a lane of traffic, in pixels."""
_STEPS = (1, 2, 5)
_TICKS = 5
_LANES = 10
_MARKS = 400
_WHO = {"reads": "reads and writes wait", "writes": "writes wait", "ddl": "only DDL waits"}


@dataclass(frozen=True)
class Mark:
    """:param kind: names its colour.
    :param top: pixels from the lane's top, and `height`, of traffic."""

    x: float
    width: float
    kind: str
    title: str
    top: float = 0.0
    height: float = 0.0


@dataclass(frozen=True)
class Lane:
    """:param name: a relation, where it is the lane of one.
    :param text: what there is to know without the picture."""

    name: str
    text: str
    kind: str
    marks: list[Mark]


@dataclass(frozen=True)
class Tick:
    x: float
    label: str
    anchor: str


@dataclass(frozen=True)
class Picture:
    """:param since: where the strategy begins, and `until` where it ends, in percent."""

    ticks: list[Tick]
    since: float
    until: float
    lanes: list[Lane]


class _Axis:
    def __init__(self, first: float, last: float) -> None:
        self.first, self.last = first, max(last, first + 1)

    def at(self, ms: float) -> float:
        share = (min(max(ms, self.first), self.last) - self.first) / (self.last - self.first)
        return round(share * 100, 3)

    def mark(self, since: float, until: float, kind: str, title: str, **more: float) -> Mark:
        x = self.at(since)
        return Mark(x, round(self.at(until) - x, 3), kind, title, **more)

    def ticks(self) -> Iterator[Tick]:
        step = _nice((self.last - self.first) / _TICKS)
        number = math.ceil(self.first / step)
        while number * step <= self.last:
            x = self.at(number * step)
            anchor = "start" if x < 4 else "end" if x > 96 else "middle"
            label = f"-{words.span(-number * step)}" if number < 0 else words.span(number * step)
            yield Tick(x, "0" if number == 0 else label, anchor)
            number += 1


def picture(run: Run) -> Picture:
    line = run["load"]["line"] if run["load"] is not None else []
    first = min([0.0, *(item["at_ms"] for item in line[:1])])
    last = max([run["duration_ms"], *(_ends(line)[-1:])])
    axis = _Axis(first, last)
    return Picture(
        list(axis.ticks()), axis.at(0), axis.at(run["duration_ms"]),
        [*_statements(run, axis), *_locks(run["locks"], axis), *_traffic(line, axis)],
    )  # fmt: skip


def _nice(least: float) -> float:
    """1, 2 or 5 times a power of ten, and not less than `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (*_STEPS, 10) if step * power >= least * 0.999)


def _ends(line: Sequence[Second]) -> list[float]:
    """Where each slice ends: where the next one begins."""
    if not line:
        return []
    width = line[1]["at_ms"] - line[0]["at_ms"] if len(line) > 1 else 100.0
    return [*(item["at_ms"] for item in line[1:]), line[-1]["at_ms"] + width]


def _statements(run: Run, axis: _Axis) -> Iterator[Lane]:
    found = sorted(run["statements"], key=lambda item: -item["duration_ms"])[:_MARKS]
    if found:
        marks = [
            axis.mark(item["at_ms"], item["at_ms"] + item["duration_ms"],
                      "error" if item["error"] else "statement",
                      f"{statement_place(item)}: {statement_facts(item)}: "
                      + words.one_line(item["text"], 120))
            for item in sorted(found, key=lambda item: item["at_ms"])
        ]  # fmt: skip
        yield Lane("", f"Statements: {len(run['statements']):,}", "bars", marks)


def _locks(locks: Sequence[Lock], axis: _Axis) -> Iterator[Lane]:
    grouped: dict[tuple[str, str, str], list[Lock]] = {}
    for lock in locks:
        grouped.setdefault((lock["relation"], lock["mode"], lock["blocks"]), []).append(lock)
    strength = ("reads", "writes", "ddl")
    ordered = sorted(grouped.items(),
                     key=lambda item: (strength.index(item[0][2]), -_held(item[1])))  # fmt: skip
    for (relation, mode, blocks), held in ordered[:_LANES]:
        marks = []
        for lock in sorted(held, key=_length, reverse=True)[:_MARKS]:
            title = f"{mode} on {relation}: held {words.span(lock['held_ms'])}"
            if lock["waited_ms"] > 0:
                title += f" after waiting {words.span(lock['waited_ms'])}"
                marks.append(axis.mark(begin(lock), lock["at_ms"], "waiting", title))
            marks.append(axis.mark(lock["at_ms"], end(lock), blocks, title))
        waited = sum(lock["waited_ms"] for lock in held)
        text = f"{mode}, {words.span(_held(held))}" + (
            f" in {len(held):,} times" if len(held) > 1 else ""
        ) + (f" after waiting {words.span(waited)}" if waited >= 1 else "")  # fmt: skip
        yield Lane(relation, f"{text}: {_WHO[blocks]}", "bars", marks)
    if len(ordered) > _LANES:
        yield Lane("", f"{words.many(len(ordered) - _LANES, 'lock')} more on other relations",
                   "none", [])  # fmt: skip


def _length(lock: Lock) -> float:
    return lock["held_ms"] + lock["waited_ms"]


def _held(locks: Sequence[Lock]) -> float:
    return sum(lock["held_ms"] for lock in locks)


def _traffic(line: Sequence[Second], axis: _Axis) -> Iterator[Lane]:
    if not line:
        return
    slices = [(item, until, max(until - item["at_ms"], 1.0) / 1000)
              for item, until in zip(line, _ends(line), strict=True)]  # fmt: skip
    most = max(max(item["answered"] + item["errors"] for item in line), 1)
    wide = max(width for *_, width in slices)
    marks = []
    for item, until, width in slices:
        title = f"{item['answered'] / width:,.0f} answers a second" + (
            f", {item['errors']:,} errors" if item["errors"] else ""
        )  # fmt: skip
        good = item["answered"] / most * HEIGHT
        bad = item["errors"] / most * HEIGHT
        marks.append(axis.mark(item["at_ms"], until, "answers", title,
                               top=round(HEIGHT - good, 1), height=round(good, 1)))  # fmt: skip
        if item["errors"]:
            top = round(HEIGHT - good - bad, 1)
            marks.append(axis.mark(item["at_ms"], until, "error", title, top=top,
                                   height=round(bad, 1)))  # fmt: skip
    yield Lane("", f"Answers of the load: up to {most / wide:,.0f} a second", "traffic", marks)
    slowest = max((item["longest_ms"] or 0.0 for item in line), default=0.0)
    if slowest > 0:
        yield Lane("", f"Longest wait for an answer: {words.span(slowest)} (logarithmic)",
                   "traffic", list(_waits(slices, slowest, axis)))  # fmt: skip


def _waits(
    slices: Sequence[tuple[Second, float, float]], slowest: float, axis: _Axis
) -> Iterator[Mark]:
    top = math.log10(1 + slowest)
    for item, until, _ in slices:
        longest = item["longest_ms"]
        if longest is not None:
            height = round(math.log10(1 + longest) / top * HEIGHT, 1)
            title = f"{words.span(longest)}" + (
                f", 99 % within {words.span(item['p99_ms'])}" if item["p99_ms"] is not None else ""
            )
            yield axis.mark(item["at_ms"], until, "latency", title, top=HEIGHT - height,
                            height=height)  # fmt: skip
