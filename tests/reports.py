"""Reports as values: of two sides, and of three with a common ancestor and conflicts."""

from __future__ import annotations

from typing import cast

from cowdb.controller.diff.model import Report

VIEW = """ SELECT users.id AS user_id,
    users.full_name,
    users.country,
    count(orders.id) AS orders,
    COALESCE(sum(orders.total), 0::numeric) AS spent
   FROM users
     LEFT JOIN orders ON orders.user_id = users.id AND orders.status <> 'cancelled'::status
  GROUP BY users.id;"""
OTHER_VIEW = VIEW.replace("AS spent", "AS spent,\n    max(orders.placed_at) AS last").replace(
    "'cancelled'", "'returned'"
)


def report(**parts: object) -> Report:
    """Two sides that do not differ, but for the given parts."""
    whole = {
        "sides": ["main@before-v2", "try-a"],
        "identical": False,
        "schema": [],
        "counts": [],
        "rows": [],
        "method": {},
        "not_compared": [],
        "timings_ms": {"schema": 1.0, "counts": 1.0, "rows": 1.0, "total": 2.0},
        "matrix": None,
        "ancestor": {"ref": None, "reason": "not asked for (--ancestor)"},
        "since": None,
    }
    return cast(Report, whole | parts)


def changed(kind: str, name: str, *properties: tuple[str, object, object], side: str = "try-a"):
    details = [{"property": p, "values": [old, new]} for p, old, new in properties]
    return {"kind": kind, "name": name, "change": "changed", "side": side, "details": details}


def whole(change: str, kind: str, name: str, side: str = "try-a", **details: object):
    return {"kind": kind, "name": name, "change": change, "side": side, "details": details}


def part(kind: str, name: str, **details: object):
    return {"kind": kind, "name": name, "details": details}


SCHEMA = [
    whole("added", "table", "public.loyalty", owner="shop", contains=[
        part("column", "public.loyalty.user_id", type="bigint", not_null=True, storage="plain"),
        part("column", "public.loyalty.points", type="integer", default="0"),
        part("constraint", "public.loyalty.loyalty_pkey", definition="PRIMARY KEY (user_id)"),
    ]),
    whole("added", "column", "public.users.premium_level", type="text", collation='"C"',
          not_null=True, default="'standard'::text", comment="decides shipping and support"),
    whole("removed", "column", "public.users.legacy_flag", type="boolean", not_null=False),
    changed("column", "public.orders.total", ("type", "numeric(10,2)", "numeric(12,2)"),
            ("comment", None, "Gross, in the order's currency, with shipping and tax.")),
    whole("added", "constraint", "public.users.users_premium_level_check", type="check",
          definition="CHECK (premium_level = ANY (ARRAY['standard'::text, 'gold'::text]))"),
    changed("view", "public.customer_summary", ("definition", VIEW, OTHER_VIEW),
            ("privileges", ["PUBLIC: SELECT", "reporting: SELECT"],
             ["app: SELECT", "reporting: SELECT"])),
]  # fmt: skip

COUNTS = [
    {"table": "public.users", "counts": [1_000_000, 999_988], "exact": True},
    {"table": "public.loyalty", "counts": [None, 0], "exact": True},
    {"table": "public.products", "counts": [20_000, 20_000], "exact": True},
]

ROWS = [
    {"table": "public.users", "side": "try-a", "key": ["id"],
     "added": 0, "removed": 12, "changed": 1003, "columns": {"email": 1000, "full_name": 3},
     "sample": [
         {"change": "changed", "key": {"id": "7"},
          "columns": {"email": ["Ann@EXAMPLE.com", "ann@example.com"]}},
         {"change": "changed", "key": {"id": "20"},
          "columns": {"email": ["Cem@EXAMPLE.com", "cem@example.com"],
                      "full_name": ["Cem Öz", None]}},
         {"change": "removed", "key": {"id": "900"},
          "row": {"id": "900", "email": "gone@example.com", "full_name": "", "country": None,
                  "note": "a note that is so long that it needs a second line in its cell"}},
     ]},
    {"table": "public.audit_log", "side": "try-a", "key": [], "added": 1, "removed": 0,
     "changed": 0, "columns": {},
     "sample": [{"change": "added", "key": {}, "row": {"actor": "migration", "what": "backfill"}}]},
]  # fmt: skip

