"""What hangs on a table or view: constraints, indexes, triggers, rules, policies, statistics."""

from __future__ import annotations

from cowdb.controller.diff.catalog.query import Query

# A foreign key to a partitioned table has, beside itself, one row for each partition that it
# refers to, named in the order in which they were made: those are the server's own.
# NOT NULL (n, since PG 18) belongs to the column, and t is the trigger that is one itself.
CONSTRAINTS = """
SELECT format('%I.%I.%I', n.nspname, c.relname, k.conname) AS name,
    ARRAY[RELATION(c.relkind), NAMED(n.nspname, c.relname)] || coalesce((
        SELECT array_agg(word ORDER BY up.oid, place) FROM pg_constraint up
        JOIN pg_class uc ON uc.oid = up.conrelid JOIN pg_namespace un ON un.oid = uc.relnamespace,
        unnest(ARRAY['constraint', format('%I.%I.%I', un.nspname, uc.relname, up.conname)])
            WITH ORDINALITY AS pair (word, place)
        WHERE up.oid = k.conparentid OR k.contype = 'c' AND k.coninhcount > 0
            AND up.contype = 'c' AND up.conname = k.conname
            AND up.conrelid IN (SELECT inhparent FROM pg_inherits WHERE inhrelid = c.oid)
    ), '{}') AS inside,
    CASE k.contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' WHEN 'p' THEN 'primary key'
        WHEN 'u' THEN 'unique' ELSE 'exclude' END AS type,
    pg_get_constraintdef(k.oid) AS definition,
    k.convalidated AS validated,
    coalesce((to_jsonb(k) ->> 'conenforced')::bool, true) AS enforced,
    k.condeferrable AS deferrable, k.condeferred AS deferred,
    CASE WHEN k.coninhcount > 0 THEN
        CASE WHEN k.conislocal THEN 'and local' ELSE 'only' END END AS inherited,
    coalesce((SELECT array_agg(DISTINCT CASE t.tgenabled WHEN 'D' THEN 'disabled'
            WHEN 'R' THEN 'on replicas' ELSE 'always' END)
        FROM pg_trigger t WHERE t.tgconstraint = k.oid AND t.tgenabled <> 'O'
    ), '{}') AS enforcement,
    obj_description(k.oid, 'pg_constraint') AS comment
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_constraint parent ON parent.oid = k.conparentid
WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND parent.conrelid IS DISTINCT FROM k.conrelid
    AND MINE(n, pg_constraint, k.oid)
"""

# The definition of an index that carries a constraint is the constraint's; its options
# are told here, and operator classes and collations can only be the usual ones.
INDEXES = """
SELECT NAMED(n.nspname, ic.relname) AS name,
    ARRAY[RELATION(c.relkind), NAMED(n.nspname, c.relname)] || CASE WHEN k.oid IS NULL THEN '{}'
        ELSE ARRAY['constraint', format('%I.%I.%I', n.nspname, c.relname, k.conname)] END
    || coalesce((SELECT ARRAY['index', NAMED(un.nspname, up.relname)] FROM pg_inherits h
        JOIN pg_class up ON up.oid = h.inhparent JOIN pg_namespace un ON un.oid = up.relnamespace
        WHERE h.inhrelid = ic.oid), '{}') AS inside,
    CASE WHEN k.oid IS NULL THEN pg_get_indexdef(i.indexrelid) END AS definition,
    i.indisunique AS unique, i.indisprimary AS primary, k.conname::text AS constraint,
    i.indisvalid AS valid, i.indisready AS ready, i.indislive AS live,
    i.indisclustered AS clustered,
    (SELECT NAMED(un.nspname, up.relname) FROM pg_inherits h
        JOIN pg_class up ON up.oid = h.inhparent JOIN pg_namespace un ON un.oid = up.relnamespace
        WHERE h.inhrelid = ic.oid) AS partition_of,
    CASE WHEN k.oid IS NOT NULL THEN SORTED(ic.reloptions) END AS options,
    (SELECT quote_ident(spcname) FROM pg_tablespace WHERE oid = ic.reltablespace) AS tablespace,
    ARRAY(SELECT a.attnum || ': ' || a.attstattarget FROM pg_attribute a
        WHERE a.attrelid = ic.oid AND a.attstattarget >= 0 ORDER BY a.attnum) AS statistics,
    DEPENDS(pg_class, ic.oid) AS depends_on_extensions,
    obj_description(ic.oid, 'pg_class') AS comment
FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = ic.relnamespace
LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
    AND k.contype IN ('p', 'u', 'x')
WHERE MINE(n, pg_class, ic.oid)
"""

