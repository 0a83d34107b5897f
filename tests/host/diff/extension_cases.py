"""Single changes to extensions, to their members, and to what depends on them."""

from __future__ import annotations

from tests.host.diff.cases import DDL_TRIGGER, FDW, ROLES, Case, F, I, T, case
from tests.host.diff.more_cases import AGGREGATE, TR, C, D, E, S


def _member(before: str, words: str, told: str) -> Case:
    """Making an object an extension's member changes one property of it."""
    return case(before, f"ALTER EXTENSION plpgsql ADD {words}", f"~ {told}: extension")


OP = "CREATE OPERATOR <+> (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int);"
FAMILY = "CREATE OPERATOR FAMILY fam USING btree;"
PARSER = (
    "CREATE TEXT SEARCH PARSER p (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end,"
    " lextypes = prsd_lextype);"
)
TRANSFORM = (
    "CREATE FUNCTION tr(internal) RETURNS internal LANGUAGE internal STRICT IMMUTABLE AS 'textin';"
    "CREATE TRANSFORM FOR int LANGUAGE plpgsql (FROM SQL WITH FUNCTION tr(internal));"
)
CONVERSION = "CREATE CONVERSION c FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;"

MEMBERS = (
    _member(T, "TABLE t", "table public.t"),
    _member(T + "CREATE VIEW v AS SELECT a FROM t;", "VIEW v", "view public.v"),
    _member(FDW + "CREATE FOREIGN TABLE f () SERVER s;", "FOREIGN TABLE f",
            "foreign table public.f"),
    _member("CREATE MATERIALIZED VIEW m AS SELECT 1 AS a;", "MATERIALIZED VIEW m",
            "materialized view public.m"),
    _member(S, "SEQUENCE s", "sequence public.s"),
    _member(F, "FUNCTION f(int)", "function public.f(integer)"),
    _member("CREATE PROCEDURE p() LANGUAGE sql AS '';", "PROCEDURE p()", "procedure public.p()"),
    _member(AGGREGATE, "AGGREGATE agg(int)", "aggregate public.agg(integer)"),
    _member(E, "TYPE e", "enum public.e"), _member(C, "TYPE c", "composite type public.c"),
    _member(D, "DOMAIN d", "domain public.d"),
    _member("CREATE TYPE b;", "TYPE b", "base type public.b"),
    _member("CREATE TYPE r AS RANGE (subtype = float8);", "TYPE r", "range type public.r"),
    _member("CREATE COLLATION co (locale = 'C');", "COLLATION co", "collation public.co"),
    _member(CONVERSION, "CONVERSION c", "conversion public.c"),
    _member("CREATE SCHEMA s;", "SCHEMA s", "schema s"),
    _member(FDW, "FOREIGN DATA WRAPPER w", "foreign data wrapper w"),
    _member(FDW, "SERVER s", "foreign server s"),
    _member(DDL_TRIGGER, "EVENT TRIGGER e", "event trigger e"),
    _member(E + "CREATE CAST (e AS int) WITH INOUT;", "CAST (e AS int)",
            "cast public.e AS integer"),
    _member(TRANSFORM, "TRANSFORM FOR int LANGUAGE plpgsql",
            "transform for integer language plpgsql"),
    _member(OP, "OPERATOR <+> (int, int)", "operator public.<+>(integer, integer)"),
    _member(FAMILY, "OPERATOR FAMILY fam USING btree", "operator family public.fam using btree"),
    _member(FAMILY + "CREATE OPERATOR CLASS oc FOR TYPE int USING btree FAMILY fam AS STORAGE int;",
            "OPERATOR CLASS oc USING btree", "operator class public.oc using btree"),
    _member("CREATE ACCESS METHOD am TYPE TABLE HANDLER heap_tableam_handler;",
            "ACCESS METHOD am", "access method am"),
    case("CREATE LANGUAGE other HANDLER plpgsql_call_handler;",
         "ALTER EXTENSION plpgsql ADD LANGUAGE other", "~ language other: extension"),
    _member(PARSER, "TEXT SEARCH PARSER p", "text search parser public.p"),
    _member("CREATE TEXT SEARCH TEMPLATE t (lexize = dsimple_lexize);", "TEXT SEARCH TEMPLATE t",
            "text search template public.t"),
    _member("CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple);", "TEXT SEARCH DICTIONARY d",
            "text search dictionary public.d"),
    _member('CREATE TEXT SEARCH CONFIGURATION c (PARSER = "default");',
            "TEXT SEARCH CONFIGURATION c", "text search configuration public.c"),
)  # fmt: skip

