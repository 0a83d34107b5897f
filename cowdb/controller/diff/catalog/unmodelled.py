"""Names what the catalog queries do not cover, so that nothing is passed over in silence."""

from __future__ import annotations

from typing import Any

import psycopg

from cowdb.controller.diff.catalog.query import NEWEST, OLDEST

# Each row is a count and what it counts; nothing is said of a count of zero.
_COUNTED = (
    "SELECT count(*), 'large objects' FROM pg_largeobject_metadata",
    "SELECT count(*), 'security labels' FROM pg_seclabel",
    "SELECT count(*), 'connection strings of subscriptions' FROM pg_subscription s"
    " JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database()",
    # The view shows null both where there are none and where this user may not see them.
    "SELECT count(*), 'user mappings whose options this user may not see' FROM pg_user_mappings"
    " WHERE umoptions IS NULL AND usename <> current_user"
    " AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)",
    "SELECT count(*), 'objects made in pg_catalog' FROM ("
    " SELECT p.oid, 'pg_proc'::regclass AS class FROM pg_proc p WHERE p.oid >= 16384"
    " AND p.pronamespace = 'pg_catalog'::regnamespace"
    " UNION ALL SELECT c.oid, 'pg_class'::regclass FROM pg_class c WHERE c.oid >= 16384"
    " AND c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind NOT IN ('i', 'I')"
    " ) AS made WHERE NOT EXISTS (SELECT FROM pg_depend d"
    " WHERE d.classid = made.class AND d.objid = made.oid AND d.deptype = 'e')",
    "SELECT count(*), 'objects of the server itself with changed privileges' FROM ("
    " SELECT c.oid, 'pg_class'::regclass AS class, c.relacl AS acl FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid < 16384"
    " AND n.nspname = 'pg_catalog' AND c.relkind IN ('r', 'v')"
    " UNION ALL SELECT p.oid, 'pg_proc'::regclass, p.proacl FROM pg_proc p WHERE p.oid < 16384"
    " AND p.pronamespace = 'pg_catalog'::regnamespace) AS own"
    " LEFT JOIN pg_init_privs i ON i.classoid = own.class AND i.objoid = own.oid"
    " AND i.objsubid = 0 WHERE own.acl IS DISTINCT FROM i.initprivs",
)

_DATABASES = b"""
SELECT quote_ident(datname) FROM pg_database
WHERE datname <> current_database() AND NOT datistemplate ORDER BY datname COLLATE "C"
"""

_EXTENSIONS = b"""
SELECT quote_ident(extname) FROM pg_extension WHERE extname <> 'plpgsql'
ORDER BY extname COLLATE "C"
"""


def read_notes(conn: psycopg.Connection[Any]) -> list[str]:
    """What this database holds, or lies beside, that a comparison of schemas does not see."""
    notes = []
    counted = " UNION ALL ".join(_COUNTED).encode()
    for number, what in conn.execute(counted).fetchall():
        if number:
            notes.append(f"{number} {what}: not compared yet")
    extensions = [name for (name,) in conn.execute(_EXTENSIONS).fetchall()]
    if extensions:
        notes.append(
            f"members of extensions ({', '.join(extensions)}): only their versions are compared"
        )
    databases = [name for (name,) in conn.execute(_DATABASES).fetchall()]
    if databases:
        notes.append(f"other databases of the same server: {', '.join(databases)}")
    major = conn.info.server_version // 10000
    if not OLDEST <= major <= NEWEST:
        notes.append(
            f"what PostgreSQL {major} has that {OLDEST} to {NEWEST} do not: not known to cowdb"
        )
    return notes
