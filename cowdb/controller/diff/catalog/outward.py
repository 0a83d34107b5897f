"""The database itself, its schemas and extensions, default privileges, and links to elsewhere."""

from __future__ import annotations

from cowdb.controller.diff.catalog.query import Query

# Called the same on every side: the two may well have different names.
DATABASE = """
SELECT '(this database)' AS name, pg_encoding_to_char(d.encoding)::text AS encoding,
    d.datistemplate AS is_template, d.datcollate::text AS collation, d.datctype::text AS ctype,
    CASE coalesce(j.row ->> 'datlocprovider', 'c') WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu'
        ELSE 'builtin' END AS provider,
    coalesce(j.row ->> 'datlocale', j.row ->> 'daticulocale') AS locale,
    j.row ->> 'daticurules' AS rules,
    (SELECT quote_ident(spcname) FROM pg_tablespace WHERE oid = d.dattablespace) AS tablespace,
    nullif(d.datconnlimit, -1) AS connection_limit, ROLE(d.datdba) AS owner,
    ARRAY(SELECT CASE WHEN s.setrole <> 0
            THEN 'role ' || quote_ident(pg_get_userbyid(s.setrole)) || ': ' ELSE '' END || item
        FROM pg_db_role_setting s, unnest(s.setconfig) AS item
        WHERE s.setdatabase = d.oid) AS settings,
    shobj_description(d.oid, 'pg_database') AS comment,
    ACL(d.datacl, 'd', d.datdba) AS privileges
FROM pg_database d, LATERAL (SELECT to_jsonb(d) AS row) AS j WHERE d.datname = current_database()
"""

SCHEMAS = """
SELECT quote_ident(n.nspname) AS name, ROLE(n.nspowner) AS owner,
    obj_description(n.oid, 'pg_namespace') AS comment, ACL(n.nspacl, 'n', n.nspowner) AS privileges,
    MEMBER(pg_namespace, n.oid) AS extension
FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""

EXTENSIONS = """
SELECT quote_ident(e.extname) AS name, e.extversion AS version, quote_ident(n.nspname) AS schema,
    e.extrelocatable AS relocatable,
    ARRAY(SELECT config.relation::regclass || coalesce(' ' || nullif(config.condition, ''), '')
        FROM unnest(e.extconfig, e.extcondition) AS config (relation, condition)
    ) AS configuration_tables, ROLE(e.extowner) AS owner,
    obj_description(e.oid, 'pg_extension') AS comment
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
"""

# Told in full: for one schema they come on top of the built-in defaults, for all they replace them.
DEFAULT_PRIVILEGES = """
SELECT format('for role %I%s on %s', pg_get_userbyid(a.defaclrole),
        ' in schema ' || quote_ident(n.nspname),
        CASE a.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences'
            WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas'
            WHEN 'L' THEN 'large objects' ELSE a.defaclobjtype::text END) AS name,
    ARRAY(SELECT CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE ROLE(e.grantee) END
        || ': ' || e.privilege_type
        || CASE WHEN e.is_grantable THEN ' with grant option' ELSE '' END
        FROM aclexplode(a.defaclacl) e) AS privileges
FROM pg_default_acl a LEFT JOIN pg_namespace n ON n.oid = a.defaclnamespace
"""

WRAPPERS = """
SELECT quote_ident(w.fdwname) AS name,
    nullif(w.fdwhandler::regprocedure::text, '-') AS handler,
    nullif(w.fdwvalidator::regprocedure::text, '-') AS validator,
    SORTED(w.fdwoptions) AS options, ROLE(w.fdwowner) AS owner,
    obj_description(w.oid, 'pg_foreign_data_wrapper') AS comment,
    ACL(w.fdwacl, 'F', w.fdwowner) AS privileges,
    MEMBER(pg_foreign_data_wrapper, w.oid) AS extension
FROM pg_foreign_data_wrapper w
"""

SERVERS = """
SELECT quote_ident(s.srvname) AS name, quote_ident(w.fdwname) AS wrapper, s.srvtype AS type,
    s.srvversion AS version, SORTED(s.srvoptions) AS options, ROLE(s.srvowner) AS owner,
    obj_description(s.oid, 'pg_foreign_server') AS comment,
    ACL(s.srvacl, 'S', s.srvowner) AS privileges,
    MEMBER(pg_foreign_server, s.oid) AS extension
FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
"""

# The view hides options from those who may not see them; the table is for superusers only.
USER_MAPPINGS = """
SELECT format('for %I server %I', m.usename, m.srvname) AS name,
    ARRAY['foreign server', quote_ident(m.srvname)] AS inside, SORTED(m.umoptions) AS options
