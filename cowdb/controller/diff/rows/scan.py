"""Full comparison of one table: checksums of buckets first, then only the buckets that differ.

    bucket = hash(key) modulo N                 the same on both sides, whatever the order
    sum    = count, sum(hash(row)), sum(hash'(row))

Both passes run in the servers. Sums, unlike exclusive or, tell a row that is there twice from one
that is there four times; two independent 64-bit hashes of every row make a missed difference less
likely than a memory error. The rows of differing buckets come sorted by (bucket, key) in byte
order, so that merging them needs no memory, also when everything differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from cowdb.controller.diff.rows.merge import Found, Names, Row, checked, merge
from cowdb.controller.diff.rows.shape import Common

ROWS_IN_BUCKET = 400
MOST_BUCKETS = 1_000_000
_FETCH = 2000

Pair = tuple[psycopg.Connection[Any], psycopg.Connection[Any]]


@dataclass(frozen=True)
class Hashing:
    """Which hash the two servers agree on.

    :param same_major: hashtextextended gives the same on both: ten times as fast as md5.
    """

    same_major: bool

    def of(self, text: sql.Composable, seed: int) -> sql.Composed:
        if self.same_major:
            return sql.SQL('hashtextextended(({}) COLLATE "C", {})').format(text, sql.Literal(seed))
        part = sql.SQL("left" if seed == 0 else "right")
        return sql.SQL("('x' || {}(md5({}), 16))::bit(64)::bigint").format(part, text)


def compare_table(pair: Pair, table: Common, estimate: int, hashing: Hashing, most: int) -> Found:
    """:param estimate: about how many rows there are, to choose the number of buckets.
    :param most: how many differences the sample holds."""
    count = max(1, min(MOST_BUCKETS, estimate // ROWS_IN_BUCKET))
    bucket = _bucket(table, count, hashing)
    with ThreadPoolExecutor(2) as pool:
        first, other = pool.map(lambda conn: _sums(conn, table, bucket, hashing), pair)
    different = sorted(number for number in first.keys() | other.keys()
                       if first.get(number) != other.get(number))  # fmt: skip
    if not different:
        return Found()
    wanted = None if len(different) == len(first.keys() | other.keys()) else different
    names = Names(table.columns, table.key, table.told)
    with (
        _Stream(pair[0], table, bucket, wanted) as one,
        _Stream(pair[1], table, bucket, wanted) as two,
    ):
        return merge(checked(one), checked(two), names, most)


def _bucket(table: Common, count: int, hashing: Hashing) -> sql.Composed:
    hashed = hashing.of(table.key_text(), 0)
    return sql.SQL("(({}) & 9223372036854775807) % {}").format(hashed, sql.Literal(count))


def _sums(
    conn: psycopg.Connection[Any], table: Common, bucket: sql.Composed, hashing: Hashing
) -> dict[int, tuple[object, ...]]:
    query = sql.SQL("SELECT {}, count(*), sum({}), sum({}) FROM {} t GROUP BY 1").format(
        bucket, hashing.of(table.row_text(), 0), hashing.of(table.row_text(), 1), table.relation()
    )
    return {number: tuple(rest) for number, *rest in conn.execute(query)}


class _Stream:
    """Rows of some buckets, sorted, through a server-side cursor."""

    def __init__(
        self, conn: psycopg.Connection[Any], table: Common, bucket: sql.Composed,
        wanted: list[int] | None,
    ) -> None:  # fmt: skip
        which: sql.Composable = sql.SQL("")
        if wanted is not None:
            which = sql.SQL("WHERE {} = ANY ({})").format(bucket, sql.Literal(wanted))
        order = sql.SQL("SELECT {} AS b, {} AS k, {} AS r FROM {} t {}").format(
            bucket, table.key_text(), table.row_text(), table.relation(), which
        )
        self._query = sql.SQL(
            'SELECT b, k, r FROM ({}) s ORDER BY b, k COLLATE "C", r COLLATE "C"'
        ).format(order)
        self._cursor = conn.cursor(name="cowdb_rows", binary=False)
        self._cursor.itersize = _FETCH

    def __enter__(self) -> Iterator[Row]:
        self._cursor.execute(self._query)
        return self._rows()

    def _rows(self) -> Iterator[Row]:
        for number, key, row in self._cursor:
            yield number.to_bytes(8, "big") + key.encode(), row.encode()

    def __exit__(self, *_: object) -> None:
        self._cursor.close()
