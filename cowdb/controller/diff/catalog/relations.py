"""Tables, views, their columns, and sequences."""

from __future__ import annotations

from cowdb.controller.diff.catalog.query import Query

TABLES = """
SELECT RELATION(c.relkind) AS kind, NAMED(n.nspname, c.relname) AS name,
    ROLE(c.relowner) AS owner,
    CASE c.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'permanent' END AS persistence,
    (SELECT amname FROM pg_am WHERE oid = c.relam) AS access_method,
    (SELECT quote_ident(spcname) FROM pg_tablespace WHERE oid = c.reltablespace) AS tablespace,
    SORTED(c.reloptions) AS options, SORTED(toast.reloptions) AS toast_options,
    CASE c.relreplident WHEN 'd' THEN 'default' WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full'
        ELSE 'index ' || coalesce((
            SELECT quote_ident(ic.relname) FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
            WHERE i.indrelid = c.oid AND i.indisreplident), '') END AS replica_identity,
    c.relrowsecurity AS row_security, c.relforcerowsecurity AS force_row_security,
    CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS partition_key,
    CASE WHEN c.relispartition THEN parents.names[1] END AS partition_of,
    pg_get_expr(c.relpartbound, c.oid) AS partition_bound,
    coalesce(parents.detaching, false) AS detach_pending,
    CASE WHEN c.relispartition THEN '{}' ELSE coalesce(parents.names, '{}') END AS inherits,
    CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END AS of_type,
    quote_ident(fs.srvname) AS server, SORTED(ft.ftoptions) AS server_options,
    ARRAY(SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0
        AND NOT attisdropped ORDER BY attnum) AS column_order,
    obj_description(c.oid, 'pg_class') AS comment,
    ACL(c.relacl, 'r', c.relowner) AS privileges, MEMBER(pg_class, c.oid) AS extension
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
LEFT JOIN pg_foreign_table ft ON ft.ftrelid = c.oid
LEFT JOIN pg_foreign_server fs ON fs.oid = ft.ftserver
LEFT JOIN LATERAL (
    SELECT array_agg(NAMED(pn.nspname, p.relname) ORDER BY i.inhseqno) AS names,
        bool_or(i.inhdetachpending) AS detaching
    FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
    JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE i.inhrelid = c.oid
) AS parents ON true
WHERE c.relkind IN ('r', 'p', 'f') AND MINE(n, pg_class, c.oid)
"""

# Of attoptions only what a user can set: PG 15.20 as some vendors build it leaves pg_attver=N
# there, which differs between two loads of the same DDL.
_COLUMN_TAIL = """
    CASE WHEN a.attcompression <> '' THEN
        CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4'
            ELSE a.attcompression::text END END AS compression,
    nullif(a.attstattarget::int, -1) AS statistics,
    ARRAY(SELECT item FROM unnest(a.attoptions) AS item
        WHERE split_part(item, '=', 1) IN ('n_distinct', 'n_distinct_inherited')
        ORDER BY item COLLATE "C") AS options,
    col_description(a.attrelid, a.attnum) AS comment,
    ACL(a.attacl, 'c', c.relowner) AS privileges
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped
    AND MINE(n, pg_class, c.oid)
"""

# Storage and collation are told where they are not the type's own, so that a change of type is
# one change. In PG 18 a NOT NULL is a constraint as well: it is told here, and more of it than
# the flag only where it has a name or a clause of its own.
COLUMNS = (
    """
SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname) AS name,
    ARRAY[RELATION(c.relkind), NAMED(n.nspname, c.relname)] || CASE WHEN a.attinhcount > 0 THEN
        coalesce((SELECT array_agg(word ORDER BY i.inhseqno, place) FROM pg_inherits i
            JOIN pg_class pc ON pc.oid = i.inhparent
            JOIN pg_namespace pn ON pn.oid = pc.relnamespace
            JOIN pg_attribute pa ON pa.attrelid = pc.oid AND pa.attname = a.attname,
            unnest(ARRAY['column', format('%I.%I.%I', pn.nspname, pc.relname, pa.attname)])
                WITH ORDINALITY AS pair (word, place)
            WHERE i.inhrelid = c.oid), '{}') ELSE '{}' END AS inside,
    format_type(a.atttypid, a.atttypmod) AS type,
    CASE WHEN a.attcollation <> t.typcollation THEN (
        SELECT NAMED(cn.nspname, co.collname) FROM pg_collation co
        JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation
    ) END AS collation,
    a.attnotnull AS not_null,
    (SELECT quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid)
        || coalesce(' -- ' || obj_description(k.oid, 'pg_constraint'), '')
        FROM pg_constraint k WHERE k.contype = 'n' AND k.conrelid = c.oid
        AND k.conkey[1] = a.attnum AND k.conislocal
        AND NOT (k.conname = format('%s_%s_not_null', c.relname, a.attname) AND k.convalidated
            AND NOT k.connoinherit AND obj_description(k.oid, 'pg_constraint') IS NULL)
    ) AS not_null_constraint,
    CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS default,
    CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END AS identity,
    CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) || CASE a.attgenerated
        WHEN 's' THEN ' stored' ELSE ' virtual' END END AS generated,
    CASE WHEN a.attinhcount > 0 THEN
        CASE WHEN a.attislocal THEN 'and local' ELSE 'only' END END AS inherited,
    CASE WHEN a.attstorage <> t.typstorage THEN CASE a.attstorage WHEN 'p' THEN 'plain'
        WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' ELSE 'extended' END END AS storage,
    SORTED(a.attfdwoptions) AS server_options,"""
    + _COLUMN_TAIL
    + "AND c.relkind IN ('r', 'p', 'f')"
)

