"""Hard tables by changed blocks: the same answer as by reading everything."""

from __future__ import annotations

from typing import Any

from tests.agenthost import AgentHost

TABLES = (
    "create table p (a int, b text, at date, primary key (a, at)) partition by range (at)",
    "create table p1 partition of p for values from ('2024-01-01') to ('2024-02-01')",
    "create table p2 partition of p for values from ('2024-02-01') to ('2024-03-01')",
    "create table p3 partition of p for values from ('2024-03-01') to ('2024-04-01')",
    "insert into p select i, md5(i::text), date '2024-01-01' + i % 91"
    " from generate_series(1, 30000) i",
    "create table gone (a int primary key, b text, c int)",
    "insert into gone select i, 'b' || i, i from generate_series(1, 20000) i",
    "create table spelled (k numeric primary key, v text)",
    "insert into spelled select i, repeat('v', 50) from generate_series(1, 20000) i",
    "create table loose (v text)",
    "insert into loose select i % 50 from generate_series(1, 20000) i",
    "create table base (a int primary key, b text)",
    "create table derived (primary key (a)) inherits (base)",
    "insert into base select i, repeat('b', 50) from generate_series(1, 9000) i",
    "insert into derived select i, repeat('b', 50) from generate_series(1, 9000) i",
    'create table "odd %s ""name""" ("k%" int primary key, "v""" text)',
    'insert into "odd %s ""name""" select i, repeat(\'b\', 50) from generate_series(1, 9000) i',
    "vacuum (freeze, analyze)",
)
CHANGES = (
    "update p set b = 'x' where a in (5, 192)",
    "update p set at = '2024-02-15' where a = 1",  # from January
    "alter table p detach partition p3",
    "alter table gone drop column b",
    "alter table gone add column b text",
    "update spelled set k = 7.00 where k = 7",
    "update spelled set v = 'w' where k = 900",
    "insert into loose values ('7'), (null)",
    "update only derived set b = 'd' where a = 4000",
    'update "odd %s ""name""" set "v""" = null where "k%" = 8000',
)
EXPECTED = {
    "public.p1": (0, 1, 2), "public.p2": (1, 0, 0),
    "public.gone": (0, 0, 20000), "public.spelled": (0, 0, 2), "public.loose": (2, 0, 0),
    "public.derived": (0, 0, 1), 'public."odd %s ""name"""': (0, 0, 1),
}  # fmt: skip


def _numbers(found: Any) -> dict[str, tuple[int, int, int]]:
    return {line["table"]: (line["added"], line["removed"], line["changed"])
            for line in found["rows"]}  # fmt: skip


def test_what_has_changed_in_tables_of_many_kinds(host: AgentHost) -> None:
    source = host.json("source", "add", "main", "--empty")
    host.sql(source["dsn"], *TABLES)
    host.json("snapshot", "create", "main@s", "--settle")
    dsn = {name: host.json("branch", "create", name, "--from", "main@s")["dsn"] for name in "ab"}
    host.sql(dsn["b"], *CHANGES)
    by_blocks = host.json_any("diff", "a", "b", "--rows")
    by_url = host.json_any("diff", dsn["a"], dsn["b"], "--rows")
    assert _numbers(by_blocks) == _numbers(by_url)
    detached = sum((i % 91) >= 60 for i in range(1, 30001))
    # The row that moved to February has another key: it is one removed and one added.
    expected = EXPECTED | {"public.p": (1, detached + 1, 2)}
    assert _numbers(by_blocks) == expected
    methods = by_blocks["method"]
    assert methods["public.p1"] == methods["public.spelled"] == "changed-blocks"
    assert methods["public.gone"] == "full-scan"
    assert methods["public.p3"] == methods["public.base"] == "unchanged-blocks"
    assert set(by_url["method"].values()) == {"full-scan"}
