"""Single changes to the rarer properties of tables, views, what hangs on them, and aggregates."""

from __future__ import annotations

from tests.host.diff.cases import PARTED, ROLES, TRIGGER, Case, F, I, K, T, V, case
from tests.host.diff.more_cases import AGGREGATE, S

M = "CREATE MATERIALIZED VIEW m AS SELECT 1 AS a, ''::text AS b;"

PARTS = (
    case("CREATE TABLE b (a int, CONSTRAINT k CHECK (a > 0)); CREATE TABLE t () INHERITS (b);",
         "ALTER TABLE t NO INHERIT b", "~ table public.t: inherits",
         "~ column public.t.a: inherited", "~ constraint public.t.k: inherited"),
    case(K + "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0);",
         "ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k UNIQUE (a)",
         "~ constraint public.t.k: type, definition", "+ index public.k"),
    case("CREATE TABLE t (a int NOT NULL, CONSTRAINT k UNIQUE (a));",
         "ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k PRIMARY KEY (a)",
         "~ constraint public.t.k: type, definition", "~ index public.k: primary"),
    case(K, "ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES r MATCH FULL",
         "+ constraint public.t.k"),
    case(K + "ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES r ON DELETE SET NULL;",
         "ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES r"
         " ON DELETE SET NULL (a)", "~ constraint public.t.k: definition", since=15),
    case(K + "ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES r;",
         "ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES r"
         " ON UPDATE CASCADE", "~ constraint public.t.k: definition"),
    case("CREATE TABLE t (a int4range, b int4range, CONSTRAINT k UNIQUE (a, b));",
         "ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k UNIQUE (a, b WITHOUT OVERLAPS)",
         "~ constraint public.t.k: definition", since=18),
    case("CREATE TABLE t (a int); ALTER TABLE t ADD CONSTRAINT n NOT NULL a NOT VALID;",
         "ALTER TABLE t VALIDATE CONSTRAINT n", "~ column public.t.a: not_null_constraint",
         since=18),
    case("CREATE TABLE t (a int CONSTRAINT n NOT NULL);", "COMMENT ON CONSTRAINT n ON t IS 'x'",
         "~ column public.t.a: not_null_constraint", since=18),
    case(I, "UPDATE pg_index SET indislive = false WHERE indexrelid = 'i'::regclass",
         "~ index public.i: live"),
    case(I, "UPDATE pg_index SET indisready = false WHERE indexrelid = 'i'::regclass",
         "~ index public.i: ready"),
    case(I, "ALTER INDEX i SET TABLESPACE spare", "~ index public.i: tablespace"),
    case(PARTED + "CREATE INDEX i ON ONLY p (a); CREATE INDEX i1 ON p1 (a);",
         "ALTER INDEX i ATTACH PARTITION i1", "~ index public.i1: partition_of"),
    case(PARTED, "UPDATE pg_inherits SET inhdetachpending = true"
         " WHERE inhrelid = 'p1'::regclass", "~ table public.p1: detach_pending"),
    case(T, "ALTER TABLE t SET TABLESPACE spare", "~ table public.t: tablespace"),
    case(T, "ALTER TABLE t ALTER a SET (n_distinct = 5, n_distinct_inherited = 6)",
         "~ column public.t.a: options"),
    case(T, "UPDATE pg_attribute SET attoptions = '{pg_attver=7}' WHERE attname = 'a'"
         " AND attrelid = 't'::regclass"),  # the server's own, on some builds
    case("CREATE TABLE t (a int[]);", "ALTER TABLE t ALTER a TYPE int[][]"),  # not kept anywhere
    case(S, "ALTER SEQUENCE s SET UNLOGGED", "~ sequence public.s: persistence", since=15),
    case("CREATE TABLE t (a serial);", "ALTER SEQUENCE t_a_seq OWNED BY NONE",
         "~ sequence public.t_a_seq: owned_by, owner"),
    case(M, "ALTER MATERIALIZED VIEW m SET TABLESPACE spare",
         "~ materialized view public.m: tablespace"),
    case(M, "ALTER MATERIALIZED VIEW m SET (toast.autovacuum_enabled = off)",
         "~ materialized view public.m: toast_options"),
    case(M, "ALTER TABLE m REPLICA IDENTITY FULL",
         "~ materialized view public.m: replica_identity"),
    case(M + "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;",
         "ALTER MATERIALIZED VIEW m SET ACCESS METHOD other",
         "~ materialized view public.m: access_method", since=15),
    case(M + "CREATE INDEX i ON m (a);", "ALTER MATERIALIZED VIEW m CLUSTER ON i",
         "~ index public.i: clustered"),
    case(M, "ALTER MATERIALIZED VIEW m ALTER b SET STORAGE EXTERNAL", "+ column public.m.b"),
    case(M + ROLES, "GRANT SELECT (a) ON m TO reader", "+ column public.m.a"),
    case(V, "ALTER VIEW v SET (security_invoker)", "~ view public.v: options", since=15),
    case(T + "CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING;", "COMMENT ON RULE r ON t IS 'x'",
         "~ rule public.t.r: comment"),
    case(V, "COMMENT ON RULE \"_RETURN\" ON v IS 'x'", '+ rule public.v."_RETURN"'),
    case(T + TRIGGER + "CREATE CONSTRAINT TRIGGER tr AFTER INSERT ON t FOR EACH ROW"
         " EXECUTE FUNCTION touch();", "COMMENT ON CONSTRAINT tr ON t IS 'x'",
         "~ trigger public.t.tr: constraint_comment"),
    case(T + TRIGGER + "CREATE TRIGGER tr AFTER INSERT ON t REFERENCING NEW TABLE AS n"
         " EXECUTE FUNCTION touch();", "CREATE OR REPLACE TRIGGER tr AFTER INSERT ON t REFERENCING"
         " NEW TABLE AS m EXECUTE FUNCTION touch()", "~ trigger public.t.tr: definition"),
    case(T + TRIGGER + "CREATE CONSTRAINT TRIGGER tr AFTER INSERT ON t FOR EACH ROW"
         " EXECUTE FUNCTION touch();", "DROP TRIGGER tr ON t; CREATE CONSTRAINT TRIGGER tr"
         " AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION touch()",
         "~ trigger public.t.tr: definition"),
    case(T + "CREATE STATISTICS st ON a, b FROM t;", "COMMENT ON STATISTICS st IS 'x'",
         "~ statistics public.st: comment"),
    case(T + ROLES + "CREATE STATISTICS st ON a, b FROM t;", "ALTER STATISTICS st OWNER TO reader",
         "~ statistics public.st: owner"),
    case("CREATE TABLE t (a int) PARTITION BY LIST (a);",
         "DROP TABLE t; CREATE TABLE t (a int) PARTITION BY LIST ((a + 1))",
         "~ table public.t: partition_key"),
    case("CREATE TABLE t (a text) PARTITION BY LIST (a);",
         'DROP TABLE t; CREATE TABLE t (a text) PARTITION BY LIST (a COLLATE "C")',
         "~ table public.t: partition_key"),
    case("CREATE TABLE b (); CREATE TABLE c (); CREATE TABLE t () INHERITS (b, c);",
         "DROP TABLE t; CREATE TABLE t () INHERITS (c, b)", "~ table public.t: inherits"),
)  # fmt: skip


