"""A catalog query and the few words that the queries share.

A query's columns are the contract: `name` (and `kind`, where one query serves several) make the
key, `inside` is a flat array of kind, name, kind, name of the objects that it comes and goes with,
own table first; every other column is a property. Written in capitals are macros, because a
read-only transaction cannot define functions: USER_SCHEMA, NOT_MEMBER, ACL, ROLE, RELATION, NAMED.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OLDEST, NEWEST = 14, 18
"""The major versions of Postgres that the queries were written for."""

_MACRO = re.compile(r"\b(USER_SCHEMA|NOT_MEMBER|ACL|ROLE|RELATION|NAMED|SORTED)\(([^()]*)\)")

# No user may create a schema that starts with pg_: catalogs, TOAST and temporary schemas do.
_USER_SCHEMA = "{0}.nspname !~ '^pg_' AND {0}.nspname <> 'information_schema'"

_NOT_MEMBER = """NOT EXISTS (
    SELECT FROM pg_depend member WHERE member.classid = '{0}'::regclass
    AND member.objid = {1} AND member.deptype = 'e')"""

# Told as the distance from the default: a null ACL and a spelled-out default mean the same, and
# PG 17 added a privilege to every default. The owner is called so, because a change of owner
# rewrites each of these entries and is reported itself.
_ACL = """CASE WHEN {0} IS NULL THEN '{{}}'::text[] ELSE ARRAY(
    SELECT word || who || ': ' || string_agg(what, ', ' ORDER BY what COLLATE "C") || how
    FROM (
        SELECT word, what,
            CASE taker WHEN 0 THEN 'PUBLIC' WHEN {2} THEN '(owner)'
                ELSE quote_ident(pg_get_userbyid(taker)) END AS who,
            CASE WHEN grantable THEN ' with grant option' ELSE '' END || CASE giver WHEN {2}
                THEN '' ELSE ' by ' || quote_ident(pg_get_userbyid(giver)) END AS how
        FROM (
            (SELECT '' AS word, now.* FROM aclexplode({0}) AS now (giver, taker, what, grantable)
            EXCEPT SELECT '', usual.* FROM aclexplode(acldefault({1}, {2})) AS usual)
            UNION ALL
            (SELECT 'without ', usual.* FROM aclexplode(acldefault({1}, {2})) AS usual
            EXCEPT SELECT 'without ', now.* FROM aclexplode({0}) AS now)
        ) AS entries
    ) AS lines GROUP BY word, who, how) END"""

_RELATION = """CASE {0} WHEN 'f' THEN 'foreign table' WHEN 'v' THEN 'view'
    WHEN 'm' THEN 'materialized view' ELSE 'table' END"""

_MACROS = {
    "USER_SCHEMA": _USER_SCHEMA,
    "NOT_MEMBER": _NOT_MEMBER,
    "ACL": _ACL,
    "ROLE": "quote_ident(pg_get_userbyid({0}))",
    "RELATION": _RELATION,
    "NAMED": "format('%I.%I', {0}, {1})",
    "SORTED": 'ARRAY(SELECT item FROM unnest({0}) AS item ORDER BY item COLLATE "C")',
}


@dataclass(frozen=True)
class Query:
    """How one kind of object is read.

    :param kind: the kind, unless the query gives one with each row.
    :param since: the first major version that the query is for.
    :param until: the last one.
    """

    kind: str
    sql: str
    since: int = OLDEST
    until: int = 99

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
