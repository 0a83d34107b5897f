"""Functions, procedures, aggregates, triggers on events, languages, casts and operators."""

from __future__ import annotations

from cowdb.controller.diff.catalog.query import Query

# The key holds the argument types only: those make a function another one, names do not.
# A range type brings constructors along, which depend on it internally.
FUNCTIONS = """
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'w' THEN 'window function'
        ELSE 'function' END AS kind,
    NAMED(n.nspname, p.proname) || '(' || oidvectortypes(p.proargtypes) || ')' AS name,
    pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
    quote_ident(l.lanname) AS language,
    CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable'
        ELSE 'volatile' END AS volatility,
    p.proisstrict AS strict, p.prosecdef AS security_definer, p.proleakproof AS leakproof,
    CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted'
        ELSE 'unsafe' END AS parallel,
    p.procost AS cost, p.prorows AS rows, SORTED(p.proconfig) AS settings,
    nullif(p.prosupport::oid::regprocedure::text, '-') AS support,
    ARRAY(SELECT format_type(item, NULL) FROM unnest(p.protrftypes) AS item) AS transforms,
    coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) AS body, p.probin AS library,
    ROLE(p.proowner) AS owner, obj_description(p.oid, 'pg_proc') AS comment,
    ACL(p.proacl, 'f', p.proowner) AS privileges,
    DEPENDS(pg_proc, p.oid) AS depends_on_extensions, MEMBER(pg_proc, p.oid) AS extension
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE p.prokind <> 'a' AND MINE(n, pg_proc, p.oid)
    AND NOT EXISTS (SELECT FROM pg_depend made WHERE made.classid = 'pg_proc'::regclass
        AND made.objid = p.oid AND made.deptype = 'i')
"""

AGGREGATES = """
SELECT NAMED(n.nspname, p.proname) || '(' || oidvectortypes(p.proargtypes) || ')' AS name,
    pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
    CASE a.aggkind WHEN 'o' THEN 'ordered set' WHEN 'h' THEN 'hypothetical set'
        ELSE 'normal' END AS type,
    a.aggnumdirectargs AS direct_arguments,
    a.aggtransfn::oid::regprocedure::text AS transition,
    format_type(a.aggtranstype, NULL) AS state_type, a.aggtransspace AS state_size,
    a.agginitval AS initial_value,
    nullif(a.aggfinalfn::oid::regprocedure::text, '-') AS final,
    a.aggfinalextra AS final_extra, a.aggfinalmodify::text AS final_modify,
    nullif(a.aggcombinefn::oid::regprocedure::text, '-') AS combine,
    nullif(a.aggserialfn::oid::regprocedure::text, '-') AS serialize,
    nullif(a.aggdeserialfn::oid::regprocedure::text, '-') AS deserialize,
    nullif(a.aggmtransfn::oid::regprocedure::text, '-') AS moving_transition,
    nullif(a.aggminvtransfn::oid::regprocedure::text, '-') AS moving_inverse,
    nullif(a.aggmfinalfn::oid::regprocedure::text, '-') AS moving_final,
    CASE WHEN a.aggmtranstype <> 0 THEN format_type(a.aggmtranstype, NULL) END AS moving_state_type,
    a.aggmtransspace AS moving_state_size, a.aggminitval AS moving_initial_value,
    a.aggmfinalextra AS moving_final_extra, a.aggmfinalmodify::text AS moving_final_modify,
    nullif(a.aggsortop::regoperator::text, '0') AS sort_operator,
    CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted'
        ELSE 'unsafe' END AS parallel,
    ROLE(p.proowner) AS owner, obj_description(p.oid, 'pg_proc') AS comment,
    ACL(p.proacl, 'f', p.proowner) AS privileges,
    DEPENDS(pg_proc, p.oid) AS depends_on_extensions, MEMBER(pg_proc, p.oid) AS extension
FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid
JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE MINE(n, pg_proc, p.oid)
"""