FROM pg_user_mappings m
"""

_PUBLICATION = """
SELECT quote_ident(p.pubname) AS name, p.puballtables AS all_tables,
    ARRAY_TO_STRING(ARRAY[CASE WHEN p.pubinsert THEN 'insert' END,
        CASE WHEN p.pubupdate THEN 'update' END, CASE WHEN p.pubdelete THEN 'delete' END,
        CASE WHEN p.pubtruncate THEN 'truncate' END], ', ') AS publishes,
    p.pubviaroot AS via_root, nullif(j.row ->> 'pubgencols', 'n') AS generated_columns,
"""

_PUBLICATION_TAIL = """
    ROLE(p.pubowner) AS owner, obj_description(p.oid, 'pg_publication') AS comment
FROM pg_publication p, LATERAL (SELECT to_jsonb(p) AS row) AS j
"""

PUBLICATIONS_14 = (
    _PUBLICATION
    + """ARRAY(SELECT NAMED(n.nspname, c.relname) AS item FROM pg_publication_rel r
        JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE r.prpubid = p.oid ORDER BY NAMED(n.nspname, c.relname) COLLATE "C") AS tables,
    '{}'::text[] AS schemas,"""
    + _PUBLICATION_TAIL
)

PUBLICATIONS = (
    _PUBLICATION
    + """ARRAY(SELECT NAMED(n.nspname, c.relname) || coalesce(' (' || (
            SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs)) || ')', '')
            || coalesce(' where ' || pg_get_expr(r.prqual, r.prrelid), '')
        FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE r.prpubid = p.oid ORDER BY NAMED(n.nspname, c.relname) COLLATE "C") AS tables,
    ARRAY(SELECT quote_ident(n.nspname) FROM pg_publication_namespace s
        JOIN pg_namespace n ON n.oid = s.pnnspid WHERE s.pnpubid = p.oid
        ORDER BY n.nspname COLLATE "C") AS schemas,"""
    + _PUBLICATION_TAIL
)

# The columns that everybody may read; more of them came with each major.
SUBSCRIPTIONS = """
SELECT quote_ident(s.subname) AS name, s.subenabled AS enabled, s.subbinary AS binary,
    CASE s.substream::text WHEN 'false' THEN 'off' WHEN 'f' THEN 'off' WHEN 'p' THEN 'parallel'
        ELSE 'on' END AS streaming,
    s.subslotname::text AS slot, s.subsynccommit AS synchronous_commit,
    ARRAY(SELECT item FROM unnest(s.subpublications) AS item ORDER BY item COLLATE "C")
        AS publications,
    ROLE(s.subowner) AS owner, obj_description(s.oid, 'pg_subscription') AS comment
FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database()
"""


def _of_subscriptions(columns: str) -> str:
    return f"""
SELECT quote_ident(s.subname) AS name, {columns}
FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database()
"""


# Two-phase commit is wished for (p) until the tables were copied, then enabled (e).
SUBSCRIPTIONS_15 = _of_subscriptions(
    "s.subtwophasestate <> 'd' AS two_phase, s.subdisableonerr AS disable_on_error,"
    " nullif(s.subskiplsn, '0/0')::text AS skip_lsn"
)
SUBSCRIPTIONS_16 = _of_subscriptions(
    "s.subpasswordrequired AS password_required, s.subrunasowner AS run_as_owner,"
    " s.suborigin AS origin"
)
SUBSCRIPTIONS_17 = _of_subscriptions("s.subfailover AS failover")
CONNECTIONS = _of_subscriptions("s.subconninfo AS connection")

OUTWARD_QUERIES = (
    Query("database", DATABASE),
    Query("schema", SCHEMAS),
    Query("extension", EXTENSIONS),
    Query("default privileges", DEFAULT_PRIVILEGES),
    Query("foreign data wrapper", WRAPPERS),
    Query("foreign server", SERVERS),
    Query("user mapping", USER_MAPPINGS),
    Query("publication", PUBLICATIONS_14, until=14),
    Query("publication", PUBLICATIONS, since=15),
    Query("subscription", SUBSCRIPTIONS),
    Query("subscription", SUBSCRIPTIONS_15, since=15, adds=True),
    Query("subscription", SUBSCRIPTIONS_16, since=16, adds=True),
    Query("subscription", SUBSCRIPTIONS_17, since=17, adds=True),
    Query(
        "subscription",
        CONNECTIONS,
        adds=True,
        needs="pg_subscription.subconninfo",
        unread="connection strings of subscriptions",
    ),
)
