"""Single changes to what has no schema: the whole server's objects, the database, subscriptions."""

from __future__ import annotations

from tests.host.diff.cases import FDW, ROLES, Case, T, case

R = "CREATE ROLE r;"
GROUP = R + "CREATE ROLE g;"


def _role(action: str, property: str) -> Case:
    return case(R, f"ALTER ROLE r {action}", f"~ role r: {property}")


ROLE_CASES = (
    case("", R, "+ role r"),
    case(GROUP + "GRANT g TO r; ALTER ROLE r SET work_mem = 99;", "DROP ROLE r", "- role r"),
    _role("SUPERUSER", "superuser"), _role("NOINHERIT", "inherit"),
    _role("CREATEROLE", "create_role"), _role("CREATEDB", "create_db"), _role("LOGIN", "login"),
    _role("REPLICATION", "replication"), _role("BYPASSRLS", "bypass_rls"),
    _role("CONNECTION LIMIT 3", "connection_limit"),
    _role("VALID UNTIL '2030-01-01'", "valid_until"), _role("PASSWORD 'sesame'", "password"),
    case(R, "ALTER ROLE r VALID UNTIL 'infinity'"),  # as without an end
    case(R, "COMMENT ON ROLE r IS 'x'", "~ role r: comment"),
    case("", "COMMENT ON ROLE pg_monitor IS 'x'", "+ role pg_monitor"),
    case(GROUP, "GRANT g TO r", "+ role membership r in g"),
    case(R, "GRANT pg_monitor TO r", "+ role membership r in pg_monitor"),
    case(GROUP + "GRANT g TO r;", "REVOKE g FROM r", "- role membership r in g"),
    case(GROUP + "GRANT g TO r;", "GRANT g TO r WITH ADMIN OPTION",
         "~ role membership r in g: admin"),
    case(GROUP + "GRANT g TO r;", "GRANT g TO r WITH INHERIT FALSE",
         "~ role membership r in g: inherit", since=16),
    case(GROUP + "GRANT g TO r;", "GRANT g TO r WITH SET FALSE",
         "~ role membership r in g: set", since=16),
    case(GROUP + "CREATE ROLE x; GRANT g TO x WITH ADMIN OPTION;", "GRANT g TO r GRANTED BY x",
         "+ role membership r in g by x", since=16),
    case(GROUP + "CREATE ROLE x; GRANT g TO r;",
         "UPDATE pg_auth_members SET grantor = 'x'::regrole WHERE roleid = 'g'::regrole",
         "~ role membership r in g: grantor", until=15),
    case(R, "ALTER ROLE r SET work_mem = 99", "+ role setting work_mem for r"),
    case(R + "ALTER ROLE r SET work_mem = 99;", "ALTER ROLE r SET work_mem = 100",
         "~ role setting work_mem for r: setting"),
    case("", "ALTER ROLE ALL SET work_mem = 99", "+ role setting work_mem for ALL"),
    case(R, "DO $$BEGIN EXECUTE format('ALTER ROLE r IN DATABASE %I SET work_mem = 99',"
         " current_database()); END$$", "~ database (this database): settings"),
)  # fmt: skip


def _database(change: str, *properties: str, since: int = 14, until: int = 99) -> Case:
    told = f"~ database (this database): {', '.join(properties)}"
    change = f"UPDATE pg_database SET {change} WHERE datname = current_database()"
    return case(ROLES, change, told, since=since, until=until)


