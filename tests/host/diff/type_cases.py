"""Single changes to types, operators, collations, conversions, text search, languages, casts."""

from __future__ import annotations

from tests.host.diff.cases import DDL_TRIGGER, ROLES, Case, case
from tests.host.diff.extension_cases import CONVERSION, FAMILY, OP, PARSER, TRANSFORM
from tests.host.diff.more_cases import C, D, E

BASE = """
CREATE TYPE b;
CREATE FUNCTION b_in(cstring) RETURNS b LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION b_out(b) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE FUNCTION b_send(b) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS 'textsend';
CREATE FUNCTION b_recv(internal) RETURNS b LANGUAGE internal IMMUTABLE STRICT AS 'textrecv';
CREATE FUNCTION b_mod(cstring[]) RETURNS int LANGUAGE internal STRICT AS 'varchartypmodin';
CREATE FUNCTION b_show(int) RETURNS cstring LANGUAGE internal STRICT AS 'varchartypmodout';
CREATE FUNCTION b_look(internal) RETURNS bool LANGUAGE internal STRICT AS 'range_typanalyze';
CREATE TYPE b (INPUT = b_in, OUTPUT = b_out);
"""
FLOATS = "CREATE TYPE r AS RANGE (subtype = float8);"
TEXTS = "CREATE TYPE r AS RANGE (subtype = text{});"
COLLATION = "CREATE COLLATION co (lc_collate = 'C', lc_ctype = 'C');"


def _base(action: str, property: str) -> Case:
    return case(BASE, f"ALTER TYPE b SET ({action})", f"~ base type public.b: {property}")


def _raw(before: str, catalog: str, change: str, where: str, told: str, **since: int) -> Case:
    """What no statement changes by itself."""
    return case(before, f"UPDATE {catalog} SET {change} WHERE {where}", f"~ {told}", **since)


def _raw_base(change: str, property: str) -> Case:
    return _raw(BASE, "pg_type", change, "typname = 'b'", f"base type public.b: {property}")


def _of(before: str, statement: str, told: str, *properties: str) -> tuple[Case, ...]:
    """The same three changes to any object: comment, owner, privileges."""
    changes = {
        "comment": f"COMMENT ON {statement} IS 'x'",
        "owner": f"ALTER {statement} OWNER TO reader",
        "privileges": f"REVOKE USAGE ON {statement} FROM PUBLIC",
    }
    return tuple(
        case(before + ROLES, changes[property], f"~ {told}: {property}")
        for property in properties or ("comment", "owner")
    )


