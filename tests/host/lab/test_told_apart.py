"""Strategies that are known to differ are told apart, and for the right reason.

All of them run in one lab, which takes a while; every test looks at its report.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agenthost import AgentHost
from tests.host.lab import labfile
from tests.host.lab.labfile import locks

pytestmark = pytest.mark.timeout(900)  # the lab of all of them, beside others

SECRET = "hunter2-very-secret"
FILES = {
    "constant.sql": "alter table users add column level int default 1;",
    "volatile.sql": "alter table users\n  add column level double precision default random();",
    "index.sql": "create index users_by_email on users (email);",
    "concurrently.sql": "create index concurrently users_by_email on users (email);",
    "not-null.sql": "alter table users alter column email set not null;",
    "checked.sql": "alter table users add constraint c check (email is not null) not valid;\n"
    "alter table users validate constraint c;\n"
    "alter table users alter column email set not null;\n"
    "alter table users drop constraint c;\n",
    "wider.sql": "alter table users alter column name type varchar(20);",
    "bigint.sql": "alter table users alter column v type bigint;",
    "fk.sql": "alter table orders add constraint fk foreign key (user_id) references users (id);",
    "fk-not-valid.sql": "alter table orders add constraint fk foreign key (user_id)\n"
    "  references users (id) not valid;",
    "transaction.sql": "begin;\nalter table tiny add column w int;\nselect pg_sleep(0.3);\n"
    "commit;\n",
    "up.sql": "alter table users add column level int;\nupdate users set level = 1 where id < 9;\n",
    "down.sql": "alter table users drop column level;\n",
    "half-down.sql": "update users set v = 0 where id = 7;\nalter table users drop column level;\n",
    "loss.sql": "alter table users drop column v;\nalter table users drop column unused;\n"
    "alter table users rename column name to called;\nalter table orders rename to sales;\n"
    "drop table tiny;\ndelete from users where id <= 3;\n",
    "secret.sql": f"create role app login password '{SECRET}';\n"
    f"alter role app connection limit 3 password '{SECRET}' valid upto 'x';\n",
    "short.sql": "".join(
        f"alter table tiny alter column v set default {number};\n" for number in range(40)
    ),
    "rows.sql": "begin;\nupdate users set v = v + 1 where id <= 100;\nselect pg_sleep(1.1);\n"
    "commit;\n",
    "spoken.sql": "begin;\nlock table only users in share row exclusive mode;\ncommit;\n"
    'truncate public."tiny", orders;\n',
    "role.sql": "create role low;\ngrant create on schema public to low;\nset role low;\n"
    "create table mine (i int);\ndo $$ begin alter table mine add column j int; end $$;\n",
    "bad.sql": "-- the second statement fails\nselect 1;\n\nalter table users\n"
    "  drop column nothing;\nselect 2;\n",
}
QUEUE = """
psql -qc 'begin; select 1 from users limit 1; select pg_sleep(1.2)' & sleep 0.4
psql -qc 'alter table users add column level int' & sleep 0.4
psql -qc 'select count(*) from users'
wait
"""
STRATEGIES: list[dict[str, object]] = [
    {"name": "constant", "sql": "constant.sql"},
    {"name": "volatile", "command": "psql -f volatile.sql"},
    {"name": "index", "sql": "index.sql"},
    {"name": "concurrently", "sql": "concurrently.sql"},
    {"name": "not-null", "sql": "not-null.sql"},
    {"name": "checked", "sql": "checked.sql"},
    {"name": "wider", "sql": "wider.sql"},
    {"name": "bigint", "sql": "bigint.sql"},
    {"name": "fk", "sql": "fk.sql"},
    {"name": "fk-not-valid", "sql": "fk-not-valid.sql"},
    {"name": "queue", "command": QUEUE},
    {"name": "transaction", "sql": "transaction.sql"},
    {"name": "back", "command": "psql -f up.sql && psql -f down.sql",
     "expect": "same-as-checkpoint"},
    {"name": "half-back", "sql": ["up.sql", "half-down.sql"], "expect": "same-as-checkpoint"},
    {"name": "nothing", "command": "true", "expect": "same-as-checkpoint"},
    {"name": "loss", "sql": "loss.sql"},
    {"name": "secret", "command": "psql -a -f secret.sql"},
    {"name": "bad", "sql": "bad.sql"},
    {"name": "short", "sql": "short.sql"},
    {"name": "rows", "sql": "rows.sql"},
    {"name": "spoken", "sql": "spoken.sql"},
    {"name": "role", "sql": "role.sql"},
    {"name": "dropped", "command": "psql -d postgres -c 'drop database main with (force)'"},
    {"name": "killed", "command": "psql -c 'alter table tiny add column w int'; kill -9 $$"},
    {"name": "endless", "command": "psql -c 'lock table tiny; select pg_sleep(60)'",
     "timeout": "900ms"},
]  # fmt: skip


@pytest.fixture(scope="module")
def found(btrfs_host: AgentHost) -> Iterator[dict[str, Any]]:
    with labfile.cleaned(btrfs_host) as host:
        labfile.shop(host)
        path = labfile.write(host, STRATEGIES, FILES, parallel=2)
        yield labfile.report(host, path)


@pytest.fixture(scope="module")
def runs(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return labfile.runs_of(found)


def test_a_default_that_rewrites_and_one_that_does_not(runs: dict[str, Any]) -> None:
    assert (runs["constant"]["rewritten"], runs["constant"]["scanned"]) == ([], [])
    volatile = runs["volatile"]
    assert (volatile["rewritten"], volatile["scanned"]) == (["public.users"], ["public.users"])
    (statement,) = volatile["statements"]
    assert (statement["rewrote"], statement["file"], statement["line"]) == (
        ["public.users"], "volatile.sql", 1
    )  # fmt: skip
    assert locks(volatile, "reads") == {("public.users", "AccessExclusiveLock")}


def test_an_index_plain_and_concurrently(runs: dict[str, Any]) -> None:
    assert locks(runs["index"], "writes") == {("public.users", "ShareLock")}
    concurrently = runs["concurrently"]
    assert locks(concurrently, "writes") == locks(concurrently, "reads") == set()
    assert ("public.users", "ShareUpdateExclusiveLock") in locks(concurrently, "ddl")
    assert runs["index"]["statements"][0]["scanned"] == ["public.users"]


def test_not_null_directly_and_through_a_validated_check(runs: dict[str, Any]) -> None:
    """The direct way reads the table whole while it blocks everybody; the other way does that
    while it blocks only DDL."""
    (direct,) = runs["not-null"]["statements"]
    assert direct["scanned"] == ["public.users"]
    assert [(lock["statement"], lock["blocks"]) for lock in runs["not-null"]["locks"]] == [
        (direct["number"], "reads")
    ]
    checked = runs["checked"]
    scanning = [item for item in checked["statements"] if item["scanned"]]
    assert [item["line"] for item in scanning] == [2]
    under = {lock["blocks"] for lock in checked["locks"]
             if lock["statement"] == scanning[0]["number"]}  # fmt: skip
    assert under == {"ddl"}


def test_a_type_change_that_rewrites_and_one_that_does_not(runs: dict[str, Any]) -> None:
    assert runs["wider"]["rewritten"] == []
    assert runs["bigint"]["rewritten"] == ["public.users"]
    assert runs["bigint"]["disk"]["wal_bytes"] > 10 * runs["wider"]["disk"]["wal_bytes"]
    assert runs["bigint"]["disk"]["cow_bytes"] > runs["wider"]["disk"]["cow_bytes"]


def test_a_foreign_key_with_and_without_validation(runs: dict[str, Any]) -> None:
    both = {("public.orders", "ShareRowExclusiveLock"), ("public.users", "ShareRowExclusiveLock")}
    assert locks(runs["fk"], "writes") == locks(runs["fk-not-valid"], "writes") == both
    assert "public.orders" in runs["fk"]["statements"][0]["scanned"]
    assert runs["fk-not-valid"]["statements"][0]["scanned"] == []
    assert runs["fk"]["leftovers"] == []
    assert runs["fk-not-valid"]["leftovers"] == [
        {"kind": "not valid constraint", "name": "public.orders.fk"}
    ]


def test_a_queue_behind_a_long_reader(runs: dict[str, Any]) -> None:
    """ALTER TABLE waits for a reader, and a reader waits for ALTER TABLE."""
    queue = runs["queue"]
    altering, reading = sorted(
        (item for item in queue["waits"] if item["relation"] == "public.users"),
        key=lambda item: item["at_ms"],
    )
    assert (altering["mode"], altering["who"]) == ("AccessExclusiveLock", "strategy")
    assert len(altering["behind"]) == 1 and "pg_sleep" in altering["behind"][0]
    assert reading["mode"] == "AccessShareLock"
    assert ["alter table" in reading["behind"][0], "pg_sleep" in reading["behind"][1]] == [
        True, True
    ]  # fmt: skip
    (lock,) = (item for item in queue["locks"] if item["blocks"] == "reads")
    assert lock["waited_ms"] >= 400 > lock["held_ms"]
    assert lock["exact"] is True
    altered = next(item for item in queue["statements"] if "alter" in item["text"])
    assert altered["waited_ms"] == pytest.approx(lock["waited_ms"], abs=30)


def test_locks_of_a_transaction_last_to_its_commit(runs: dict[str, Any]) -> None:
    transaction = runs["transaction"]
    (lock,) = (item for item in transaction["locks"] if item["relation"] == "public.tiny")
    alter, commit = transaction["statements"][1], transaction["statements"][3]
    assert lock["statement"] == alter["number"]
    end = commit["at_ms"] + commit["duration_ms"]
    assert lock["at_ms"] + lock["held_ms"] == pytest.approx(end, abs=5)
    assert lock["held_ms"] > 300


def test_a_lock_of_a_millisecond_is_seen(runs: dict[str, Any]) -> None:
    """Of forty, most are far too short for samples."""
    seen = [item["statement"] for item in runs["short"]["locks"] if item["blocks"] == "reads"]
    assert seen == list(range(1, 41))
    assert min(item["held_ms"] for item in runs["short"]["locks"]) < 5


def test_locks_that_only_a_statement_tells_of(runs: dict[str, Any]) -> None:
    spoken = runs["spoken"]
    assert ("public.users", "ShareRowExclusiveLock") in locks(spoken, "writes")
    both = {("public.tiny", "AccessExclusiveLock"), ("public.orders", "AccessExclusiveLock")}
    assert both <= locks(spoken, "reads")
    assert spoken["rewritten"] == []
    assert "40,000 rows of public.orders are gone" in spoken["lost"]


def test_rows_that_stay_locked(runs: dict[str, Any]) -> None:
    """No lock of a table blocks anybody, and yet other writers of these rows would wait."""
    rows = runs["rows"]
    assert locks(rows, "reads") == locks(rows, "writes") == set()
    (note,) = rows["notes"]
    assert note.startswith("100 rows of public.users were changed, and locked to other writers")


def test_the_way_back(found: dict[str, Any], runs: dict[str, Any]) -> None:
    assert runs["back"]["same_as_checkpoint"] is True
    assert runs["back"]["difference"]["identical"] is True
    half = runs["half-back"]
    assert half["same_as_checkpoint"] is False
    (changed,) = half["difference"]["rows"]
    assert (changed["table"], changed["changed"]) == ("public.users", 1)
    verdicts = {item["name"]: item["verdict"] for item in found["strategies"]}
    assert (verdicts["back"], verdicts["half-back"]) == ("pass", "fail")


def test_the_instruments_leave_no_difference(runs: dict[str, Any]) -> None:
    nothing = runs["nothing"]
    assert nothing["difference"]["schema"] == [] and nothing["difference"]["identical"] is True
    assert nothing["statements"] == nothing["locks"] == nothing["notes"] == []


def test_values_that_are_gone(runs: dict[str, Any]) -> None:
    """A column without values, a renamed column and a renamed table are not lost."""
    assert runs["loss"]["lost"] == [
        "table public.tiny is gone, with 1 rows",
        "column public.users.v is gone, with values in it",
        "3 rows of public.users are gone",
    ]


def test_a_failing_statement_is_named(found: dict[str, Any], runs: dict[str, Any]) -> None:
    bad = runs["bad"]
    assert bad["exit_code"] == 3
    assert bad["error"].startswith('bad.sql:4: column "nothing" of relation "users" does not exist')
    assert [(item["line"], bool(item["error"])) for item in bad["statements"]] == [
        (2, False), (4, True)
    ]  # fmt: skip
    assert bad["kept"] and bad["connect"] == f"cowdb connect {bad['branch']}"


def test_commands_that_are_killed(runs: dict[str, Any]) -> None:
    assert runs["killed"]["exit_code"] == 137
    endless = runs["endless"]
    assert endless["exit_code"] is None
    assert endless["error"] == "it had not ended after 0.9 s"
    assert endless["notes"] == ["sessions that the strategy left open were ended: 1"]


def test_a_role_without_rights(runs: dict[str, Any]) -> None:
    """The instruments neither fail it nor themselves."""
    assert (runs["role"]["exit_code"], runs["role"]["notes"]) == (0, [])


def test_a_database_that_is_dropped(runs: dict[str, Any]) -> None:
    """What cannot be found out any more is said; the others go on."""
    dropped = runs["dropped"]
    assert dropped["exit_code"] == 0
    assert any("could not be read afterwards" in note for note in dropped["notes"])
    assert dropped["difference"]["identical"] is False
    assert "anything at all" in dropped["difference"]["not_compared"][0]


def test_no_password_is_shown(found: dict[str, Any]) -> None:
    secret = labfile.runs_of(found)["secret"]
    assert "create role app login password '***'" in secret["statements"][0]["text"]
    assert secret["statements"][1]["error"]
    assert "ROLE" in secret["output"]
    assert SECRET not in json.dumps(found)
    assert not re.search(r"postgres(ql)?://[^/@]*:[^*@/]+@", json.dumps(found))


def test_sampling_says_what_it_cost(runs: dict[str, Any]) -> None:
    for run in runs.values():
        sampling = run["sampling"]
        assert sampling["samples"] > 0 and sampling["overhead"] < 1
    busy = runs["queue"]["sampling"]
    assert busy["samples"] > 10 and busy["overhead"] > 0
    assert busy["longest_gap_ms"] >= busy["interval_ms"] > 0


def test_which_branches_are_kept(btrfs_host: AgentHost, found: dict[str, Any]) -> None:
    failed = {run["branch"] for item in found["strategies"] if item["verdict"] == "fail"
              for run in item["runs"]}  # fmt: skip
    there = {item["name"] for item in btrfs_host.json("branch", "list")}
    assert there == failed == {
        run["branch"] for item in found["strategies"] for run in item["runs"] if run["kept"]
    }  # fmt: skip


def test_which_strategies_end_alike(found: dict[str, Any]) -> None:
    ends = found["ends"]
    assert (ends["schema"], ends["rows"]) == (False, False)
    groups = [set(group) for group in ends["groups"]]
    assert {"index", "concurrently"} in groups and {"not-null", "checked"} in groups
    assert not any({"bad", "back", "killed"} & group for group in groups)
