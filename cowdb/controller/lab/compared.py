"""A strategy's end compared: with the checkpoint, and with the ends of the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from cowdb.controller.branching import Connect
from cowdb.controller.diff.branchhost import BranchHost
from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.model import Report, Side, Wanted
from cowdb.controller.lab.model import Ends
from cowdb.errors import CowdbError

_WHOLE = Wanted(schema=True, counts=True, rows=True)
_NUMBERS = Wanted(schema=True, counts=True)
_ENDS = Wanted(schema=True, counts=True, rows=True, sample=0, whether=True)


def with_checkpoint(
    connect: Connect, checkpoint: Side, side: Side, wanted: Wanted = _WHOLE
) -> Report:  # fmt: skip
    """To the row; where that is not possible, a report that says so and calls nothing the same."""
    host = BranchHost(connect)
    try:
        return compare([checkpoint, side], wanted, changes=host.changes, host=host)
    except CowdbError as error:
        return _nothing([checkpoint.label, side.label], error.message)


def _nothing(labels: list[str], why: str) -> Report:
    return {
        "sides": labels, "identical": False, "schema": [], "counts": [], "rows": [], "method": {},
        "why_full_scan": {}, "renamed": [], "not_compared": [f"anything at all: {why}"],
        "timings_ms": {}, "matrix": None, "ancestor": {"ref": None, "reason": ""}, "since": None,
    }  # fmt: skip


def same(report: Report) -> bool:
    """In schema and to the row."""
    return report["identical"]


def same_rows(report: Report) -> bool:
    """In numbers and contents of rows, of tables that both have; nothing was left unread."""
    unread = any("anything at all" in line for line in report["not_compared"])
    counts = all(len(set(line["counts"])) == 1 for line in report["counts"])
    alike = counts and not report["rows"] and not unread
    return alike and (report["identical"] or bool(report["schema"]))


@dataclass(frozen=True)
class End:
    """Where one strategy came to.

    :param side: its branch, which has to be there.
    :param difference: against the checkpoint."""

    name: str
    side: Side
    difference: Report


def ends(connect: Connect, found: Sequence[End]) -> Ends:
    """Databases that are the same differ from the checkpoint in the same way: so only those that
    seem to are compared with each other."""
    if len(found) < 2:
        return {"schema": None, "rows": None, "groups": [[end.name] for end in found]}
    groups: list[list[End]] = []
    schema = len({_schema_key(end) for end in found}) == 1
    rows = len({_rows_key(end) for end in found}) == 1
    for end in found:
        for group in groups:
            if _rows_key(group[0]) != _rows_key(end):
                continue
            if not rows and _schema_key(group[0]) != _schema_key(end):
                continue
            report = _two_ends(connect, group[0].side, end.side)
            if same(report):
                group.append(end)
                break
            schema &= not report["schema"] and not _unread(report)
            rows &= same_rows(report)
        else:
            groups.append([end])
    return {"schema": schema, "rows": rows,
            "groups": [[end.name for end in group] for group in groups]}  # fmt: skip


def _schema_key(end: End) -> str:
    """What its schema differs in from the checkpoint's."""
    report = end.difference
    if _unread(report):
        return end.name
    return json.dumps([[item["kind"], item["name"], item["change"], item["details"]]
                       for item in report["schema"]])  # fmt: skip


def _rows_key(end: End) -> str:
    """How many rows differ, and in which columns."""
    report = end.difference
    if _unread(report):
        return end.name
    tallies = [[item["table"], item["added"], item["removed"], item["changed"], item["columns"]]
               for item in report["rows"]]  # fmt: skip
    counts = [[item["table"], item["counts"]] for item in report["counts"]]
    return json.dumps([tallies, counts], sort_keys=True)


def _two_ends(connect: Connect, one: Side, other: Side) -> Report:
    """Rows are only compared where their numbers are the same."""
    report = with_checkpoint(connect, one, other, _NUMBERS)
    if any(len(set(line["counts"])) > 1 for line in report["counts"]):
        return report
    return with_checkpoint(connect, one, other, _ENDS)


def _unread(report: Report) -> bool:
    return any(line.startswith("anything at all") for line in report["not_compared"])
