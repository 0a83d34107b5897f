"""Freeze the rows of a settled copy, so that reading them in a branch writes nothing.

Whoever reads a row first notes on its page that the row's transaction has ended, and thereby makes
a page that nobody changed a changed one. VACUUM (FREEZE) does that once, before there are branches.

No row moves, comes or goes, and no plan changes: what VACUUM notes for the planner is taken back.
What does change is what VACUUM is for: dead versions, `xmax` of rows that were only locked,
age(relfrozenxid), the visibility map's file, counters of vacuums.
"""

from __future__ import annotations

from typing import Any

import psycopg

Connection = psycopg.Connection[Any]

# A limit of -2 is what an interrupted DROP DATABASE leaves.
_DATABASES = (
    "select datname from pg_database where datallowconn and datconnlimit <> -2 order by datname"
)
_NOTED = "relpages, reltuples, relallvisible"
_KINDS = "('r', 'm', 't', 'i')"


def databases(db: Connection) -> list[str]:
    """Those that take connections; a database that takes none is read by nobody."""
    return [name for (name,) in db.execute(_DATABASES)]


def freeze(db: Connection) -> None:
    """Every table of the session's database, its catalogs, and the shared ones.

    Nobody else may be at work in the server: an open transaction would keep rows from it.
    """
    noted = db.execute(f"select oid, {_NOTED} from pg_class where relkind in {_KINDS}").fetchall()
    # Without TRUNCATE the number of pages stays, and with it the order of whatever is unordered.
    db.execute("vacuum (freeze, truncate false)")
    columns = [list(column) for column in zip(*noted, strict=True)]
    db.execute(
        "update pg_class c set relpages = s.relpages, reltuples = s.reltuples, "
        "relallvisible = s.relallvisible "
        f"from unnest(%s::oid[], %s::int[], %s::real[], %s::int[]) s (oid, {_NOTED}) "
        "where c.oid = s.oid and (c.relpages, c.reltuples, c.relallvisible) "
        "is distinct from (s.relpages, s.reltuples, s.relallvisible)",
        columns,
    )
    db.execute("vacuum (freeze, truncate false) pg_class")