EVENT_TRIGGERS = """
SELECT quote_ident(e.evtname) AS name, e.evtevent::text AS event, SORTED(e.evttags) AS tags,
    e.evtfoid::regprocedure::text AS function,
    CASE e.evtenabled WHEN 'O' THEN 'enabled' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'on replicas'
        ELSE 'always' END AS enabled,
    ROLE(e.evtowner) AS owner, obj_description(e.oid, 'pg_event_trigger') AS comment,
    MEMBER(pg_event_trigger, e.oid) AS extension
FROM pg_event_trigger e
"""

# What initdb makes has an OID under 16384, but for plpgsql, which is an extension's all the same.
LANGUAGES = """
SELECT quote_ident(l.lanname) AS name, l.lanpltrusted AS trusted,
    l.lanplcallfoid::regprocedure::text AS handler, l.laninline::regprocedure::text AS inline,
    l.lanvalidator::regprocedure::text AS validator, ROLE(l.lanowner) AS owner,
    obj_description(l.oid, 'pg_language') AS comment, ACL(l.lanacl, 'l', l.lanowner) AS privileges,
    MEMBER(pg_language, l.oid) AS extension
FROM pg_language l WHERE l.oid >= 16384 OR MEMBER(pg_language, l.oid) IS NOT NULL
"""

ACCESS_METHODS = """
SELECT quote_ident(a.amname) AS name, a.amhandler::oid::regprocedure::text AS handler,
    CASE a.amtype WHEN 't' THEN 'table' ELSE 'index' END AS type,
    obj_description(a.oid, 'pg_am') AS comment, MEMBER(pg_am, a.oid) AS extension
FROM pg_am a WHERE a.oid >= 16384
"""

CASTS = """
SELECT format('%s AS %s', format_type(c.castsource, NULL), format_type(c.casttarget, NULL)) AS name,
    CASE c.castcontext WHEN 'i' THEN 'implicit' WHEN 'a' THEN 'assignment'
        ELSE 'explicit' END AS context,
    CASE c.castmethod WHEN 'f' THEN 'function' WHEN 'i' THEN 'inout' ELSE 'binary' END AS method,
    nullif(c.castfunc::regprocedure::text, '-') AS function,
    obj_description(c.oid, 'pg_cast') AS comment, MEMBER(pg_cast, c.oid) AS extension
FROM pg_cast c WHERE c.oid >= 16384 AND NOT EXISTS (
    SELECT FROM pg_depend made WHERE made.classid = 'pg_cast'::regclass
    AND made.objid = c.oid AND made.deptype = 'i')
"""

TRANSFORMS = """
SELECT format('for %s language %I', format_type(t.trftype, NULL), l.lanname) AS name,
    nullif(t.trffromsql::oid::regprocedure::text, '-') AS from_sql,
    nullif(t.trftosql::oid::regprocedure::text, '-') AS to_sql,
    obj_description(t.oid, 'pg_transform') AS comment, MEMBER(pg_transform, t.oid) AS extension
FROM pg_transform t JOIN pg_language l ON l.oid = t.trflang
"""

OPERATORS = """
SELECT format('%I.%s(%s, %s)', n.nspname, o.oprname,
        CASE o.oprleft WHEN 0 THEN 'none' ELSE format_type(o.oprleft, NULL) END,
        format_type(o.oprright, NULL)) AS name,
    CASE WHEN o.oprresult <> 0 THEN format_type(o.oprresult, NULL) END AS result,
    o.oprcode::oid::regprocedure::text AS function,
    o.oprcom::regoperator::text AS commutator, o.oprnegate::regoperator::text AS negator,
    o.oprcanmerge AS merges, o.oprcanhash AS hashes,
    o.oprrest::oid::regprocedure::text AS restrict, o.oprjoin::oid::regprocedure::text AS join,
    ROLE(o.oprowner) AS owner, obj_description(o.oid, 'pg_operator') AS comment,
    MEMBER(pg_operator, o.oid) AS extension
FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
WHERE MINE(n, pg_operator, o.oid)
"""

