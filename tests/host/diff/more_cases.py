"""Single changes to everything that is not a table or a view."""

from __future__ import annotations

from tests.host.diff.cases import DDL_TRIGGER, FDW, ROLES, TRIGGER, Case, F, T, case

AGGREGATE = "CREATE AGGREGATE agg(int) (sfunc = int4pl, stype = int);"
S = "CREATE SEQUENCE s;"
P = T + ROLES + "CREATE POLICY p ON t FOR SELECT USING (a > 0);"
TR = T + TRIGGER + "CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();"


def _function(definition: str, *properties: str) -> Case:
    return case(
        F,
        f"CREATE OR REPLACE {definition}",
        f"~ function public.f(integer): {', '.join(properties)}",
    )


def _altered(action: str, property: str) -> Case:
    return case(
        F + ROLES, f"ALTER FUNCTION f {action}", f"~ function public.f(integer): {property}"
    )


ROUTINES = (
    case("", F, "+ function public.f(integer)"),
    case(F, "CREATE FUNCTION f(a text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
         "+ function public.f(text)"),
    _function("FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 2'", "body"),
    _function("FUNCTION f(a int) RETURNS int LANGUAGE sql RETURN 1", "body"),
    _function("FUNCTION f(a int) RETURNS int LANGUAGE plpgsql AS 'SELECT 1'", "language"),
    _function("FUNCTION f(a int DEFAULT 3) RETURNS int LANGUAGE sql AS 'SELECT 1'", "arguments"),
    case(F, "DROP FUNCTION f; CREATE FUNCTION f(a int) RETURNS bigint LANGUAGE sql AS 'SELECT 1'",
         "~ function public.f(integer): result"),
    _altered("IMMUTABLE", "volatility"), _altered("STRICT", "strict"),
    _altered("SECURITY DEFINER", "security_definer"), _altered("LEAKPROOF", "leakproof"),
    _altered("PARALLEL SAFE", "parallel"), _altered("COST 3", "cost"),
    _altered("SET work_mem = '1MB'", "settings"), _altered("OWNER TO reader", "owner"),
    case(F + ROLES, "GRANT EXECUTE ON FUNCTION f TO reader",
         "~ function public.f(integer): privileges"),
    case(F, "REVOKE EXECUTE ON FUNCTION f FROM PUBLIC", "~ function public.f(integer): privileges"),
    case(F, "COMMENT ON FUNCTION f IS 'x'", "~ function public.f(integer): comment"),
    case("CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';",
         "ALTER FUNCTION f ROWS 5", "~ function public.f(): rows"),
    case("CREATE PROCEDURE f(a int) LANGUAGE sql AS 'SELECT 1';",
         "CREATE OR REPLACE PROCEDURE f(a int) LANGUAGE sql AS 'SELECT 2'",
         "~ procedure public.f(integer): body"),
    case("CREATE FUNCTION w() RETURNS bigint LANGUAGE internal WINDOW AS 'window_row_number';",
         "CREATE OR REPLACE FUNCTION w() RETURNS bigint LANGUAGE internal WINDOW AS 'window_rank'",
         "~ window function public.w(): body"),
    case("", AGGREGATE, "+ aggregate public.agg(integer)"),
    case(AGGREGATE, "CREATE OR REPLACE AGGREGATE agg(int) (sfunc = int4mul, stype = int)",
         "~ aggregate public.agg(integer): transition"),
    case(AGGREGATE, "CREATE OR REPLACE AGGREGATE agg(int) (sfunc = int4pl, stype = int,"
         " initcond = 1)",
         "~ aggregate public.agg(integer): initial_value"),
    case(AGGREGATE, "CREATE OR REPLACE AGGREGATE agg(int) (sfunc = int4pl, stype = int, sortop"
         " = >)",
         "~ aggregate public.agg(integer): sort_operator"),
    case(TR, "DROP TRIGGER tr ON t", "- trigger public.t.tr"),
    case(TR, "ALTER TABLE t DISABLE TRIGGER tr", "~ trigger public.t.tr: enabled"),
    case(TR, "ALTER TABLE t ENABLE ALWAYS TRIGGER tr", "~ trigger public.t.tr: enabled"),
    case(TR, "CREATE OR REPLACE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION"
         " touch2()",
         "~ trigger public.t.tr: definition"),
    case(TR, "CREATE OR REPLACE TRIGGER tr BEFORE UPDATE OF a ON t FOR EACH ROW"
         " EXECUTE FUNCTION touch()", "~ trigger public.t.tr: definition"),
    case(TR, "CREATE OR REPLACE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW"
         " WHEN (OLD.a > 1) EXECUTE FUNCTION touch()", "~ trigger public.t.tr: definition"),
    case(TR, "COMMENT ON TRIGGER tr ON t IS 'x'", "~ trigger public.t.tr: comment"),
    case("", DDL_TRIGGER, "+ function public.on_ddl()", "+ event trigger e"),
    case(DDL_TRIGGER, "ALTER EVENT TRIGGER e DISABLE", "~ event trigger e: enabled"),
    case(DDL_TRIGGER, "DROP EVENT TRIGGER e; CREATE EVENT TRIGGER e ON ddl_command_end"
         " WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION on_ddl()", "~ event trigger e: tags"),
    case(DDL_TRIGGER, "DROP EVENT TRIGGER e; CREATE EVENT TRIGGER e ON ddl_command_start"
         " EXECUTE FUNCTION on_ddl()", "~ event trigger e: event"),
    case(P, "DROP POLICY p ON t", "- policy public.t.p"),
    case(P, "ALTER POLICY p ON t USING (a > 1)", "~ policy public.t.p: using"),
    case(P, "ALTER POLICY p ON t TO reader, writer", "~ policy public.t.p: roles"),
    case(T + "CREATE POLICY p ON t WITH CHECK (a > 0);", "ALTER POLICY p ON t WITH CHECK (a > 1)",
         "~ policy public.t.p: check"),
    case(P, "DROP POLICY p ON t; CREATE POLICY p ON t FOR DELETE USING (a > 0)",
         "~ policy public.t.p: command"),
    case(P, "DROP POLICY p ON t; CREATE POLICY p ON t AS RESTRICTIVE FOR SELECT USING (a > 0)",
         "~ policy public.t.p: permissive"),
    case(P, "COMMENT ON POLICY p ON t IS 'x'", "~ policy public.t.p: comment"),
)  # fmt: skip


