"""`snapshot create --freeze`: reading rows in a branch writes nothing, and returns what it did."""

from __future__ import annotations

from typing import Any

import pytest

from tests.agenthost import AgentHost
from tests.host.usecase import eventually

# Rows that nobody has read since they were written, some of them dead, one only locked.
FILL = (
    "create table t (id int primary key, word text) with (autovacuum_enabled = off)",
    "insert into t select i, md5(i::text) from generate_series(1, 20000) i",
    "update t set word = 'second' where id % 100 = 0",
    "delete from t where id > 19900",
    "create index on t (word)",
    "create table parted (id int, word text) partition by hash (id)",
    "create table part_0 partition of parted for values with (modulus 2, remainder 0)",
    "create table part_1 partition of parted for values with (modulus 2, remainder 1)",
    "insert into parted select i, repeat('x', 3000) from generate_series(1, 500) i",
    "create materialized view seen as select * from t where id < 5000",
)
READ = (
    "select count(*), sum(hashtext(t::text)) from t",
    "select count(*), sum(hashtext(p::text)) from parted p",
    "select count(*), sum(hashtext(s::text)) from seen s",
)
# What a query may depend on although it names no row: where rows stand, and what is planned.
LOOK = (
    *READ,
    "select md5(string_agg(ctid::text || xmin, ',' order by ctid)) from t",
    "select string_agg(id::text, ',') from (select id from t limit 500) x",
    "select relname, relpages, reltuples, relallvisible from pg_class "
    "where relname ~ '^(t|t_.*|part.*|seen)$' order by 1",
    "select pg_relation_size('t'), pg_relation_size('t_word_idx')",
)


def _made(host: AgentHost, *options: str) -> None:
    """Source `main` with two databases of the same content, one of which takes no connection by
    name from outside; and snapshot main@s."""
    source = host.json("source", "add", "main", "--empty")
    host.sql(source["dsn"], *FILL)
    host.json("snapshot", "create", "main@s", "--settle", *options)


def _read(host: AgentHost, dsn: str) -> list[Any]:
    return [host.sql(dsn, query) for query in READ]


def _dirtied(host: AgentHost, dsns: dict[str, str]) -> set[str]:
    """Tables of which the agent says that reading them on two branches has changed blocks."""
    for dsn in dsns.values():
        _read(host, dsn)
        host.sql(dsn, "checkpoint")
    with host.client() as client:
        found = client.host.changes(*dsns)["relations"]
    assert found is not None
    files = "select pg_relation_filepath(oid), oid::regclass::text from pg_class " \
        "where oid >= 16384 and relkind in ('r', 'm', 't', 'i')"  # fmt: skip
    named = dict(host.sql(dsns["a"], files))
    return {named[name] for name in found if name in named}


@pytest.mark.parametrize("frozen", [False, True])
def test_a_read_of_a_whole_table_dirties_no_block(any_host: AgentHost, frozen: bool) -> None:
    host = any_host
    _made(host, *(["--freeze"] if frozen else []))
    assert host.json("snapshot", "show", "main@s")["frozen"] is frozen
    dsns = {name: host.json("branch", "create", name, "--from", "main@s")["dsn"] for name in "ab"}
    dirtied = _dirtied(host, dsns)
    if frozen:
        assert dirtied == set()
    else:
        assert {"t", "part_0", "part_1"} <= dirtied


def test_it_changes_nothing_that_a_query_returns(host: AgentHost) -> None:
    _made(host)
    source = host.json("source", "show", "main")["dsn"]
    host.json("snapshot", "create", "main@f", "--settle", "--freeze")
    host.sql(source, "vacuum t")  # a snapshot of something else, to see that LOOK can differ
    host.json("snapshot", "create", "main@v", "--settle")
    found = {}
    for name in "sfv":
        dsn = host.json("branch", "create", name, "--from", f"main@{name}")["dsn"]
        found[name] = [host.sql(dsn, query) for query in LOOK]
    assert found["s"] == found["f"]
    assert found["s"] != found["v"]


def test_counts_that_were_kept_stay_right(host: AgentHost) -> None:
    """They are of the settled volume, frozen or not."""
    _made(host, "--freeze")
    a, b = (host.json("branch", "create", name, "--from", "main@s")["dsn"] for name in "ab")
    for expected in (0, 7, 14):
        found = host.json_any("diff", "main@s", "a", "b", "--counts")
        counts = {line["table"]: line["counts"] for line in found["counts"]}
        assert counts["public.t"] == [19900, 19900 - expected, 19900]
        host.sql(a, f"delete from t where id between {expected + 1} and {expected + 7}")
    assert host.sql(b, "select count(*) from t") == [(19900,)]


def test_it_happens_in_the_background_and_is_not_forgotten(host: AgentHost) -> None:
    source = host.json("source", "add", "main", "--empty")
    host.sql(source["dsn"], *FILL[:2])
    taken = host.json("snapshot", "create", "main@s", "--freeze")
    assert set(taken) >= {"settled", "frozen"}
    eventually(lambda: host.json("snapshot", "show", "main@s")["frozen"])
    host.stop_agent()  # without a daemon, whoever takes it settles it
    assert host.json("snapshot", "create", "main@t", "--freeze")["frozen"]
    host.start_agent()
    assert {item["ref"]: item["frozen"] for item in host.json("snapshot", "list")} == {
        "main@s": True, "main@t": True,
    }  # fmt: skip