NOT_COMPARED = [
    "values of public.users.premium_level: only one side has the column",
    "other databases of the same server: postgres",
]

METHOD = {"public.users": "changed-blocks", "public.products": "unchanged-blocks",
          "public.audit_log": "full-scan"}  # fmt: skip

TWO_SIDES = report(schema=SCHEMA, counts=COUNTS, rows=ROWS, method=METHOD,
                   not_compared=NOT_COMPARED)  # fmt: skip


def statement(text: str, kind: str, name: str, **parts: object):
    """One of a migration that loses, rewrites and locks nothing, but for the given parts."""
    plain = {"statement": text, "kind": kind, "name": name, "loses_data": False, "lock": "",
             "long_lock": False, "rewrites": False, "in_transaction": True,
             "reason": ""}  # fmt: skip
    return plain | parts


SQL = [
    statement("ALTER TABLE public.users DROP COLUMN legacy_flag", "column",
              "public.users.legacy_flag", loses_data=True, lock="ACCESS EXCLUSIVE",
              reason="the column's values are lost"),
    statement("ALTER TABLE public.orders ALTER COLUMN total TYPE numeric(12,2)", "column",
              "public.orders.total", rewrites=True, long_lock=True, lock="ACCESS EXCLUSIVE"),
    statement("ALTER TYPE public.status ADD VALUE 'returned'", "enum", "public.status",
              in_transaction=False),
    statement("", "role", "old_app", reason="other databases may need it"),
]  # fmt: skip


def _three_sides() -> Report:
    a, b, c = sides = ["try-a", "try-b", "try-c"]
    level = {b: {"type": "text", "storage": "extended"}, c: {"type": "integer", "storage": "plain"}}
    name, email = {"name": "Ann"}, {"email": "ann@example.com"}
    return report(
        sides=sides,
        schema=[
            whole("added", "column", "public.users.level", b, **level[b]),
            whole("added", "column", "public.users.level", c, **level[c]),
            changed("column", "public.orders.total", ("type", "numeric(10,2)", "numeric(12,2)"),
                    side=b),
            changed("view", "public.customer_summary", ("definition", OTHER_VIEW, VIEW), side=b),
        ],
        counts=[{"table": "public.users", "counts": [1000, 1000, 990], "exact": True}],
        rows=[{**ROWS[0], "side": c}],
        method={"public.users": "full-scan"},
        matrix={
            "schema": [
                {"kind": "column", "name": "public.users.level",
                 "groups": [{"sides": [a], "values": None}, {"sides": [b], "values": level[b]},
                            {"sides": [c], "values": level[c]}]},
            ],
            "counts": [{"table": "public.users", "groups": [{"sides": [a, b], "count": 1000},
                                                            {"sides": [c], "count": 990}]}],
            "rows": [
                {"table": "public.users", "key": ["id"], "sides": sides, "different": 11,
                 "patterns": [{"groups": [[a, b], [c]], "rows": 10},
                              {"groups": [[a], [b], [c]], "rows": 1}],
                 "sample": [{"key": {"id": "7"}, "groups": [{"sides": [a, b], "values": name},
                                                           {"sides": [c], "values": None}]}]},
            ],
        },
        ancestor={"ref": "main@before-v2", "reason": ""},
        since={
            "conflicts": 3,
            "schema": [
                {"kind": "index", "name": "public.users_email_idx", "by": [b], "conflict": False,
                 "was": None, "became": {b: {"definition": "CREATE INDEX users_email_idx"}},
                 "collide": [], "against": [], "contains": []},
                {"kind": "column", "name": "public.users.level", "by": [b, c], "conflict": True,
                 "was": None, "became": level, "collide": ["type", "storage"], "against": [],
                 "contains": []},
                {"kind": "table", "name": "public.legacy_import", "by": [c], "conflict": True,
                 "was": {"owner": "shop"}, "became": {c: None}, "collide": [],
                 "against": [{"side": b, "kind": "column", "name": "public.legacy_import.note",
                              "change": "changed"}],
                 "contains": ["column public.legacy_import.note"]},
                {"kind": "view", "name": "public.customer_summary", "by": [a], "conflict": False,
                 "was": {"definition": VIEW}, "became": {a: {"definition": OTHER_VIEW}},
                 "collide": [], "against": [], "contains": []},
            ],
            "counts": [{"table": "public.users", "by": [c], "conflict": False, "was": 1000,
                        "became": {c: 990}}],
            "rows": [
                {"table": "public.users", "key": ["id"], "by": [b, c], "conflict": True,
                 "changes": {b: {"added": 0, "removed": 0, "changed": 1},
                             c: {"added": 0, "removed": 10, "changed": 2}},
                 "conflicts": 1, "agreed": 1, "columns": {"name": 1}, "against": [],
                 "sample": [
                     {"key": {"id": "7"}, "by": [b, c], "conflict": True, "was": name | email,
                      "became": {b: {"name": "Anna"} | email,
                                 c: {"name": "Anne", "email": "anne@example.com"}},
                      "collide": ["name"]},
                     {"key": {"id": "12"}, "by": [c], "conflict": False,
                      "was": {"name": "Cem", "email": None}, "became": {c: None}, "collide": []},
                 ]},
                {"table": "public.audit_log", "key": [], "by": [b], "conflict": None,
                 "changes": {b: {"added": 1, "removed": 0, "changed": 0}}, "conflicts": None,
                 "agreed": None, "columns": {}, "against": [],
                 "sample": [{"key": {"actor": "migration"}, "by": [b], "conflict": None,
                             "was": None, "became": {b: {"actor": "migration"}}, "collide": [],
                             "more": {b: 1}}]},
            ],
        },
    )  # fmt: skip