def _sequence(clause: str, *properties: str) -> Case:
    return case(S, f"ALTER SEQUENCE s {clause}", f"~ sequence public.s: {', '.join(properties)}")


SEQUENCES = (
    case("", S, "+ sequence public.s"),
    _sequence("AS integer", "type", "maximum"), _sequence("START 4", "start"),
    _sequence("INCREMENT 2", "increment"), _sequence("MINVALUE -5", "minimum"),
    _sequence("MAXVALUE 99", "maximum"), _sequence("CACHE 9", "cache"), _sequence("CYCLE", "cycle"),
    _sequence("RESTART 8", "last_value"),
    case(S, "SELECT nextval('s')", "~ sequence public.s: is_called"),
    case(S, "SELECT setval('s', 77)", "~ sequence public.s: last_value, is_called"),
    case(S, "SELECT setval('s', 5, false)", "~ sequence public.s: last_value"),
    case(S + T, "ALTER SEQUENCE s OWNED BY t.a", "~ sequence public.s: owned_by, owner"),
    case(S + ROLES, "ALTER SEQUENCE s OWNER TO reader", "~ sequence public.s: owner"),
    case(S + ROLES, "GRANT USAGE ON SEQUENCE s TO reader", "~ sequence public.s: privileges"),
    case(S, "COMMENT ON SEQUENCE s IS 'x'", "~ sequence public.s: comment"),
)  # fmt: skip

E = "CREATE TYPE e AS ENUM ('a', 'b');"
D = "CREATE DOMAIN d AS text CONSTRAINT k CHECK (VALUE <> '');"
C = "CREATE TYPE c AS (a int, b text);"

