"""From bytes of files to blocks of relations."""

from __future__ import annotations

import pytest

from cowdb.agent.service.changes import Ancestry, common_ancestors
from cowdb.agent.service.relations import (
    BLOCK,
    SEGMENT,
    MainForks,
    Ranges,
    beyond_the_end,
    blocks,
    joined,
)


@pytest.mark.parametrize(
    ("data", "path", "named"),
    [
        (".", "base/5/16384", ("base/5/16384", 0)),
        ("data", "data/base/5/16384.2", ("base/5/16384", 2 * SEGMENT)),
        ("15/main", "15/main/base/1/2", ("base/1/2", 0)),
        ("data", "base/5/16384", None),
        ("data", "data/base/5/16384_fsm", None),
        ("data", "data/base/5/t3_16384", None),
        ("data", "data/base/5/PG_VERSION", None),
        ("data", "data/global/1262", None),
        ("data", "data/pg_tblspc/1/PG_15/5/16384", None),
        (".", "x/base/5/16384", None),
        (".", "base/5/16384/1", None),
    ],
)
def test_names(data: str, path: str, named: tuple[str, int] | None) -> None:
    assert MainForks(data).named(path) == named
    assert MainForks(data).wanted(path) == (named is not None)


def test_every_touched_block() -> None:
    assert blocks(0, 1, 0) == (0, 1)
    assert blocks(BLOCK - 1, 2, 0) == (0, 2)
    assert blocks(3 * BLOCK, BLOCK, 100) == (103, 104)
    assert blocks(5, 2 * BLOCK, SEGMENT) == (SEGMENT, SEGMENT + 3)


def test_joined() -> None:
    assert joined([(5, 7), (1, 3), (3, 4), (6, 9)]) == [(1, 4), (5, 9)]
    assert joined([(1, 9), (2, 3)]) == [(1, 9)]


def test_what_only_one_has() -> None:
    found: Ranges = {"a": [(0, 1)]}
    beyond_the_end(found, {"a": 5, "new": 2, "same": 3}, {"a": 9, "gone": 4, "same": 3})
    assert found == {"a": [(0, 1), (5, 9)], "new": [(0, 2)], "gone": [(0, 4)]}


def test_common_ancestors_the_nearest_first() -> None:
    base = ["se-1", "sn-1"]
    a, b = ["br-a", *base], ["br-b", *base]
    both = [Ancestry("se-1", ("br-a", "br-b")), Ancestry("sn-1", ("se-1", "se-1"))]
    assert common_ancestors([a, b]) == both
    assert common_ancestors([a])[0] == Ancestry("se-1", ("br-a",))
    child, twin = ["br-c", "sn-2", *a], ["br-d", "sn-2", *a]
    assert common_ancestors([child, b])[0] == Ancestry("se-1", ("br-a", "br-b"))
    assert common_ancestors([child, a])[0] == Ancestry("se-1", ("br-a", "br-a"))
    assert common_ancestors([child, twin])[:2] == [
        Ancestry("sn-2", ("br-c", "br-d")), Ancestry("se-1", ("br-a", "br-a")),
    ]  # fmt: skip
    assert common_ancestors([child, twin, b])[0] == Ancestry("se-1", ("br-a", "br-a", "br-b"))
    assert common_ancestors([a, ["br-x", "se-9"]]) == []