# A view's columns are in its definition; only what was set on one of them is an object.
VIEW_COLUMNS = (
    """
SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname) AS name,
    ARRAY[RELATION(c.relkind), NAMED(n.nspname, c.relname)] AS inside,
    pg_get_expr(d.adbin, d.adrelid) AS default,
    CASE WHEN a.attstorage <> t.typstorage THEN CASE a.attstorage WHEN 'p' THEN 'plain'
        WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' ELSE 'extended' END END AS storage,"""
    + _COLUMN_TAIL
    + """AND c.relkind IN ('v', 'm') AND (
    d.adbin IS NOT NULL OR a.attacl IS NOT NULL OR col_description(c.oid, a.attnum) IS NOT NULL
    OR c.relkind = 'm' AND (a.attcompression <> '' OR a.attstattarget >= 0
        OR a.attstorage <> t.typstorage
        OR array_to_string(a.attoptions, ',') ~ '(^|,)n_distinct'))
"""
)

VIEWS = """
SELECT RELATION(c.relkind) AS kind, NAMED(n.nspname, c.relname) AS name,
    pg_get_viewdef(c.oid) AS definition,
    ARRAY(SELECT format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum) AS columns,
    ROLE(c.relowner) AS owner, SORTED(c.reloptions) AS options,
    SORTED(toast.reloptions) AS toast_options,
    CASE WHEN c.relkind = 'm' THEN c.relispopulated END AS populated,
    CASE c.relreplident WHEN 'n' THEN CASE c.relkind WHEN 'm' THEN 'nothing' END
        WHEN 'f' THEN 'full' WHEN 'i' THEN 'index ' || coalesce((
            SELECT quote_ident(ic.relname) FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
            WHERE i.indrelid = c.oid AND i.indisreplident), '') END AS replica_identity,
    (SELECT amname FROM pg_am WHERE oid = c.relam) AS access_method,
    (SELECT quote_ident(spcname) FROM pg_tablespace WHERE oid = c.reltablespace) AS tablespace,
    obj_description(c.oid, 'pg_class') AS comment,
    ACL(c.relacl, 'r', c.relowner) AS privileges,
    DEPENDS(pg_class, c.oid) AS depends_on_extensions, MEMBER(pg_class, c.oid) AS extension
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
WHERE c.relkind IN ('v', 'm') AND MINE(n, pg_class, c.oid)
"""

# A sequence that a column owns has the table's owner: it is told there only. Positions are
# filled in by the reader, which must ask each sequence for its own.
SEQUENCES = """
SELECT NAMED(n.nspname, c.relname) AS name,
    CASE WHEN o.refobjid IS NOT NULL THEN ARRAY['column', o.owner_name] END AS inside,
    format_type(s.seqtypid, NULL) AS type, s.seqstart AS start, s.seqincrement AS increment,
    s.seqmin AS minimum, s.seqmax AS maximum, s.seqcache AS cache, s.seqcycle AS cycle,
    o.owner_name AS owned_by,
    CASE WHEN o.refobjid IS NULL THEN ROLE(c.relowner) END AS owner,
    CASE c.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'permanent' END AS persistence,
    obj_description(c.oid, 'pg_class') AS comment,
    ACL(c.relacl, 's', c.relowner) AS privileges, MEMBER(pg_class, c.oid) AS extension
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT d.refobjid, format('%I.%I.%I', tn.nspname, tc.relname, a.attname) AS owner_name
    FROM pg_depend d JOIN pg_class tc ON tc.oid = d.refobjid
    JOIN pg_namespace tn ON tn.oid = tc.relnamespace
    JOIN pg_attribute a ON a.attrelid = tc.oid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refobjsubid > 0
        AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') LIMIT 1
) AS o ON true
WHERE MINE(n, pg_class, c.oid)
"""

RELATION_QUERIES = (
    Query("table", TABLES),
    Query("column", COLUMNS),
    Query("column", VIEW_COLUMNS),
    Query("view", VIEWS),
    Query("sequence", SEQUENCES),
)
