"""What the whole server shares: roles and their settings, tablespaces, rights on parameters."""

from __future__ import annotations

from cowdb.controller.diff.catalog.query import Query

# An end that never comes is none: a branch's superuser gets one from cowdb. Of the server's own
# roles nothing can be changed but the comment.
ROLES = """
SELECT quote_ident(r.rolname) AS name, r.rolsuper AS superuser, r.rolinherit AS inherit,
    r.rolcreaterole AS create_role, r.rolcreatedb AS create_db, r.rolcanlogin AS login,
    r.oid = 10 AS bootstrap, r.rolreplication AS replication, r.rolbypassrls AS bypass_rls,
    nullif(r.rolconnlimit, -1) AS connection_limit,
    nullif(r.rolvaliduntil, 'infinity')::text AS valid_until,
    shobj_description(r.oid, 'pg_authid') AS comment
FROM pg_roles r
WHERE r.rolname !~ '^pg_' OR shobj_description(r.oid, 'pg_authid') IS NOT NULL
"""

# How a password is kept, and not which one it is: two verifiers of one password differ.
PASSWORDS = """
SELECT quote_ident(a.rolname) AS name, CASE WHEN a.rolpassword ~ '^SCRAM-SHA-256[$]'
    THEN 'scram-sha-256' WHEN a.rolpassword ~ '^md5[0-9a-f]{32}$' THEN 'md5'
    WHEN a.rolpassword IS NOT NULL THEN 'unknown' END AS password
FROM pg_authid a
"""

# The bootstrap superuser, who has OID 10 under whatever name, grants where nobody else is named.
# Before PG 16 the grantor may be gone already, and no two can grant the same.
_MEMBERSHIP = """
    ARRAY['role', quote_ident(m.rolname), 'role', quote_ident(g.rolname)] AS inside,
    a.admin_option AS admin, CASE WHEN a.grantor <> 10 THEN quote_ident(by.rolname) END AS grantor
FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles g ON g.oid = a.roleid
LEFT JOIN pg_roles by ON by.oid = a.grantor
"""
MEMBERSHIPS_14 = "SELECT format('%I in %I', m.rolname, g.rolname) AS name," + _MEMBERSHIP
MEMBERSHIPS = (
    """
SELECT format('%I in %I', m.rolname, g.rolname) || CASE WHEN a.grantor <> 10
        THEN ' by ' || quote_ident(by.rolname) ELSE '' END AS name,
    a.inherit_option AS inherit, a.set_option AS set,"""
    + _MEMBERSHIP
)

# A role's settings for one database are told with that database.
ROLE_SETTINGS = """
SELECT format('%s for %s', split_part(item, '=', 1), coalesce(quote_ident(r.rolname), 'ALL'))
        AS name,
    CASE WHEN r.oid IS NOT NULL THEN ARRAY['role', quote_ident(r.rolname)] END AS inside,
    item AS setting
FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS item
LEFT JOIN pg_roles r ON r.oid = s.setrole
WHERE s.setdatabase = 0
"""

# Where allow_in_place_tablespaces made one, its path holds its OID.
TABLESPACES = """
SELECT quote_ident(t.spcname) AS name,
    CASE WHEN t.spcowner <> 10 THEN ROLE(t.spcowner) END AS owner,
    CASE WHEN at.path ~ '^pg_tblspc/' THEN '(in place)' ELSE nullif(at.path, '') END AS location,
    SORTED(t.spcoptions) AS options, shobj_description(t.oid, 'pg_tablespace') AS comment,
    ACL(t.spcacl, 't', t.spcowner) AS privileges
FROM pg_tablespace t, LATERAL (SELECT pg_tablespace_location(t.oid) AS path) AS at
"""

PARAMETERS = """
SELECT p.parname AS name, ACL(p.paracl, 'p', 10) AS privileges FROM pg_parameter_acl p
"""

# A subscription's own origin is named after its OID.
ORIGINS = """
SELECT quote_ident(o.roname) AS name FROM pg_replication_origin o WHERE o.roname !~ '^pg_[0-9]+$'
"""

CLUSTER_QUERIES = (
    Query("role", ROLES),
    Query(
        "role",
        PASSWORDS,
        adds=True,
        needs="pg_authid.rolpassword",
        unread="whether roles have a password",
    ),
    Query("role membership", MEMBERSHIPS_14, until=15),
    Query("role membership", MEMBERSHIPS, since=16),
    Query("role setting", ROLE_SETTINGS),
    Query("tablespace", TABLESPACES),
    Query("parameter", PARAMETERS, since=15),
    Query("replication origin", ORIGINS),
)
