"""Numbers of rows from a snapshot's number and the changed blocks: what count(*) says, always."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import psycopg
import pytest

from cowdb.controller.diff.branchhost import BranchHost
from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.counting import count as counting
from cowdb.controller.diff.counting import plan as planning
from cowdb.controller.diff.model import Report, Side, Wanted
from tests.agenthost import AgentHost

SHOP = (
    "create table t (id int primary key, v text, low text, high text)",
    "insert into t select i, md5(i::text) from generate_series(1, 40000) i",
    "create table still (id int primary key, v text)",
    "insert into still select i, 'x' from generate_series(1, 5000) i",
    "create table other (id int, v text)",
    "insert into other select i, md5(i::text) from generate_series(1, 30000) i",
    "create table empty (a int)",
    "create unlogged table fleeting as select generate_series(1, 500) a",
    "create table parted (a int) partition by range (a)",
    "create table p1 partition of parted for values from (0) to (1000)",
    "create table p2 partition of parted for values from (1000) to (9000)",
    "insert into parted select generate_series(0, 8999)",
    "create materialized view seen as select * from t where id < 9000",
    "vacuum (freeze, analyze)",
)


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are asked for small tables too."""
    monkeypatch.setattr(counting, "HOST_WORTH", 0)
    monkeypatch.setattr(planning, "_QUERY", 1)