HSTORE = "CREATE EXTENSION hstore VERSION '1.4' SCHEMA public;"
AUTOINC = "CREATE EXTENSION autoinc SCHEMA public;"

EXTENSIONS = (
    case("", HSTORE, "+ extension hstore"),
    case(HSTORE, "DROP EXTENSION hstore", "- extension hstore"),
    case(HSTORE, "ALTER EXTENSION hstore UPDATE TO '1.5'", "~ extension hstore: version"),
    case(HSTORE + "CREATE SCHEMA s;", "ALTER EXTENSION hstore SET SCHEMA s",
         "~ extension hstore: schema"),
    case(AUTOINC, "COMMENT ON EXTENSION autoinc IS 'x'", "~ extension autoinc: comment"),
    case(AUTOINC + ROLES, "UPDATE pg_extension SET extowner = 'reader'::regrole"
         " WHERE extname = 'autoinc'", "~ extension autoinc: owner"),
    case(AUTOINC, "UPDATE pg_extension SET extrelocatable = false WHERE extname = 'autoinc'",
         "~ extension autoinc: relocatable"),
    case(AUTOINC + T, "UPDATE pg_extension SET extconfig = ARRAY['t'::regclass::oid],"
         " extcondition = ARRAY['WHERE a > 0'] WHERE extname = 'autoinc'",
         "~ extension autoinc: configuration_tables"),
    case(AUTOINC, "REVOKE EXECUTE ON FUNCTION autoinc() FROM PUBLIC",
         "~ function public.autoinc(): privileges"),
    case(AUTOINC, "ALTER FUNCTION autoinc() COST 9", "~ function public.autoinc(): cost"),
    case(AUTOINC, "COMMENT ON FUNCTION autoinc() IS 'x'", "~ function public.autoinc(): comment"),
    case(AUTOINC, "ALTER EXTENSION autoinc DROP FUNCTION autoinc()",
         "~ function public.autoinc(): extension"),
    case(T + "ALTER EXTENSION plpgsql ADD TABLE t;", "CREATE INDEX i ON t (a)",
         "+ index public.i"),
    case(T + "ALTER EXTENSION plpgsql ADD TABLE t;", "ALTER TABLE t ADD c int",
         "+ column public.t.c"),
    case("", "DROP EXTENSION plpgsql; CREATE EXTENSION plpgsql"),
    case(F, "ALTER FUNCTION f(int) DEPENDS ON EXTENSION plpgsql",
         "~ function public.f(integer): depends_on_extensions"),
    case(AGGREGATE, "ALTER ROUTINE agg(int) DEPENDS ON EXTENSION plpgsql",
         "~ aggregate public.agg(integer): depends_on_extensions"),
    case(I, "ALTER INDEX i DEPENDS ON EXTENSION plpgsql",
         "~ index public.i: depends_on_extensions"),
    case(TR, "ALTER TRIGGER tr ON t DEPENDS ON EXTENSION plpgsql",
         "~ trigger public.t.tr: depends_on_extensions"),
    case("CREATE MATERIALIZED VIEW m AS SELECT 1 AS a;",
         "ALTER MATERIALIZED VIEW m DEPENDS ON EXTENSION plpgsql",
         "~ materialized view public.m: depends_on_extensions"),
)  # fmt: skip
