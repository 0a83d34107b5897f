"""What a user changed on objects that the server made itself, security labels, large objects."""

from __future__ import annotations

from cowdb.controller.diff.catalog.query import FIRST_USER_OID, Query

LARGE_OBJECTS_TOLD = 10_000
"""As many large objects are told one by one; of more there is a count and a digest."""

# Privileges as the distance from what initdb or the extension gave. What initdb grants on the
# information schema is not in pg_init_privs.
BUILT_IN = f"""
SELECT at.type || ' ' || at.identity AS name, ACL_SINCE(own.now, own.initial, own.owner)
    AS privileges
FROM (
    SELECT o.class, o.oid, o.sub, o.owner, coalesce(o.acl, acldefault(o.type, o.owner)) AS now,
        coalesce(i.initprivs, acldefault(o.type, o.owner)) || o.given AS initial
    FROM (
        SELECT 'pg_class'::regclass AS class, c.oid, 0 AS sub, c.relowner AS owner,
            CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char" AS type, c.relacl AS acl,
            c.relnamespace AS namespace, CASE WHEN c.relname !~ '^_'
                AND c.relnamespace = 'information_schema'::regnamespace
                THEN ARRAY[makeaclitem(0, c.relowner, 'SELECT', false)] END AS given
        FROM pg_class c WHERE c.relkind IN ('r', 'v', 'S')
        UNION ALL SELECT 'pg_class'::regclass, c.oid, a.attnum, c.relowner, 'c', a.attacl,
            c.relnamespace, NULL
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.oid < {FIRST_USER_OID} AND a.attacl IS NOT NULL
        UNION ALL SELECT 'pg_proc'::regclass, p.oid, 0, p.proowner, 'f', p.proacl, p.pronamespace,
            NULL
        FROM pg_proc p
        UNION ALL SELECT 'pg_type'::regclass, t.oid, 0, t.typowner, 'T', t.typacl, t.typnamespace,
            NULL
        FROM pg_type t WHERE t.oid < {FIRST_USER_OID} AND t.typacl IS NOT NULL
        UNION ALL SELECT 'pg_language'::regclass, l.oid, 0, l.lanowner, 'l', l.lanacl, 0,
            NULL
        FROM pg_language l WHERE l.lanname IN ('internal', 'c', 'sql')
        UNION ALL SELECT 'pg_namespace'::regclass, n.oid, 0, n.nspowner, 'n', n.nspacl, 0,
            CASE WHEN n.nspname = 'information_schema'
                THEN ARRAY[makeaclitem(0, n.nspowner, 'USAGE', false)] END
        FROM pg_namespace n WHERE n.nspname IN ('pg_catalog', 'information_schema', 'pg_toast')
    ) AS o LEFT JOIN pg_init_privs i ON i.classoid = o.class AND i.objoid = o.oid
        AND i.objsubid = o.sub
    WHERE o.acl IS DISTINCT FROM i.initprivs AND (o.oid < {FIRST_USER_OID}
        OR o.namespace = 'pg_catalog'::regnamespace AND EXISTS (SELECT FROM pg_depend d
            WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e'))
) AS own, pg_identify_object(own.class, own.oid, own.sub) AS at
WHERE (SELECT count(*) FROM (SELECT * FROM aclexplode(own.now) EXCEPT
        SELECT * FROM aclexplode(own.initial)) AS more) > 0
    OR (SELECT count(*) FROM (SELECT * FROM aclexplode(own.initial) EXCEPT
        SELECT * FROM aclexplode(own.now)) AS less) > 0
"""

