"""Compare one table only where blocks have changed: both sides, by ranges of tuple ids.

The host says which blocks can differ (docs/diff.md proves that all others hold the same rows).
Digests of the rows in those blocks are compared, and rows whose digests differ are read and matched
by key; what lies in other blocks is never read. That an unchanged block also *prints* the same on
both sides is for the catalogs to say: see physical.py.
"""

from __future__ import annotations

from cowdb.controller.diff.rows.digest import Digesting, Places, Ranges, compare_digests, parts_for
from cowdb.controller.diff.rows.hashing import Hashing
from cowdb.controller.diff.rows.lanes import Lanes
from cowdb.controller.diff.rows.merge import Found
from cowdb.controller.diff.rows.shape import Common

_WORTH_IT = 0.3  # of a table's blocks; beyond that, one pass over all of it is faster


def few_enough(ranges: Ranges, pages: int) -> bool:
    return sum(high - low for low, high in ranges) <= max(64, _WORTH_IT * pages)


def compare_blocks(
    lanes: Lanes, table: Common, places: tuple[Places, Places], rows: int, hashing: Hashing,
    most: int,
) -> Found:  # fmt: skip
    """:param places: the blocks of each side that can differ.
    :param rows: about how many lie in them.
    :param most: how many differences the sample holds."""
    digesting = Digesting(table, hashing, parts_for(rows))
    return compare_digests(lanes, digesting, places, most)
