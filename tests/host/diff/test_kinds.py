"""Each single change, on each major: told as that change, and nothing else with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.host.diff import cases, more_cases
from tests.host.diff.batch import Scratch
from tests.host.diff.cases import Case
from tests.host.diff.reading import reversed_lines, scratch_database
from tests.plainpg import PlainPostgres

ALL = (
    *cases.TABLES, *cases.COLUMNS, *cases.CONSTRAINTS, *cases.INDEXES, *cases.VIEWS,
    *more_cases.ROUTINES, *more_cases.SEQUENCES, *more_cases.TYPES, *more_cases.OTHERS,
)  # fmt: skip


@pytest.fixture(scope="module")
def scratch(each_major: PlainPostgres) -> Iterator[Scratch]:
    with scratch_database(each_major) as conn:
        yield Scratch(conn, ALL)


@pytest.mark.parametrize("single", ALL, ids=str)
def test_a_single_change_is_told_exactly(scratch: Scratch, single: Case) -> None:
    if not scratch.has(single):
        pytest.skip(f"for PostgreSQL {single.since} to {single.until}")
    forth, back = scratch.told(single)
    assert forth == list(single.expected)
    assert sorted(line.split(":")[0] for line in back) == reversed_lines(single.expected)