# Each relation has a row type, each type an array type, each range a multirange and constructors.
# They have their parent's owner, and a comment or privileges of their own.
IMPLICIT_TYPES = """
SELECT 'type ' || NAMED(n.nspname, t.typname) AS name,
    CASE WHEN c.oid IS NOT NULL THEN ARRAY[RELATION(c.relkind), NAMED(cn.nspname, c.relname)]
        WHEN r.oid IS NOT NULL THEN ARRAY['range type', NAMED(rn.nspname, r.typname)]
        END AS inside,
    obj_description(t.oid, 'pg_type') AS comment, ACL(t.typacl, 'T', t.typowner) AS privileges
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_class c ON c.oid = t.typrelid AND c.relkind <> 'c'
LEFT JOIN pg_namespace cn ON cn.oid = c.relnamespace
LEFT JOIN pg_range range ON range.rngmultitypid = t.oid
LEFT JOIN pg_type r ON r.oid = range.rngtypid
LEFT JOIN pg_namespace rn ON rn.oid = r.typnamespace
WHERE (c.oid IS NOT NULL OR r.oid IS NOT NULL
        OR EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid))
    AND (t.typacl IS NOT NULL OR obj_description(t.oid, 'pg_type') IS NOT NULL)
    AND MINE(n, pg_type, t.oid)
"""

CONSTRUCTORS = """
SELECT 'function ' || NAMED(n.nspname, p.proname) || '(' || oidvectortypes(p.proargtypes) || ')'
        AS name,
    CASE WHEN t.oid IS NOT NULL THEN ARRAY['range type', NAMED(tn.nspname, t.typname)] END
        AS inside,
    obj_description(p.oid, 'pg_proc') AS comment, ACL(p.proacl, 'f', p.proowner) AS privileges
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_depend made ON made.classid = 'pg_proc'::regclass AND made.objid = p.oid
    AND made.deptype = 'i' AND made.refclassid = 'pg_type'::regclass
LEFT JOIN pg_range r ON made.refobjid IN (r.rngtypid, r.rngmultitypid)
LEFT JOIN pg_type t ON t.oid = r.rngtypid LEFT JOIN pg_namespace tn ON tn.oid = t.typnamespace
WHERE (p.proacl IS NOT NULL OR obj_description(p.oid, 'pg_proc') IS NOT NULL)
    AND MINE(n, pg_proc, p.oid)
"""

SECURITY_LABELS = """
SELECT format('%s on %s %s', l.provider, at.type, CASE WHEN l.classoid = 'pg_database'::regclass
        THEN '(this database)' ELSE at.identity END) AS name,
    CASE WHEN l.objsubid = 0 THEN ARRAY[at.type, at.identity]
        ELSE ARRAY['table', whole.identity] END AS inside,
    l.label
FROM (
    SELECT classoid, objoid, objsubid, provider, label FROM pg_seclabel
    UNION ALL SELECT classoid, objoid, 0, provider, label FROM pg_shseclabel
    WHERE classoid <> 'pg_database'::regclass
        OR objoid = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS l, pg_identify_object(l.classoid, l.objoid, l.objsubid) AS at,
    pg_identify_object(l.classoid, l.objoid, 0) AS whole
"""

LARGE_OBJECTS = f"""
SELECT l.oid::text AS name, ROLE(l.lomowner) AS owner,
    obj_description(l.oid, 'pg_largeobject') AS comment,
    ACL(l.lomacl, 'L', l.lomowner) AS privileges
FROM pg_largeobject_metadata l
WHERE (SELECT count(*) FROM pg_largeobject_metadata) <= {LARGE_OBJECTS_TOLD}
"""

MANY_LARGE_OBJECTS = f"""
SELECT '(all)' AS name, count(*) AS count, md5(string_agg(md5(concat_ws(' ', l.oid,
    ROLE(l.lomowner), obj_description(l.oid, 'pg_largeobject'), l.lomacl)), '' ORDER BY l.oid))
    AS digest
FROM pg_largeobject_metadata l HAVING count(*) > {LARGE_OBJECTS_TOLD}
"""

SYSTEM_QUERIES = (
    Query("system object", BUILT_IN),
    Query("system object", IMPLICIT_TYPES),
    Query("system object", CONSTRUCTORS),
    Query("large object", LARGE_OBJECTS),
    Query("large object", MANY_LARGE_OBJECTS),
    Query("security label", SECURITY_LABELS),
)
