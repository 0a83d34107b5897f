"""Full comparison of one table: sums of buckets first, then digests of the buckets that differ.

    bucket = some bits of the key's hash            the same on both sides, whatever the order
    sum    = count, sum(hash(row)), sum(hash'(row)), both modulo a prime below 2^63

Both passes read the table by ranges of blocks, on several connections of each side at once, and
nothing is sorted or kept on the servers: what a query holds is at most one line for each bucket.
Sums, unlike exclusive or, tell a row that is there twice from one that is there four times.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from cowdb.controller.diff.rows.digest import (
    Digesting,
    Places,
    compare_digests,
    parts_for,
    shares,
)
from cowdb.controller.diff.rows.hashing import Hashing
from cowdb.controller.diff.rows.lanes import Lanes
from cowdb.controller.diff.rows.merge import Found
from cowdb.controller.diff.rows.shape import Common

ROWS_IN_BUCKET = 400
MOST_BUCKETS = 16_384
FEW_ROWS = 4000  # then sums are a detour
_PRIME = 2**63 - 25
_LINE = struct.Struct("!qqqq")

Sums = dict[int, tuple[int, int, int]]


def compare_table(
    lanes: Lanes, table: Common, places: tuple[Places, Places], rows: int, hashing: Hashing,
    most: int, *, whether: bool = False,
) -> Found:  # fmt: skip
    """:param places: of each side.
    :param rows: about how many there are in them.
    :param most: how many differences the sample holds.
    :param whether: that something differs is enough; how many buckets do counts as changed."""
    if rows <= FEW_ROWS:
        return compare_digests(lanes, Digesting(table, hashing), places, most)
    mask = _buckets(rows) - 1
    sums = _sums(lanes, table, mask, hashing, places)
    both = sums[0].keys() | sums[1].keys()
    different = [number for number in both if sums[0].get(number) != sums[1].get(number)]
    if not different:
        return Found()
    if whether:
        return Found(changed=len(different))
    inside = sum(max(side.get(number, (0,))[0] for side in sums) for number in different)
    wanted = None if len(different) == len(both) else sorted(different)
    digesting = Digesting(table, hashing, parts_for(inside), mask, wanted)
    return compare_digests(lanes, digesting, places, most)


def _buckets(rows: int) -> int:
    """A power of two."""
    wanted = max(1, min(MOST_BUCKETS, rows // ROWS_IN_BUCKET))
    return 1 << (wanted.bit_length() - 1)


def _sums(
    lanes: Lanes, table: Common, mask: int, hashing: Hashing, places: tuple[Places, Places]
) -> tuple[Sums, Sums]:
    jobs = []
    for side in (0, 1):
        for place in places[side]:
            for share in shares(place.ranges, lanes.width):
                query = _query(table, side, mask, hashing, place.relation, share)
                jobs.append((side, lanes.submit(side, _asker(query))))
    found: tuple[Sums, Sums] = ({}, {})
    for side, job in jobs:
        sums = found[side]
        for number, *more in _LINE.iter_unpack(job.result()):
            count, one, two = sums.get(number, (0, 0, 0))
            sums[number] = count + more[0], (one + more[1]) % _PRIME, (two + more[2]) % _PRIME
    return found


def _asker(query: sql.Composed) -> Any:  # noqa: ANN401
    def ask(conn: psycopg.Connection[Any]) -> bytes:
        lines: bytes
        ((lines,),) = conn.cursor(binary=True).execute(query).fetchall()
        return lines

    return ask


def _query(
    table: Common, side: int, mask: int, hashing: Hashing, relation: str,
    share: Sequence[Sequence[int]],
) -> sql.Composed:  # fmt: skip
    """All lines of one range of blocks in one value: reading it takes next to nothing."""
    low, high = share[0][0], share[-1][1]
    key = table.key_text(side) if table.key else sql.SQL("NULL::text")
    # OFFSET 0 keeps the texts from being made once for each hash of them.
    return sql.SQL("""
        SELECT coalesce(string_agg(
            int8send(b) || int8send(n) || int8send(one) || int8send(two), ''::bytea), ''::bytea)
        FROM (
            SELECT b, count(*) AS n, (sum(one) % {prime})::bigint AS one,
                (sum(two) % {prime})::bigint AS two
            FROM (
                SELECT {bucket} & {mask} AS b, {one} AS one, {two} AS two
                FROM (
                    SELECT {key} AS k, {row} AS r FROM {table} t
                    WHERE t.ctid >= {low}::tid AND t.ctid < {high}::tid OFFSET 0
                ) texts
            ) hashes
            GROUP BY b
        ) sums
    """).format(
        prime=sql.Literal(_PRIME), mask=sql.Literal(mask), key=key, row=table.row_text(),
        bucket=hashing.of(sql.SQL("k" if table.key else "r"), 0),
        one=hashing.of(sql.SQL("r"), 1), two=hashing.of(sql.SQL("r"), 2),
        table=table.relation(relation),
        low=sql.Literal(f"({low},0)"), high=sql.Literal(f"({high},0)"),
    )  # fmt: skip
