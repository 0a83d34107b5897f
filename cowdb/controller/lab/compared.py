"""A strategy's end compared: with the checkpoint, and with the ends of the others."""

from __future__ import annotations

from collections.abc import Sequence

from cowdb.controller.branching import Connect
from cowdb.controller.diff.branchhost import BranchHost
from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.model import Report, Side, Wanted
from cowdb.controller.lab.model import Ends
from cowdb.errors import CowdbError

_WHOLE = Wanted(schema=True, counts=True, rows=True)
_NUMBERS = Wanted(schema=True, counts=True)
_ENDS = Wanted(schema=True, counts=True, rows=True, sample=0)


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


def ends(connect: Connect, sides: Sequence[tuple[str, Side]]) -> Ends:
    """:param sides: by the name of the strategy, whose branches have to be there."""
    if len(sides) < 2:
        return {"schema": None, "rows": None, "groups": [[name] for name, _ in sides]}
    groups: list[list[tuple[str, Side]]] = []
    schema = rows = True
    for name, side in sides:
        for group in groups:
            report = _two_ends(connect, group[0][1], side)
            if same(report):
                group.append((name, side))
                break
            schema &= not report["schema"] and not _unread(report)
            rows &= same_rows(report)
        else:
            groups.append([(name, side)])
    return {
        "schema": schema, "rows": rows, "groups": [[name for name, _ in one] for one in groups],
    }  # fmt: skip


def _two_ends(connect: Connect, one: Side, other: Side) -> Report:
    """Rows are only compared where their numbers are the same."""
    report = with_checkpoint(connect, one, other, _NUMBERS)
    if any(len(set(line["counts"])) > 1 for line in report["counts"]):
        return report
    return with_checkpoint(connect, one, other, _ENDS)


def _unread(report: Report) -> bool:
    return any(line.startswith("anything at all") for line in report["not_compared"])
