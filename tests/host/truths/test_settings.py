"""What of a source's configuration takes no effect in a branch: acting libraries, files outside,
addresses, logs; and what does."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.host.truths.clusters import HBA, OWNER, Cluster, free_port, until, working_in
from tests.host.truths.conftest import Fleet
from tests.loopfs import command, missing

# A library that acts on the world as soon as a server loads it, as pg_cron's worker would. The
# magic block of Postgres 15 and later, so that no server headers are needed.
ACTING = """
#include <stdio.h>
#include <unistd.h>
struct magic { int len, version, funcmaxargs, indexmaxkeys, namedatalen, float8byval;
               char abi[32]; };
const struct magic *Pg_magic_func(void) {
    static const struct magic it = {sizeof(struct magic), MAJOR, 100, 32, 64, 1, "PostgreSQL"};
    return &it;
}
void _PG_init(void) {
    FILE *file = fopen("PLACE/acted", "a");
    char cwd[4096];
    if (file) { fprintf(file, "%s\\n", getcwd(cwd, sizeof cwd)); fclose(file); }
}
"""


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory outside the pool that every OS user may write."""
    place = Path(tempfile.mkdtemp(prefix="cowdb-truths-", dir="/var/tmp"))
    place.chmod(0o777)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def library(outside: Path) -> Path:
    """`pg_cron.so`, which notes in `acted` which server loaded it."""
    if not shutil.which("gcc"):
        missing("needs gcc, for a library that acts")
    major = int(Cluster(outside, outside).bin.parent.name)
    if major < 15:
        missing("needs the magic block of Postgres 15 or later")
    (outside / "it.c").write_text(ACTING.replace("PLACE", str(outside)))
    command("gcc", "-shared", "-fPIC", f"-DMAJOR={major * 100}", "-o", outside / "pg_cron.so",
            outside / "it.c")  # fmt: skip
    return outside / "pg_cron.so"


def _acted(library: Path) -> set[str]:
    return set((library.parent / "acted").read_text().splitlines())


@pytest.mark.parametrize("by", ["name", "path"])
def test_a_library_that_acts_is_not_loaded(fleet: Fleet, library: Path, by: str) -> None:
    named = "pg_cron" if by == "name" else str(library)
    prod = fleet.source(
        "prod",
        dynamic_library_path=f"{library.parent}:$libdir",
        shared_preload_libraries=f"{named}, pg_stat_statements",
        session_preload_libraries=named,
        **{"cron.database_name": "postgres", "pg_stat_statements.max": 500},
    )
    assert _acted(library) == {str(prod.data)}  # it works, in production
    prod.sql("create extension pg_stat_statements", "alter system set work_mem = '7MB'",
             "select pg_reload_conf()")  # fmt: skip
    for name, origin in (("b", "prod"), ("c", "b")):
        branch = fleet.branch(name, origin)
        rows = fleet.host.sql(
            branch["dsn"],
            "select current_setting('shared_preload_libraries'), "
            "current_setting('session_preload_libraries'), current_setting('work_mem'), "
            "current_setting('pg_stat_statements.max')",
        )
        assert rows == [("pg_stat_statements", "", "7MB", "500")]
        assert fleet.host.sql(branch["dsn"], "select count(*) > 0 from pg_stat_statements") == [
            (True,)
        ]
        assert (
            fleet.host.sql(branch["dsn"], "select 1 from pg_settings where name like 'cron.%'")
            == []
        )
    fleet.host.json("branch", "reset", "b")
    assert _acted(library) == {str(prod.data)}
    assert any("pg_cron" in word for word in fleet.host.json("branch", "show", "b")["quarantined"])


def _workers(data: Path) -> list[str]:
    titles = [" ".join(psutil.Process(pid).cmdline()) for pid in working_in(data)]
    assert titles
    return [title for title in titles if "autoprewarm" in title]


