"""Rows and reports kept for who asks for the rest."""

from __future__ import annotations

import json

import pytest

from cowdb.controller.sqlrun.session import Column
from cowdb.errors import NotFoundError
from cowdb.mcp.results import Results, Rows

COLUMNS = [Column("id", "int4"), Column("word", "text")]


def rows(count: int, most_bytes: int = 2**20) -> Rows:
    made = Rows(COLUMNS, most_bytes)
    for number in range(count):
        made.add([str(number), None if number % 3 else "w" * 20])
    return made


@pytest.mark.parametrize("after", [0, 1, 63, 64, 65, 199])
def test_rows_from_anywhere(after: int) -> None:
    kept = rows(200)
    page = kept.read(after, 10, 100_000, 100)
    assert [row[0] for row in page.rows] == [str(number) for number in range(200)][
        after : after + 10
    ]
    assert not page.cut
    kept.close()


def test_as_many_as_have_room_and_one_at_least() -> None:
    kept = rows(100)
    page = kept.read(0, 100, 200, 100)
    assert 1 < len(page.rows) < 100
    assert sum(len(json.dumps(row)) for row in page.rows) <= 200
    assert len(kept.read(0, 100, 0, 100).rows) == 1
    kept.close()


def test_a_long_value_is_cut_and_says_how_long_it_is() -> None:
    kept = Rows(COLUMNS)
    kept.add(["1", "v" * 5000])
    page = kept.read(0, 1, 100_000, 100)
    assert page.rows == [["1", "v" * 100 + " … (5000 characters)"]]
    assert page.cut
    assert kept.read(0, 1, 100_000, 5000).rows == [["1", "v" * 5000]]
    (small,) = kept.read(0, 1, 60, 5000).rows
    assert len(json.dumps(small)) < 120
    kept.close()


def test_rows_beyond_the_room_on_disk_are_counted() -> None:
    kept = rows(1000, 2000)
    assert kept.kept + kept.dropped == 1000
    assert 0 < kept.kept < 200
    assert len(kept.read(0, 1000, 100_000, 100).rows) == kept.kept
    kept.close()


def test_the_least_recently_used_goes_first() -> None:
    results = Results(2)
    first, second = results.keep(1), results.keep(2)
    assert results.get(first) == 1
    third = results.keep(rows(1))
    with pytest.raises(NotFoundError, match=second):
        results.get(second)
    assert results.get(first) == 1
    kept = results.get(third)
    results.close()
    with pytest.raises(ValueError, match="closed"):
        kept.read(0, 1, 10, 10)
