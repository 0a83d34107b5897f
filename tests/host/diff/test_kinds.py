"""Each single change, on each major: told as that change, and nothing else with it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from cowdb.controller.diff.schema import RANKS
from tests.host.diff import (
    cases,
    cluster_cases,
    extension_cases,
    more_cases,
    part_cases,
    type_cases,
)
from tests.host.diff.batch import Scratch
from tests.host.diff.cases import Case
from tests.host.diff.reading import reversed_lines, scratch_database
from tests.host.diff.test_decisions import ALIKE, given
from tests.plainpg import PlainPostgres

ALL = (
    *cases.TABLES, *cases.COLUMNS, *cases.CONSTRAINTS, *cases.INDEXES, *cases.VIEWS,
    *more_cases.ROUTINES, *more_cases.SEQUENCES, *more_cases.TYPES, *more_cases.OTHERS,
    *part_cases.PARTS, *part_cases.ROUTINE_PARTS, *type_cases.TYPE_PARTS, *type_cases.TEXT_SEARCH,
    *type_cases.OPERATOR_PARTS, *type_cases.WITHOUT_SCHEMA, *extension_cases.MEMBERS,
    *extension_cases.EXTENSIONS, *cluster_cases.ROLE_CASES, *cluster_cases.WHOLE_SERVER,
    *cluster_cases.LINKS, *cluster_cases.SYSTEM,
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


# Not changed by any statement, or not on its own; tested elsewhere or derived.
UNTRIED = {
    ("role", "bootstrap"),
    ("tablespace", "location"),
}


def test_every_property_of_every_kind_is_tried(each_major: PlainPostgres) -> None:
    with psycopg.connect(each_major.dsn()) as conn:
        wanted = given(conn) - UNTRIED
    assert wanted - tried() == set()


def tried() -> set[tuple[str, str]]:
    """The kinds and properties that some case expects to change."""
    kinds = sorted(RANKS, key=len, reverse=True)
    found = set()
    for single in ALL:
        for line in single.expected:
            head, colon, names = line[2:].rpartition(": ")
            if line.startswith("~ ") and colon:
                kind = next(kind for kind in kinds if head.startswith(f"{kind} "))
                found |= {(ALIKE.get(kind, kind), name) for name in names.split(", ")}
    return found
