"""The numbers of a report: its verdict, what was found of each sort, and rows per table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cowdb.controller.diff.model import METHODS, Change, Report, TableCounts

SIGNS = {"added": "+", "removed": "\N{MINUS SIGN}", "changed": "~"}


@dataclass(frozen=True)
class Fact:
    """One number of the summary, with a link to where it comes from.

    :param parts: how many of each sort of change.
    """

    target: str
    number: str
    text: str
    parts: Sequence[tuple[str, int]] = ()
    differs: bool = True


@dataclass(frozen=True)
class Count:
    """Rows of one table on one side; `delta` against the first, empty where equal."""

    number: str
    delta: str


@dataclass(frozen=True)
class CountLine:
    table: str
    change: str
    """added, removed or changed; same where all sides have as many."""
    exact: bool
    counts: Sequence[Count]


def verdict(report: Report) -> str:
    if not facts(report):
        return "Nothing was compared"
    if report["since"] is not None and report["since"]["conflicts"]:
        return "They differ, and changes collide"
    return "No difference in what was compared" if report["identical"] else "They differ"


def facts(report: Report) -> list[Fact]:
    """What was looked at, and how much of it differs; nothing about what was not looked at."""
    found = []
    timings = report["timings_ms"]
    if "schema" in timings or report["schema"]:
        objects = {(item["kind"], item["name"], item["change"]) for item in report["schema"]}
        sorts = Counter(str(change) for _, _, change in objects)
        found.append(_fact("schema", len(objects), "object", "differ in the schema", sorts))
    if "counts" in timings or report["counts"]:
        different = sum(len(set(line["counts"])) > 1 for line in report["counts"])
        text = f"of {many(len(report['counts']), 'table')} with another number of rows"
        found.append(Fact("counts", f"{different:,}", text, differs=different > 0))
    if "rows" in timings or report["rows"]:
        tables = len({line["table"] for line in report["rows"]})
        words: tuple[Change, ...] = ("added", "removed", "changed")
        rows = Counter({str(word): sum(line[word] for line in report["rows"]) for word in words})
        text = f"in {many(tables, 'table')}" if tables else "differ"
        found.append(_fact("rows", rows.total(), "row", text, rows))
    since = report["since"]
    if since is not None:
        number = since["conflicts"]
        text = f"since {report['ancestor']['ref'] or 'the common ancestor'}"
        target = "conflicts" if number else "since"
        found.insert(0, _fact(target, number, "conflict", text, Counter()))
    return found


def _fact(target: str, number: int, noun: str, text: str, sorts: Counter[str]) -> Fact:
    parts = [(word, sorts[word]) for word in SIGNS if sorts[word]]
    noun = noun if number == 1 else noun + "s"
    text = text.replace("differ", "differs", 1) if number == 1 else text
    return Fact(target, f"{number:,}", f"{noun} {text}", parts, number > 0)


def count_lines(report: Report) -> tuple[list[CountLine], list[CountLine]]:
    """Tables with another number of rows on some side, and those with the same on all."""
    lines = [_count_line(line) for line in report["counts"]]
    return (
        [line for line in lines if line.change != "same"],
        [line for line in lines if line.change == "same"],
    )


def _count_line(line: TableCounts) -> CountLine:
    first, *rest = line["counts"]
    if len(set(line["counts"])) == 1:
        change = "same"
    elif first is None:
        change = "added"
    else:
        change = "removed" if None in rest else "changed"
    counts = [Count(_number(first), ""), *(Count(_number(n), _delta(first, n)) for n in rest)]
    return CountLine(line["table"], change, line["exact"], counts)


def _number(number: int | None) -> str:
    return "no table" if number is None else f"{number:,}"


def _delta(first: int | None, other: int | None) -> str:
    if first is None or other is None or first == other:
        return ""
    return f"{'+' if other > first else SIGNS['removed']}{abs(other - first):,}"


def methods(report: Report) -> list[tuple[str, list[str]]]:
    """The tables whose rows were read by each method, the cheapest first."""
    return _by_method(report["method"].items())


def count_methods(report: Report) -> list[tuple[str, list[str]]]:
    """The same of their numbers of rows; nothing for a report from before it said so."""
    return _by_method((line["table"], line["method"])
                      for line in report["counts"] if "method" in line)  # fmt: skip


def _by_method(tables: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {name: [] for name in METHODS}
    for table, method in sorted(tables):
        found.setdefault(method, []).append(table)
    return [(name, names) for name, names in found.items() if names]


def many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(milliseconds: float) -> str:
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
    return f"{milliseconds / 1000:.1f} s"