# PG 14 marks a partition's copy of a row trigger as internal, later versions do not.
TRIGGERS = """
SELECT format('%I.%I.%I', n.nspname, c.relname, t.tgname) AS name,
    ARRAY[RELATION(c.relkind), NAMED(n.nspname, c.relname)] || coalesce((
        SELECT ARRAY['trigger', format('%I.%I.%I', un.nspname, uc.relname, up.tgname)]
        FROM pg_trigger up JOIN pg_class uc ON uc.oid = up.tgrelid
        JOIN pg_namespace un ON un.oid = uc.relnamespace WHERE up.oid = t.tgparentid
    ), '{}') AS inside,
    pg_get_triggerdef(t.oid) AS definition,
    CASE t.tgenabled WHEN 'O' THEN 'enabled' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'on replicas'
        ELSE 'always' END AS enabled,
    obj_description(t.oid, 'pg_trigger') AS comment,
    obj_description(k.oid, 'pg_constraint') AS constraint_comment,
    DEPENDS(pg_trigger, t.oid) AS depends_on_extensions
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_constraint k ON k.oid = t.tgconstraint
WHERE (NOT t.tgisinternal OR t.tgparentid <> 0 AND coalesce(k.contype, 't') = 't')
    AND MINE(n, pg_trigger, t.oid)
"""

# A view's own rule is its definition; only a comment on it is told here.
RULES = """
SELECT format('%I.%I.%I', n.nspname, c.relname, r.rulename) AS name,
    ARRAY[RELATION(c.relkind), NAMED(n.nspname, c.relname)] AS inside,
    CASE WHEN r.rulename <> '_RETURN' THEN pg_get_ruledef(r.oid) END AS definition,
    CASE r.ev_enabled WHEN 'O' THEN 'enabled' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'on replicas'
        ELSE 'always' END AS enabled,
    obj_description(r.oid, 'pg_rewrite') AS comment
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (r.rulename <> '_RETURN' OR obj_description(r.oid, 'pg_rewrite') IS NOT NULL)
    AND MINE(n, pg_rewrite, r.oid)
"""

POLICIES = """
SELECT format('%I.%I.%I', n.nspname, c.relname, p.polname) AS name,
    ARRAY[RELATION(c.relkind), NAMED(n.nspname, c.relname)] AS inside,
    CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update'
        WHEN 'd' THEN 'delete' ELSE 'all' END AS command,
    p.polpermissive AS permissive,
    ARRAY(SELECT CASE item WHEN 0 THEN 'PUBLIC' ELSE ROLE(item) END
        FROM unnest(p.polroles) AS item) AS roles,
    pg_get_expr(p.polqual, p.polrelid) AS using, pg_get_expr(p.polwithcheck, p.polrelid) AS check,
    obj_description(p.oid, 'pg_policy') AS comment
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE MINE(n, pg_policy, p.oid)
"""

STATISTICS = """
SELECT NAMED(n.nspname, s.stxname) AS name,
    ARRAY[RELATION(c.relkind), NAMED(tn.nspname, c.relname)] AS inside,
    pg_get_statisticsobjdef(s.oid) AS definition,
    nullif(s.stxstattarget::int, -1) AS target, ROLE(s.stxowner) AS owner,
    obj_description(s.oid, 'pg_statistic_ext') AS comment
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
JOIN pg_class c ON c.oid = s.stxrelid JOIN pg_namespace tn ON tn.oid = c.relnamespace
WHERE MINE(n, pg_statistic_ext, s.oid)
"""

ATTACHED_QUERIES = (
    Query("constraint", CONSTRAINTS),
    Query("index", INDEXES),
    Query("trigger", TRIGGERS),
    Query("rule", RULES),
    Query("policy", POLICIES),
    Query("statistics", STATISTICS),
)