TYPES = (
    case("", E, "+ enum public.e"),
    case(E, "ALTER TYPE e ADD VALUE 'c'", "~ enum public.e: labels"),
    case(E, "ALTER TYPE e RENAME VALUE 'a' TO 'x'", "~ enum public.e: labels"),
    case(E, "DROP TYPE e; CREATE TYPE e AS ENUM ('b', 'a')", "~ enum public.e: labels"),
    case(E + ROLES, "ALTER TYPE e OWNER TO reader", "~ enum public.e: owner"),
    case(E, "REVOKE USAGE ON TYPE e FROM PUBLIC", "~ enum public.e: privileges"),
    case(E, "COMMENT ON TYPE e IS 'x'", "~ enum public.e: comment"),
    case("", D, "+ domain public.d"),
    case(D, "ALTER DOMAIN d SET NOT NULL", "~ domain public.d: not_null"),
    case(D, "ALTER DOMAIN d SET DEFAULT 'x'", "~ domain public.d: default"),
    case(D, "ALTER DOMAIN d ADD CONSTRAINT l CHECK (VALUE <> 'b')",
         "+ domain constraint public.d.l"),
    case(D, "ALTER DOMAIN d DROP CONSTRAINT k; ALTER DOMAIN d ADD CONSTRAINT k CHECK (VALUE <>"
         " 'z')",
         "~ domain constraint public.d.k: definition"),
    case("CREATE DOMAIN d AS varchar(3);", "DROP DOMAIN d; CREATE DOMAIN d AS varchar(4)",
         "~ domain public.d: type"),
    case("CREATE DOMAIN d AS text;", 'DROP DOMAIN d; CREATE DOMAIN d AS text COLLATE "C"',
         "~ domain public.d: collation"),
    case("", C, "+ composite type public.c"),
    case(C, "ALTER TYPE c ADD ATTRIBUTE z int", "~ composite type public.c: attributes"),
    case(C, "ALTER TYPE c ALTER ATTRIBUTE a TYPE bigint", "~ composite type public.c: attributes"),
    case(C, "COMMENT ON COLUMN c.a IS 'x'", "~ composite type public.c: attribute_comments"),
    case("", "CREATE TYPE r AS RANGE (subtype = float8)", "+ range type public.r"),
    case("CREATE TYPE r AS RANGE (subtype = float8);",
         "DROP TYPE r; CREATE TYPE r AS RANGE (subtype = float8, subtype_diff = float8mi)",
         "~ range type public.r: difference"),
    case("CREATE TYPE r AS RANGE (subtype = float8);",
         "DROP TYPE r; CREATE TYPE r AS RANGE (subtype = float4)",
         "~ range type public.r: subtype, operator_class"),
    case("", "CREATE TYPE shell", "+ base type public.shell"),
    case("", "CREATE COLLATION co (locale = 'C')", "+ collation public.co"),
    case("CREATE COLLATION co (locale = 'C');",
         "DROP COLLATION co; CREATE COLLATION co (lc_collate = 'C', lc_ctype = 'POSIX')",
         "~ collation public.co: ctype"),
    case("CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = pg_catalog.simple);",
         "ALTER TEXT SEARCH DICTIONARY d (accept = false)",
         "~ text search dictionary public.d: options"),
    case("CREATE TEXT SEARCH CONFIGURATION c (COPY = pg_catalog.english);",
         "ALTER TEXT SEARCH CONFIGURATION c ALTER MAPPING FOR word WITH simple",
         "~ text search configuration public.c: mappings"),
    case("", "CREATE TEXT SEARCH TEMPLATE t (lexize = dsimple_lexize)",
         "+ text search template public.t"),
    case("", "CREATE TEXT SEARCH PARSER p (start = prsd_start, gettoken = prsd_nexttoken,"
         " end = prsd_end, lextypes = prsd_lextype)", "+ text search parser public.p"),
    case("", "CREATE CONVERSION c FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
         "+ conversion public.c"),
)  # fmt: skip

PUB = T + "CREATE TABLE u (a int); CREATE PUBLICATION p FOR TABLE t;"
STATS = T + "CREATE STATISTICS st (dependencies) ON a, b FROM t;"

