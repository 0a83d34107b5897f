"""What differs between branches and checkpoints, and the rest of any answer."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from cowdb.controller.diff.branchhost import BranchHost
from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.model import Report, Wanted
from cowdb.controller.diff.sides import resolve
from cowdb.controller.diff.ways.ancestor import find_origin
from cowdb.controller.sqlrun.branch import branch_of
from cowdb.mcp import bounds
from cowdb.mcp.answers import ComparisonAnswer, PartAnswer, cuts_of
from cowdb.mcp.calling import Call
from cowdb.mcp.results import Rows
from cowdb.mcp.tools.arguments import After, Limit, Tables
from cowdb.names import parse_ref


def db_compare_branches(
    call: Call,
    sides: Annotated[
        list[str], Field(min_length=2, max_length=8, description="Branches and checkpoints; the "
                         "first is what the others are compared with.")
    ],
    rows: Annotated[
        bool, Field(description="Compare the contents of rows too, exactly, to the column.")
    ] = False,
    tables: Tables = [],  # noqa: B006 (pydantic copies it)
    since_ancestor: Annotated[
        bool, Field(description="Also who changed what since the checkpoint that all come from, "
                    "and where they collide; by itself with three sides.")
    ] = False,
    sample: Annotated[
        int, Field(ge=0, le=1000, description="Differing rows of each table that are kept.")
    ] = 20,
) -> ComparisonAnswer:  # fmt: skip
    """Say exactly what differs between branches and checkpoints: schema, numbers of rows and, if
    asked, the rows themselves. Nothing is written to any of them."""
    for side in sides:
        _allowed(call, side)
    connect = call.desk.connect
    wanted = Wanted(schema=True, counts=True, rows=rows, tables=tuple(tables), sample=sample)
    with (
        resolve(connect, sides, call.report) as resolved,
        find_origin(connect, sides, resolved, None, since_ancestor or None, call.report) as origin,
    ):
        host = BranchHost(connect)
        report = compare(resolved, wanted, progress=call.report, changes=host.changes,
                         origin=origin, host=host)  # fmt: skip
    return _answer(call, report)


def _allowed(call: Call, side: str) -> None:
    """Neither a source nor a URL; a checkpoint's branch is made and removed on the way."""
    if "://" in side or "=" in side or parse_ref(side).snapshot is None:
        branch_of(call.desk.connect, side)


def _answer(call: Call, report: Report) -> ComparisonAnswer:
    # What is the same in numbers on all sides is most of a report, and of no use here.
    different = [item for item in report["counts"] if len(set(item["counts"])) > 1]
    whole: dict[str, Any] = {**report, "counts": different}
    shown, cut = bounds.bounded(whole)
    since = report["since"]
    return ComparisonAnswer(
        sides=report["sides"], identical=report["identical"],
        schema_changes=len(report["schema"]), tables_counted_differently=len(different),
        rows_added=sum(item["added"] for item in report["rows"]),
        rows_removed=sum(item["removed"] for item in report["rows"]),
        rows_changed=sum(item["changed"] for item in report["rows"]),
        conflicts=since["conflicts"] if since is not None else None,
        not_compared=report["not_compared"][:50], report=shown or {}, cut=cuts_of(cut),
        result=call.desk.results.keep(dict(report)),
    )  # fmt: skip


def db_read_result(
    call: Call,
    result: Annotated[str, Field(description="What another tool said under `result`.")],
    place: Annotated[
        str, Field(description="Where in it, as `cut` says: such as /schema/0/details. Empty for "
                   "all, and for rows of SQL.")
    ] = "",
    after: After = 0,
    limit: Limit = 100,
    value_characters: Annotated[
        int, Field(ge=10, le=20_000, description="Of rows of SQL: longer values are cut.")
    ] = 2000,
) -> PartAnswer:  # fmt: skip
    """Read the rest of an answer that was cut: more rows of a query, more of a list, or what stands
    deeper in a report. The latest 32 results are kept."""
    kept = call.desk.results.get(result)
    if isinstance(kept, Rows):
        rows = kept.read(after, limit, bounds.CHARACTERS, value_characters).rows
        end = after + len(rows)
        return PartAnswer(result=result, place="", value=rows, of=kept.kept, cut=[],
                          next=end if end < kept.kept else None)  # fmt: skip
    part = bounds.part(kept, place, after, limit)
    return PartAnswer(result=result, place=place, value=part.value, next=part.next, of=part.of,
                      cut=cuts_of(part.cuts))  # fmt: skip
