"""Sources of every kind: empty, SQL files, dumps in all formats, a copy of another server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.agenthost import COWDB, AgentHost
from tests.host.usecase import background, eventually, seeded
from tests.plainpg import PlainPostgres, running

SCHEMA = """
create role owner_of_app;
create type mood as enum ('sad', 'ok', 'happy');
create table person (id int primary key, name text not null, mood mood default 'ok');
create table parcel (id bigserial primary key, person int references person, weight numeric(8, 2));
create index on parcel (person);
create view heavy as select * from parcel where weight > 90;
create function twice(n int) returns int language sql as 'select n * 2';
create table event (at date, what text) partition by range (at);
create table event_2026 partition of event for values from ('2026-01-01') to ('2027-01-01');
create table "odd ""name" ("a b" int);
insert into person select i, 'person ' || i from generate_series(1, 500) i;
insert into parcel (person, weight) select 1 + i % 500, i % 100 from generate_series(1, 5000) i;
insert into event select date '2026-01-01' + i % 300, 'e' from generate_series(1, 700) i;
alter table person owner to owner_of_app;
"""
PASSWORD = "hunter2-and-a-half"


@pytest.fixture(scope="module")
def original() -> Iterator[tuple[PlainPostgres, str]]:
    """A server of somebody else's, with a database worth dumping."""
    with running() as server:
        yield server, server.database(SCHEMA)


def _dump(server: PlainPostgres, database: str, target: Path, *words: str) -> Path:
    subprocess.run(
        [server.bin / "pg_dump", "-d", server.dsn(database), "-f", target, *words],
        check=True, capture_output=True,
    )  # fmt: skip
    return target


def test_empty(host: AgentHost) -> None:
    made = host.json("source", "add", "fresh", "--empty", "--database", "app")
    assert (made["kind"], made["state"], made["database"]) == ("managed", "running", "app")
    assert made["dsn"].endswith("/app")
    assert host.sql(made["dsn"], "select current_database()") == [("app",)]
    port = host.ports[1]
    other = host.json("source", "add", "other", "--empty", "--port", str(port),
                      "--pg-version", made["pg_version"])  # fmt: skip
    assert other["port"] == port
    assert other["database"] == "other"


def test_sql_files_run_in_order(host: AgentHost, tmp_path: Path) -> None:
    (tmp_path / "b.sql").write_text("create table t (id int);\n")
    (tmp_path / "a.sql").write_text("insert into t select generate_series(1, 7);\n")
    made = host.json("source", "add", "app", "--sql", str(tmp_path / "b.sql"),
                     "--sql", str(tmp_path / "a.sql"))  # fmt: skip
    assert made["state"] == "running"
    assert host.sql(made["dsn"], "select count(*) from t") == [(7,)]
    assert host.sql(made["dsn"], "select reltuples from pg_class where relname = 't'") == [(7,)]


def test_sql_file_that_fails_takes_the_source_away_again(host: AgentHost, tmp_path: Path) -> None:
    (tmp_path / "good.sql").write_text("create table t (id int);\n")
    (tmp_path / "bad.sql").write_text("select 1;\n\ninsert into nowhere values (1);\n")
    files = ("--sql", str(tmp_path / "good.sql"), "--sql", str(tmp_path / "bad.sql"))
    error = host.error("source", "add", "app", *files, status=1)
    assert "bad.sql:3" in error["message"], error
    assert "nowhere" in error["message"]
    assert error["hint"]
    assert host.json("source", "list") == []
    error = host.error("source", "add", "app", "--sql", str(tmp_path), status=2)
    assert error["hint"], error


