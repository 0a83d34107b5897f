"""Single changes, and exactly what a comparison must say of each: no less and nothing beside it.

A line of the expectation is `~ kind name: properties` for a change, `+ kind name` and
`- kind name` for what came and went.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    before: str
    alter: str
    expected: tuple[str, ...]
    since: int = 14
    until: int = 99

    def __str__(self) -> str:
        return self.alter[:70].replace("\n", " ")


def case(before: str, alter: str, *expected: str, since: int = 14, until: int = 99) -> Case:
    return Case(before, alter, expected, since, until)


T = "CREATE TABLE t (a int, b text);"
PARTED = """
CREATE TABLE p (a int, b text) PARTITION BY RANGE (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
"""
F = "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';"
TRIGGER = """
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION touch2() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
"""
ROLES = "CREATE ROLE reader; CREATE ROLE writer;"
FDW = "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
DDL_TRIGGER = """
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION on_ddl();
"""

TABLES = (
    case("", T, "+ table public.t"),
    case(T + "CREATE INDEX ON t (a);", "DROP TABLE t", "- table public.t"),
    case(T, "ALTER TABLE t SET UNLOGGED", "~ table public.t: persistence"),
    case(T + ROLES, "ALTER TABLE t OWNER TO reader", "~ table public.t: owner"),
    case(T, "ALTER TABLE t SET (fillfactor = 70)", "~ table public.t: options"),
    case(T, "ALTER TABLE t SET (toast.autovacuum_enabled = off)",
         "~ table public.t: toast_options"),
    case(T, "ALTER TABLE t REPLICA IDENTITY FULL", "~ table public.t: replica_identity"),
    case(
        "CREATE TABLE t (a int NOT NULL); CREATE UNIQUE INDEX i ON t (a);",
        "ALTER TABLE t REPLICA IDENTITY USING INDEX i",
        "~ table public.t: replica_identity",
    ),
    case(T, "ALTER TABLE t ENABLE ROW LEVEL SECURITY", "~ table public.t: row_security"),
    case(T, "ALTER TABLE t FORCE ROW LEVEL SECURITY", "~ table public.t: force_row_security"),
    case(T, "COMMENT ON TABLE t IS 'x'", "~ table public.t: comment"),
    case(T + ROLES, "GRANT SELECT ON t TO reader", "~ table public.t: privileges"),
    case(T, "REVOKE DELETE ON t FROM CURRENT_USER", "~ table public.t: privileges"),
    case(
        T + ROLES + "GRANT SELECT ON t TO reader;",
        "GRANT SELECT ON t TO reader WITH GRANT OPTION",
        "~ table public.t: privileges",
    ),
    case(T, "GRANT ALL ON t TO CURRENT_USER"),  # a default that is spelled out is no change
    case(
        "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler; CREATE TABLE t ();",
        "DROP TABLE t; CREATE TABLE t () USING other",
        "~ table public.t: access_method",
    ),
    case(
        "CREATE TABLE base (); CREATE TABLE t ();",
        "ALTER TABLE t INHERIT base",
        "~ table public.t: inherits",
    ),
    case(
        "CREATE TYPE c AS (a int); CREATE TABLE t (a int);",
        "ALTER TABLE t OF c",
        "~ table public.t: of_type",
    ),
    case(
        PARTED,
        "DROP TABLE p1; CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9)",
        "~ table public.p1: partition_bound",
    ),
    case(
        PARTED,
        "CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30)",
        "+ table public.p3",
    ),
    case(
        PARTED,
        "ALTER TABLE p DETACH PARTITION p2",
        "~ table public.p2: partition_of, partition_bound",
        "~ column public.p2.a: inherited",
        "~ column public.p2.b: inherited",
    ),
    case(
        "CREATE TABLE p (a int) PARTITION BY RANGE (a);",
        "DROP TABLE p; CREATE TABLE p (a int) PARTITION BY HASH (a)",
        "~ table public.p: partition_key",
    ),
    case(PARTED, "ALTER TABLE p ADD COLUMN c int", "+ column public.p.c"),
    case(PARTED, "CREATE INDEX i ON p (b)", "+ index public.i"),
    case(PARTED, "ALTER TABLE p ADD PRIMARY KEY (a)",
         "~ column public.p.a: not_null", "~ column public.p1.a: not_null",
         "~ column public.p2.a: not_null", "+ constraint public.p.p_pkey"),
    case(PARTED, "ALTER TABLE p ADD CONSTRAINT k CHECK (a < 9)", "+ constraint public.p.k"),
    case(
        PARTED + TRIGGER,
        "CREATE TRIGGER tr BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION touch()",
        "+ trigger public.p.tr",
    ),
    case(
        PARTED + TRIGGER + "CREATE TRIGGER tr AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION"
         " touch();",
        "ALTER TABLE p1 DISABLE TRIGGER tr",
        "~ trigger public.p1.tr: enabled",
    ),
)  # fmt: skip

COLUMNS = (
    case(T, "ALTER TABLE t ADD c int DEFAULT 3", "+ column public.t.c"),
    case(T, "ALTER TABLE t DROP b", "- column public.t.b"),
    case("CREATE TABLE t (a int, x int, b text);", "ALTER TABLE t DROP x", "- column public.t.x"),
    case(T, "ALTER TABLE t RENAME b TO c", "- column public.t.b", "+ column public.t.c"),
    case(T, "ALTER TABLE t DROP a; ALTER TABLE t ADD a int", "~ table public.t: column_order"),
    case(T, "ALTER TABLE t ALTER a TYPE bigint", "~ column public.t.a: type"),
    case("CREATE TABLE t (a varchar(3));", "ALTER TABLE t ALTER a TYPE varchar(4)",
         "~ column public.t.a: type"),
    case("CREATE TABLE t (a numeric(5, 2));", "ALTER TABLE t ALTER a TYPE numeric(5, 3)",
         "~ column public.t.a: type"),
    case("CREATE TABLE t (a int);", "ALTER TABLE t ALTER a TYPE text", "~ column public.t.a: type"),
    case("CREATE TABLE t (a int PRIMARY KEY);", "ALTER TABLE t ALTER a TYPE bigint",
         "~ column public.t.a: type"),
    case(T, 'ALTER TABLE t ALTER b TYPE text COLLATE "C"', "~ column public.t.b: collation"),
    case(T, "ALTER TABLE t ALTER a SET NOT NULL", "~ column public.t.a: not_null"),
    case(T, "ALTER TABLE t ADD CONSTRAINT named NOT NULL a",
         "~ column public.t.a: not_null, not_null_constraint", since=18),
    case("CREATE TABLE t (a int NOT NULL);",
         "ALTER TABLE t ALTER CONSTRAINT t_a_not_null NO INHERIT",
         "~ column public.t.a: not_null_constraint", since=18),
    case(T, "ALTER TABLE t ALTER a SET DEFAULT 1", "~ column public.t.a: default"),
    case("CREATE TABLE t (a int DEFAULT 1);", "ALTER TABLE t ALTER a SET DEFAULT 2",
         "~ column public.t.a: default"),
    case("CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY);",
         "ALTER TABLE t ALTER a SET GENERATED BY DEFAULT", "~ column public.t.a: identity"),
    case("CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY (START 5));",
         "ALTER TABLE t ALTER a SET INCREMENT 7", "~ sequence public.t_a_seq: increment"),
    case("CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a + 1) STORED);",
         "ALTER TABLE t ALTER b DROP EXPRESSION", "~ column public.t.b: generated"),
    case("CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL);",
         "ALTER TABLE t ALTER b SET EXPRESSION AS (a + 2)", "~ column public.t.b: generated",
         since=18),
    case(T, "ALTER TABLE t ALTER b SET STORAGE EXTERNAL", "~ column public.t.b: storage"),
    case(T, "ALTER TABLE t ALTER b SET COMPRESSION pglz", "~ column public.t.b: compression"),
    case(T, "ALTER TABLE t ALTER a SET STATISTICS 500", "~ column public.t.a: statistics"),
    case(T, "ALTER TABLE t ALTER a SET STATISTICS 0", "~ column public.t.a: statistics"),
    case(T, "ALTER TABLE t ALTER a SET (n_distinct = 5)", "~ column public.t.a: options"),
    case(T, "ALTER TABLE t ALTER a SET (n_distinct_inherited = 5)", "~ column public.t.a: options"),
    case(T, "COMMENT ON COLUMN t.a IS 'x'", "~ column public.t.a: comment"),
    case(T + ROLES, "GRANT UPDATE (a) ON t TO reader", "~ column public.t.a: privileges"),
    case("CREATE TABLE base (a int); CREATE TABLE t () INHERITS (base);",
         "ALTER TABLE base ADD z int",
         "+ column public.base.z"),
    case("CREATE TABLE base (a int); CREATE TABLE t () INHERITS (base);",
         "ALTER TABLE t NO INHERIT base",
         "~ table public.t: inherits", "~ column public.t.a: inherited"),
    case("CREATE TABLE base (a int); CREATE TABLE t () INHERITS (base);",
         "DROP TABLE t; CREATE TABLE t (a int) INHERITS (base)", "~ column public.t.a: inherited"),
    case("CREATE TABLE t (a int);", "ALTER TABLE t ADD b serial", "+ column public.t.b"),
)  # fmt: skip

K = "CREATE TABLE r (id int PRIMARY KEY); CREATE TABLE t (a int, b int, c int4range);"
FK = K + "ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES r;"

CONSTRAINTS = (
    case(K, "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a)", "+ constraint public.t.k"),
    case(K + "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a);",
         "ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k UNIQUE (a, b)",
         "~ constraint public.t.k: definition"),
    case(K + "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a);",
         "ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k UNIQUE (a) INCLUDE (b)",
         "~ constraint public.t.k: definition"),
    case(K + "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a);",
         "ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k UNIQUE NULLS NOT DISTINCT (a)",
         "~ constraint public.t.k: definition", since=15),
    case(K + "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a);",
         "ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k UNIQUE (a) WITH (fillfactor = 50)",
         "~ index public.k: options"),
    case(K + "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0);",
         "ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k CHECK (a > 1)",
         "~ constraint public.t.k: definition"),
    case(K + "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0);",
         "ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k CHECK (a > 0) NO INHERIT",
         "~ constraint public.t.k: definition"),
    case(K + "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID;",
         "ALTER TABLE t VALIDATE CONSTRAINT k", "~ constraint public.t.k: definition, validated"),
    case(FK, "ALTER TABLE t ALTER CONSTRAINT k DEFERRABLE",
         "~ constraint public.t.k: definition, deferrable"),
    case(FK + "ALTER TABLE t ALTER CONSTRAINT k DEFERRABLE;",
         "ALTER TABLE t ALTER CONSTRAINT k DEFERRABLE INITIALLY DEFERRED",
         "~ constraint public.t.k: definition, deferred"),
    case(FK, "ALTER TABLE t DROP CONSTRAINT k,"
         " ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES r ON DELETE SET NULL",
         "~ constraint public.t.k: definition"),
    case(FK, "ALTER TABLE t DISABLE TRIGGER ALL", "~ constraint public.t.k: enforcement"),
    case(FK, "ALTER TABLE t ALTER CONSTRAINT k NOT ENFORCED",
         "~ constraint public.t.k: definition, validated, enforced", since=18),
    case(FK, "COMMENT ON CONSTRAINT k ON t IS 'x'", "~ constraint public.t.k: comment"),
    case(FK, "ALTER TABLE t RENAME CONSTRAINT k TO l", "- constraint public.t.k",
         "+ constraint public.t.l"),
    case(FK, "DROP TABLE r CASCADE", "- table public.r", "- constraint public.t.k"),
    case(K, "ALTER TABLE t ADD CONSTRAINT k EXCLUDE USING gist (c WITH &&)",
         "+ constraint public.t.k"),
    case(K + "ALTER TABLE t ADD CONSTRAINT k EXCLUDE USING gist (c WITH &&);",
         "ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k EXCLUDE USING gist (c WITH &&)"
         " WHERE (a > 0)",
         "~ constraint public.t.k: definition"),
    case(K + "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a); ",
         "ALTER TABLE t DROP CONSTRAINT k; CREATE UNIQUE INDEX k ON t (a)",
         "- constraint public.t.k", "~ index public.k: definition, constraint, options"),
)  # fmt: skip

I = "CREATE TABLE t (a int NOT NULL, b text); CREATE INDEX i ON t (a);"  # noqa: E741


def _index(definition: str, *properties: str, since: int = 14) -> Case:
    return case(
        I,
        f"DROP INDEX i; CREATE {definition}",
        f"~ index public.i: {', '.join(properties or ('definition',))}",
        since=since,
    )


INDEXES = (
    case(I, "DROP INDEX i", "- index public.i"),
    _index("UNIQUE INDEX i ON t (a)", "definition", "unique"),
    _index("INDEX i ON t (a DESC)"),
    _index("INDEX i ON t (a NULLS FIRST)"),
    _index("INDEX i ON t (b)"),
    _index("INDEX i ON t (a, b)"),
    _index("INDEX i ON t (a) INCLUDE (b)"),
    _index("INDEX i ON t (a) WHERE a > 0"),
    _index("INDEX i ON t ((a + 1))"),
    _index("INDEX i ON t (b text_pattern_ops)"),
    _index('INDEX i ON t (b COLLATE "C")'),
    _index("INDEX i ON t USING hash (a)"),
    _index("INDEX i ON t (a) WITH (fillfactor = 50)"),
    case(I, "ALTER TABLE t CLUSTER ON i", "~ index public.i: clustered"),
    case(I, "COMMENT ON INDEX i IS 'x'", "~ index public.i: comment"),
    case(I, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.i'::regclass",
         "~ index public.i: valid"),
    case(I + "DROP INDEX i; CREATE INDEX i ON t ((a + 1));",
         "ALTER INDEX i ALTER COLUMN 1 SET STATISTICS 7", "~ index public.i: statistics"),
)  # fmt: skip

V = T + "CREATE VIEW v AS SELECT a FROM t;"
MV = T + "CREATE MATERIALIZED VIEW m AS SELECT a, b FROM t;"

VIEWS = (
    case(T, "CREATE VIEW v AS SELECT a FROM t", "+ view public.v"),
    case(V, "CREATE OR REPLACE VIEW v AS SELECT a FROM t WHERE a > 0",
         "~ view public.v: definition"),
    case(V, "CREATE OR REPLACE VIEW v AS SELECT a, b FROM t",
         "~ view public.v: definition, columns"),
    case(V, "ALTER VIEW v SET (security_barrier)", "~ view public.v: options"),
    case(V, "ALTER VIEW v SET (check_option = local)", "~ view public.v: options"),
    case(V + ROLES, "ALTER VIEW v OWNER TO reader", "~ view public.v: owner"),
    case(V + ROLES, "GRANT SELECT ON v TO reader", "~ view public.v: privileges"),
    case(V, "COMMENT ON VIEW v IS 'x'", "~ view public.v: comment"),
    case(V, "ALTER VIEW v ALTER a SET DEFAULT 1", "+ column public.v.a"),
    case(V, "COMMENT ON COLUMN v.a IS 'x'", "+ column public.v.a"),
    case(T, "CREATE MATERIALIZED VIEW m AS SELECT a FROM t", "+ materialized view public.m"),
    case(MV, "REFRESH MATERIALIZED VIEW m WITH NO DATA", "~ materialized view public.m: populated"),
    case(MV, "ALTER MATERIALIZED VIEW m SET (fillfactor = 50)",
         "~ materialized view public.m: options"),
    case(MV, "CREATE INDEX i ON m (a)", "+ index public.i"),
    case(MV, "ALTER MATERIALIZED VIEW m ALTER b SET STATISTICS 9", "+ column public.m.b"),
    case(MV, "COMMENT ON MATERIALIZED VIEW m IS 'x'", "~ materialized view public.m: comment"),
    case(T, "CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING", "+ rule public.t.r"),
    case(T + "CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING;",
         "CREATE OR REPLACE RULE r AS ON DELETE TO t DO ALSO NOTHING",
         "~ rule public.t.r: definition"),
    case(T + "CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING;", "ALTER TABLE t DISABLE RULE r",
         "~ rule public.t.r: enabled"),
)  # fmt: skip