WHOLE_SERVER = (
    case("", "ALTER TABLESPACE spare SET (random_page_cost = 3)", "~ tablespace spare: options"),
    case(R, "ALTER TABLESPACE spare OWNER TO r", "~ tablespace spare: owner"),
    case(R, "GRANT CREATE ON TABLESPACE spare TO r", "~ tablespace spare: privileges"),
    case(R, "GRANT CREATE ON TABLESPACE pg_default TO r", "~ tablespace pg_default: privileges"),
    case("", "COMMENT ON TABLESPACE spare IS 'x'", "~ tablespace spare: comment"),
    case("", "ALTER TABLESPACE spare RENAME TO other", "+ tablespace other", "- tablespace spare"),
    case(R, "GRANT SET ON PARAMETER work_mem TO r", "+ parameter work_mem", since=15),
    case(R + "GRANT SET ON PARAMETER work_mem TO r;", "GRANT ALTER SYSTEM ON PARAMETER work_mem"
         " TO r", "~ parameter work_mem: privileges", since=15),
    case("", "SELECT pg_replication_origin_create('o')", "+ replication origin o"),
    case("", "INSERT INTO pg_replication_origin VALUES (77, 'pg_16401')"),  # a subscription's own
    case("", "SELECT lo_create(70001)", "+ large object 70001"),
    case("SELECT lo_create(70001);" + R, "ALTER LARGE OBJECT 70001 OWNER TO r",
         "~ large object 70001: owner"),
    case("SELECT lo_create(70001);" + R, "GRANT SELECT ON LARGE OBJECT 70001 TO r",
         "~ large object 70001: privileges"),
    case("SELECT lo_create(70001);", "COMMENT ON LARGE OBJECT 70001 IS 'x'",
         "~ large object 70001: comment"),
    case("SELECT lo_create(70000 + n) FROM generate_series(1, 10001) AS n;",
         "SELECT lo_create(90000)", "~ large object (all): count, digest"),
    case("SELECT lo_create(70000 + n) FROM generate_series(1, 10001) AS n;",
         "COMMENT ON LARGE OBJECT 70005 IS 'x'", "~ large object (all): digest"),
    _database("datistemplate = true", "is_template"), _database("datconnlimit = 5",
              "connection_limit"),
    _database("datdba = 'reader'::regrole", "owner"), _database("encoding = 8", "encoding"),
    _database("datcollate = 'x'", "collation"), _database("datctype = 'x'", "ctype"),
    _database("dattablespace = (SELECT oid FROM pg_tablespace WHERE spcname = 'spare')",
              "tablespace"),
    _database("datlocprovider = 'i'", "provider", since=15),
    _database("daticulocale = 'de'", "locale", since=15, until=16),
    _database("datlocale = 'de'", "locale", since=17),
    _database("daticurules = '&a < b'", "rules", since=16),
)  # fmt: skip

SUB = (
    "CREATE ROLE su SUPERUSER; CREATE SUBSCRIPTION sub CONNECTION 'dbname=x' PUBLICATION p"
    " WITH (connect = false, slot_name = 'one', streaming = off);"
)


def _subscription(action: str, property: str, since: int = 14) -> Case:
    return case(SUB, action, f"~ subscription sub: {property}", since=since)


LINKS = (
    _subscription("ALTER SUBSCRIPTION sub SET (binary = true)", "binary"),
    _subscription("ALTER SUBSCRIPTION sub SET (streaming = on)", "streaming"),
    _subscription("ALTER SUBSCRIPTION sub SET (streaming = parallel)", "streaming", since=16),
    _subscription("ALTER SUBSCRIPTION sub SET (synchronous_commit = local)", "synchronous_commit"),
    _subscription("ALTER SUBSCRIPTION sub SET (slot_name = NONE)", "slot"),
    _subscription("ALTER SUBSCRIPTION sub CONNECTION 'dbname=y'", "connection"),
    _subscription("ALTER SUBSCRIPTION sub SET PUBLICATION q WITH (refresh = false)",
                  "publications"),
    _subscription("ALTER SUBSCRIPTION sub OWNER TO su", "owner"),
    _subscription("COMMENT ON SUBSCRIPTION sub IS 'x'", "comment"),
    _subscription("ALTER SUBSCRIPTION sub SET (disable_on_error = true)", "disable_on_error",
                  since=15),
    _subscription("ALTER SUBSCRIPTION sub SKIP (lsn = '0/77')", "skip_lsn", since=15),
    _subscription("UPDATE pg_subscription SET subtwophasestate = 'p'", "two_phase", since=15),
    case(SUB + "UPDATE pg_subscription SET subtwophasestate = 'p';",
         "UPDATE pg_subscription SET subtwophasestate = 'e'", since=15),  # the server's doing
    _subscription("ALTER SUBSCRIPTION sub SET (password_required = false)", "password_required",
                  since=16),
    _subscription("ALTER SUBSCRIPTION sub SET (run_as_owner = true)", "run_as_owner", since=16),
    _subscription("ALTER SUBSCRIPTION sub SET (origin = none)", "origin", since=16),
    _subscription("UPDATE pg_subscription SET subfailover = true", "failover", since=17),
    case(T + ROLES + "CREATE PUBLICATION p FOR TABLE t;", "ALTER PUBLICATION p OWNER TO reader",
         "~ publication p: owner"),
    case("CREATE PUBLICATION p;", "ALTER PUBLICATION p SET (publish_generated_columns = stored)",
         "~ publication p: generated_columns", since=18),
    case(FDW + "CREATE ROLE su SUPERUSER;", "ALTER FOREIGN DATA WRAPPER w OWNER TO su",
         "~ foreign data wrapper w: owner"),
    case(FDW, "COMMENT ON FOREIGN DATA WRAPPER w IS 'x'", "~ foreign data wrapper w: comment"),
    case(FDW + ROLES, "GRANT USAGE ON FOREIGN DATA WRAPPER w TO reader",
         "~ foreign data wrapper w: privileges"),
    case(FDW, "ALTER FOREIGN DATA WRAPPER w VALIDATOR postgresql_fdw_validator",
         "~ foreign data wrapper w: validator"),
    case(FDW + "CREATE FUNCTION h() RETURNS fdw_handler LANGUAGE internal AS 'heap_tableam_handler'"
         ";", "ALTER FOREIGN DATA WRAPPER w HANDLER h", "~ foreign data wrapper w: handler"),
    case(FDW + ROLES, "ALTER SERVER s OWNER TO reader", "~ foreign server s: owner"),
    case(FDW + ROLES, "GRANT USAGE ON FOREIGN SERVER s TO reader",
         "~ foreign server s: privileges"),
    case(FDW, "COMMENT ON SERVER s IS 'x'", "~ foreign server s: comment"),
    case(FDW, "DROP SERVER s; CREATE SERVER s TYPE 'x' FOREIGN DATA WRAPPER w",
         "~ foreign server s: type"),
    case(FDW + "CREATE FOREIGN DATA WRAPPER v;",
         "DROP SERVER s; CREATE SERVER s FOREIGN DATA WRAPPER v", "~ foreign server s: wrapper"),
    case(FDW + "CREATE SERVER o FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE f () SERVER s;",
         "DROP FOREIGN TABLE f; CREATE FOREIGN TABLE f () SERVER o",
         "~ foreign table public.f: server"),
    case(FDW + ROLES, "CREATE USER MAPPING FOR reader SERVER s",
         "+ user mapping for reader server s"),
)  # fmt: skip