def test_a_worker_of_a_library_does_not_run(fleet: Fleet) -> None:
    prod = fleet.source("prod", shared_preload_libraries="pg_prewarm,pg_stat_statements")
    until(lambda: _workers(prod.data))
    fleet.branch()
    assert _workers(fleet.data()) == []


def test_settings_outside_the_data_directory_apply_as_they_are_effective(
    fleet: Fleet, outside: Path
) -> None:
    """An `include` of a running source is taken at its effect, and is in no file of a branch."""
    (outside / "conf.d").mkdir()
    (outside / "extra.conf").write_text("work_mem = '9MB'\narchive_command = 'touch /tmp/never'\n")
    (outside / "conf.d/a.conf").write_text("maintenance_work_mem = '99MB'\n")
    prod = fleet.running()
    with (prod.data / "postgresql.conf").open("a") as file:
        file.write(f"include '{outside}/extra.conf'\ninclude_dir '{outside}/conf.d'\n")
    prod.sql("select pg_reload_conf()")
    fleet.attach(prod)
    until(lambda: prod.sql("show work_mem") == [("9MB",)])
    branch = fleet.branch()
    conf = (fleet.data() / "postgresql.conf").read_text()
    assert str(outside) not in conf
    (outside / "extra.conf").write_text("work_mem = '1MB'\nlisten_addresses = '*'\n")
    for _ in range(2):
        shown = fleet.host.sql(
            branch["dsn"],
            "select current_setting('work_mem'), current_setting('maintenance_work_mem'), "
            "current_setting('archive_command'), current_setting('listen_addresses')",
        )
        assert shown == [("9MB", "99MB", "(disabled)", "127.0.0.1")]
        fleet.host.json("branch", "stop", "b")
        fleet.host.json("branch", "start", "b")
    files = fleet.host.sql(branch["dsn"], "select distinct sourcefile from pg_file_settings")
    assert {Path(name).parent for (name,) in files} <= {fleet.data()}


def test_no_path_or_address_of_the_source_takes_effect(any_fleet: Fleet, outside: Path) -> None:
    fleet = any_fleet
    prod = fleet.cluster(fleet.home("prod") / "data")
    conf, logs = outside / "conf", outside / "logs"
    for place in (conf, logs):
        place.mkdir()
        shutil.chown(place, OWNER, OWNER)
    (prod.data / "pg_hba.conf").rename(prod.data / "pg_hba.old")
    (conf / "pg_hba.conf").write_text(HBA + "host all all 0.0.0.0/0 trust\n")
    (conf / "pg_ident.conf").write_text("")
    command("openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN=prod", "-out",
            conf / "crt", "-keyout", conf / "key")  # fmt: skip
    for path in (conf / "crt", conf / "key"):
        shutil.chown(path, OWNER, OWNER)
        path.chmod(0o600)
    prod.configure(
        data_directory=prod.data, hba_file=conf / "pg_hba.conf", ident_file=conf / "pg_ident.conf",
        external_pid_file=outside / "pid", log_directory=logs, logging_collector="on",
        log_filename="prod.log", unix_socket_directories=f"{prod.run},{outside}",
        listen_addresses="*", ssl="on", ssl_cert_file=conf / "crt", ssl_key_file=conf / "key",
        cluster_name="production", log_statement="all", stats_temp_directory=outside
        if prod.bin.parent.name == "14" else "pg_stat_tmp",
    )  # fmt: skip
    if prod.bin.parent.name != "14":
        _drop_line(prod.data / "postgresql.conf", "stats_temp_directory")
    prod.start()
    prod.sql("create table users as select generate_series(1, 10) as id")
    fleet.attach(prod)
    pid_file, pid = (outside / "pid").read_text(), prod.pid
    lock = (prod.data / "postmaster.pid").read_text()
    for name, origin, mode in (("b", "prod@s", "online"), ("c", "prod@t", "checkpoint")):
        fleet.host.json("snapshot", "create", origin, "--mode", mode)
        branch = fleet.branch(name, origin)
        dsn = branch["dsn"]
        fleet.host.sql(dsn, "select 'said in the branch'")
        data = fleet.data(name)
        shown = dict(fleet.host.sql(dsn, "select name, setting from pg_settings"))
        assert shown["data_directory"] == str(data)
        assert shown["config_file"] == str(data / "postgresql.conf")
        for key in ("hba_file", "ident_file", "unix_socket_directories"):
            assert Path(shown[key]).is_relative_to(fleet.host.base)
        assert (shown["external_pid_file"], shown["logging_collector"]) == ("", "off")
        assert (shown["ssl"], shown["cluster_name"]) == ("off", "")
        assert shown["port"] == str(branch["port"])
        assert shown["listen_addresses"] == "127.0.0.1"
        postmaster = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        listening = {item.laddr for item in postmaster.net_connections()
                     if item.status == psutil.CONN_LISTEN}  # fmt: skip
        assert {(item.ip, item.port) for item in listening} == {("127.0.0.1", branch["port"])}
        assert postmaster.pid != pid
    assert "said in the branch" not in (logs / "prod.log").read_text()
    assert (outside / "pid").read_text() == pid_file
    assert (prod.data / "postmaster.pid").read_text() == lock
    assert {path.name for path in outside.glob(".s.*")} == {
        f".s.PGSQL.{prod.port}", f".s.PGSQL.{prod.port}.lock"
    }  # fmt: skip
    assert prod.sql("select count(*) from users") == [(10,)]


