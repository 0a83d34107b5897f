"""Names what the catalog queries do not cover, so that nothing is passed over in silence."""

from __future__ import annotations

from typing import Any

import psycopg

from cowdb.controller.diff.catalog.decisions import undecided
from cowdb.controller.diff.catalog.query import NEWEST, OLDEST

# Each row is a count and what it counts; nothing is said of a count of zero.
_COUNTED = (
    "SELECT count(*), 'contents of large objects' FROM pg_largeobject_metadata",
    # The view shows null both where there are none and where this user may not see them.
    "SELECT count(*), 'user mappings whose options this user may not see' FROM pg_user_mappings"
    " WHERE umoptions IS NULL AND usename <> current_user"
    " AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)",
)

_DATABASES = b"""
SELECT quote_ident(datname) FROM pg_database
WHERE datname <> current_database() AND NOT datistemplate ORDER BY datname COLLATE "C"
"""

_COLUMNS = b"""
SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND c.oid < 16384
    AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2
"""


def read_notes(conn: psycopg.Connection[Any]) -> list[str]:
    """What this database holds, or lies beside, that a comparison of schemas does not see."""
    notes = []
    counted = " UNION ALL ".join(_COUNTED).encode()
    for number, what in conn.execute(counted).fetchall():
        if number:
            notes.append(f"{number} {what}: not compared")
    databases = [name for (name,) in conn.execute(_DATABASES).fetchall()]
    if databases:
        notes.append(f"other databases of the same server: {', '.join(databases)}")
    major = conn.info.server_version // 10000
    if not OLDEST <= major <= NEWEST:
        unknown = undecided(read_columns(conn))
        named = f" ({', '.join(unknown)})" if unknown else ""
        notes.append(
            f"what PostgreSQL {major} has that {OLDEST} to {NEWEST} do not:"
            f" not known to cowdb{named}"
        )
    return notes


def read_columns(conn: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    """Every column of every system catalog that this server has."""
    return [(catalog, column) for catalog, column in conn.execute(_COLUMNS).fetchall()]