TYPE_PARTS = (
    _base("RECEIVE = b_recv", "receive"), _base("SEND = b_send", "send"),
    _base("TYPMOD_IN = b_mod", "modifier_input"), _base("TYPMOD_OUT = b_show", "modifier_output"),
    _base("ANALYZE = b_look", "analyze"), _base("STORAGE = extended", "storage"),
    _base("SUBSCRIPT = raw_array_subscript_handler", "subscript"),
    _raw_base("typlen = 4", "length"), _raw_base("typbyval = true", "by_value"),
    _raw_base("typalign = 'd'", "alignment"), _raw_base("typcategory = 'S'", "category"),
    _raw_base("typispreferred = true", "preferred"), _raw_base("typdelim = ';'", "delimiter"),
    _raw_base("typelem = 'int'::regtype", "element"),
    _raw_base("typinput = 'int4in'::regproc", "input"),
    _raw_base("typoutput = 'int4out'::regproc", "output"),
    _raw_base("typisdefined = false", "defined"), _raw_base("typdefault = 'x'", "default"),
    _raw_base("typcollation = 100", "collatable"),
    *_of(BASE, "TYPE b", "base type public.b", "comment", "owner", "privileges"),
    *_of(C, "TYPE c", "composite type public.c", "comment", "owner", "privileges"),
    *_of(D, "DOMAIN d", "domain public.d", "comment", "owner", "privileges"),
    *_of(FLOATS, "TYPE r", "range type public.r", "comment", "owner", "privileges"),
    case("CREATE DOMAIN d AS int;", "ALTER DOMAIN d ADD CONSTRAINT n NOT NULL",
         "~ domain public.d: not_null, not_null_constraint", since=17),
    case("CREATE DOMAIN d AS int; ALTER DOMAIN d ADD CONSTRAINT n CHECK (VALUE > 0) NOT VALID;",
         "ALTER DOMAIN d VALIDATE CONSTRAINT n",
         "~ domain constraint public.d.n: definition, validated"),
    case(D, "COMMENT ON CONSTRAINT k ON DOMAIN d IS 'x'",
         "~ domain constraint public.d.k: comment"),
    case(C, 'DROP TYPE c; CREATE TYPE c AS (a int, b text COLLATE "C")',
         "~ composite type public.c: attributes"),
    case(TEXTS.format(""), "DROP TYPE r;" + TEXTS.format(', collation = "C"'),
         "~ range type public.r: collation"),
    case(TEXTS.format(""), "DROP TYPE r;" + TEXTS.format(", multirange_type_name = rs"),
         "~ range type public.r: multirange"),
    _raw(FLOATS, "pg_range", "rngcanonical = 'int4range_canonical'::regproc",
         "rngtypid = 'r'::regtype", "range type public.r: canonical"),
    *_of(COLLATION, "COLLATION co", "collation public.co"),
    case(COLLATION, "DROP COLLATION co; CREATE COLLATION co (lc_collate = 'POSIX', lc_ctype = 'C')",
         "~ collation public.co: locale"),
    _raw(COLLATION, "pg_collation", "collisdeterministic = false", "collname = 'co'",
         "collation public.co: deterministic"),
    _raw(COLLATION, "pg_collation", "collprovider = 'i'", "collname = 'co'",
         "collation public.co: provider, ctype"),
    _raw(COLLATION, "pg_collation", "collicurules = '&a < b'", "collname = 'co'",
         "collation public.co: rules", since=16),
    _raw(COLLATION, "pg_collation", "collprovider = 'b', collcollate = NULL, collctype = NULL,"
         " colllocale = 'C'", "collname = 'co'", "collation public.co: provider, ctype", since=17),
    case(COLLATION, "UPDATE pg_collation SET collversion = '1' WHERE collname = 'co'"),
    *_of(CONVERSION, "CONVERSION c", "conversion public.c"),
    case(CONVERSION, "DROP CONVERSION c; CREATE DEFAULT" + CONVERSION.removeprefix("CREATE"),
         "~ conversion public.c: is_default"),
    case(CONVERSION, "DROP CONVERSION c; CREATE CONVERSION c FOR 'LATIN2' TO 'UTF8'"
         " FROM iso8859_to_utf8", "~ conversion public.c: source, function"),
    case(CONVERSION, "DROP CONVERSION c; CREATE CONVERSION c FOR 'UTF8' TO 'LATIN1'"
         " FROM utf8_to_iso8859_1", "~ conversion public.c: source, target, function"),
)  # fmt: skip

TEMPLATE = "CREATE TEXT SEARCH TEMPLATE t (lexize = dsimple_lexize);"
DICTIONARY = "CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = {});"
CONFIGURATION = "CREATE TEXT SEARCH CONFIGURATION c (PARSER = {});"


def _parser(column: str, property: str) -> Case:
    return _raw(PARSER, "pg_ts_parser", f"{column} = 'prsd_headline'::regproc", "prsname = 'p'",
                f"text search parser public.p: {property}")  # fmt: skip


