"""Quarantine on real data directories, and against what a branch's superuser may plant in them."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psycopg
import pytest

from cowdb.agent.beneath import Link
from cowdb.agent.engines.postgres.quarantine import inspect_links, quarantine
from cowdb.agent.engines.postgres.settings import pins
from cowdb.agent.storage.protocol import Part
from cowdb.agent.system import OsUser, run, user_named
from cowdb.errors import InvalidError, UnsoundError

SERVER = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
DATA = PurePosixPath("pg/data")
ROOM = "/dev/shm" if Path("/dev/shm").is_dir() else None  # forty copies of a cluster
PRODUCTION = "nobody"  # any OS user who is not the branches'

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not SERVER, reason="needs a Postgres in /usr/lib/postgresql"),
]


@pytest.fixture(scope="session")
def owner() -> OsUser:
    """The branches' OS user; stays, as hostprep would have made it."""
    try:
        return user_named("cowdb-pg")
    except InvalidError:
        options = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
        subprocess.run(["useradd", *options, "cowdb-pg"], check=True)
        return user_named("cowdb-pg")


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    """A data directory that belongs to somebody else, as a source's does."""
    place = Path(tempfile.mkdtemp(prefix="cowdb-test-", dir=ROOM))
    user = user_named(PRODUCTION)
    os.chown(place, user.uid, user.gid)
    try:
        options = ["-U", "postgres", "-E", "UTF8", "--no-sync", "--wal-segsize=1"]
        run([SERVER[-1].with_name("initdb"), "-D", place / "data", *options], user=user)
        yield place / "data"
    finally:
        shutil.rmtree(place)


@dataclass(frozen=True)
class Clone:
    """A volume's tree, and beside it the origin that it was cloned from."""

    tree: Path
    origin: Path
    owner: OsUser

    @property
    def data(self) -> Path:
        return self.tree / DATA

    @property
    def parts(self) -> list[Part]:
        return [Part(self.origin / "pg", PurePosixPath("pg"))]

    def quarantine(self, settings: dict[str, str] | None = None) -> tuple[str, ...]:
        return quarantine(
            self.tree,
            DATA,
            parts=self.parts,
            settings=settings,
            branch_settings={"shared_buffers": "1MB"},
            keep_preload=(),
            owner=self.owner,
        )


@pytest.fixture
def clone(template: Path, owner: OsUser) -> Iterator[Clone]:
    place = Path(tempfile.mkdtemp(prefix="cowdb-test-", dir=ROOM))
    place.chmod(0o711)
    (place / "tree").mkdir()
    (place / "origin/pg").mkdir(parents=True)
    shutil.chown(place / "tree", PRODUCTION)
    (place / "tree/pg").mkdir(mode=0o700)
    shutil.chown(place / "tree/pg", PRODUCTION)
    subprocess.run(["cp", "-a", "--reflink=auto", template, place / "tree/pg/data"], check=True)
    yield Clone(place / "tree", place / "origin", owner)
    shutil.rmtree(place)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of root's that nothing may change."""
    path = tmp_path / "victim"
    path.write_text("work_mem = '77MB'\n")
    path.chmod(0o600)
    return path


def unchanged(victim: Path) -> bool:
    status = victim.lstat()
    return (status.st_uid, stat.S_IMODE(status.st_mode), victim.read_text()) == (
        0,
        0o600,
        "work_mem = '77MB'\n",
    )


def owners(tree: Path) -> set[str]:
    paths = [tree, *tree.rglob("*")]
    return {pwd.getpwuid(path.lstat().st_uid).pw_name for path in paths}


