"""Compare one table only where blocks have changed: both sides, by ranges of tuple ids.

The host says which blocks can differ (docs/diff.md proves that all others hold the same rows).
Rows in those blocks are read on both sides, matched by key and compared; what lies in other blocks
is never read. That an unchanged block also *prints* the same on both sides is for the catalogs to
say: see physical.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from psycopg import sql

from cowdb.controller.diff.rows.merge import Found, Names, merge
from cowdb.controller.diff.rows.shape import Common
from cowdb.controller.diff.rows.spill import Sorter

Pair = tuple[psycopg.Connection[Any], psycopg.Connection[Any]]
Ranges = Sequence[Sequence[int]]

_PIPELINED = 100  # queries on their way at once
_WIDEST = 512  # blocks that one query reads, so that its rows fit into memory
_WORTH_IT = 0.3  # of a table's blocks; beyond that, one pass over all of it is faster


def few_enough(ranges: Ranges, pages: int) -> bool:
    return sum(high - low for low, high in ranges) <= max(64, _WORTH_IT * pages)


def compare_blocks(pair: Pair, table: Common, ranges: Ranges, most: int) -> Found:
    """:param ranges: half-open, in order, without overlap.
    :param most: how many differences the sample holds."""
    with Sorter() as one, Sorter() as two:
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(_read, conn, table, ranges, sorter)
                    for conn, sorter in zip(pair, (one, two), strict=True)]  # fmt: skip
            for job in jobs:
                job.result()
        return merge(one.sorted(), two.sorted(), Names(table.columns, table.key), most)


def still_there(pair: Pair, table: Common, file: str) -> bool:
    """Keeps both sides' table from being rewritten until the transactions end, and says whether
    it is still the file that the host was asked about.

    Naming the table locks it before the path is looked up, and that reads the newest catalogs.
    """
    name = sql.Literal(table.table)
    query = sql.SQL(
        "SELECT pg_relation_filepath({}::regclass), (SELECT 1 FROM {} t LIMIT 0)"
    ).format(name, table.relation())
    return all(conn.execute(query).fetchall()[0][0] == file for conn in pair)


def _read(conn: psycopg.Connection[Any], table: Common, ranges: Ranges, sorter: Sorter) -> None:
    """Every visible row of these blocks; a TID range scan reads nothing else."""
    query = sql.SQL("SELECT {}, {} FROM {} t WHERE t.ctid >= %s::tid AND t.ctid < %s::tid").format(
        table.key_text(), table.row_text(), table.relation()
    )
    text = query.as_string(conn)
    pieces = list(_pieces(ranges))
    for start in range(0, len(pieces), _PIPELINED):
        with conn.pipeline():
            cursors = []
            for low, high in pieces[start : start + _PIPELINED]:
                cursor = conn.cursor()
                cursor.execute(text.encode(), (f"({low},0)", f"({high},0)"), prepare=True)
                cursors.append(cursor)
            for cursor in cursors:
                for key, row in cursor:
                    sorter.add((key.encode(), row.encode()))
                cursor.close()


def _pieces(ranges: Ranges) -> Iterator[tuple[int, int]]:
    for low, high in ranges:
        for start in range(low, high, _WIDEST):
            yield start, min(start + _WIDEST, high)
