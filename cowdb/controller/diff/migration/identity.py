"""Which object of the compared schema each row of the catalogs belongs to.

pg_depend speaks of OIDs, the comparison of kinds and names. Rows that are part of an object (the
rule of a view, the array type of an enum, the row type of a table) count as the object.
"""

from __future__ import annotations

from cowdb.controller.diff.catalog.query import expand

_OF_A_USER = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

# Each query gives: catalog, oid, kind, name.
_IDENTITIES = (
    """
SELECT 'pg_class', c.oid, CASE c.relkind WHEN 'S' THEN 'sequence' ELSE RELATION(c.relkind) END,
    NAMED(n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND OF_A_USER
""",
    """
SELECT 'pg_class', c.oid, 'index', NAMED(n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('i', 'I') AND OF_A_USER
""",
    """
SELECT 'pg_type', t.oid, CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain'
    WHEN 'r' THEN 'range type' WHEN 'b' THEN 'base type' WHEN 'p' THEN 'base type'
    ELSE CASE c.relkind WHEN 'c' THEN 'composite type' ELSE RELATION(c.relkind) END END,
    NAMED(n.nspname, t.typname)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE OF_A_USER AND t.typtype <> 'm'
    AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
""",
    """
SELECT 'pg_class', t.typrelid, 'composite type', NAMED(n.nspname, t.typname)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c' WHERE OF_A_USER
""",
    """
SELECT 'pg_constraint', k.oid, 'constraint', format('%I.%I.%I', n.nspname, c.relname, k.conname)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_constraint parent ON parent.oid = k.conparentid
WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND parent.conrelid IS DISTINCT FROM k.conrelid
    AND OF_A_USER
""",
    """
SELECT 'pg_constraint', k.oid, 'column', format('%I.%I.%I', n.nspname, c.relname, a.attname)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
WHERE k.contype = 'n' AND OF_A_USER
""",
    """
SELECT 'pg_constraint', k.oid, 'domain constraint',
    format('%I.%I.%I', n.nspname, t.typname, k.conname)
FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid
JOIN pg_namespace n ON n.oid = t.typnamespace WHERE k.contype = 'c' AND OF_A_USER
""",
    """
SELECT 'pg_attrdef', d.oid, 'default', format('%I.%I.%I', n.nspname, c.relname, a.attname)
FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.adnum WHERE OF_A_USER
""",
    """
SELECT 'pg_proc', p.oid, CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'w' THEN 'window function'
    WHEN 'a' THEN 'aggregate' ELSE 'function' END,
    NAMED(n.nspname, p.proname) || '(' || oidvectortypes(p.proargtypes) || ')'
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE OF_A_USER
    AND NOT EXISTS (SELECT FROM pg_depend made WHERE made.classid = 'pg_proc'::regclass
        AND made.objid = p.oid AND made.deptype = 'i')
""",
    """
SELECT 'pg_trigger', t.oid, 'trigger', format('%I.%I.%I', n.nspname, c.relname, t.tgname)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE OF_A_USER
""",
    """
SELECT 'pg_rewrite', r.oid, CASE WHEN r.rulename = '_RETURN' THEN RELATION(c.relkind)
    ELSE 'rule' END, CASE WHEN r.rulename = '_RETURN' THEN NAMED(n.nspname, c.relname)
    ELSE format('%I.%I.%I', n.nspname, c.relname, r.rulename) END
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE OF_A_USER
""",
    """
SELECT 'pg_policy', p.oid, 'policy', format('%I.%I.%I', n.nspname, c.relname, p.polname)
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE OF_A_USER
""",
    """
SELECT 'pg_statistic_ext', s.oid, 'statistics', NAMED(n.nspname, s.stxname)
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE OF_A_USER
""",
    "SELECT 'pg_namespace', n.oid, 'schema', quote_ident(n.nspname) FROM pg_namespace n"
    " WHERE OF_A_USER",
    "SELECT 'pg_extension', oid, 'extension', quote_ident(extname) FROM pg_extension",
    "SELECT 'pg_language', oid, 'language', quote_ident(lanname) FROM pg_language",
    "SELECT 'pg_am', oid, 'access method', quote_ident(amname) FROM pg_am",
    "SELECT 'pg_event_trigger', oid, 'event trigger', quote_ident(evtname) FROM pg_event_trigger",
    "SELECT 'pg_foreign_data_wrapper', oid, 'foreign data wrapper', quote_ident(fdwname)"
    " FROM pg_foreign_data_wrapper",
    "SELECT 'pg_foreign_server', oid, 'foreign server', quote_ident(srvname)"
    " FROM pg_foreign_server",
    "SELECT 'pg_user_mapping', umid, 'user mapping', format('for %I server %I', usename, srvname)"
    " FROM pg_user_mappings",
    "SELECT 'pg_publication', oid, 'publication', quote_ident(pubname) FROM pg_publication",
    "SELECT 'pg_publication_rel', r.oid, 'publication', quote_ident(p.pubname)"
    " FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid",
    """
SELECT 'pg_collation', c.oid, 'collation', NAMED(n.nspname, c.collname)
FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE OF_A_USER
""",
    """
SELECT 'pg_conversion', c.oid, 'conversion', NAMED(n.nspname, c.conname)
FROM pg_conversion c JOIN pg_namespace n ON n.oid = c.connamespace WHERE OF_A_USER
""",
    """
SELECT 'pg_ts_parser', p.oid, 'text search parser', NAMED(n.nspname, p.prsname)
FROM pg_ts_parser p JOIN pg_namespace n ON n.oid = p.prsnamespace WHERE OF_A_USER
""",
    """
SELECT 'pg_ts_template', t.oid, 'text search template', NAMED(n.nspname, t.tmplname)
FROM pg_ts_template t JOIN pg_namespace n ON n.oid = t.tmplnamespace WHERE OF_A_USER
""",
    """
SELECT 'pg_ts_dict', d.oid, 'text search dictionary', NAMED(n.nspname, d.dictname)
FROM pg_ts_dict d JOIN pg_namespace n ON n.oid = d.dictnamespace WHERE OF_A_USER
""",
    """
SELECT 'pg_ts_config', c.oid, 'text search configuration', NAMED(n.nspname, c.cfgname)
FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace WHERE OF_A_USER
""",
    """
SELECT 'pg_cast', oid, 'cast',
    format('%s AS %s', format_type(castsource, NULL), format_type(casttarget, NULL))
FROM pg_cast WHERE oid >= 16384
""",
    """
SELECT 'pg_transform', t.oid, 'transform',
    format('for %s language %I', format_type(t.trftype, NULL), l.lanname)
FROM pg_transform t JOIN pg_language l ON l.oid = t.trflang
""",
    """
SELECT 'pg_operator', o.oid, 'operator', format('%I.%s(%s, %s)', n.nspname, o.oprname,
    CASE o.oprleft WHEN 0 THEN 'none' ELSE format_type(o.oprleft, NULL) END,
    format_type(o.oprright, NULL))
FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE OF_A_USER
""",
    """
SELECT 'pg_opclass', o.oid, 'operator class', format('%I.%I using %I', n.nspname, o.opcname,
    a.amname) FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace
JOIN pg_am a ON a.oid = o.opcmethod WHERE OF_A_USER
""",
    """
SELECT 'pg_opfamily', f.oid, 'operator family', format('%I.%I using %I', n.nspname, f.opfname,
    a.amname) FROM pg_opfamily f JOIN pg_namespace n ON n.oid = f.opfnamespace
JOIN pg_am a ON a.oid = f.opfmethod WHERE OF_A_USER
""",
)

IDENTITIES = " UNION ALL ".join(
    expand(query).replace("OF_A_USER", _OF_A_USER) for query in _IDENTITIES
)

COLUMNS = expand(
    """
SELECT a.attrelid, a.attnum, format('%I.%I.%I', n.nspname, c.relname, a.attname)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f') AND OF_A_USER
"""
).replace("OF_A_USER", _OF_A_USER)

# Parts stand for the object that they depend on internally: array, multirange and row types,
# what a range type brings along, members of operator classes, a partition's triggers.
DEPENDENCIES = """
SELECT classid::regclass::text, objid, objsubid, refclassid::regclass::text, refobjid, refobjsubid,
    deptype::text
FROM pg_depend WHERE deptype <> 'p' AND (objid >= 16384 OR refobjid >= 16384)
"""