TEXT_SEARCH = (
    _parser("prsstart", "start"), _parser("prstoken", "token"), _parser("prsend", "end"),
    _parser("prslextype", "types"), _parser("prsheadline", "headline"),
    *_of(PARSER, "TEXT SEARCH PARSER p", "text search parser public.p", "comment"),
    *_of(TEMPLATE, "TEXT SEARCH TEMPLATE t", "text search template public.t", "comment"),
    case(TEMPLATE, "DROP TEXT SEARCH TEMPLATE t; CREATE TEXT SEARCH TEMPLATE t"
         " (lexize = dsimple_lexize, init = dsimple_init)",
         "~ text search template public.t: init"),
    case(TEMPLATE, "DROP TEXT SEARCH TEMPLATE t; CREATE TEXT SEARCH TEMPLATE t"
         " (lexize = dsynonym_lexize)", "~ text search template public.t: lexize"),
    *_of(DICTIONARY.format("simple"), "TEXT SEARCH DICTIONARY d",
         "text search dictionary public.d"),
    case(TEMPLATE + DICTIONARY.format("simple"), "DROP TEXT SEARCH DICTIONARY d;"
         + DICTIONARY.format("t"), "~ text search dictionary public.d: template"),
    *_of(CONFIGURATION.format('"default"'), "TEXT SEARCH CONFIGURATION c",
         "text search configuration public.c"),
    case(PARSER + CONFIGURATION.format('"default"'), "DROP TEXT SEARCH CONFIGURATION c;"
         + CONFIGURATION.format("p"), "~ text search configuration public.c: parser"),
)  # fmt: skip

INTS = "(FUNCTION = {}, LEFTARG = int, RIGHTARG = int{});"
CLASS = "CREATE OPERATOR CLASS oc FOR TYPE {} USING btree FAMILY {} AS {};"
STORED = CLASS.format("int", "fam", "STORAGE int")
TWO = OP + "CREATE OPERATOR <-> " + INTS.format("int4ne", "")
ADD = "ALTER OPERATOR FAMILY fam USING btree ADD "


def _operator(function: str, options: str, properties: str) -> Case:
    return case(OP, "DROP OPERATOR <+> (int, int); CREATE OPERATOR <+> "
                + INTS.format(function, options),
                f"~ operator public.<+>(integer, integer): {properties}")  # fmt: skip


OPERATOR_PARTS = (
    *_of(OP, "OPERATOR <+> (int, int)", "operator public.<+>(integer, integer)"),
    _operator("int4ne", "", "function"), _operator("int4pl", "", "result, function"),
    _operator("int4eq", ", COMMUTATOR = <+>", "commutator"),
    _operator("int4eq", ", HASHES", "hashes"), _operator("int4eq", ", MERGES", "merges"),
    _operator("int4eq", ", JOIN = eqjoinsel", "join"),
    case(TWO, "DROP OPERATOR <+> (int, int); CREATE OPERATOR <+> "
         + INTS.format("int4eq", ", NEGATOR = <->"),
         "~ operator public.<+>(integer, integer): negator",
         "~ operator public.<->(integer, integer): negator"),
    *_of(FAMILY, "OPERATOR FAMILY fam USING btree", "operator family public.fam using btree"),
    case(FAMILY, ADD + "FUNCTION 1 btint4cmp(int, int)",
         "~ operator family public.fam using btree: functions"),
    *_of(FAMILY + STORED, "OPERATOR CLASS oc USING btree", "operator class public.oc using btree"),
    case(FAMILY + STORED, "DROP OPERATOR CLASS oc USING btree;"
         + CLASS.format("bigint", "fam", "STORAGE bigint"),
         "~ operator class public.oc using btree: type"),
    case(FAMILY + STORED + "CREATE OPERATOR FAMILY other USING btree;",
         "DROP OPERATOR CLASS oc USING btree;" + CLASS.format("int", "other", "STORAGE int"),
         "~ operator class public.oc using btree: family"),
    case(FAMILY + STORED, ADD + "OPERATOR 1 < (int, int)",
         "~ operator family public.fam using btree: operators",
         "~ operator class public.oc using btree: members"),
    _raw(FAMILY + CLASS.format("box", "fam", "STORAGE box"), "pg_opclass", "opcdefault = true",
         "opcname = 'oc'",
         "operator class public.oc using btree: is_default"),
    _raw(FAMILY + STORED, "pg_opclass", "opckeytype = 'text'::regtype", "opcname = 'oc'",
         "operator class public.oc using btree: storage"),
)  # fmt: skip

