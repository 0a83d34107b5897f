"""Types of each sort, collations, conversions and what text search is made of."""

from __future__ import annotations

from cowdb.controller.diff.catalog.query import Query

_TAIL = """
    ROLE(t.typowner) AS owner, obj_description(t.oid, 'pg_type') AS comment,
    ACL(t.typacl, 'T', t.typowner) AS privileges, MEMBER(pg_type, t.oid) AS extension
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
"""

_MINE = " MINE(n, pg_type, t.oid)"

ENUMS = (
    """
SELECT NAMED(n.nspname, t.typname) AS name,
    ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid
        ORDER BY enumsortorder) AS labels,
"""
    + _TAIL
    + "WHERE t.typtype = 'e' AND"
    + _MINE
)

# From PG 17 on a domain's NOT NULL is a constraint, which can have a name and a comment.
DOMAINS = (
    """
SELECT NAMED(n.nspname, t.typname) AS name,
    format_type(t.typbasetype, t.typtypmod) AS type, t.typnotnull AS not_null,
    (SELECT quote_ident(k.conname)
            || coalesce(' -- ' || obj_description(k.oid, 'pg_constraint'), '')
        FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'n'
        AND NOT (k.conname = t.typname || '_not_null'
            AND obj_description(k.oid, 'pg_constraint') IS NULL)) AS not_null_constraint,
    CASE WHEN t.typcollation <> base.typcollation THEN (
        SELECT NAMED(cn.nspname, co.collname) FROM pg_collation co
        JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = t.typcollation
    ) END AS collation,
    coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault) AS default,
"""
    + _TAIL
    + "JOIN pg_type base ON base.oid = t.typbasetype WHERE t.typtype = 'd' AND"
    + _MINE
)

DOMAIN_CONSTRAINTS = """
SELECT format('%I.%I.%I', n.nspname, t.typname, k.conname) AS name,
    ARRAY['domain', NAMED(n.nspname, t.typname)] AS inside,
    pg_get_constraintdef(k.oid) AS definition, k.convalidated AS validated,
    obj_description(k.oid, 'pg_constraint') AS comment
FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid
JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE k.contype = 'c' AND MINE(n, pg_type, t.oid)
"""

COMPOSITES = (
    """
SELECT NAMED(n.nspname, t.typname) AS name,
    ARRAY(SELECT format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
        || CASE WHEN a.attcollation <> own.typcollation THEN ' collate ' || (
            SELECT NAMED(cn.nspname, co.collname) FROM pg_collation co
            JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation)
            ELSE '' END
        FROM pg_attribute a JOIN pg_type own ON own.oid = a.atttypid WHERE a.attrelid = c.oid
        AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS attributes,
    ARRAY(SELECT format('%I: %s', a.attname, col_description(c.oid, a.attnum))
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND col_description(c.oid, a.attnum) IS NOT NULL ORDER BY a.attnum) AS attribute_comments,
"""
    + _TAIL
    + "JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c' WHERE t.typtype = 'c' AND"
    + _MINE
)

RANGES = (
    """
SELECT NAMED(n.nspname, t.typname) AS name, format_type(r.rngsubtype, NULL) AS subtype,
    (SELECT NAMED(cn.nspname, co.collname) FROM pg_collation co
        JOIN pg_namespace cn ON cn.oid = co.collnamespace
        WHERE co.oid = r.rngcollation) AS collation,
    (SELECT NAMED(opn.nspname, o.opcname) FROM pg_opclass o
        JOIN pg_namespace opn ON opn.oid = o.opcnamespace
        WHERE o.oid = r.rngsubopc) AS operator_class,
    nullif(r.rngcanonical::oid::regprocedure::text, '-') AS canonical,
    nullif(r.rngsubdiff::oid::regprocedure::text, '-') AS difference,
    format_type(r.rngmultitypid, NULL) AS multirange,
"""
    + _TAIL
    + "JOIN pg_range r ON r.rngtypid = t.oid WHERE"
    + _MINE
)

# Base types, and those that were only announced; every type has an array type of its own.
BASE_TYPES = (
    """
SELECT NAMED(n.nspname, t.typname) AS name, t.typisdefined AS defined, t.typlen AS length,
    t.typbyval AS by_value, t.typalign::text AS alignment, t.typstorage::text AS storage,
    t.typcategory::text AS category, t.typispreferred AS preferred, t.typdelim::text AS delimiter,
    CASE WHEN t.typelem <> 0 THEN format_type(t.typelem, NULL) END AS element,
    t.typinput::oid::regprocedure::text AS input, t.typoutput::oid::regprocedure::text AS output,
    t.typreceive::oid::regprocedure::text AS receive, t.typsend::oid::regprocedure::text AS send,
    t.typmodin::oid::regprocedure::text AS modifier_input,
    t.typmodout::oid::regprocedure::text AS modifier_output,
    t.typanalyze::oid::regprocedure::text AS analyze,
    t.typsubscript::oid::regprocedure::text AS subscript,
    t.typcollation <> 0 AS collatable, t.typdefault AS default,
"""
    + _TAIL
    + "WHERE t.typtype IN ('b', 'p') AND "
    + "NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid) AND"
    + _MINE
)