OTHERS = (
    case("", "CREATE SCHEMA s", "+ schema s"),
    case("CREATE SCHEMA s;" + ROLES, "ALTER SCHEMA s OWNER TO reader", "~ schema s: owner"),
    case("CREATE SCHEMA s;" + ROLES, "GRANT USAGE ON SCHEMA s TO reader", "~ schema s: privileges"),
    case("CREATE SCHEMA s;", "COMMENT ON SCHEMA s IS 'x'", "~ schema s: comment"),
    case("", "COMMENT ON SCHEMA public IS 'x'", "~ schema public: comment"),
    case("", "DROP EXTENSION plpgsql", "- extension plpgsql"),
    case("", "UPDATE pg_extension SET extversion = '9'", "~ extension plpgsql: version"),
    case(ROLES, "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader",
         "+ default privileges for role postgres on tables"),
    case(ROLES + "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader;",
         "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT ON TABLES TO reader",
         "~ default privileges for role postgres in schema public on tables: privileges"),
    case(PUB, "ALTER PUBLICATION p ADD TABLE u", "~ publication p: tables"),
    case(PUB, "ALTER PUBLICATION p SET TABLE t (a)", "~ publication p: tables", since=15),
    case(PUB, "ALTER PUBLICATION p SET TABLE t WHERE (a > 0)", "~ publication p: tables", since=15),
    case(PUB, "ALTER PUBLICATION p ADD TABLES IN SCHEMA public",
         "~ publication p: schemas", since=15),
    case(PUB, "ALTER PUBLICATION p SET (publish = 'insert')", "~ publication p: publishes"),
    case(PUB, "ALTER PUBLICATION p SET (publish_via_partition_root)", "~ publication p: via_root"),
    case(PUB, "DROP PUBLICATION p; CREATE PUBLICATION p FOR ALL TABLES",
         "~ publication p: all_tables, tables"),
    case(PUB, "COMMENT ON PUBLICATION p IS 'x'", "~ publication p: comment"),
    case("", "CREATE SUBSCRIPTION sub CONNECTION '' PUBLICATION p WITH (connect = false)",
         "+ subscription sub"),
    case("CREATE SUBSCRIPTION sub CONNECTION '' PUBLICATION p WITH (connect = false);",
         "UPDATE pg_subscription SET subenabled = true", "~ subscription sub: enabled"),
    case(STATS, "DROP STATISTICS st", "- statistics public.st"),
    case(STATS, "ALTER STATISTICS st SET STATISTICS 4", "~ statistics public.st: target"),
    case(STATS, "DROP STATISTICS st; CREATE STATISTICS st (mcv) ON a, b FROM t",
         "~ statistics public.st: definition"),
    case(FDW, "DROP SERVER s", "- foreign server s"),
    case(FDW, "ALTER SERVER s OPTIONS (host 'h')", "~ foreign server s: options"),
    case(FDW, "ALTER SERVER s VERSION '2'", "~ foreign server s: version"),
    case(FDW, "ALTER FOREIGN DATA WRAPPER w OPTIONS (debug '1')",
         "~ foreign data wrapper w: options"),
    case(FDW + "CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (password 'a');",
         "ALTER USER MAPPING FOR PUBLIC SERVER s OPTIONS (SET password 'b')",
         "~ user mapping for public server s: options"),
    case(FDW, "CREATE FOREIGN TABLE f (a int) SERVER s", "+ foreign table public.f"),
    case(FDW + "CREATE FOREIGN TABLE f (a int) SERVER s;", "ALTER FOREIGN TABLE f OPTIONS (x 'y')",
         "~ foreign table public.f: server_options"),
    case(FDW + "CREATE FOREIGN TABLE f (a int) SERVER s;",
         "ALTER FOREIGN TABLE f ALTER a OPTIONS (x 'y')", "~ column public.f.a: server_options"),
    case(F, "CREATE OPERATOR <+> (FUNCTION = int4pl, LEFTARG = int, RIGHTARG = int)",
         "+ operator public.<+>(integer, integer)"),
    case("CREATE OPERATOR <+> (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int);",
         "ALTER OPERATOR <+> (int, int) SET (RESTRICT = eqsel)",
         "~ operator public.<+>(integer, integer): restrict"),
    case("", "CREATE OPERATOR FAMILY fam USING btree", "+ operator family public.fam using btree"),
    case("CREATE OPERATOR FAMILY fam USING btree;",
         "ALTER OPERATOR FAMILY fam USING btree ADD OPERATOR 1 < (int, int)",
         "~ operator family public.fam using btree: operators"),
    case("CREATE OPERATOR FAMILY fam USING btree;",
         "CREATE OPERATOR CLASS oc FOR TYPE int USING btree FAMILY fam AS OPERATOR 1 <",
         "~ operator family public.fam using btree: operators",
         "+ operator class public.oc using btree"),
    case(E, "CREATE CAST (e AS int) WITH INOUT", "+ cast public.e AS integer"),
    case(E + "CREATE CAST (e AS int) WITH INOUT;",
         "DROP CAST (e AS int); CREATE CAST (e AS int) WITH INOUT AS IMPLICIT",
         "~ cast public.e AS integer: context"),
    case("", "CREATE ACCESS METHOD am TYPE TABLE HANDLER heap_tableam_handler",
         "+ access method am"),
    case("", "CREATE LANGUAGE other HANDLER plpgsql_call_handler", "+ language other"),
    case("CREATE FUNCTION tr(internal) RETURNS internal LANGUAGE internal STRICT IMMUTABLE"
         " AS 'textin';",
         "CREATE TRANSFORM FOR int LANGUAGE plpgsql (FROM SQL WITH FUNCTION tr(internal))",
         "+ transform for integer language plpgsql"),
    case("", "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 99', current_database());"
         " END$$", "~ database (this database): settings"),
    case("", "DO $$BEGIN EXECUTE format('COMMENT ON DATABASE %I IS ''x''', current_database());"
         " END$$", "~ database (this database): comment"),
    case(ROLES, "DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO reader',"
         " current_database()); END$$", "~ database (this database): privileges"),
)  # fmt: skip
