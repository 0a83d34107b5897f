"""What differs between each other side and the first, object by object and row by row. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import cast

from cowdb.cli.diffview.pen import (
    CHANGES,
    COLORS,
    SIGNS,
    Pen,
    many,
    more_rows,
    printable,
    value_text,
)
from cowdb.controller.diff.model import (
    Contained,
    PropertyChange,
    Report,
    RowChange,
    SchemaChange,
    Value,
)

_SHOWN_ROWS = 5
_LONGEST_BODY = 20


def schema_lines(report: Report, pen: Pen) -> Iterator[str]:
    with_side = len(report["sides"]) > 2
    for change in report["schema"]:
        hue = COLORS[change["change"]]
        head = f"{SIGNS[change['change']]} {change['kind']} {printable(change['name'])}"
        if with_side:
            head += f" [{printable(change['side'])}]"
        if change["change"] == "changed":
            yield from _changed_lines(head, cast(list[PropertyChange], change["details"]), pen)
        else:
            yield from (pen(line, hue) for line in _whole_lines(head, change))


def _changed_lines(head: str, details: list[PropertyChange], pen: Pen) -> Iterator[str]:
    hue = COLORS["changed"]
    if len(details) == 1 and not _is_long(details[0]):
        yield pen(f"{head}: ", hue) + _property_line(details[0], pen)
        return
    yield pen(head, hue)
    for detail in details:
        if _is_long(detail):
            yield f"    {printable(detail['property'])}:"
            yield from _body_lines(detail, pen)
        else:
            yield "    " + _property_line(detail, pen)


def _property_line(detail: PropertyChange, pen: Pen) -> str:
    old, new = (value_text(value) for value in detail["values"])
    return f"{printable(detail['property'])}: {pen(old, 'red')} -> {pen(new, 'green')}"


def _is_long(detail: PropertyChange) -> bool:
    """Whether both values are texts of several lines, of which only the changed ones are shown."""
    return all(isinstance(value, str) and "\n" in value for value in detail["values"])


def _body_lines(detail: PropertyChange, pen: Pen) -> Iterator[str]:
    old, new = (str(value).splitlines() for value in detail["values"])
    lines = list(difflib.unified_diff(old, new, n=1, lineterm=""))[2:]
    hues = {"+": "green", "-": "red"}
    for line in lines[:_LONGEST_BODY]:
        yield "        " + pen(printable(line), hues.get(line[:1]))
    if len(lines) > _LONGEST_BODY:
        yield f"        ... {many(len(lines) - _LONGEST_BODY, 'line')} more"


def _whole_lines(head: str, change: SchemaChange) -> Iterator[str]:
    details = cast(dict[str, Value | list[Contained]], change["details"])
    own = cast(dict[str, Value], {name: v for name, v in details.items() if name != "contains"})
    yield _joined(head, _description(change["kind"], own))
    for part in cast(list[Contained], details.get("contains", [])):
        name = printable(part["name"])
        inner = name.removeprefix(printable(change["name"]) + ".")
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
            return f"{'of ' if name == 'partition_of' else ''}{value_text(value)}"
    return ""


def _column(properties: Mapping[str, Value]) -> str:
    words = [value_text(properties["type"])] if properties.get("type") else []
    if properties.get("collation"):
        words.append(f"collate {value_text(properties['collation'])}")
    if properties.get("not_null"):
        words.append("not null")
    if properties.get("default") is not None:
        words.append(f"default {value_text(properties['default'])}")
    if properties.get("identity"):
        words.append(f"generated {properties['identity']} as identity")
    if properties.get("generated"):
        words.append(f"generated as {value_text(properties['generated'])}")
    return " ".join(words)


def row_lines(report: Report, pen: Pen, *, details: bool) -> Iterator[str]:
    """Each table whose rows differ: how many, in which columns, and the first few of them."""
    with_side = len(report["sides"]) > 2
    for line in report["rows"]:
        parts = [f"{line[word]:,} {word}" for word in CHANGES if line[word]]
        side = f" [{printable(line['side'])}]" if with_side else ""
        how = "" if line["key"] else " (it has no key: a changed row is one removed and one added)"
        yield pen(f"rows of {printable(line['table'])}{side}: {', '.join(parts)}{how}", bold=True)
        if line["columns"]:
            counted = (f"{printable(name)} in {n:,}" for name, n in line["columns"].items())
            yield f"    changed: {', '.join(counted)}"
        shown = line["sample"] if details else line["sample"][:_SHOWN_ROWS]
        for item in shown:
            yield _row_line(item, pen)
        more = line["added"] + line["removed"] + line["changed"] - len(shown)
        if more:
            yield f"    ... {more:,} more{more_rows(len(shown), len(line['sample']))}"


def _row_line(item: RowChange, pen: Pen) -> str:
    change = item["change"]
    if change == "changed":
        cells = (f"{printable(name)} {value_text(one)} -> {value_text(two)}"
                 for name, (one, two) in item["columns"].items())  # fmt: skip
    else:
        cells = (f"{printable(name)}={value_text(value)}" for name, value in item["row"].items())
    key = ", ".join(f"{printable(name)}={value_text(value)}" for name, value in item["key"].items())
    head = (
        f"    {SIGNS[change]} {key}: " if key and change == "changed" else f"    {SIGNS[change]} "
    )
    return pen(head + ", ".join(cells), COLORS[change])
