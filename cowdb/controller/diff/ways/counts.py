"""Numbers of rows on many sides. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from cowdb.controller.diff.counts import Counted, compare_counts
from cowdb.controller.diff.model import CountGroups, CountSince, TableCounts


def group_counts(lines: Sequence[TableCounts], labels: Sequence[str]) -> list[CountGroups]:
    """Every table whose number of rows is not the same on all sides."""
    found: list[CountGroups] = []
    for line in lines:
        groups: dict[int | None, list[str]] = {}
        for label, count in zip(labels, line["counts"], strict=True):
            groups.setdefault(count, []).append(label)
        if len(groups) > 1:
            told = [{"sides": sides, "count": count} for count, sides in groups.items()]
            found.append({"table": line["table"], "groups": told})  # type: ignore[typeddict-item]
    return found


def counts_since(
    ancestor: Counted, sides: Sequence[Counted], labels: Sequence[str]
) -> list[CountSince]:
    """Every table whose number of rows has changed on some side."""
    found: list[CountSince] = []
    for line in compare_counts([ancestor, *sides]):
        was, *now = line["counts"]
        became = {label: count for label, count in zip(labels, now, strict=True) if count != was}
        if became:
            gone = was is not None and None in became.values()
            found.append({
                "table": line["table"], "by": list(became), "was": was, "became": became,
                "conflict": gone and any(count is not None for count in became.values()),
            })  # fmt: skip
    return found
