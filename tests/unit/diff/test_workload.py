"""The judge of the property test: it agrees with a right report, and with no other."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.host.diff.workload.oracle import Table
from tests.host.diff.workload.plan import make
from tests.host.diff.workload.verdict import disagreements


def _table(*rows: tuple[str, str | None]) -> dict[str, Table]:
    return {"public.t": Table(1, ("id", "v"), ("id",), {"id": "numeric"}, rows)}


FIRST = _table(("1", "a"), ("2", "b"), ("3", "c"))
OTHER = _table(("1.0", "a"), ("2", None), ("4", "d"))
RIGHT: dict[str, Any] = {
    "rows": [{
        "table": "public.t", "key": ["id"], "added": 1, "removed": 1, "changed": 2,
        "columns": {"id": 1, "v": 1}, "sample": [
            {"change": "added", "key": {"id": "4"}, "row": {"id": "4", "v": "d"}},
            {"change": "removed", "key": {"id": "3"}, "row": {"id": "3", "v": "c"}},
            {"change": "changed", "key": {"id": "1"}, "columns": {"id": ["1", "1.0"]}},
            {"change": "changed", "key": {"id": "2"}, "columns": {"v": ["b", None]}},
        ],
    }],
    "counts": [{"table": "public.t", "counts": [3, 3], "exact": True}],
    "method": {"public.t": "full-scan"}, "renamed": [], "not_compared": [],
}  # fmt: skip


def test_a_right_report() -> None:
    assert disagreements(RIGHT, FIRST, OTHER) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["rows"], []), (["rows", 0, "added"], 2), (["rows", 0, "changed"], 1),
        (["rows", 0, "columns"], {"v": 2}), (["rows", 0, "sample"], []),
        (["rows", 0, "sample", 0, "row", "v"], "e"), (["rows", 0, "key"], []),
        (["rows", 0, "sample", 3, "columns", "v"], ["b", ""]), (["counts", 0, "counts"], [3, 4]),
        (["rows", 0, "sample", 1, "row"], {"id": "4", "v": "d"}), (["method"], {}),
        (["not_compared"], ["other: rows of public.t: permission denied"]),
        (["rows", 0, "table"], "public.u"),
    ],
)  # fmt: skip
def test_a_wrong_one(path: list[Any], value: object) -> None:
    report = deepcopy(RIGHT)
    place: Any = report
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert disagreements(report, FIRST, OTHER)  # type: ignore[arg-type]


def test_a_seed_makes_the_same_plan_again() -> None:
    assert make(7, 15) == make(7, 15)
    assert make(7, 15) != make(8, 15)
    assert {len(make(seed, 18).branches) for seed in range(40)} == {2, 3, 4}