LABEL = T + "INSERT INTO pg_seclabel VALUES ('t'::regclass, 'pg_class'::regclass, {}, 'p', 'x');"
RANGE = "CREATE TYPE r AS RANGE (subtype = float8);"

SYSTEM = (
    case(T, LABEL.format(0).removeprefix(T), "+ security label p on table public.t"),
    case(T, LABEL.format(1).removeprefix(T), "+ security label p on table column public.t.a"),
    case(LABEL.format(0), "UPDATE pg_seclabel SET label = 'y'",
         "~ security label p on table public.t: label"),
    case(R, "INSERT INTO pg_shseclabel VALUES ('r'::regrole, 'pg_authid'::regclass, 'p', 'x')",
         "+ security label p on role r"),
    case("", "REVOKE EXECUTE ON FUNCTION version() FROM PUBLIC",
         "+ system object function pg_catalog.version()"),
    case("REVOKE EXECUTE ON FUNCTION version() FROM PUBLIC;" + ROLES,
         "GRANT EXECUTE ON FUNCTION version() TO reader",
         "~ system object function pg_catalog.version(): privileges"),
    case("", "REVOKE EXECUTE ON FUNCTION version() FROM PUBLIC;"
         "GRANT EXECUTE ON FUNCTION version() TO PUBLIC"),
    case(ROLES, "GRANT SELECT ON pg_authid TO reader",
         "+ system object table pg_catalog.pg_authid"),
    case(ROLES, "GRANT SELECT (rolname) ON pg_authid TO reader",
         "+ system object table column pg_catalog.pg_authid.rolname"),
    case("", "REVOKE SELECT ON information_schema.tables FROM PUBLIC",
         "+ system object view information_schema.tables"),
    case("", "REVOKE USAGE ON SCHEMA information_schema FROM PUBLIC",
         "+ system object schema information_schema"),
    case("", "REVOKE USAGE ON LANGUAGE sql FROM PUBLIC", "+ system object language sql"),
    case("", "REVOKE USAGE ON TYPE pg_catalog.int4 FROM PUBLIC", "+ system object type integer"),
    case("", "REVOKE EXECUTE ON FUNCTION plpgsql_call_handler() FROM PUBLIC",
         "+ system object function pg_catalog.plpgsql_call_handler()"),
    case(T, "COMMENT ON TYPE t IS 'x'", "+ system object type public.t"),
    case(T + "COMMENT ON TYPE t IS 'x';", "COMMENT ON TYPE t IS 'y'",
         "~ system object type public.t: comment"),
    case(T, "COMMENT ON TYPE _t IS 'x'", "+ system object type public._t"),
    case(RANGE, "COMMENT ON TYPE r_multirange IS 'x'", "+ system object type public.r_multirange"),
    case(RANGE, "REVOKE EXECUTE ON FUNCTION r(float8, float8) FROM PUBLIC",
         "+ system object function public.r(double precision, double precision)"),
    case("", "CREATE FUNCTION pg_catalog.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
         "+ function pg_catalog.mine()"),
    case("", "CREATE TABLE information_schema.mine (a int)", "+ table information_schema.mine"),
)  # fmt: skip
