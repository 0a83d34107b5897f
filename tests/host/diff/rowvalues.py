"""Values of every type that print differently for a reason, and such that must not."""

# (type, before, after): one row in which exactly this column has changed.
CHANGED = [
    ("real", "'0.1'", "'0.10000001'"),  # the last bit
    ("real", "0", "'-0'"),
    ("double precision", "0.1", "0.1::float8 * (1 + 2.220446049250313e-16)"),
    ("double precision", "'NaN'", "NULL"),
    ("double precision", "'Infinity'", "'-Infinity'"),
    ("numeric", "1.0", "1.00"),
    ("numeric", "1e-25", "1.0000000001e-25"),
    ("numeric", "'NaN'", "'Infinity'"),
    ("numeric(12,2)", "1.01", "1.02"),
    ("bigint", "9223372036854775807", "9223372036854775806"),
    ("boolean", "true", "NULL"),
    ("text", "NULL", "''"),
    ("text", "'a'", "'a '"),
    ("text", r"E'\u00e9'", r"E'e\u0301'"),  # the same to look at
    ("text", "'(a,b)'", "'(a,\"b)'"),
    ("text", r"'\N'", "NULL"),
    ("text", r"E'\n'", r"E'\r\n'"),
    ("varchar(9)", "'A'", "'a'"),
    ("char(5)", "'a'", "'A'"),
    ('"char"', "'a'", "''"),
    ("name", "'a'", "'b'"),
    ("bytea", r"'\x00'", r"''"),
    ("bytea", r"'\x00ff'", r"'\x00fe'"),
    ("json", """'{"a":1,"b":2}'""", """'{"b":2,"a":1}'"""),  # its text is its value
    ("json", """'{"a":1}'""", """'{"a": 1}'"""),
    ("jsonb", """'{"a":1}'""", """'{"a":1.0}'"""),
    ("jsonb", "'null'", "NULL"),
    ("jsonpath", "'$.a'", "'$.b'"),
    ("int[]", "'{1,2}'", "'[0:1]={1,2}'"),
    ("int[]", "'{1,NULL}'", "'{NULL,1}'"),
    ("int[]", "'{}'", "NULL"),
    ("int[]", "'{{1,2}}'", "'{1,2}'"),
    ("text[]", "'{NULL}'", "'{\"NULL\"}'"),
    ("text[]", "'{}'", "'{\"\"}'"),
    ("numeric[]", "'{1.0}'", "'{1.00}'"),
    ("date", "'infinity'", "'4713-01-01 BC'"),
    ("timestamp", "'2024-02-03 04:05:06'", "'2024-02-03 04:05:06.000001'"),
    ("timestamptz", "'2024-03-02 04:05:06+00'", "'2024-02-03 04:05:06+00'"),
    ("time", "'24:00'", "'00:00'"),
    ("timetz", "'12:00+00'", "'13:00+01'"),  # one instant, two values
    ("interval", "'1 day'", "'24 hours'"),
    ("interval", "'1 month'", "'30 days'"),
    ("money", "1.01", "1.02"),
    ("uuid", "'00000000-0000-0000-0000-000000000001'", "'10000000-0000-0000-0000-000000000000'"),
    ("inet", "'10.0.0.1/24'", "'10.0.0.1'"),
    ("cidr", "'10.0.0.0/24'", "'10.0.0.0/25'"),
    ("macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'"),
    ("bit(3)", "B'101'", "B'100'"),
    ("varbit", "B'10'", "B'100'"),
    ("xml", "'<a/>'", "'<a></a>'"),
    ("tsvector", "'a:1'", "'a:2'"),
    ("tsvector", "'a:1'", "'a:1A'"),
    ("tsquery", "'a & b'", "'a | b'"),
    ("int4range", "'[1,5)'", "'(1,5)'"),
    ("int4range", "'empty'", "'(,)'"),
    ("numrange", "'[1,2]'", "'[1,2)'"),
    ("int4multirange", "'{[1,2),[5,6)}'", "'{[1,6)}'"),
    ("point", "'(1,2)'", "'(1,-2)'"),
    ("point", "'(0,0)'", "'(-0,0)'"),
    ("polygon", "'((0,0),(1,1))'", "'((1,1),(0,0))'"),
    ("pg_lsn", "'0/1'", "'1/0'"),
    ("xid8", "'4294967296'", "'1'"),
    ("mood", "'sad'", "'fine'"),
    ("positive", "1", "2"),
    ("label", "'a'", "'a '"),
    ("pair", "ROW(1, '')::pair", "ROW(1, NULL)::pair"),
    ("pair", "ROW(NULL, NULL)::pair", "NULL"),
    ("pair[]", "ARRAY[ROW(1, 'a')::pair]", "ARRAY[ROW(1, 'b')::pair]"),
    ("span", "'[1.5,2]'", "'[1.5,2.0]'"),
]
# (type, before, after): another spelling or another storage of the same value: no change.
SAME = [
    ("char(5)", "'a'", "'a    '"),
    ("numeric(12,2)", "1.0", "1.00"),
    ("double precision", "100", "1e2"),
    ("real", "'0.1'", "'0.10000000149'"),
    ("jsonb", """'{"a":1,"b":2}'""", """'{"b":2, "a":1, "a":1}'"""),
    ("timestamptz", "'2024-02-03 04:05:06+00'", "'2024-02-03 05:05:06+01'"),
    ("uuid", "'00000000-0000-0000-0000-00000000000a'", "'{0000000000000000000000000000000A}'"),
    ("bytea", r"'\x41'", "'A'"),
    ("int4range", "'[1,4]'", "'[1,5)'"),
    ("inet", "'10.0.0.1'", "'10.0.0.1/32'"),
    ("money", "1.00", "'$1'"),
    ("int[]", "'{1,2}'", "'[1:2]={1,2}'"),
    ("text", "repeat('long ', 9000)", "repeat('long ', 9000) || ''"),
    ("bit(3)", "B'101'", "X'A'::bit(3)"),
]
TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'fine');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN label AS text;
CREATE TYPE pair AS (x int, y text);
CREATE TYPE span AS RANGE (subtype = numeric);
"""
VALUES = [*CHANGED, *SAME]
TABLE = (
    TYPES
    + "CREATE TABLE v (id int PRIMARY KEY, "
    + ", ".join(f"c{number} {item[0]}" for number, item in enumerate(VALUES))
    + "); INSERT INTO v SELECT i, "
    + ", ".join(f"{item[1]}" for item in VALUES)
    + " FROM generate_series(0, 999) i; VACUUM (FREEZE, ANALYZE) v"
).split(";")
"""Statements: row N is there for case N to change."""
CHANGES = [
    f"UPDATE v SET c{number} = {item[2]} WHERE id = {number}" for number, item in enumerate(VALUES)
]
EXPECTED = {f"c{number}": 1 for number in range(len(CHANGED))}
