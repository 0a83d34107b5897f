"""Quarantine and links: tablespaces are led to the branch's own, and what a branch's superuser may
plant is never followed."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from cowdb.agent.beneath import Link
from cowdb.agent.engines.postgres.quarantine import inspect_links, quarantine
from cowdb.agent.storage.protocol import Part
from cowdb.errors import UnsoundError
from tests.contract.engine.quarantined import DATA, SERVER, Clone, link, owners, unchanged

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not SERVER, reason="needs a Postgres in /usr/lib/postgresql"),
]


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
    clone.quarantine({}, parts)
    assert (clone.data / "pg_wal").readlink() == Path("../../wal-1")


def test_a_tablespace_that_only_the_backups_map_knows(clone: Clone, tablespace: Path) -> None:
    (tablespace.parent / "a\nb").mkdir()
    origin = str(clone.origin / "pg/space")
    (clone.data / "tablespace_map").write_text(f"16400 {origin}/one\n16401 {origin}/a\\\nb\n")
    clone.quarantine()
    assert (clone.data / "pg_tblspc/16400").readlink() == Path("../../space/one")
    assert (clone.data / "pg_tblspc/16401").readlink() == Path("../../space/a\nb")
    assert not (clone.data / "tablespace_map").exists()


# --- links that nobody may follow --------------------------------------------------------------


def test_a_dispensable_link_outside_is_taken_out(clone: Clone, victim: Path) -> None:
    link(clone.data / "server.key", victim)
    link(clone.data / "pg_log", victim.parent)
    taken = clone.quarantine()
    assert {"server.key (a link that leads outside the branch)"} <= set(taken)
    assert not (clone.data / "server.key").is_symlink()
    assert not (clone.data / "pg_log").is_symlink()
    assert unchanged(victim)


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