# The columns that name a locale change from version to version (colliculocale, colllocale).
COLLATIONS = """
SELECT NAMED(n.nspname, c.collname) AS name,
    CASE c.collprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin'
        ELSE c.collprovider::text END AS provider,
    coalesce(j.row ->> 'colllocale', j.row ->> 'colliculocale', c.collcollate) AS locale,
    CASE WHEN c.collprovider = 'c' THEN c.collctype END AS ctype,
    c.collisdeterministic AS deterministic, j.row ->> 'collicurules' AS rules,
    ROLE(c.collowner) AS owner, obj_description(c.oid, 'pg_collation') AS comment,
    MEMBER(pg_collation, c.oid) AS extension
FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace,
    LATERAL (SELECT to_jsonb(c) AS row) AS j
WHERE MINE(n, pg_collation, c.oid)
"""

CONVERSIONS = """
SELECT NAMED(n.nspname, c.conname) AS name,
    pg_encoding_to_char(c.conforencoding)::text AS source,
    pg_encoding_to_char(c.contoencoding)::text AS target,
    c.conproc::oid::regprocedure::text AS function, c.condefault AS is_default,
    ROLE(c.conowner) AS owner, obj_description(c.oid, 'pg_conversion') AS comment,
    MEMBER(pg_conversion, c.oid) AS extension
FROM pg_conversion c JOIN pg_namespace n ON n.oid = c.connamespace
WHERE MINE(n, pg_conversion, c.oid)
"""

PARSERS = """
SELECT NAMED(n.nspname, p.prsname) AS name, p.prsstart::oid::regprocedure::text AS start,
    p.prstoken::oid::regprocedure::text AS token, p.prsend::oid::regprocedure::text AS end,
    p.prsheadline::oid::regprocedure::text AS headline,
    p.prslextype::oid::regprocedure::text AS types,
    obj_description(p.oid, 'pg_ts_parser') AS comment,
    MEMBER(pg_ts_parser, p.oid) AS extension
FROM pg_ts_parser p JOIN pg_namespace n ON n.oid = p.prsnamespace
WHERE MINE(n, pg_ts_parser, p.oid)
"""

TEMPLATES = """
SELECT NAMED(n.nspname, t.tmplname) AS name, t.tmplinit::oid::regprocedure::text AS init,
    t.tmpllexize::oid::regprocedure::text AS lexize,
    obj_description(t.oid, 'pg_ts_template') AS comment,
    MEMBER(pg_ts_template, t.oid) AS extension
FROM pg_ts_template t JOIN pg_namespace n ON n.oid = t.tmplnamespace
WHERE MINE(n, pg_ts_template, t.oid)
"""

DICTIONARIES = """
SELECT NAMED(n.nspname, d.dictname) AS name, NAMED(tn.nspname, t.tmplname) AS template,
    d.dictinitoption AS options, ROLE(d.dictowner) AS owner,
    obj_description(d.oid, 'pg_ts_dict') AS comment,
    MEMBER(pg_ts_dict, d.oid) AS extension
FROM pg_ts_dict d JOIN pg_namespace n ON n.oid = d.dictnamespace
JOIN pg_ts_template t ON t.oid = d.dicttemplate JOIN pg_namespace tn ON tn.oid = t.tmplnamespace
WHERE MINE(n, pg_ts_dict, d.oid)
"""

CONFIGURATIONS = """
SELECT NAMED(n.nspname, c.cfgname) AS name, NAMED(pn.nspname, p.prsname) AS parser,
    ARRAY(SELECT format('%s: %s', token.alias, string_agg(m.mapdict::regdictionary::text, ', '
            ORDER BY m.mapseqno))
        FROM pg_ts_config_map m
        JOIN ts_token_type(c.cfgparser) token ON token.tokid = m.maptokentype
        WHERE m.mapcfg = c.oid GROUP BY token.alias ORDER BY token.alias COLLATE "C") AS mappings,
    ROLE(c.cfgowner) AS owner, obj_description(c.oid, 'pg_ts_config') AS comment,
    MEMBER(pg_ts_config, c.oid) AS extension
FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace
JOIN pg_ts_parser p ON p.oid = c.cfgparser JOIN pg_namespace pn ON pn.oid = p.prsnamespace
WHERE MINE(n, pg_ts_config, c.oid)
"""

DATATYPE_QUERIES = (
    Query("enum", ENUMS),
    Query("domain", DOMAINS),
    Query("domain constraint", DOMAIN_CONSTRAINTS),
    Query("composite type", COMPOSITES),
    Query("range type", RANGES),
    Query("base type", BASE_TYPES),
    Query("collation", COLLATIONS),
    Query("conversion", CONVERSIONS),
    Query("text search parser", PARSERS),
    Query("text search template", TEMPLATES),
    Query("text search dictionary", DICTIONARIES),
    Query("text search configuration", CONFIGURATIONS),
)
