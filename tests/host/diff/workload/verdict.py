"""Holds a report of cowdb against the oracle: numbers, columns, and every row that it shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from cowdb.controller.diff.model import Report, RowChange, RowChanges
from tests.host.diff.workload.oracle import Expected, Row, Table, differences, spelled

_SHOWN = 20


def disagreements(
    report: Report, first: Mapping[str, Table], other: Mapping[str, Table]
) -> list[str]:
    """A sentence for everything in which the report and the oracle differ."""
    lines = {line["table"]: line for line in report["rows"]}
    names = {after: before for before, after in (item["names"] for item in report["renamed"])}
    wrong = [after for after, before in names.items() if other[after].oid != first[before].oid]
    if wrong:
        return [f"{after} is not {names[after]}" for after in wrong]
    other = {names.get(name, name): table for name, table in other.items()}
    found = [f"{name}: reported, but on one side only"
             for name in lines.keys() - (first.keys() & other.keys())]  # fmt: skip
    found += [note for note in report["not_compared"] if "rows of" in note
              and "sequence" not in note and not note.endswith(": not populated")]  # fmt: skip
    found += _counts(report, first, other)
    for name in sorted(first.keys() & other.keys()):
        one, two = first[name], other[name]
        if not set(one.columns) & set(two.columns):
            continue
        if name not in report["method"]:
            found.append(f"{name}: not compared at all")
        line = lines.get(name)
        if line is None:
            multiset = differences(one, two, ())
            if multiset.numbers != (0, 0, 0):
                found.append(f"{name}: reported as equal, but {_few(multiset)}")
            continue
        found += [f"{name} ({report['method'].get(name)}): {text}"
                  for text in _line(line, one, two)]  # fmt: skip
    return found


def _counts(report: Report, first: Mapping[str, Table], other: Mapping[str, Table]) -> list[str]:
    found = []
    for line in report["counts"]:
        right = [len(side[line["table"]].rows) if line["table"] in side else None
                 for side in (first, other)]  # fmt: skip
        if line["counts"] != right:
            found.append(f"{line['table']}: counted {line['counts']}, but it is {right}")
    return found


def _line(line: RowChanges, one: Table, two: Table) -> list[str]:
    key = line["key"]
    common = set(one.columns) & set(two.columns)
    shared = one.primary == two.primary and set(one.primary) <= common
    if one.primary and shared and tuple(key) != one.primary:
        return [f"matched by {key} and not by the primary key {one.primary}"]
    expected = differences(one, two, key)
    numbers = (line["added"], line["removed"], line["changed"])
    found = []
    if numbers != expected.numbers:
        found.append(f"reported {numbers}, but it is {expected.numbers}: {_few(expected)}")
    if line["columns"] != expected.by_column:
        found.append(f"columns {line['columns']}, but it is {expected.by_column}")
    if len(line["sample"]) != min(_SHOWN, sum(expected.numbers)):
        found.append(f"{len(line['sample'])} rows shown of {sum(expected.numbers)}")
    seen: Counter[tuple[str, Row]] = Counter()
    for item in line["sample"]:
        found += _sample(item, expected, key, seen)
    return found


def _sample(
    item: RowChange, expected: Expected, key: list[str], seen: Counter[tuple[str, Row]]
) -> list[str]:
    if item["change"] == "changed":
        place = tuple(spelled(item["key"][name], expected.ways.get(name, "")) for name in key)
        shown = {name: (old, new) for name, (old, new) in item["columns"].items()}
        right = expected.changed.get(place) == shown
        most = 1
    else:
        place = tuple(item["row"][name] for name in expected.columns)
        side = expected.added if item["change"] == "added" else expected.removed
        most = side[place]
        right = most > 0
    seen[item["change"], place] += 1
    if not right or seen[item["change"], place] > most:
        return [f"shows a difference that is none: {item}"]
    return []


def _few(expected: Expected) -> str:
    return (
        f"added {list(expected.added.items())[:2]}, removed {list(expected.removed.items())[:2]},"
        f" changed {list(expected.changed.items())[:2]}"
    )