THREE_SIDES = _three_sides()

HOSTILE = (
    "</script><script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 1'>",
    '"><b onmouseover="window.pwned = 1">x</b>',
    "{{ 7 * 7 }}{% raw %}",
    "\N{RIGHT-TO-LEFT OVERRIDE}evil\N{LEFT-TO-RIGHT ISOLATE}",
    "nul\x00 bell\x07 escape\x1b[2J back\x08\x7f\x9b",
    "--><!--<![CDATA[",
    "&lt;&#60;&amp;",
    "שלום עולם",
    "x" * 300,
    "\ud800 lone",
    "two\nlines\r\n\u2028and more",
    "</title></style></textarea></td></table>",
)


def hostile_report() -> Report:
    """Every text in it is one that would like to be something else."""
    one, two = "public." + HOSTILE[0], HOSTILE[4]
    every = {f"column {place} {text}": text for place, text in enumerate(HOSTILE)}
    return report(
        sides=[HOSTILE[1] + HOSTILE[4], HOSTILE[2], HOSTILE[5]],
        schema=[
            whole("added", "table", one, HOSTILE[2], owner=HOSTILE[6],
                  contains=[part("column", f"{one}.{text}", default=text) for text in HOSTILE]),
            whole("removed", HOSTILE[4], one, HOSTILE[5]),
            *(changed("function", f"{text}()", (text, text, two), ("body", text, f"{text}\n{two}"),
                      ("privileges", [text], [text, two]), side=HOSTILE[2]) for text in HOSTILE),
        ],
        counts=[{"table": text, "counts": [1, 2, 2], "exact": False} for text in HOSTILE],
        rows=[
            {"table": one, "side": HOSTILE[2], "key": [HOSTILE[3]], "added": 1, "removed": 0,
             "changed": len(HOSTILE), "columns": {HOSTILE[5]: 1},
             "sample": [{"change": "changed", "key": {HOSTILE[3]: text},
                         "columns": {HOSTILE[5]: [text, two]}} for text in HOSTILE]
             + [{"change": "added", "key": {HOSTILE[3]: two}, "row": {HOSTILE[3]: two} | every}]},
        ],
        method=dict.fromkeys(HOSTILE, "full-scan"),
        not_compared=list(HOSTILE),
        timings_ms={"schema": 1.0, "counts": 1.0, "rows": 1.0, HOSTILE[0]: 1.0},
        ancestor={"ref": None, "reason": HOSTILE[0]},
    )  # fmt: skip