CAST = E + (
    "CREATE FUNCTION f(e) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION g(e) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE CAST (e AS int) WITH FUNCTION f(e);"
)
LANGUAGE = (
    "CREATE FUNCTION h() RETURNS language_handler LANGUAGE c"
    " AS '$libdir/plpgsql', 'plpgsql_call_handler';"
)
OTHER = "CREATE TRUSTED LANGUAGE other HANDLER plpgsql_call_handler;"
METHOD = (
    "CREATE FUNCTION h(internal) RETURNS table_am_handler LANGUAGE internal"
    " AS 'heap_tableam_handler';"
    "CREATE ACCESS METHOD am TYPE TABLE HANDLER heap_tableam_handler;"
)
LISTENER = DDL_TRIGGER + (
    "CREATE FUNCTION other() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
    "CREATE ROLE su SUPERUSER;"
)


def _language(options: str, property: str) -> Case:
    return case(LANGUAGE + OTHER, f"DROP LANGUAGE other; CREATE {options}",
                f"~ language other: {property}")  # fmt: skip


WITHOUT_SCHEMA = (
    case(CAST, "COMMENT ON CAST (e AS int) IS 'x'", "~ cast public.e AS integer: comment"),
    case(CAST, "DROP CAST (e AS int); CREATE CAST (e AS int) WITH FUNCTION g(e)",
         "~ cast public.e AS integer: function"),
    case(CAST, "DROP CAST (e AS int); CREATE CAST (e AS int) WITH INOUT",
         "~ cast public.e AS integer: method, function"),
    case(TRANSFORM, "COMMENT ON TRANSFORM FOR int LANGUAGE plpgsql IS 'x'",
         "~ transform for integer language plpgsql: comment"),
    case(TRANSFORM + "CREATE FUNCTION back(internal) RETURNS int LANGUAGE internal STRICT"
         " IMMUTABLE AS 'int4in';", "CREATE OR REPLACE TRANSFORM FOR int LANGUAGE plpgsql"
         " (FROM SQL WITH FUNCTION tr(internal), TO SQL WITH FUNCTION back(internal))",
         "~ transform for integer language plpgsql: to_sql"),
    case(TRANSFORM + "CREATE FUNCTION tr2(internal) RETURNS internal LANGUAGE internal STRICT"
         " IMMUTABLE AS 'textin';", "CREATE OR REPLACE TRANSFORM FOR int LANGUAGE plpgsql"
         " (FROM SQL WITH FUNCTION tr2(internal))",
         "~ transform for integer language plpgsql: from_sql"),
    _language("LANGUAGE other HANDLER plpgsql_call_handler", "trusted"),
    _language("TRUSTED LANGUAGE other HANDLER h", "handler"),
    _language("TRUSTED LANGUAGE other HANDLER plpgsql_call_handler INLINE plpgsql_inline_handler",
              "inline"),
    _language("TRUSTED LANGUAGE other HANDLER plpgsql_call_handler VALIDATOR plpgsql_validator",
              "validator"),
    *_of(OTHER, "LANGUAGE other", "language other", "comment", "owner", "privileges"),
    case("", "COMMENT ON LANGUAGE plpgsql IS 'x'", "~ language plpgsql: comment"),
    case(METHOD, "COMMENT ON ACCESS METHOD am IS 'x'", "~ access method am: comment"),
    case(METHOD, "DROP ACCESS METHOD am; CREATE ACCESS METHOD am TYPE TABLE HANDLER h",
         "~ access method am: handler"),
    case(METHOD, "DROP ACCESS METHOD am; CREATE ACCESS METHOD am TYPE INDEX HANDLER bthandler",
         "~ access method am: handler, type"),
    case(LISTENER, "COMMENT ON EVENT TRIGGER e IS 'x'", "~ event trigger e: comment"),
    case(LISTENER, "ALTER EVENT TRIGGER e OWNER TO su", "~ event trigger e: owner"),
    case(LISTENER, "DROP EVENT TRIGGER e; CREATE EVENT TRIGGER e ON ddl_command_end"
         " EXECUTE FUNCTION other()", "~ event trigger e: function"),
)  # fmt: skip
