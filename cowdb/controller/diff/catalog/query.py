"""A catalog query and the few words that the queries share.

A query's columns are the contract: `name` (and `kind`, where one query serves several) make the
key, `inside` is a flat array of kind, name, kind, name of the objects that it comes and goes with,
own table first; every other column is a property. Written in capitals are macros, because a
read-only transaction cannot define functions: see _MACROS.

The column `extension`, whose member the object is, becomes a property only of members, and the
extension one of the object's places.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OLDEST, NEWEST = 14, 18
"""The major versions of Postgres that the queries were written for."""

FIRST_USER_OID = 16384
"""What initdb makes has an OID under it: that tells the user's own where there is no schema."""

# Aliases end in _, since what the caller calls its tables is seen in here.
_MEMBER = """(SELECT quote_ident(ext_.extname) FROM pg_depend dep_
    JOIN pg_extension ext_ ON ext_.oid = dep_.refobjid WHERE dep_.classid = '{0}'::regclass
    AND dep_.objid = {1} AND dep_.objsubid = 0 AND dep_.refclassid = 'pg_extension'::regclass
    AND dep_.deptype = 'e')"""

# No user may create a schema that starts with pg_: catalogs, TOAST and temporary schemas do.
# What a user made in the server's own schemas counts; what an extension made there does not,
# since plpgsql's functions belong to the server where initdb made them.
_MINE = f"""({{0}}.nspname !~ '^pg_' AND {{0}}.nspname <> 'information_schema'
    OR {{2}} >= {FIRST_USER_OID} AND {{0}}.nspname IN ('pg_catalog', 'information_schema')
    AND NOT EXISTS (SELECT FROM pg_depend dep_ WHERE dep_.classid = '{{1}}'::regclass
        AND dep_.objid = {{2}} AND dep_.deptype = 'e'))"""

# ALTER ... DEPENDS ON EXTENSION: goes away with the extension, without being its member.
_DEPENDS = """ARRAY(SELECT quote_ident(ext_.extname) FROM pg_depend dep_
    JOIN pg_extension ext_ ON ext_.oid = dep_.refobjid WHERE dep_.classid = '{0}'::regclass
    AND dep_.objid = {1} AND dep_.refclassid = 'pg_extension'::regclass AND dep_.deptype = 'x'
    ORDER BY ext_.extname COLLATE "C")"""

# Told as the distance from the default: a null ACL and a spelled-out default mean the same, and
# PG 17 added a privilege to every default. The owner is called so, because a change of owner
# rewrites each of these entries and is reported itself.
_ACL_LINES = """ARRAY(
    SELECT word || who || ': ' || string_agg(what, ', ' ORDER BY what COLLATE "C") || how
    FROM (
        SELECT word, what,
            CASE taker WHEN 0 THEN 'PUBLIC' WHEN {2} THEN '(owner)'
                ELSE quote_ident(pg_get_userbyid(taker)) END AS who,
            CASE WHEN grantable THEN ' with grant option' ELSE '' END || CASE giver WHEN {2}
                THEN '' ELSE ' by ' || quote_ident(pg_get_userbyid(giver)) END AS how
        FROM (
            (SELECT '' AS word, now.* FROM aclexplode({0}) AS now (giver, taker, what, grantable)
            EXCEPT SELECT '', usual.* FROM aclexplode({1}) AS usual)
            UNION ALL
            (SELECT 'without ', usual.* FROM aclexplode({1}) AS usual
            EXCEPT SELECT 'without ', now.* FROM aclexplode({0}) AS now)
        ) AS entries
    ) AS lines GROUP BY word, who, how ORDER BY word || who || how COLLATE "C")"""

_ACL = (
    "CASE WHEN {0} IS NULL THEN '{{}}'::text[] ELSE "
    + _ACL_LINES.replace("{1}", "acldefault({1}, {2})")
    + " END"
)

_RELATION = """CASE {0} WHEN 'f' THEN 'foreign table' WHEN 'v' THEN 'view'
    WHEN 'm' THEN 'materialized view' ELSE 'table' END"""

_MACROS = {
    "MEMBER": _MEMBER,
    "MINE": _MINE,
    "DEPENDS": _DEPENDS,
    "ACL": _ACL,
    "ACL_SINCE": _ACL_LINES,
    "ROLE": "quote_ident(pg_get_userbyid({0}))",
    "RELATION": _RELATION,
    "NAMED": "format('%I.%I', {0}, {1})",
    "SORTED": 'ARRAY(SELECT item FROM unnest({0}) AS item ORDER BY item COLLATE "C")',
}
_MACRO = re.compile(rf"\b({'|'.join(_MACROS)})\(([^()]*)\)")


@dataclass(frozen=True)
class Query:
    """How one kind of object is read.

    :param kind: the kind, unless the query gives one with each row.
    :param since: the first major version that the query is for.
    :param until: the last one.
    :param adds: its properties are added to objects that another query has found.
    :param needs: a `catalog.column` that not everybody may read; where this user may not, the
        query is left out and `unread` says of what nothing is known.
    """

    kind: str
    sql: str
    since: int = OLDEST
    until: int = 99
    adds: bool = False
    needs: str = ""
    unread: str = ""

    def serves(self, major: int) -> bool:
        return self.since <= major <= self.until

    @property
    def text(self) -> bytes:
        """As the server gets it: psycopg takes bytes where the text is not a literal."""
        return expand(self.sql).encode()


def expand(sql: str) -> str:
    """Replaces the macros."""

    def replaced(found: re.Match[str]) -> str:
        arguments = [argument.strip() for argument in found[2].split(",")]
        return _MACROS[found[1]].format(*arguments)

    return _MACRO.sub(replaced, sql)