def link(path: Path, target: str | Path) -> None:
    """Plant a link in place of whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def show(socket: Path, *names: str) -> dict[str, str]:
    with psycopg.connect(f"host={socket} user=postgres") as connection:
        rows = connection.execute(
            "select name, current_setting(name) from pg_settings where name = any(%s)", [[*names]]
        )
        return dict(rows.fetchall())


# --- what is cut -------------------------------------------------------------------------------


def test_a_quarantined_clone_starts_and_is_cut_off(clone: Clone) -> None:
    # Debian's layout: what production runs with is not in the data directory
    (clone.data / "postgresql.conf").unlink()
    effective = {
        "archive_mode": "on",
        "archive_command": "touch /tmp/cowdb-archived",
        "shared_preload_libraries": "pg_cron",
        "cron.database_name": "postgres",
        "listen_addresses": "*",
        "hba_file": "/etc/postgresql/15/main/pg_hba.conf",
        "work_mem": "7MB",
        "shared_buffers": "8GB",
        "log_line_prefix": "it's %m ",
    }
    taken = clone.quarantine(effective)
    assert any(sentence.startswith("archive_command (") for sentence in taken)
    major = int((clone.data / "PG_VERSION").read_text())
    forced = [f"-c{name}={value}" for name, value in pins(major).items()]
    socket = clone.tree / "pg/run"
    socket.mkdir()
    shutil.chown(socket, clone.owner.name)
    ctl = [SERVER[-1].with_name("pg_ctl"), "-D", clone.data, "-s", "-w"]
    options = " ".join([*(f"'{item}'" for item in forced), "-clisten_addresses=", f"-k {socket}"])
    run([*ctl, "-l", clone.data / "out", "-o", options, "start"], user=clone.owner)
    try:
        shown = show(socket, "work_mem", "shared_buffers", "archive_mode", "log_line_prefix")
        with psycopg.connect(f"host={socket} user=postgres", autocommit=True) as connection:
            connection.execute("alter system set archive_mode = on")
        run([*ctl, "-l", clone.data / "out", "-o", options, "restart"], user=clone.owner)
        assert show(socket, "archive_mode") == {"archive_mode": "off"}
    finally:
        run([*ctl, "-m", "immediate", "stop"], user=clone.owner)
    assert shown == {
        "work_mem": "7MB",
        "shared_buffers": "1MB",
        "archive_mode": "off",
        "log_line_prefix": "it's %m ",
    }


def test_settings_are_read_from_the_data_directory_and_auto_conf_wins(clone: Clone) -> None:
    (clone.data / "postgresql.conf").write_text(
        "work_mem = 5MB\nprimary_conninfo = 'password=hunter2'\nmaintenance_work_mem = 9MB\nbad\n"
    )
    (clone.data / "postgresql.auto.conf").write_text("work_mem = '6MB'\nport = '5433'\n")
    taken = "\n".join(clone.quarantine())
    conf = (clone.data / "postgresql.conf").read_text()
    assert "work_mem = '6MB'" in conf
    assert "maintenance_work_mem = '9MB'" in conf
    assert "shared_buffers = '1MB'" in conf
    assert "hunter2" not in conf + taken
    assert "port" in taken
    assert "line 4 of postgresql.conf" in taken
    assert (clone.data / "postgresql.auto.conf").read_text() == ""
    for name in ("postgresql.conf", "postgresql.auto.conf"):
        status = (clone.data / name).stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (clone.owner.uid, 0o600)


def test_included_settings_are_not_opened(clone: Clone, victim: Path) -> None:
    (clone.data / "postgresql.conf").write_text(f"include '{victim}'\nwork_mem = 5MB\n")
    taken = clone.quarantine()
    assert f"include '{victim}' in postgresql.conf (not read)" in taken
    assert "77MB" not in (clone.data / "postgresql.conf").read_text()


def test_what_speaks_of_the_parents_server_is_removed(clone: Clone) -> None:
    gone = """postmaster.pid postmaster.opts standby.signal recovery.signal recovery.conf
    tablespace_map current_logfiles""".split()  # noqa: SIM905
    for name in (*gone, "backup_label"):
        (clone.data / name).write_text("")
    slot = clone.data / "pg_replslot/standby_1"
    slot.mkdir()
    (slot / "state").write_text("x")
    (clone.data / "pg_stat_tmp/old").write_text("x")
    taken = "\n".join(clone.quarantine())
    assert [name for name in gone if (clone.data / name).exists()] == []
    assert (clone.data / "backup_label").exists()
    assert list((clone.data / "pg_replslot").iterdir()) == []
    assert list((clone.data / "pg_stat_tmp").iterdir()) == []
    for word in ("standby.signal", "recovery.signal", "pg_replslot (1 "):
        assert word in taken


def test_the_branches_user_owns_it_and_can_reach_it(clone: Clone) -> None:
    clone.quarantine()
    assert owners(clone.data) == {clone.owner.name}
    run(["test", "-r", clone.data / "PG_VERSION"], user=clone.owner)


def test_directories_above_the_parts_open_a_way_and_no_more(clone: Clone) -> None:
    parts = [Part(clone.origin / "pg/data", DATA)]
    quarantine(
        clone.tree,
        DATA,
        parts=parts,
        settings={},
        branch_settings={},
        keep_preload=(),
        owner=clone.owner,
    )
    run(["test", "-r", clone.data / "PG_VERSION"], user=clone.owner)
    status = (clone.tree / "pg").stat()
    assert pwd.getpwuid(status.st_uid).pw_name == PRODUCTION
    assert stat.S_IMODE(status.st_mode) == 0o710


def test_an_interrupted_change_of_owner_is_taken_up_again(clone: Clone) -> None:
    clone.quarantine()
    shutil.chown(clone.data / "base", PRODUCTION)
    shutil.chown(clone.tree / "pg", PRODUCTION)  # the top goes last
    clone.quarantine()
    assert owners(clone.data) == {clone.owner.name}


def test_twice_is_as_once(clone: Clone) -> None:
    (clone.data / "postgresql.conf").write_text("work_mem = 5MB\narchive_command = 'x'\n")
    clone.quarantine()
    first = (clone.data / "postgresql.conf").read_text()
    assert clone.quarantine() == ()
    assert (clone.data / "postgresql.conf").read_text() == first


# --- links that an honest source has -----------------------------------------------------------


@pytest.fixture
def tablespace(clone: Clone) -> Path:
    path = clone.tree / "pg/space/one"
    path.mkdir(parents=True)
    (path / "PG_15_202209061").mkdir()
    return path


def test_an_absolute_tablespace_inside_is_made_relative(clone: Clone, tablespace: Path) -> None:
    link(clone.data / "pg_tblspc/16400", clone.origin / "pg/space/one")
    clone.quarantine()
    assert (clone.data / "pg_tblspc/16400").readlink() == Path("../../space/one")
    assert (clone.data / "pg_tblspc/16400").resolve() == tablespace.resolve()
    assert owners(tablespace) == {clone.owner.name}
    assert inspect_links(clone.tree, DATA) == []


def test_a_tablespace_named_by_way_of_a_link_of_the_hosts(clone: Clone, tablespace: Path) -> None:
    (clone.origin / "pg/space/one").mkdir(parents=True)
    (clone.origin / "by-name").symlink_to(clone.origin / "pg/space")
    link(clone.data / "pg_tblspc/16400", clone.origin / "by-name/one")
    clone.quarantine()
    assert (clone.data / "pg_tblspc/16400").readlink() == Path("../../space/one")


def test_a_relative_link_inside_stays(clone: Clone) -> None:
    (clone.data / "pg_wal").rename(clone.tree / "pg/wal")
    link(clone.data / "pg_wal", "../wal")
    clone.quarantine()
    assert (clone.data / "pg_wal").readlink() == Path("../wal")


def test_what_a_link_leads_to_is_the_branches_too(clone: Clone, tablespace: Path) -> None:
    link(clone.data / "pg_tblspc/16400", "../../space/one")
    quarantine(
        clone.tree,
        DATA,
        parts=[Part(clone.origin / "pg/data", DATA)],
        settings={},
        branch_settings={},
        keep_preload=(),
        owner=clone.owner,
    )
    assert owners(tablespace) == {clone.owner.name}


def test_a_relative_link_to_a_part_that_stands_elsewhere(clone: Clone) -> None:
    (clone.data / "pg_wal").rename(clone.tree / "wal-1")
    link(clone.data / "pg_wal", "../../fast/wal")
    parts = [*clone.parts, Part(clone.origin / "fast/wal", PurePosixPath("wal-1"))]
    quarantine(
        clone.tree,
        DATA,
        parts=parts,
        settings={},
        branch_settings={},
        keep_preload=(),
        owner=clone.owner,
    )
    assert (clone.data / "pg_wal").readlink() == Path("../../wal-1")


def test_a_tablespace_that_only_the_backups_map_knows(clone: Clone, tablespace: Path) -> None:
    (tablespace.parent / "a\nb").mkdir()
    origin = str(clone.origin / "pg/space")
    (clone.data / "tablespace_map").write_text(f"16400 {origin}/one\n16401 {origin}/a\\\nb\n")
    clone.quarantine()
    assert (clone.data / "pg_tblspc/16400").readlink() == Path("../../space/one")
    assert (clone.data / "pg_tblspc/16401").readlink() == Path("../../space/a\nb")
    assert not (clone.data / "tablespace_map").exists()


def test_a_dispensable_link_outside_is_taken_out(clone: Clone, victim: Path) -> None:
    link(clone.data / "server.key", victim)
    link(clone.data / "pg_log", victim.parent)
    taken = clone.quarantine()
    assert {"server.key (a link that leads outside the branch)"} <= set(taken)
    assert not (clone.data / "server.key").is_symlink()
    assert not (clone.data / "pg_log").is_symlink()
    assert unchanged(victim)


# --- links that nobody may follow --------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["pg_wal", "pg_tblspc/16400", "pg_xact", "base", "base/1", "global", "base/1/16384"]
)
@pytest.mark.parametrize(
    "how", ["absolute", "relative", "missing", "a link", "beyond a link", "above"]
)
def test_a_link_outside_is_refused_and_nothing_is_changed(
    clone: Clone, tmp_path: Path, path: str, how: str
) -> None:
    place = clone.data / path
    (clone.tree / "door").symlink_to(tmp_path)
    (tmp_path / "sub").mkdir()
    targets = {
        "absolute": str(tmp_path),
        "relative": os.path.relpath(tmp_path, place.parent),
        "missing": str(clone.origin / "pg/nowhere"),
        "a link": os.path.relpath(clone.tree / "door", place.parent),
        "beyond a link": os.path.relpath(clone.tree / "door/sub", place.parent),
        "above": os.path.relpath(clone.tree, place.parent),
    }
    link(place, targets[how])
    (clone.data / "standby.signal").write_text("")
    with pytest.raises(UnsoundError) as caught:
        clone.quarantine()
    assert str(place) in caught.value.message
    assert targets[how] in caught.value.message
    assert caught.value.hint
    assert place.readlink() == Path(targets[how])
    assert (clone.data / "standby.signal").exists()
    assert inspect_links(clone.tree, DATA) == [Link(DATA / path, targets[how])]


def test_a_link_inside_a_tablespace_is_found(
    clone: Clone, tablespace: Path, tmp_path: Path
) -> None:
    link(clone.data / "pg_tblspc/16400", "../../space/one")
    link(tablespace / "PG_15_202209061/5", tmp_path)
    with pytest.raises(UnsoundError, match="PG_15_202209061/5"):
        clone.quarantine()


def test_a_tablespace_of_a_branch_beneath_its_own_tree_is_inside(
    clone: Clone, tablespace: Path
) -> None:
    link(clone.data / "pg_tblspc/16400", tablespace)
    assert inspect_links(clone.tree, DATA) == []


@pytest.mark.parametrize("settings", [None, {"work_mem": "5MB"}])
@pytest.mark.parametrize("kind", ["link", "hard link", "fifo"])
@pytest.mark.parametrize("name", ["postgresql.conf", "postgresql.auto.conf"])
def test_settings_files_are_replaced_never_written_through(
    clone: Clone, victim: Path, name: str, kind: str, settings: dict[str, str] | None
) -> None:
    place = clone.data / name
    place.unlink()
    bait = clone.tree / "pg/bait"  # a hard link cannot leave the filesystem
    bait.write_text("bait")
    make: dict[str, Callable[[], None]] = {
        "link": lambda: place.symlink_to(victim),
        "hard link": lambda: place.hardlink_to(bait),
        "fifo": lambda: os.mkfifo(place),
    }
    make[kind]()
    clone.quarantine(settings)
    assert place.is_file()
    assert not place.is_symlink()
    assert place.stat().st_uid == clone.owner.uid
    assert unchanged(victim)
    assert bait.read_text() == "bait"
    assert "77MB" not in (clone.data / "postgresql.conf").read_text()


@pytest.mark.parametrize(
    "name",
    """postmaster.pid postmaster.opts standby.signal recovery.signal recovery.conf tablespace_map
    current_logfiles""".split(),  # noqa: SIM905
)
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_removal_takes_the_planted_thing_itself(
    clone: Clone, victim: Path, name: str, kind: str
) -> None:
    if kind == "link":
        link(clone.data / name, victim)
    else:
        os.mkfifo(clone.data / name)
    clone.quarantine()
    assert not os.path.lexists(clone.data / name)
    assert unchanged(victim)


@pytest.mark.parametrize("name", ["pg_replslot", "pg_stat_tmp"])
def test_emptying_never_reaches_elsewhere(clone: Clone, victim: Path, name: str) -> None:
    link(clone.data / name, victim.parent)
    clone.quarantine()
    assert unchanged(victim)
    status = (clone.data / name).lstat()
    assert stat.S_ISDIR(status.st_mode)
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (clone.owner.uid, 0o700)
    assert list((clone.data / name).iterdir()) == []


@pytest.mark.parametrize("name", ["pg_replslot", "pg_stat_tmp"])
def test_emptying_takes_a_link_inside_the_tree_and_not_what_it_leads_to(
    clone: Clone, tablespace: Path, name: str
) -> None:
    link(clone.data / name, "../space")
    clone.quarantine()
    assert tablespace.is_dir()
    assert not (clone.data / name).is_symlink()
    assert list((clone.data / name).iterdir()) == []


def test_emptying_follows_no_link_within(clone: Clone, victim: Path) -> None:
    slot = clone.data / "pg_replslot/slot"
    slot.mkdir()
    link(slot / "planted", victim.parent)
    link(clone.data / "pg_replslot/other", victim.parent)
    clone.quarantine()
    assert unchanged(victim)


def test_a_planted_link_is_not_chowned_through(clone: Clone, victim: Path) -> None:
    link(clone.data / "pg_log", victim.parent)
    link(clone.data / "harmless", victim)
    clone.quarantine()
    assert unchanged(victim)
    assert victim.parent.stat().st_uid == 0


@pytest.mark.parametrize("above", ["pg", "pg/data"])
def test_a_data_directory_behind_a_link_is_refused(
    clone: Clone, template: Path, above: str, tmp_path: Path
) -> None:
    shutil.move(clone.tree / above, tmp_path / "elsewhere")
    link(clone.tree / above, tmp_path / "elsewhere")
    before = sorted(path.lstat().st_uid for path in tmp_path.rglob("*"))
    with pytest.raises(UnsoundError, match="symbolic link"):
        clone.quarantine()
    assert sorted(path.lstat().st_uid for path in tmp_path.rglob("*")) == before