def _function(before: str, definition: str, properties: str) -> Case:
    return case(before, f"CREATE OR REPLACE FUNCTION {definition}",
                f"~ function public.f(integer): {properties}")  # fmt: skip


LAST = "CREATE FUNCTION last(int, int) RETURNS int LANGUAGE sql AS 'SELECT 1';"


def _aggregate(options: str, properties: str, before: str = "") -> Case:
    usual = "sfunc = int4pl, stype = int"
    return case(
        f"{LAST} CREATE AGGREGATE agg(int) ({usual}{before});",
        f"CREATE OR REPLACE AGGREGATE agg(int) ({usual}{before}{options})",
        f"~ aggregate public.agg(integer): {properties}",
    )


MOVING = ", msfunc = int4pl, minvfunc = int4mi, mstype = int"
AVERAGE = "sfunc = int8_avg_accum, stype = internal, finalfunc = numeric_poly_avg"
SETS = "CREATE AGGREGATE agg({} ORDER BY {}) (sfunc = {}, stype = int{});"
C_FUNCTION = "f(int) RETURNS language_handler LANGUAGE c AS '{}', 'plpgsql_call_handler'"

ROUTINE_PARTS = (
    case(F, "ALTER FUNCTION f(int) SUPPORT generate_series_int4_support",
         "~ function public.f(integer): support"),
    _function("CREATE FUNCTION " + C_FUNCTION.format("$libdir/plpgsql") + ";",
              C_FUNCTION.format("plpgsql"), "library"),
    _function("CREATE FUNCTION tr(internal) RETURNS internal LANGUAGE internal STRICT IMMUTABLE"
              " AS 'textin'; CREATE TRANSFORM FOR int LANGUAGE plpgsql (FROM SQL WITH FUNCTION"
              " tr(internal)); CREATE FUNCTION f(a int) RETURNS int LANGUAGE plpgsql AS '';",
              "f(a int) RETURNS int TRANSFORM FOR TYPE int LANGUAGE plpgsql AS ''", "transforms"),
    _aggregate(", combinefunc = int4pl", "combine"), _aggregate(", parallel = safe", "parallel"),
    _aggregate(", sspace = 64", "state_size"), _aggregate(", finalfunc = int4abs", "final"),
    _aggregate(", finalfunc_modify = read_write", "final_modify", ", finalfunc = int4abs"),
    _aggregate(", finalfunc = last, finalfunc_extra", "final, final_extra"),
    _aggregate(MOVING, "moving_transition, moving_inverse, moving_state_type"),
    _aggregate(", msspace = 64", "moving_state_size", MOVING),
    _aggregate(", minitcond = 1", "moving_initial_value", MOVING),
    _aggregate(", mfinalfunc = int4abs", "moving_final", MOVING),
    _aggregate(", mfinalfunc = last, mfinalfunc_extra", "moving_final, moving_final_extra",
               MOVING),
    _aggregate(", mfinalfunc_modify = read_write", "moving_final_modify",
               MOVING + ", mfinalfunc = int4abs"),
    case(AGGREGATE, "DROP AGGREGATE agg(int); CREATE AGGREGATE agg(a int) (sfunc = int4pl,"
         " stype = int)", "~ aggregate public.agg(integer): arguments"),
    case("CREATE AGGREGATE agg(int) (sfunc = int4pl, stype = int, initcond = 0);",
         "DROP AGGREGATE agg(int);"
         "CREATE AGGREGATE agg(int) (sfunc = int84pl, stype = bigint, initcond = 0)",
         "~ aggregate public.agg(integer): result, transition, state_type"),
    case(f"CREATE AGGREGATE agg(bigint) ({AVERAGE}, combinefunc = int8_avg_combine);",
         f"CREATE OR REPLACE AGGREGATE agg(bigint) ({AVERAGE}, combinefunc = int8_avg_combine,"
         " serialfunc = int8_avg_serialize, deserialfunc = int8_avg_deserialize)",
         "~ aggregate public.agg(bigint): serialize, deserialize"),
    case(SETS.format("int", "int", "int4pl", ""), "DROP AGGREGATE agg(int ORDER BY int);"
         + SETS.format("int", "int", "int4pl", ", hypothetical"),
         "~ aggregate public.agg(integer, integer): type"),
    case("CREATE FUNCTION three(int, int, int) RETURNS int LANGUAGE sql AS 'SELECT 1';"
         + SETS.format("int", "int", "int4pl", ""), "DROP AGGREGATE agg(int ORDER BY int);"
         + SETS.format("", "int, int", "three", ""),
         "~ aggregate public.agg(integer, integer): arguments, direct_arguments, transition"),
    case(AGGREGATE + ROLES, "ALTER AGGREGATE agg(int) OWNER TO reader",
         "~ aggregate public.agg(integer): owner"),
    case(AGGREGATE + ROLES, "GRANT EXECUTE ON FUNCTION agg(int) TO reader",
         "~ aggregate public.agg(integer): privileges"),
    case(AGGREGATE, "COMMENT ON AGGREGATE agg(int) IS 'x'",
         "~ aggregate public.agg(integer): comment"),
)  # fmt: skip