def _drop_line(path: Path, name: str) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(name)))


def test_only_the_password_opens_a_branch_and_only_on_the_loopback(fleet: Fleet) -> None:
    """The source's pg_hba.conf, which trusts everybody here, does not count."""
    fleet.source("prod", listen_addresses="*")
    branch = fleet.branch()
    url = f"postgresql://postgres@127.0.0.1:{branch['port']}/postgres"
    done = subprocess.run(["psql", "-w", "-c", "select 1", url], capture_output=True, check=False)
    assert done.returncode == 2
    others = {item.address for found in psutil.net_if_addrs().values() for item in found
              if item.family == socket.AF_INET} - {"127.0.0.1"}  # fmt: skip
    for address in [*others, "127.0.0.2"]:
        with socket.socket() as probe:
            assert probe.connect_ex((address, branch["port"])) != 0
    assert fleet.host.sql(branch["dsn"], "select 1") == [(1,)]


def test_what_the_branches_superuser_sets_does_not_open_it(fleet: Fleet) -> None:
    fleet.source()
    branch = fleet.branch()
    port = free_port()
    for setting in ("listen_addresses = '*'", f"port = {port}", "hba_file = '/tmp/x'",
                    "unix_socket_directories = '/tmp'", "ssl = on"):  # fmt: skip
        fleet.host.sql(branch["dsn"], f"alter system set {setting}")
    fleet.host.json("branch", "stop", "b")
    again = fleet.host.json("branch", "start", "b")
    assert again["dsn"] == branch["dsn"]
    assert fleet.host.sql(branch["dsn"], "show listen_addresses") == [("127.0.0.1",)]
    assert not Path(f"/tmp/.s.PGSQL.{branch['port']}").exists()


def test_the_lock_file_of_a_running_parent_is_no_obstacle(fleet: Fleet) -> None:
    """Postgres itself sees through a lock file of another OS user's server, and refuses one that
    names a living server of its own: that of a managed source, or of a branch."""
    made = fleet.host.json("source", "add", "prod", "--empty")
    lock = Path(made["datadir"]) / "postmaster.pid"
    for name, origin in (("b", "prod"), ("c", "b")):
        before = lock.read_text()
        branch = fleet.branch(name, origin)
        assert fleet.host.sql(branch["dsn"], "select 1") == [(1,)]
        own = fleet.data(name) / "postmaster.pid"
        assert own.read_text().split()[0] != before.split()[0]
        assert lock.read_text() == before
        lock = own
