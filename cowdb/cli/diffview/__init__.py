"""Shows the report of a comparison in a terminal: a summary, what changed, what was not looked at.

Pure: a report in, text out. Names and values come from databases that may not be friendly, so
that nothing but printable characters gets through to the terminal.
"""

from __future__ import annotations

from cowdb.cli.diffview.pair import row_lines, schema_lines
from cowdb.cli.diffview.pen import Pen, limited, many, printable
from cowdb.cli.diffview.summary import summary
from cowdb.cli.diffview.ways import matrix_lines
from cowdb.controller.diff.model import Report

_SHOWN_LINES = 60
_SHOWN_COUNTS = 20
_SHOWN_NOTES = 12


def render(report: Report, color: bool, *, details: bool = False) -> str:
    """The report as text for people, ending in a newline.

    :param details: everything that the report holds, not only the first of each kind.
    """
    pen = Pen(color)
    two = report["matrix"] is None and report["since"] is None
    blocks = [list(summary(report, pen)), *matrix_lines(report, pen, details=details)]
    if two or details:
        blocks.append(
            limited(list(schema_lines(report, pen)), _most(_SHOWN_LINES, details), "line")
        )
    blocks.append(_count_lines(report, pen, details=details))
    if two or details:
        blocks.append(list(row_lines(report, pen, details=details)))
    notes = [pen(f"not compared: {printable(line)}", "bright_black")
             for line in report["not_compared"]]  # fmt: skip
    blocks.append(limited(notes, _most(_SHOWN_NOTES, details), "note"))
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _most(number: int, details: bool) -> int | None:
    return None if details else number


def _count_lines(report: Report, pen: Pen, *, details: bool) -> list[str]:
    """The tables whose number of rows is not the same everywhere, the ancestor included."""
    since, ref = report["since"], report["ancestor"]["ref"]
    was = {line["table"]: line["was"] for line in since["counts"]} if since is not None else {}
    with_ancestor = since is not None and ref not in report["sides"]
    lines = [line for line in report["counts"]
             if len(set(line["counts"])) > 1 or line["table"] in was]  # fmt: skip
    if not lines:
        return []
    old = [ref or ""] if with_ancestor else []
    rows = [
        [
            printable(line["table"]),
            *(_number(was[line["table"]]) for _ in old),
            *map(_number, line["counts"]),
        ]
        for line in lines
    ]
    headers = ["rows in", *map(printable, (*old, *report["sides"]))]
    found = limited(pen.table(headers, rows, [None] * len(rows)),
                    _most(2 + _SHOWN_COUNTS, details), "table")  # fmt: skip
    if equal := len(report["counts"]) - len(lines):
        found.append(f"{many(equal, 'table')} more with the same number of rows on every side")
    return found


def _number(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"
