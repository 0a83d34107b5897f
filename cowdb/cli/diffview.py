"""Shows the report of a comparison in a terminal: a summary, what changed, what was not looked at.

Pure: a report in, text out. Names and values come from databases that may not be friendly, so
that nothing but printable characters gets through to the terminal.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import click
from tabulate import tabulate

from cowdb.controller.diff.model import (
    Contained,
    PropertyChange,
    Report,
    RowChange,
    SchemaChange,
    Value,
)

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_COLORS = {"added": "green", "removed": "red", "changed": "yellow"}
_CHANGES: tuple[Literal["added", "removed", "changed"], ...] = ("added", "removed", "changed")
_SHOWN_ROWS = 5
_LONGEST_BODY = 20
_LONGEST_VALUE = 120


@dataclass(frozen=True)
class _Pen:
    color: bool

    def __call__(self, text: str, hue: str | None = None, *, bold: bool = False) -> str:
        return click.style(text, fg=hue, bold=bold or None) if self.color else text


def render(report: Report, color: bool) -> str:
    """The report as text for people, ending in a newline."""
    pen = _Pen(color)
    blocks = [
        [pen(_summary(report), "green" if report["identical"] else None, bold=True)],
        list(_schema_lines(report, pen)),
        _count_lines(report, pen),
        list(_row_lines(report, pen)),
        [
            pen(f"not compared: {_printable(line)}", "bright_black")
            for line in report["not_compared"]
        ],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _summary(report: Report) -> str:
    first, *others = map(_printable, report["sides"])
    parts = []
    if "schema" in report["timings_ms"] or report["schema"]:
        parts.append(_schema_summary(report))
    if "counts" in report["timings_ms"] or report["counts"]:
        different = sum(len(set(line["counts"])) > 1 for line in report["counts"])
        total = len(report["counts"])
        parts.append(
            f"{different} of {_many(total, 'table')} with another number of rows"
            if different
            else f"the same number of rows in {_many(total, 'table')}"
        )
    if "rows" in report["timings_ms"]:
        tables = _many(len({line["table"] for line in report["rows"]}), "table")
        parts.append(f"other rows in {tables}" if report["rows"] else "the same rows")
    return f"{first} and {', '.join(others)}: {'; '.join(parts) or 'nothing was compared'}"


def _schema_summary(report: Report) -> str:
    changes = [change["change"] for change in report["schema"]]
    if not changes:
        return "the same schema"
    kinds = [f"{changes.count(word)} {word}" for word in _SIGNS if word in changes]
    return f"{_many(len(changes), 'difference')} in the schema ({', '.join(kinds)})"


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _schema_lines(report: Report, pen: _Pen) -> Iterator[str]:
    with_side = len(report["sides"]) > 2
    for change in report["schema"]:
        hue = _COLORS[change["change"]]
        head = f"{_SIGNS[change['change']]} {change['kind']} {_printable(change['name'])}"
        if with_side:
            head += f" [{_printable(change['side'])}]"
        if change["change"] == "changed":
            yield from _changed_lines(head, cast(list[PropertyChange], change["details"]), pen)
        else:
            yield from (pen(line, hue) for line in _whole_lines(head, change))


def _changed_lines(head: str, details: list[PropertyChange], pen: _Pen) -> Iterator[str]:
    hue = _COLORS["changed"]
    if len(details) == 1 and not _is_long(details[0]):
        yield pen(f"{head}: ", hue) + _property_line(details[0], pen)
        return
    yield pen(head, hue)
    for detail in details:
        if _is_long(detail):
            yield f"    {_printable(detail['property'])}:"
            yield from _body_lines(detail, pen)
        else:
            yield "    " + _property_line(detail, pen)


def _property_line(detail: PropertyChange, pen: _Pen) -> str:
    old, new = (_value(value) for value in detail["values"])
    return f"{_printable(detail['property'])}: {pen(old, 'red')} -> {pen(new, 'green')}"


def _is_long(detail: PropertyChange) -> bool:
    """Whether both values are texts of several lines, of which only the changed ones are shown."""
    return all(isinstance(value, str) and "\n" in value for value in detail["values"])


def _body_lines(detail: PropertyChange, pen: _Pen) -> Iterator[str]:
    old, new = (str(value).splitlines() for value in detail["values"])
    lines = list(difflib.unified_diff(old, new, n=1, lineterm=""))[2:]
    hues = {"+": "green", "-": "red"}
    for line in lines[:_LONGEST_BODY]:
        yield "        " + pen(_printable(line), hues.get(line[:1]))
    if len(lines) > _LONGEST_BODY:
        yield f"        ... {_many(len(lines) - _LONGEST_BODY, 'line')} more"


def _whole_lines(head: str, change: SchemaChange) -> Iterator[str]:
    details = cast(dict[str, Value | list[Contained]], change["details"])
    own = cast(dict[str, Value], {name: v for name, v in details.items() if name != "contains"})
    yield _joined(head, _description(change["kind"], own))
    for part in cast(list[Contained], details.get("contains", [])):
        name = _printable(part["name"])
        inner = name.removeprefix(_printable(change["name"]) + ".")
        yield "    " + _joined(
            f"{head[0]} {part['kind']} {inner}", _description(part["kind"], part["details"])
        )


def _joined(head: str, text: str) -> str:
    return f"{head} {text}" if text else head


def _description(kind: str, properties: Mapping[str, Value]) -> str:
    """What one wants to know first of an object, in the words of its definition."""
    if kind == "column":
        return _column(properties)
    for name in ("definition", "labels", "attributes", "version", "type", "result", "partition_of"):
        value = properties.get(name)
        if value not in (None, []):
            return f"{'of ' if name == 'partition_of' else ''}{_value(value)}"
    return ""


def _column(properties: Mapping[str, Value]) -> str:
    words = [_value(properties["type"])] if properties.get("type") else []
    if properties.get("collation"):
        words.append(f"collate {_value(properties['collation'])}")
    if properties.get("not_null"):
        words.append("not null")
    if properties.get("default") is not None:
        words.append(f"default {_value(properties['default'])}")
    if properties.get("identity"):
        words.append(f"generated {properties['identity']} as identity")
    if properties.get("generated"):
        words.append(f"generated as {_value(properties['generated'])}")
    return " ".join(words)


def _count_lines(report: Report, pen: _Pen) -> list[str]:
    different = [line for line in report["counts"] if len(set(line["counts"])) > 1]
    equal = len(report["counts"]) - len(different)
    if not different:
        return []
    rows = [
        [_printable(line["table"]), *("-" if n is None else f"{n:,}" for n in line["counts"])]
        for line in different
    ]
    headers = ["rows in", *map(_printable, report["sides"])]
    align = ("left", *("right" for _ in report["sides"]))
    text = tabulate(rows, headers, tablefmt="simple", colalign=align, disable_numparse=True)
    lines = text.splitlines()
    lines[0] = pen(lines[0], bold=True)
    if equal:
        lines.append(f"{_many(equal, 'table')} more with the same number of rows on every side")
    return lines


def _row_lines(report: Report, pen: _Pen) -> Iterator[str]:
    """Each table whose rows differ: how many, in which columns, and the first few of them."""
    with_side = len(report["sides"]) > 2
    for line in report["rows"]:
        parts = [f"{line[word]:,} {word}" for word in _CHANGES if line[word]]
        side = f" [{_printable(line['side'])}]" if with_side else ""
        how = "" if line["key"] else " (it has no key: a changed row is one removed and one added)"
        yield pen(f"rows of {_printable(line['table'])}{side}: {', '.join(parts)}{how}", bold=True)
        if line["columns"]:
            counted = (f"{_printable(name)} in {n:,}" for name, n in line["columns"].items())
            yield f"    changed: {', '.join(counted)}"
        for item in line["sample"][:_SHOWN_ROWS]:
            yield _row_line(item, pen)
        if len(line["sample"]) > _SHOWN_ROWS:
            yield "    ..."


def _row_line(item: RowChange, pen: _Pen) -> str:
    change = item["change"]
    if change == "changed":
        cells = (f"{_printable(name)} {_value(one)} -> {_value(two)}"
                 for name, (one, two) in item["columns"].items())  # fmt: skip
    else:
        cells = (f"{_printable(name)}={_value(value)}" for name, value in item["row"].items())
    key = ", ".join(f"{_printable(name)}={_value(value)}" for name, value in item["key"].items())
    head = (
        f"    {_SIGNS[change]} {key}: " if key and change == "changed" else f"    {_SIGNS[change]} "
    )
    return pen(head + ", ".join(cells), _COLORS[change])


def _value(value: Value) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return f"[{', '.join(map(_printable, value))}]"
    text = _printable(" ".join(value.split()) if isinstance(value, str) else str(value))
    if len(text) > _LONGEST_VALUE:
        return text[: _LONGEST_VALUE - 4] + " ..."
    return text or "''"


def _printable(text: str) -> str:
    """A name may hold escape sequences that would act on the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