@pytest.fixture(params=[0, 10**9], ids=["base", "no-base"])
def base_worth(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clone of the snapshot, and without one."""
    monkeypatch.setattr(planning, "BASE_WORTH", request.param)


def shop(host: AgentHost, *names: str, statements: tuple[str, ...] = SHOP) -> dict[str, str]:
    source = host.json("source", "add", "main", "--empty")
    host.sql(source["dsn"], *statements)
    host.json("snapshot", "create", "main@s", "--settle")
    return {name: host.json("branch", "create", name, "--from", "main@s")["dsn"] for name in names}


def counted(host: AgentHost, dsn: dict[str, str], *names: str) -> Report:
    sides = [Side(name, dsn[name], name) for name in names]
    report = compare(sides, Wanted(schema=False), host=BranchHost(host.client))
    numbers = {line["table"]: line["counts"] for line in report["counts"]}
    assert numbers == truth([dsn[name] for name in names])
    return report


def truth(dsns: list[str]) -> dict[str, list[int | None]]:
    """By count(*)."""
    sides = []
    for dsn in dsns:
        with psycopg.connect(dsn) as db:
            names = db.execute(
                "select format('%I.%I', n.nspname, c.relname) from pg_class c "
                "join pg_namespace n on n.oid = c.relnamespace where relkind in ('r', 'p', 'm') "
                "and nspname !~ '^pg_|information_schema'").fetchall()  # fmt: skip
            sides.append({name: db.execute(f"select count(*) from {name}").fetchone()[0]  # type: ignore[index,call-overload]
                          for (name,) in names})  # fmt: skip
    return {name: [side.get(name) for side in sides] for name in {key for side in sides
                                                                  for key in side}}  # fmt: skip


def methods(report: Report) -> dict[str, str]:
    return {line["table"].removeprefix("public."): line["method"] for line in report["counts"]}


def test_counted_once_for_a_snapshot(any_host: AgentHost) -> None:
    host = any_host
    dsn = shop(host, "a", "b", "c")
    host.sql(dsn["a"], "delete from t where id % 9000 = 5")
    first = methods(counted(host, dsn, "a", "b"))
    assert first["t"] == first["still"] == "full-scan"
    again = methods(counted(host, dsn, "a", "b"))
    assert again == {
        "t": "changed-blocks", "still": "unchanged-blocks", "other": "unchanged-blocks",
        "empty": "unchanged-blocks", "parted": "unchanged-blocks", "p1": "unchanged-blocks",
        "p2": "unchanged-blocks", "seen": "unchanged-blocks", "fleeting": "full-scan",
    }  # fmt: skip
    assert methods(counted(host, dsn, "b", "c"))["t"] == "unchanged-blocks", "others profit, too"
    # A branch against any database is one side that blocks can tell of.
    sides = [Side("b", dsn["b"], "b"), Side("url", dsn["c"])]
    found = compare(sides, Wanted(schema=False), host=BranchHost(host.client))
    assert found["identical"]


@pytest.mark.usefixtures("base_worth")
def test_whatever_the_sides_have_done(host: AgentHost) -> None:
    dsn = shop(host, "a", "b")
    both = (
        "insert into t select i, 'n' from generate_series(50001, 50040) i",
        "delete from t where id between 500 and 600",
        "begin; delete from other; rollback",
        "begin; savepoint s; delete from still where id < 100; rollback to s; "
        "delete from still where id = 7; commit",
    )
    steps = [
        [("a", step) for step in both],
        [("b", step) for step in both[:2]],
        [("a", "vacuum t"), ("b", "vacuum full other"), ("b", "delete from other where id = 5")],
        [("a", "truncate still"), ("a", "insert into still values (1, 'again')")],
        [("a", "create table p3 (a int)"), ("a", "insert into p3 values (9500), (9501)"),
         ("a", "alter table parted attach partition p3 for values from (9000) to (10000)"),
         ("b", "alter table parted detach partition p1")],
        [("a", "refresh materialized view seen"), ("b", "delete from p2 where a = 1500")],
        [("a", "alter table other rename to renamed"), ("a", "delete from renamed where id = 9"),
         ("a", "create table other (id int)"), ("a", "insert into other values (1)")],
        [("b", "drop table still"), ("b", "create table still (id int)"), ("b", "vacuum full")],
        [("a", "delete from t where id > 20000"), ("a", "vacuum t"), ("b", "delete from t")],
        [("a", "insert into fleeting values (1)"), ("b", "delete from fleeting where a = 3")],
        [("a", "insert into t select i, 'late' from generate_series(60001, 75000) i")],
    ]  # fmt: skip
    for step in steps:
        for name, statement in step:
            host.sql(dsn[name], statement)
        counted(host, dsn, "a", "b")


@pytest.mark.usefixtures("base_worth")
def test_three_sides_branches_of_branches_and_the_snapshot(any_host: AgentHost) -> None:
    host = any_host
    dsn = shop(host, "a")
    host.sql(dsn["a"], "delete from t where id = 5", "insert into still values (6000, 'a')")
    dsn["c"] = host.json("branch", "create", "c", "--from", "a")["dsn"]
    dsn["s"] = host.json("branch", "create", "s", "--from", "main@s")["dsn"]
    host.sql(dsn["c"], "delete from t where id between 8 and 20", "delete from other where id = 3")
    for _ in range(2):
        report = counted(host, dsn, "a", "c", "s")
    assert methods(report)["t"] == methods(report)["other"] == "changed-blocks"


def test_a_transaction_in_progress_is_not_counted(host: AgentHost) -> None:
    dsn = shop(host, "a", "b")
    with psycopg.connect(dsn["a"]) as db:
        db.execute("delete from t where id < 300")
        db.execute("insert into still values (7000, 'n')")
        counted(host, dsn, "a", "b")
        db.commit()
    counted(host, dsn, "a", "b")


def test_writers_at_work_do_not_bend_the_numbers(host: AgentHost) -> None:
    """Each of their transactions moves a row elsewhere, so that there are always as many."""
    dsn = shop(host, "a", "b")
    counted(host, dsn, "a", "b")
    done = threading.Event()

    def work(seed: int) -> None:
        seeded = random.Random(seed)
        with psycopg.connect(dsn["a"], autocommit=True) as db:
            for number in range(10**6):
                if done.is_set():
                    return
                low = seeded.randrange(100, 30000)
                with db.transaction():
                    gone = db.execute("delete from t where id between %s and %s",
                                      (low, low + 9)).rowcount  # fmt: skip
                    start = 10**5 * (seed + 1) + 20 * number
                    db.execute("insert into t select i, 'moved' from generate_series(%s, %s) i",
                               (start, start + gone - 1))  # fmt: skip
                if number % 40 == 0:
                    db.execute("vacuum t")

    workers = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(5):
            sides = [Side(name, dsn[name], name) for name in "ab"]
            report = compare(sides, Wanted(schema=False), host=BranchHost(host.client))
            (line,) = [line for line in report["counts"] if line["table"] == "public.t"]
            assert line["counts"] == [40000, 40000]
    finally:
        done.set()
        for worker in workers:
            worker.join()


def test_a_wrong_number_is_of_no_use_for_another_snapshot(host: AgentHost) -> None:
    dsn = shop(host, "a", "b")
    other = BranchHost(host.client)
    first = other.written(["a", "b"])
    assert first["snapshot"] == "main@s"
    assert not first["counts"]
    with psycopg.connect(dsn["a"]) as db:
        ((file,),) = db.execute("select pg_relation_filepath('t')").fetchall()
    other.keep_counts(first["ancestor"], {file: 7})
    assert other.written(["a"], search=False)["counts"] == {file: 7}
    sides = [Side(name, dsn[name], name) for name in "ab"]
    lied = compare(sides, Wanted(schema=False), host=other)["counts"]
    assert [7, 7] in [line["counts"] for line in lied], "else the rest of this test shows nothing"
    # The same tables in the same files, but another snapshot.
    host.json("snapshot", "create", "a@later", "--settle")
    host.json("snapshot", "create", "main@second", "--settle")
    for ref in ("main@second", "a@later"):
        for name in "xy":
            dsn[name] = host.json("branch", "create", name, "--from", ref)["dsn"]
        counted(host, dsn, "x", "y")
        counted(host, dsn, "x", "y")
        for name in "xy":
            host.run("branch", "rm", name)
    # And gone with its snapshot.
    host.run("snapshot", "rm", "a@later")
    for name in "ab":
        host.run("branch", "rm", name)
    host.run("snapshot", "rm", "main@s")
    host.json("snapshot", "create", "main@s", "--settle")
    for name in "ab":
        dsn[name] = host.json("branch", "create", name, "--from", "main@s")["dsn"]
    counted(host, dsn, "a", "b")
    with pytest.raises(Exception, match="no snapshot has the volume"):
        other.keep_counts(first["ancestor"], {file: 7})


@pytest.mark.parametrize("bad", ["base/1", "../etc", "base/1/2 ", "pg_tblspc/1/2"])
def test_only_relation_files_can_be_kept(host: AgentHost, bad: str) -> None:
    with host.client() as client, pytest.raises(Exception, match="not valid"):
        client.host.keep_counts("se-1", {bad: 1})


def _statements(seeded: random.Random) -> Iterator[str]:
    while True:
        low = seeded.randrange(1, 42000)
        table = seeded.choice(["t", "t", "still", "other"])
        where = f"where id between {low} and {low + seeded.choice([0, 5, 300])}"
        yield seeded.choice([
            f"delete from {table} {where}", f"update {table} set v = v || '!' {where}",
            f"begin; delete from {table} {where}; rollback",
            f"insert into other select i, 'n' from generate_series({low}, {low + 50}) i",
            f"insert into t select i, 'n' from generate_series({low}, {low + 400}) i "
            "on conflict do nothing",
            "vacuum t", "vacuum (freeze) other", "vacuum full still", "truncate still",
            f"cluster {table} using {table}_pkey" if table != "other" else "select count(*) from t",
            "refresh materialized view seen", "checkpoint", "analyze",
            "alter table other alter v type varchar(99)", "delete from p2 where a % 100 = 7",
            "insert into p1 values (3)", "drop table if exists extra",
            "create table if not exists extra as select * from still",
        ])  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
def test_random_work(any_host: AgentHost, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    host = any_host
    seeded = random.Random(seed)
    monkeypatch.setattr(planning, "BASE_WORTH", seeded.choice([0, 10**9]))
    dsn = shop(host, "a", "b")
    statements = _statements(seeded)
    for _ in range(4):
        for _ in range(seeded.randrange(8)):
            host.sql(dsn[seeded.choice("ab")], next(statements))
        counted(host, dsn, "a", "b")
