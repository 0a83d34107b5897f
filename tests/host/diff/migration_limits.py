"""What `--sql` does not do, by design: a test fails when one comes in addition or is done now."""

from __future__ import annotations

_LARGE = "left alone: large objects are rows rather than schema"
_SPACE = "left alone: tablespaces belong to the whole server and its disks"
_ORIGIN = "left alone: an origin tells how far this server has followed another"
_SERVERS = "left alone: the server's own objects belong to the server"
_INDEX = "an index cannot be made invalid on purpose"
_SLOT = "the publisher's slot must change with it"
_NO_WAY = "the first side's server has no scripts from version {} to {}"

# Kind, what still differs, the reason that is printed, the first and the last major.
NOT_DONE: tuple[tuple[str, str, str, int, int], ...] = (
    ("column", "dropped", "before PostgreSQL 16 storage cannot be set back to the type's default",
     14, 15),
    *(("database", name, f"its {name} cannot be changed", since, 99)
      for name, since in (("collation", 14), ("ctype", 14), ("encoding", 14), ("tablespace", 14),
                          ("provider", 15), ("locale", 15), ("rules", 16))),
    ("extension", "configuration_tables", "its configuration tables cannot be changed", 14, 99),
    ("extension", "owner", "the owner of an extension cannot be changed", 14, 99),
    ("extension", "relocatable", "its relocatable cannot be changed", 14, 99),
    *(("extension", "version", _NO_WAY.format(*versions), 14, 99)
      for versions in (("1.0", "9"), ("9", "1.0"), ("1.5", "1.4"))),
    *(("index", name, _INDEX, 14, 99) for name in ("live", "ready", "valid")),
    *(("large object", name, _LARGE, 14, 99)
      for name in ("made", "dropped", "owner", "privileges", "comment", "count", "digest")),
    *(("replication origin", name, _ORIGIN, 14, 99) for name in ("made", "dropped")),
    ("role", "dropped",
     "DROP ROLE r belongs to the whole server: other databases may need the role", 14, 99),
    ("role", "password", "a password is never printed", 14, 99),
    ("subscription", "connection",
     "the connection string may hold a password and is never printed", 14, 99),
    ("subscription", "enabled", "ALTER SUBSCRIPTION sub ENABLE would connect to its publisher",
     14, 99),
    ("subscription", "nothing", "the connection string may hold a password and is never printed:"
     " set it with ALTER SUBSCRIPTION sub CONNECTION '...', then ENABLE", 14, 99),
    ("subscription", "two_phase", _SLOT, 15, 99), ("subscription", "failover", _SLOT, 17, 99),
    ("subscription", "skip_lsn", "a transaction of the publisher that is skipped is lost", 15, 99),
    *(("system object", name, _SERVERS, 14, 99)
      for name in ("made", "dropped", "privileges", "comment")),
    ("table", "detach_pending", "a detach that was begun and not finished cannot be made", 14, 99),
    *(("tablespace", name, _SPACE, 14, 99)
      for name in ("made", "dropped", "owner", "privileges", "options", "comment")),
    ("user mapping", "options", "the value of password may be a secret and is never printed: put it"
     " in place of the placeholder", 14, 99),
)  # fmt: skip

# Written into the catalogs by the cases. The server refuses to make such a thing, in these words.
REFUSED: dict[str, str] = {
    "SET typbyval = true": "internal size -1 is invalid for passed-by-value type",
    "SET typelem = 'int'": "element type cannot be specified without a subscripting function",
    "SET typinput = 'int4in'": "type input function int4in must return type",
    "SET typoutput = 'int4out'": r"function int4out\(public.b\) does not exist",
    "SET rngcanonical =": "cannot specify a canonical function without a pre-created shell type",
    "SET collisdeterministic = false": "nondeterministic collations not supported",
    "SET collicurules =": "ICU rules cannot be specified unless locale provider is ICU",
    "SET prsstart =": r"function prsd_headline\(internal, integer\) does not exist",
    "SET prstoken =": r"function prsd_headline\(internal, internal, internal\) does not exist",
    "SET prsend =": r"function prsd_headline\(internal\) does not exist",
    "SET prslextype =": r"function prsd_headline\(internal\) does not exist",
    "SET opckeytype =": "storage type cannot be different from data type",
}

# A shell that has the properties of a whole type; a real one is among the pairs.
UNREAL = ("SET typisdefined = false",)

# What is tried by itself: it is not done, or others would not find what they change.
ALONE = (
    "indislive", "indisready", "indisvalid = false", "inhdetachpending", "STORAGE EXTERNAL",
    "_RETURN", "DROP ", "SET SCHEMA", "slot_name = NONE)", "UPDATE pg_subscription", "SKIP",
    "CONNECTION 'dbname=y'", "VALIDATOR", "datdba", "system object", "LARGE OBJECT 70001 OWNER",
)  # fmt: skip