# Members go with their class; what is only in the family was added to that on its own.
OPERATOR_CLASSES = """
SELECT format('%I.%I using %I', n.nspname, o.opcname, a.amname) AS name,
    NAMED(fn.nspname, f.opfname) AS family, format_type(o.opcintype, NULL) AS type,
    o.opcdefault AS is_default,
    CASE WHEN o.opckeytype <> 0 THEN format_type(o.opckeytype, NULL) END AS storage,
    ARRAY(SELECT CASE d.classid WHEN 'pg_amop'::regclass THEN (
            SELECT format('operator %s %s', m.amopstrategy, m.amopopr::regoperator)
            FROM pg_amop m WHERE m.oid = d.objid)
        ELSE (SELECT format('function %s(%s, %s) %s', m.amprocnum,
                format_type(m.amproclefttype, NULL), format_type(m.amprocrighttype, NULL),
                m.amproc::oid::regprocedure) FROM pg_amproc m WHERE m.oid = d.objid) END AS item
        FROM pg_depend d WHERE d.refclassid = 'pg_opclass'::regclass AND d.refobjid = o.oid
        AND d.classid IN ('pg_amop'::regclass, 'pg_amproc'::regclass) AND d.deptype IN ('i', 'a')
    ) AS members,
    ROLE(o.opcowner) AS owner, obj_description(o.oid, 'pg_opclass') AS comment,
    MEMBER(pg_opclass, o.oid) AS extension
FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace JOIN pg_am a ON a.oid = o.opcmethod
JOIN pg_opfamily f ON f.oid = o.opcfamily JOIN pg_namespace fn ON fn.oid = f.opfnamespace
WHERE MINE(n, pg_opclass, o.oid)
"""

OPERATOR_FAMILIES = """
SELECT format('%I.%I using %I', n.nspname, f.opfname, a.amname) AS name,
    ARRAY(SELECT format('%s %s %s', o.amopstrategy, o.amopopr::regoperator,
            CASE WHEN o.amopsortfamily <> 0 THEN 'order by ' || (
                SELECT NAMED(sn.nspname, s.opfname) FROM pg_opfamily s
                JOIN pg_namespace sn ON sn.oid = s.opfnamespace WHERE s.oid = o.amopsortfamily)
            ELSE 'search' END)
        FROM pg_amop o WHERE o.amopfamily = f.oid ORDER BY format('%s %s %s', o.amopstrategy,
            format_type(o.amoplefttype, NULL), format_type(o.amoprighttype, NULL)) COLLATE "C"
    ) AS operators,
    ARRAY(SELECT format('%s(%s, %s) %s', p.amprocnum, format_type(p.amproclefttype, NULL),
            format_type(p.amprocrighttype, NULL), p.amproc::oid::regprocedure)
        FROM pg_amproc p WHERE p.amprocfamily = f.oid ORDER BY format('%s %s %s', p.amprocnum,
            format_type(p.amproclefttype, NULL), format_type(p.amprocrighttype, NULL)) COLLATE "C"
    ) AS functions,
    ROLE(f.opfowner) AS owner, obj_description(f.oid, 'pg_opfamily') AS comment,
    MEMBER(pg_opfamily, f.oid) AS extension
FROM pg_opfamily f JOIN pg_namespace n ON n.oid = f.opfnamespace JOIN pg_am a ON a.oid = f.opfmethod
WHERE MINE(n, pg_opfamily, f.oid)
"""

ROUTINE_QUERIES = (
    Query("function", FUNCTIONS),
    Query("aggregate", AGGREGATES),
    Query("event trigger", EVENT_TRIGGERS),
    Query("language", LANGUAGES),
    Query("access method", ACCESS_METHODS),
    Query("cast", CASTS),
    Query("transform", TRANSFORMS),
    Query("operator", OPERATORS),
    Query("operator class", OPERATOR_CLASSES),
    Query("operator family", OPERATOR_FAMILIES),
)
