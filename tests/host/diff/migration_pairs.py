"""Pairs of schemas that differ in more than one thing at once; each is migrated both ways.

Roles `reader` and `writer` exist on the server.
"""

# ruff: noqa: E501  (SQL reads better unbroken)

from __future__ import annotations

from pathlib import Path

SHOP = (
    (Path(__file__).parent / "shop.sql")
    .read_text()
    .replace("CREATE USER MAPPING FOR PUBLIC SERVER away OPTIONS (password 'hush');", "")
)  # what may be a secret is never written

TOUCH = "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
FDW = "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"

SHELL = """
CREATE SCHEMA other; CREATE TYPE other.b;
CREATE FUNCTION other.b_in(cstring) RETURNS other.b LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION other.b_out(other.b) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
"""

PAIRS: dict[str, tuple[str, str]] = {
    "a whole shop": ("", SHOP),
    "a column's type under views of views": (
        """CREATE TABLE t (a int, b text); CREATE VIEW v1 AS SELECT a, b FROM t;
        CREATE VIEW v2 AS SELECT a + 1 AS c FROM v1; CREATE VIEW v3 AS SELECT c FROM v2;
        COMMENT ON VIEW v2 IS 'two'; GRANT SELECT ON v3 TO reader;
        CREATE MATERIALIZED VIEW m AS SELECT c FROM v3; CREATE INDEX mi ON m (c);
        ALTER VIEW v3 OWNER TO writer;""",
        """CREATE TABLE t (a bigint, b text); CREATE VIEW v1 AS SELECT a, b FROM t;
        CREATE VIEW v2 AS SELECT a + 1 AS c FROM v1; CREATE VIEW v3 AS SELECT c FROM v2;
        COMMENT ON VIEW v2 IS 'two'; GRANT SELECT ON v3 TO reader;
        CREATE MATERIALIZED VIEW m AS SELECT c FROM v3; CREATE INDEX mi ON m (c);
        ALTER VIEW v3 OWNER TO writer;""",
    ),
    "a function's result and all that stands on it": (
        """CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
        CREATE TABLE t (a int DEFAULT f(1), b int, CONSTRAINT k CHECK (f(a) > 0));
        CREATE INDEX i ON t (f(b)); CREATE VIEW v AS SELECT f(a) AS x FROM t;
        CREATE DOMAIN d AS int CONSTRAINT dk CHECK (f(VALUE) > 0);
        CREATE POLICY p ON t USING (f(a) = 1);
        CREATE RULE r AS ON DELETE TO t WHERE f(OLD.a) = 3 DO INSTEAD NOTHING;""",
        """CREATE FUNCTION f(int) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT $1';
        CREATE TABLE t (a int DEFAULT f(1), b int, CONSTRAINT k CHECK (f(a) > 0));
        CREATE INDEX i ON t (f(b)); CREATE VIEW v AS SELECT f(a) AS x FROM t;
        CREATE DOMAIN d AS int CONSTRAINT dk CHECK (f(VALUE) > 0);
        CREATE POLICY p ON t USING (f(a) = 1);
        CREATE RULE r AS ON DELETE TO t WHERE f(OLD.a) = 3 DO INSTEAD NOTHING;""",
    ),
    "a function that a generated column uses": (
        """CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
        CREATE TABLE t (a int, g int GENERATED ALWAYS AS (f(a)) STORED, z int);
        CREATE INDEX i ON t (g); CREATE VIEW v AS SELECT g FROM t;""",
        """CREATE FUNCTION f(int) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT $1';
        CREATE TABLE t (a int, g int GENERATED ALWAYS AS (f(a)) STORED, z int);
        CREATE INDEX i ON t (g); CREATE VIEW v AS SELECT g FROM t;""",
    ),
    "labels of an enum in use": (
        """CREATE TYPE e AS ENUM ('a', 'b', 'c'); CREATE DOMAIN de AS e;
        CREATE TABLE t (x e DEFAULT 'a', y e[], CONSTRAINT k CHECK (x <> 'b'));
        CREATE INDEX i ON t (x) WHERE x = 'a'; CREATE VIEW v AS SELECT x FROM t WHERE x = 'a';
        CREATE FUNCTION f(e) RETURNS e LANGUAGE sql AS 'SELECT $1';
        CREATE TABLE u (d de);""",
        """CREATE TYPE e AS ENUM ('c', 'a'); CREATE DOMAIN de AS e;
        CREATE TABLE t (x e DEFAULT 'a', y e[], CONSTRAINT k CHECK (x <> 'c'));
        CREATE INDEX i ON t (x) WHERE x = 'a'; CREATE VIEW v AS SELECT x FROM t WHERE x = 'a';
        CREATE FUNCTION f(e) RETURNS e LANGUAGE sql AS 'SELECT $1';
        CREATE TABLE u (d de);""",
    ),
    "a new label that is used at once": (
        "CREATE TYPE e AS ENUM ('a', 'b'); CREATE TABLE t (x e DEFAULT 'a');",
        """CREATE TYPE e AS ENUM ('z', 'a', 'mid', 'b', 'end');
        CREATE TABLE t (x e DEFAULT 'mid', CONSTRAINT k CHECK (x <> 'z'));
        CREATE VIEW v AS SELECT x FROM t WHERE x = 'end';""",
    ),
    "foreign keys in a circle": (
        "",
        """CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b; ALTER TABLE b ADD FOREIGN KEY (a) REFERENCES a;
        CREATE TABLE self (id int PRIMARY KEY, up int REFERENCES self);""",
    ),
    "types of keys on both ends": (
        """CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int REFERENCES a ON DELETE CASCADE);
        CREATE TABLE c (x varchar(5) PRIMARY KEY); CREATE TABLE d (x varchar(5) REFERENCES c);""",
        """CREATE TABLE a (id text PRIMARY KEY); CREATE TABLE b (a text REFERENCES a ON DELETE CASCADE);
        CREATE TABLE c (x text PRIMARY KEY); CREATE TABLE d (x text REFERENCES c);""",
    ),
    "names change places": (
        """CREATE TABLE x (a int); CREATE VIEW y AS SELECT a FROM x; CREATE SEQUENCE z;
        CREATE INDEX w ON x (a);""",
        """CREATE TABLE y (a int); CREATE VIEW x AS SELECT a FROM y; CREATE TABLE z (b text);
        CREATE SEQUENCE w; CREATE TYPE q AS ENUM ('a');""",
    ),
    "a type and a table of one name": (
        "CREATE TYPE x AS ENUM ('a', 'b'); CREATE TABLE t (c x);",
        "CREATE TABLE x (a int); CREATE TABLE t (c text);",
    ),
    "columns of the same names and other types": (
        "CREATE TABLE t (a int, b text, c date DEFAULT '2020-01-01');",
        "CREATE TABLE t (a text, b int, c text DEFAULT 'x');",
    ),
    "a column in the middle": (
        """CREATE TABLE t (a int PRIMARY KEY, c text DEFAULT 'c' UNIQUE);
        CREATE VIEW v AS SELECT a, c FROM t; CREATE TABLE u (a int REFERENCES t);
        COMMENT ON COLUMN t.c IS 'last'; GRANT SELECT (c) ON t TO reader;
        ALTER TABLE t OWNER TO writer;""",
        """CREATE TABLE t (a int PRIMARY KEY, b int, c text DEFAULT 'c' UNIQUE);
        CREATE VIEW v AS SELECT a, c FROM t; CREATE TABLE u (a int REFERENCES t);
        COMMENT ON COLUMN t.c IS 'last'; GRANT SELECT (c) ON t TO reader;
        ALTER TABLE t OWNER TO writer;""",
    ),
    "a table with everything on it, written anew": (
        SHOP,
        SHOP.replace("    name varchar(80) NOT", "    nick text, name varchar(90) NOT"),
    ),
    "partitions come": (
        "CREATE TABLE p (a int, b text);",
        """CREATE TABLE p (a int, b text, PRIMARY KEY (a)) PARTITION BY RANGE (a);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);""",
    ),
    "a tree of partitions": (
        "",
        TOUCH
        + """
        CREATE TABLE p (a int, b text NOT NULL, c date, PRIMARY KEY (a, c)) PARTITION BY RANGE (c);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')
            PARTITION BY LIST (a);
        CREATE TABLE p1a PARTITION OF p1 FOR VALUES IN (1, 2); CREATE TABLE p1d PARTITION OF p1 DEFAULT;
        CREATE TABLE p2 PARTITION OF p DEFAULT; CREATE INDEX i ON p (b);
        CREATE TRIGGER tr AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION touch();
        ALTER TABLE p ADD CONSTRAINT k CHECK (a > 0);
        CREATE TABLE r (a int, c date, FOREIGN KEY (a, c) REFERENCES p);
        COMMENT ON TABLE p1a IS 'leaf'; COMMENT ON INDEX i IS 'i';""",
    ),
    "partitions come and go": (
        """CREATE TABLE p (a int, b text, PRIMARY KEY (a)) PARTITION BY RANGE (a);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
        CREATE TABLE p2 (a int NOT NULL, b text, PRIMARY KEY (a));
        CREATE TABLE r (a int REFERENCES p);""",
        """CREATE TABLE p (a int, b text, c int, PRIMARY KEY (a)) PARTITION BY RANGE (a);
        CREATE TABLE p1 (a int NOT NULL, b text, PRIMARY KEY (a));
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (0) TO (10);
        CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (10) TO (20);
        CREATE INDEX i ON p (b); CREATE TABLE r (a int REFERENCES p);""",
    ),
    "the key that partitions": (
        """CREATE TABLE p (a int, b text) PARTITION BY RANGE (a);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE VIEW v AS SELECT * FROM p;
        CREATE INDEX i ON p (b);""",
        """CREATE TABLE p (a bigint, b text) PARTITION BY RANGE (a);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE VIEW v AS SELECT * FROM p;
        CREATE INDEX i ON p (b);""",
    ),
    "a partition with bounds, defaults and triggers of its own": (
        TOUCH
        + """CREATE TABLE p (a int, b text DEFAULT 'p') PARTITION BY LIST (a);
        CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p DEFAULT;""",
        TOUCH
        + """CREATE TABLE p (a int, b text DEFAULT 'p', c int DEFAULT 1) PARTITION BY LIST (a);
        CREATE TABLE p1 PARTITION OF p (b DEFAULT 'p1', c NOT NULL) FOR VALUES IN (1, 7);
        CREATE TABLE p2 PARTITION OF p DEFAULT; CREATE INDEX only1 ON p1 (b);
        CREATE TRIGGER tr BEFORE INSERT ON p1 FOR EACH ROW EXECUTE FUNCTION touch();
        ALTER TABLE p1 ADD CONSTRAINT k1 CHECK (c > 0);""",
    ),
    "inheritance": (
        "CREATE TABLE base (a int); CREATE TABLE t (a int, b text);",
        """CREATE TABLE base (a int NOT NULL, x text DEFAULT 'x', CONSTRAINT k CHECK (a > 0));
        CREATE TABLE t (b text, c int) INHERITS (base); CREATE TABLE t2 () INHERITS (t);
        ALTER TABLE t ALTER x SET DEFAULT 't';""",
    ),
    "columns that heirs have": (
        """CREATE TABLE base (a int, gone text); CREATE TABLE t (b text) INHERITS (base);
        CREATE TABLE u (gone text) INHERITS (base);""",
        """CREATE TABLE base (a bigint, gone text, d int DEFAULT 3);
        CREATE TABLE t (b text) INHERITS (base); CREATE TABLE u (gone text) INHERITS (base);
        ALTER TABLE base ADD CONSTRAINT k CHECK (d > 0);""",
    ),
    "two parents": (
        "CREATE TABLE a (x int); CREATE TABLE b (y int); CREATE TABLE t () INHERITS (a, b);",
        "CREATE TABLE a (x int); CREATE TABLE b (y int); CREATE TABLE t () INHERITS (b, a);",
    ),
    "serial, identity and their sequences": (
        """CREATE TABLE t (a serial, b int, c int GENERATED ALWAYS AS IDENTITY, d int);
        CREATE SEQUENCE s; CREATE TABLE u (a int DEFAULT nextval('s'));
        SELECT setval('s', 77); SELECT setval('t_a_seq', 5); SELECT nextval('t_c_seq');""",
        """CREATE TABLE t (a int, b serial, c int, d bigint GENERATED BY DEFAULT AS IDENTITY
        (START 9 INCREMENT 3)); CREATE SEQUENCE s START 100;
        CREATE TABLE u (a int DEFAULT nextval('s')); ALTER SEQUENCE s OWNED BY u.a;
        ALTER TABLE u OWNER TO writer;""",
    ),
    "serial becomes identity": (
        "CREATE TABLE t (id serial PRIMARY KEY); SELECT setval('t_id_seq', 41);",
        """CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY);
        SELECT setval('t_id_seq', 41);""",
    ),
    "a composite type inside and out": (
        """CREATE TYPE c AS (x int, y text); CREATE TABLE t (v c, w c[]);
        CREATE FUNCTION f(c) RETURNS c LANGUAGE sql AS 'SELECT $1'; CREATE TYPE o AS (i c);
        CREATE TABLE typed OF c;""",
        """CREATE TYPE c AS (x bigint, y text, z int); CREATE TABLE t (v c, w c[]);
        CREATE FUNCTION f(c) RETURNS c LANGUAGE sql AS 'SELECT $1'; CREATE TYPE o AS (i c);
        CREATE TABLE typed OF c;""",
    ),
    "attributes of a composite type": (
        """CREATE TYPE c AS (x int, gone text); COMMENT ON COLUMN c.x IS 'x'; CREATE TABLE t (v c);
        CREATE VIEW v AS SELECT (v).x FROM t;""",
        """CREATE TYPE c AS (x int, come date, more int); CREATE TABLE t (v c);
        CREATE VIEW v AS SELECT (v).x FROM t;""",
    ),
    "a domain over a domain": (
        """CREATE DOMAIN d AS int CHECK (VALUE > 0); CREATE DOMAIN dd AS d DEFAULT 4;
        CREATE TABLE t (a d, b dd NOT NULL); CREATE VIEW v AS SELECT a FROM t;""",
        """CREATE DOMAIN d AS bigint CHECK (VALUE > 0); CREATE DOMAIN dd AS d DEFAULT 4;
        CREATE TABLE t (a d, b dd NOT NULL); CREATE VIEW v AS SELECT a FROM t;""",
    ),
    "a range type of columns": (
        """CREATE TYPE r AS RANGE (subtype = float8); CREATE TABLE t (a r, EXCLUDE USING gist (a WITH &&));
        CREATE INDEX i ON t USING gist (a); INSERT INTO t VALUES ('[1,2]');""",
        """CREATE TYPE r AS RANGE (subtype = float8, subtype_diff = float8mi);
        CREATE TABLE t (a r, EXCLUDE USING gist (a WITH &&)); CREATE INDEX i ON t USING gist (a);
        INSERT INTO t VALUES ('[1,2]');""",
    ),
    "a base type and its functions": (
        "",
        """CREATE TYPE b; CREATE FUNCTION bin(cstring) RETURNS b LANGUAGE internal IMMUTABLE STRICT
        AS 'textin'; CREATE FUNCTION bout(b) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT
        AS 'textout'; CREATE TYPE b (input = bin, output = bout, like = text);
        CREATE TABLE t (a b); COMMENT ON TYPE b IS 'own';""",
    ),
    "a window, an aggregate, a cast, an operator, a class": (
        "",
        """CREATE FUNCTION plus(int, int) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 + $2';
        CREATE AGGREGATE sum_up(int) (sfunc = plus, stype = int, initcond = '0',
            msfunc = plus, minvfunc = int4mi, mstype = int, minitcond = '0', parallel = safe);
        CREATE AGGREGATE pick(float8 ORDER BY anyelement) (sfunc = ordered_set_transition,
            stype = internal, finalfunc = percentile_disc_final, finalfunc_extra);
        CREATE AGGREGATE n(*) (sfunc = int8inc, stype = int8, initcond = '0');
        CREATE TYPE e AS ENUM ('a'); CREATE CAST (e AS int) WITH INOUT AS ASSIGNMENT;
        CREATE OPERATOR + (FUNCTION = plus, LEFTARG = int, RIGHTARG = int, COMMUTATOR = OPERATOR(public.+));
        CREATE OPERATOR CLASS ic FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=,
            OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int);
        CREATE TABLE t (a int); CREATE INDEX i ON t (a ic); CREATE VIEW v AS SELECT sum_up(a) FROM t;
        COMMENT ON AGGREGATE sum_up(int) IS 'sum'; REVOKE ALL ON FUNCTION sum_up(int) FROM PUBLIC;""",
    ),
    "privileges of all sorts": (
        """CREATE SCHEMA s; CREATE TABLE t (a int, b int); CREATE SEQUENCE q;
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        GRANT ALL ON t TO reader WITH GRANT OPTION; GRANT SELECT ON t TO writer;
        REVOKE EXECUTE ON FUNCTION f FROM PUBLIC; GRANT SELECT (a), UPDATE (b) ON t TO PUBLIC;
        GRANT USAGE ON SCHEMA s TO reader; CREATE TYPE e AS ENUM ('a');
        SET ROLE reader; GRANT DELETE ON t TO writer; RESET ROLE;""",
        """CREATE SCHEMA s; CREATE TABLE t (a int, b int); CREATE SEQUENCE q;
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER TABLE t OWNER TO writer;
        GRANT SELECT ON t TO reader; REVOKE INSERT ON t FROM writer; GRANT EXECUTE ON FUNCTION f TO reader;
        GRANT ALL ON SCHEMA s TO PUBLIC; CREATE TYPE e AS ENUM ('a'); REVOKE ALL ON TYPE e FROM PUBLIC;
        GRANT USAGE, UPDATE ON SEQUENCE q TO writer;""",
    ),
    "default privileges while tables come": (
        """ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO reader;""",
        """CREATE TABLE t (a serial); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT ON TABLES TO writer;""",
    ),
    "publications of tables that change": (
        """CREATE TABLE t (a int, b int); CREATE TABLE u (a int); CREATE TABLE gone (a int);
        CREATE PUBLICATION p FOR TABLE t, u, gone;""",
        """CREATE TABLE t (a bigint, c int); CREATE TABLE u (z int, a int); CREATE TABLE come (a int);
        CREATE PUBLICATION p FOR TABLE t, u, come WITH (publish = 'insert');""",
    ),
    "something foreign": (
        FDW + "CREATE FOREIGN TABLE f (a int) SERVER s OPTIONS (x '1', y '2');",
        FDW
        + """ALTER SERVER s OPTIONS (host 'h'); CREATE SERVER s2 TYPE 't' FOREIGN DATA WRAPPER w;
        CREATE FOREIGN TABLE f (b text, a bigint OPTIONS (o 'p') NOT NULL) SERVER s
        OPTIONS (x '7', z '3'); CREATE FOREIGN TABLE g (a int) SERVER s2; COMMENT ON SERVER s IS 's';""",
    ),
    "another server for a foreign table": (
        FDW + "CREATE SERVER s2 FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE f (a int) SERVER s;"
        "CREATE VIEW v AS SELECT a FROM f;",
        FDW + "CREATE SERVER s2 FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE f (a int) SERVER s2;"
        "CREATE VIEW v AS SELECT a FROM f;",
    ),
    "text search": (
        "CREATE TEXT SEARCH CONFIGURATION c (COPY = pg_catalog.simple);",
        """CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = pg_catalog.simple, stopwords = english, accept = false);
        CREATE TEXT SEARCH CONFIGURATION c (COPY = pg_catalog.english);
        ALTER TEXT SEARCH CONFIGURATION c ALTER MAPPING FOR asciiword WITH d, english_stem;
        ALTER TEXT SEARCH CONFIGURATION c DROP MAPPING FOR url;
        CREATE TABLE t (a text); CREATE INDEX i ON t USING gin (to_tsvector('public.c', a));""",
    ),
    "triggers on events and their functions": (
        """CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
        CREATE EVENT TRIGGER one ON ddl_command_end EXECUTE FUNCTION e(); CREATE TABLE t (a int);""",
        """CREATE FUNCTION e2() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
        CREATE EVENT TRIGGER one ON ddl_command_start WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION e2();
        ALTER EVENT TRIGGER one ENABLE ALWAYS; CREATE TABLE t (a int, b int);""",
    ),
    "a schema and all in it": (
        "CREATE SCHEMA x; CREATE TABLE x.t (a int); CREATE VIEW v AS SELECT a FROM x.t;",
        "CREATE SCHEMA y; CREATE TABLE y.t (a int); CREATE VIEW v AS SELECT a FROM y.t;",
    ),
    "names that must be quoted": (
        """CREATE SCHEMA "S.x"; CREATE TABLE "S.x"."T ""q"""
        + '"'
        + """ ("C.o" int DEFAULT 1, "order" text, "a'b" int);""",
        """CREATE SCHEMA "S.x"; CREATE TYPE "S.x"."E e" AS ENUM ('it''s', 'back\\slash');
        CREATE TABLE "S.x"."T ""q"""
        + '"'
        + """ ("C.o" bigint DEFAULT 2, "order" "S.x"."E e" PRIMARY KEY, "new (x)" int,
        CONSTRAINT "K k" CHECK ("C.o" > 0)); CREATE INDEX "I.i" ON "S.x"."T ""q"""
        + '"'
        + """ ("C.o");
        COMMENT ON COLUMN "S.x"."T ""q"""
        + '"'
        + """."C.o" IS 'it''s "so" \\ -- ; $$';
        CREATE FUNCTION "S.x"."f (x)"("a b" "S.x"."E e") RETURNS "S.x"."E e" LANGUAGE sql AS 'SELECT $1';
        CREATE POLICY "P p" ON "S.x"."T ""q"""
        + '"'
        + """ USING ("C.o" = 1);
        CREATE AGGREGATE "S.x"."agg (x)"(int) (sfunc = int4pl, stype = int);""",
    ),
    "a view that names tables which are made again": (
        """CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE VIEW v AS SELECT a FROM t;
        CREATE VIEW w AS SELECT a FROM v; CREATE RULE r AS ON INSERT TO w DO INSTEAD NOTHING;
        COMMENT ON COLUMN w.a IS 'kept'; GRANT SELECT ON w TO reader;""",
        """CREATE TABLE t (a int) PARTITION BY RANGE (a); CREATE VIEW v AS SELECT a FROM t;
        CREATE VIEW w AS SELECT a FROM v; CREATE RULE r AS ON INSERT TO w DO INSTEAD NOTHING;
        COMMENT ON COLUMN w.a IS 'kept'; GRANT SELECT ON w TO reader;""",
    ),
    "set on columns of views": (
        """CREATE TABLE t (a int, b text); CREATE VIEW v AS SELECT a, b FROM t;
        ALTER VIEW v ALTER a SET DEFAULT 1; COMMENT ON COLUMN v.b IS 'b'; GRANT SELECT (a) ON v TO reader;
        CREATE MATERIALIZED VIEW m AS SELECT a, b FROM t; ALTER MATERIALIZED VIEW m ALTER b SET STATISTICS 5;""",
        """CREATE TABLE t (a int, b text); CREATE VIEW v AS SELECT a, b, 1 AS c FROM t;
        ALTER VIEW v ALTER b SET DEFAULT 'x'; COMMENT ON COLUMN v.a IS 'a';
        CREATE MATERIALIZED VIEW m AS SELECT a, b FROM t; COMMENT ON COLUMN m.a IS 'a';""",
    ),
    "replica identity by an index that changes": (
        """CREATE TABLE t (a int NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX i ON t (a);
        ALTER TABLE t REPLICA IDENTITY USING INDEX i; ALTER TABLE t CLUSTER ON i;""",
        """CREATE TABLE t (a int NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX i ON t (b);
        ALTER TABLE t REPLICA IDENTITY USING INDEX i; ALTER TABLE t CLUSTER ON i;""",
    ),
    "a primary key and those who refer to it": (
        """CREATE TABLE t (a int PRIMARY KEY, b int); CREATE TABLE r (a int REFERENCES t);
        CREATE TABLE q (x int, a int, FOREIGN KEY (a) REFERENCES t ON UPDATE CASCADE);
        CREATE VIEW v AS SELECT a, b FROM t GROUP BY a;""",
        """CREATE TABLE t (a int, b int, PRIMARY KEY (a) INCLUDE (b)); CREATE TABLE r (a int REFERENCES t);
        CREATE TABLE q (x int, a int, FOREIGN KEY (a) REFERENCES t ON UPDATE CASCADE);
        CREATE VIEW v AS SELECT a, b FROM t GROUP BY a;""",
    ),
    "functions of tables, tables of functions": (
        """CREATE TABLE t (a int); CREATE FUNCTION f(t) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION g() RETURNS SETOF t LANGUAGE sql AS 'SELECT NULL::public.t';
        CREATE TABLE u (x int DEFAULT f(NULL));""",
        """CREATE TABLE t (a int, b int); CREATE FUNCTION f(t) RETURNS bigint LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION g() RETURNS SETOF t LANGUAGE sql AS 'SELECT NULL::public.t';
        CREATE TABLE u (x int DEFAULT f(NULL)); CREATE VIEW v AS SELECT f(t) FROM t;""",
    ),
    "statistics, policies, rules on a column that changes": (
        TOUCH
        + """CREATE TABLE t (a int, b int); CREATE STATISTICS st ON a, b FROM t;
        CREATE POLICY p ON t TO reader USING (a > 0) WITH CHECK (b > 0); ALTER TABLE t ENABLE ROW LEVEL SECURITY;
        CREATE TRIGGER tr BEFORE UPDATE OF a ON t FOR EACH ROW WHEN (NEW.a > 1) EXECUTE FUNCTION touch();
        ALTER TABLE t DISABLE TRIGGER tr; COMMENT ON TRIGGER tr ON t IS 'tr';""",
        TOUCH
        + """CREATE TABLE t (a numeric, b int); CREATE STATISTICS st ON a, b FROM t;
        CREATE POLICY p ON t TO reader USING (a > 0) WITH CHECK (b > 0); ALTER TABLE t ENABLE ROW LEVEL SECURITY;
        CREATE TRIGGER tr BEFORE UPDATE OF a ON t FOR EACH ROW WHEN (NEW.a > 1) EXECUTE FUNCTION touch();
        ALTER TABLE t DISABLE TRIGGER tr; COMMENT ON TRIGGER tr ON t IS 'tr';""",
    ),
    "a collation in use": (
        """CREATE COLLATION co (locale = 'C'); CREATE TABLE t (a text COLLATE co); CREATE INDEX i ON t (a);
        CREATE DOMAIN d AS text COLLATE co; CREATE VIEW v AS SELECT a FROM t;""",
        """CREATE COLLATION co (locale = 'POSIX'); CREATE TABLE t (a text COLLATE co); CREATE INDEX i ON t (a);
        CREATE DOMAIN d AS text COLLATE co; CREATE VIEW v AS SELECT a FROM t;""",
    ),
    "a table becomes unlogged, a view a table": (
        "CREATE TABLE t (a serial); CREATE VIEW x AS SELECT 1 AS a; CREATE MATERIALIZED VIEW y AS SELECT 1 AS a;",
        "CREATE UNLOGGED TABLE t (a serial); CREATE TABLE x (a int); CREATE VIEW y AS SELECT 1 AS a;",
    ),
    "a shell becomes a type": (
        SHELL,
        SHELL + "CREATE TYPE other.b (INPUT = other.b_in, OUTPUT = other.b_out);",
    ),
    "a type comes with its schema": (
        "",
        SHELL + "CREATE TYPE other.b (INPUT = other.b_in, OUTPUT = other.b_out);",
    ),
}
