"""Where tables lie on disk, and how many rows some of their blocks hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg import sql

from cowdb.controller.diff.counting.plan import Place
from cowdb.controller.diff.counting.ranges import Ranges
from cowdb.controller.diff.scope import name_parts

_AT_ONCE = 10_000  # ranges in one query
_BLOCK = 8192

# Where a table lies now, whatever the transaction's snapshot says. A checkpoint leaves the buffers
# of unlogged tables alone, and only heap tables keep rows by block; the host looks into base/ only.
# On a standby a checkpoint waits for one of its primary, and so may flush nothing.
_PLACES = b"""
SELECT format('%I.%I', n.nspname, c.relname), pg_relation_filepath(c.oid), greatest(c.relpages, 1)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relam = 2 AND c.relpersistence = 'p'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND pg_relation_filepath(c.oid) LIKE 'base/%' AND NOT pg_is_in_recovery()
"""
_SIZES = b"""
SELECT name, pg_relation_size(to_regclass(name)) / %s FROM unnest(%s::text[]) AS named (name)
"""


def read_places(conn: psycopg.Connection[Any]) -> dict[str, Place]:
    """Tables by file; ask before the host is asked what was written."""
    return {file: Place(name, pages) for name, file, pages in conn.execute(_PLACES) if file}


def measured(
    conn: psycopg.Connection[Any], places: Mapping[str, Place], files: Iterable[str]
) -> dict[str, Place]:
    """The same, with the true sizes of some files in place of what statistics say."""
    names = {places[file].table: file for file in files if file in places}
    found = dict(places)
    if names:
        for name, pages in conn.execute(_SIZES, [_BLOCK, list(names)]):
            if pages is not None:
                found[names[name]] = Place(name, pages)
    return found


def rows_in(conn: psycopg.Connection[Any], place: Place, file: str, ranges: Ranges) -> int | None:
    """Visible rows of these blocks, read by tuple ids and nothing else; None where the table does
    not lie in that file any more, or cannot be read.

    The first query locks the table against being rewritten before it looks where it lies; it stays
    so until the transaction ends.
    """
    table = sql.Identifier(*name_parts(place.table))
    check = sql.SQL("SELECT pg_relation_filepath({}::regclass), (SELECT 1 FROM {} LIMIT 0)").format(
        sql.Literal(place.table), table
    )
    # The inner query is planned by itself, where the bounds are parameters: a scan of tuple ids
    # for each range, which reads nothing else, and one statement for all of them.
    count = sql.SQL(
        "SELECT coalesce(sum(n), 0)::bigint FROM unnest(%s::tid[], %s::tid[]) AS piece (low, high),"
        " LATERAL (SELECT count(*) AS n FROM ONLY {} t"
        " WHERE t.ctid >= piece.low AND t.ctid < piece.high) AS counted"
    ).format(table)
    try:
        # A savepoint, so that one unreadable table does not end the whole transaction.
        with conn.transaction():
            ((lies, _),) = conn.execute(check).fetchall()
            if lies != file:
                return None
            number = 0
            for start in range(0, len(ranges), _AT_ONCE):
                low, high = zip(*ranges[start : start + _AT_ONCE], strict=True)
                bounds = [[f"({block},0)" for block in blocks] for blocks in (low, high)]
                ((found,),) = conn.execute(count, bounds).fetchall()
                number += found
            return number
    except psycopg.Error:
        if conn.broken:
            raise
        return None