@pytest.mark.parametrize("words", [("-Fc",), ("-Fd",), ("-Ft",), ("-Fp",)], ids=lambda w: w[0])
def test_dump_in_each_format_is_the_original_again(
    host: AgentHost, original: tuple[PlainPostgres, str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    server, database = original
    dump = _dump(server, database, tmp_path / "dump", *words)
    roles = tmp_path / "roles.sql"
    roles.write_text("create role owner_of_app;\n")
    made = host.json("source", "add", "app", "--sql", str(roles), "--dump", str(dump))
    assert made["timings_ms"]["total"] > 0
    same = host.json("diff", server.dsn(database), "app")
    assert same["identical"], same
    counts = {item["table"]: item["counts"] for item in same["counts"]}
    assert counts["public.parcel"] == [5000, 5000]
    assert counts["public.event_2026"] == [700, 700]


def test_dump_whose_roles_are_missing(
    host: AgentHost, original: tuple[PlainPostgres, str], tmp_path: Path
) -> None:
    server, database = original
    for name, words in (("custom", ("-Fc",)), ("plain", ("-Fp",))):
        dump = _dump(server, database, tmp_path / name, *words)
        error = host.error("source", "add", "app", "--dump", str(dump), status=1)
        assert "owner_of_app" in error["message"], error
        assert "--no-owner" in error["hint"]
        assert host.json("source", "list") == []
    host.json("source", "add", "app", "--no-owner", "--dump", str(tmp_path / "custom"))
    found = host.json("diff", server.dsn(database), "app", "--counts")
    assert found["identical"]


def test_no_owner_with_a_plain_dump_is_refused_before_anything_is_made(
    host: AgentHost, original: tuple[PlainPostgres, str], tmp_path: Path
) -> None:
    """Owners stand in the text of a plain dump: nothing could leave them out."""
    dump = _dump(*original, tmp_path / "plain", "-Fp")
    error = host.error("source", "add", "app", "--no-owner", "--dump", str(dump), status=2)
    assert "--no-owner" in error["message"], error
    assert "pg_dump" in error["hint"], error


def test_dump_that_is_none(host: AgentHost, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    error = host.error("source", "add", "app", "--dump", str(tmp_path / "empty"), status=2)
    assert "toc.dat" in error["message"]
    assert error["hint"]
    broken = tmp_path / "broken"
    broken.write_bytes(b"PGDMP" + bytes(100))
    error = host.error("source", "add", "app", "--dump", str(broken), status=1)
    assert "pg_restore" in error["message"]
    assert host.json("source", "list") == []


@dataclass(frozen=True)
class Primary:
    server: PlainPostgres
    spaces: Path

    def url(self, password: str = "") -> str:
        secret = f":{password}" if password else ""
        return f"postgresql://copier{secret}@127.0.0.1:{self.server.port}/shop"


@pytest.fixture(scope="module")
def primary() -> Iterator[Primary]:
    """A server that lets a role with a password copy it, with a tablespace and 60 MB."""
    with running() as server:
        data = server.directory / "data"
        with (data / "postgresql.conf").open("a") as file:
            file.write("wal_level = replica\nmax_wal_senders = 5\narchive_mode = on\n"
                       "archive_command = '/bin/true the-copy-must-not-have-this'\n")  # fmt: skip
        (data / "pg_hba.conf").write_text(
            "host all postgres 127.0.0.1/32 trust\n"
            "host all copier 127.0.0.1/32 scram-sha-256\n"
            "host replication copier 127.0.0.1/32 scram-sha-256\n"
            "local all all trust\n"
        )
        subprocess.run(
            [server.bin / "pg_ctl", "-D", data, "-l", server.directory / "log", "-w", "restart"],
            user="postgres", group="postgres", extra_groups=[], cwd=server.directory, check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        spaces = server.directory / "space"
        spaces.mkdir()
        shutil.chown(spaces, "postgres", "postgres")
        server.run(f"create role copier login replication password '{PASSWORD}'")
        server.run("create database shop")
        server.run(f"create tablespace fast location '{spaces}'")
        server.run("create table big as select i, repeat('x', 500) w "
                   "from generate_series(1, 100000) i", "shop")  # fmt: skip
        server.run("create table spaced (id int) tablespace fast", "shop")
        server.run("insert into spaced select generate_series(1, 321)", "shop")
        server.run("grant select on all tables in schema public to copier", "shop")
        yield Primary(server, spaces)


def test_base_backup_and_its_password_that_is_nowhere(host: AgentHost, primary: Primary) -> None:
    seen: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    seen.append(" ".join(process.cmdline()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        host.extra["PGPASSWORD"] = PASSWORD
        made = host.json("source", "add", "copy", "--dsn", primary.url())
    finally:
        del host.extra["PGPASSWORD"]
        done.set()
        watcher.join()
    assert made["database"] == "shop"
    assert made["kind"] == "managed"
    assert host.sql(made["dsn"], "select count(*) from spaced") == [(321,)]
    host.sql(primary.server.dsn("shop"), "insert into spaced values (-1)")
    assert host.sql(made["dsn"], "select count(*) from spaced") == [(321,)]
    inside = host.sql(made["dsn"], "select pg_tablespace_location(oid) from pg_tablespace "
                      "where spcname = 'fast'")[0][0]  # fmt: skip
    space = (Path(made["datadir"]) / "pg_tblspc" / inside).resolve()
    assert space.is_relative_to(host.pool), inside
    assert host.sql(made["dsn"], "show archive_command")[0][0] in ("", "(disabled)")
    branch = host.json("branch", "create", "try", "--from", "copy")
    assert host.sql(branch["dsn"], "select count(*) from spaced") == [(321,)]
    assert any("pg_basebackup" in line for line in seen)
    assert not any(PASSWORD in line for line in seen)
    assert _nowhere(host, PASSWORD)


def _nowhere(host: AgentHost, secret: str) -> bool:
    for path in host.base.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert secret.encode() not in path.read_bytes(), path
    return True


def test_base_backup_reports_its_progress(host: AgentHost, primary: Primary) -> None:
    reports: list[tuple[str, int | None, int | None]] = []
    with host.client() as client:
        client.sources.add("copy", dsn=primary.url(PASSWORD),
                           report=lambda *report: reports.append(report))  # fmt: skip
    amounts = [done for what, done, _ in reports if what == "copying" and done is not None]
    totals = [total for what, _, total in reports if what == "copying" and total is not None]
    assert amounts == sorted(amounts)
    assert max(totals) > 50 * 2**20
    assert _nowhere(host, PASSWORD)


def test_wrong_password_is_not_repeated(host: AgentHost, primary: Primary) -> None:
    wrong = "guess-" + PASSWORD
    error = host.error("source", "add", "copy", "--dsn", primary.url(wrong), status=1)
    assert "password" in error["message"]
    assert error["hint"]
    assert wrong not in json.dumps(error)
    assert _nowhere(host, wrong)
    assert host.json("source", "list") == []


def test_another_server_that_is_down(host: AgentHost, primary: Primary) -> None:
    url = f"postgresql://copier:{PASSWORD}@127.0.0.1:1/shop"
    error = host.error("source", "add", "copy", "--dsn", url, status=1)
    assert "refused" in error["message"].lower()
    assert error["hint"]
    assert PASSWORD not in json.dumps(error)


def test_role_that_may_not_copy(host: AgentHost, primary: Primary) -> None:
    primary.server.run(f"create role reader login password '{PASSWORD}'")
    try:
        hba = primary.server.directory / "data/pg_hba.conf"
        before = hba.read_text()
        hba.write_text("host all,replication reader 127.0.0.1/32 scram-sha-256\n" + before)
        primary.server.run("select pg_reload_conf()")
        url = primary.url(PASSWORD).replace("copier", "reader")
        error = host.error("source", "add", "copy", "--dsn", url, status=1)
        assert "REPLICATION" in error["hint"], error
        assert PASSWORD not in json.dumps(error)
        assert list((host.pool / "volumes").iterdir()) == []
        hba.write_text(before)
    finally:
        primary.server.run("drop role reader")


@pytest.mark.parametrize(
    "dsn",
    ["not a dsn", "postgresql://u@h/d?passfile=/etc/shadow", "postgresql://u@h/d?service=prod",
     f"host=h password={PASSWORD} colour=red"],
)  # fmt: skip
def test_dsn_that_is_refused(host: AgentHost, dsn: str) -> None:
    done = host.run("source", "add", "copy", "--dsn", dsn, "--json", status=2)
    assert PASSWORD not in done.stderr
    assert json.loads(done.stderr)["error"]["hint"]


def test_loader_that_is_killed_half_way(host: AgentHost, tmp_path: Path) -> None:
    script = tmp_path / "slow.sql"
    script.write_text("create table t (id int);\nselect pg_sleep(60);\n")
    with background(host, "source", "add", "slow", "--sql", str(script)) as loader:
        eventually(lambda: _state(host, "slow") == "loading")
        for words, status in (
            (("snapshot", "create", "slow@s"), 5),
            (("branch", "create", "b", "--from", "slow"), 5),
            (("source", "stop", "slow"), 5),
        ):
            assert host.error(*words, status=status)["code"] == "busy"
        eventually(lambda: any("psql" in child.name() for child in
                               psutil.Process(loader.pid).children()))  # fmt: skip
        os.kill(loader.pid, signal.SIGKILL)
        loader.wait(20)
        eventually(lambda: host.json("source", "list") == [])
    assert list((host.pool / "volumes").iterdir()) == []
    host.json("source", "add", "slow", "--empty")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_loader_that_is_interrupted(
    host: AgentHost, tmp_path: Path, number: signal.Signals
) -> None:
    script = tmp_path / "slow.sql"
    script.write_text("select pg_sleep(60);\n")
    with background(host, "source", "add", "slow", "--sql", str(script)) as loader:
        eventually(lambda: any("psql" in child.name() for child in
                               psutil.Process(loader.pid).children()))  # fmt: skip
        os.kill(loader.pid, number)
        loader.wait(20)
        assert loader.returncode != 0
        eventually(lambda: host.json("source", "list") == [])


def _state(host: AgentHost, name: str) -> str:
    done = subprocess.run([*COWDB, "source", "show", name, "--json"], env=host.environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    found: str = json.loads(done.stdout)["state"] if done.returncode == 0 else ""
    return found


def test_managed_source_stops_starts_and_keeps_its_port(host: AgentHost) -> None:
    made = seeded(host)
    for _ in range(2):
        assert host.json("source", "stop", "main")["state"] == "stopped"
    with pytest.raises(psycopg.OperationalError):
        host.sql(made["dsn"], "select 1")
    branch = host.json("branch", "create", "of-stopped", "--from", "main")
    assert host.sql(branch["dsn"], "select count(*) from t") == [(100,)]
    assert host.json("snapshot", "create", "main@down")["consistency"] == "clean"
    for _ in range(2):
        assert host.json("source", "start", "main")["dsn"] == made["dsn"]
    assert host.sql(made["dsn"], "select count(*) from t") == [(100,)]
    host.json("source", "stop", "main")
    host.restart_agent()
    assert host.json("source", "show", "main")["state"] == "stopped"


def test_source_goes_with_all_that_it_has(host: AgentHost) -> None:
    made = seeded(host)
    host.json("source", "rm", "main")
    assert not Path(made["datadir"]).exists()
    assert list((host.pool / "volumes").iterdir()) == []
    again = host.json("source", "add", "main", "--empty", "--port", str(made["port"]))
    assert again["port"] == made["port"]
