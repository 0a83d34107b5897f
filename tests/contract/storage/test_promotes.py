"""What others come from goes, and they stay: every driver can do that, one way or the other (see
Promotes in cowdb/agent/storage/protocol.py)."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from cowdb.agent.storage import zfs_core
from cowdb.agent.storage.pools import open_pool
from cowdb.agent.storage.protocol import Pool, Promotes, VolumeId
from cowdb.errors import ConflictError, StorageError
from tests.contract.storage.fixture import MARK, Bench, record, write
from tests.loopfs import MIB, command, filesystems, zpool_of

needs_zfs = pytest.mark.skipif(
    "zfs" not in filesystems(), reason="no ZFS here: hostprep/test zfs runs these in a guest"
)


def let_go(pool: Pool, *volumes: VolumeId) -> None:
    """As the agent does."""
    for volume in volumes:
        if isinstance(pool, Promotes):
            pool.retire(volume)
        else:
            pool.destroy(volume)


def text(bench: Bench, volume: VolumeId) -> str:
    return (bench.pool.path(volume) / "f").read_text()


def changed(bench: Bench, volume: VolumeId, content: str) -> VolumeId:
    (bench.pool.path(volume) / "f").write_text(content)
    return volume


def snapshot_of(bench: Bench, volume: VolumeId) -> VolumeId:
    taken = bench.new()
    bench.pool.snapshot(volume, taken, {"role": "snapshot", "name": taken})
    return taken


def settled(bench: Bench, snapshot: VolumeId) -> VolumeId:
    """A frozen clone, as branches are made of."""
    made = bench.cloned(snapshot)
    bench.pool.freeze(made)
    return made


def left(bench: Bench) -> list[str]:
    """Whatever the pool has on the disk, listed or not."""
    if bench.kind.driver == "zfs":
        names = command("zfs", "list", "-H", "-t", "all", "-o", "name", "-r", bench.pool.dataset)
        return names.split()[1:]
    return [path.name for name in ("volumes", "staging") for path in (bench.root / name).iterdir()]


def test_only_where_clones_depend_a_power_of_its_own_is_needed(bench: Bench) -> None:
    assert isinstance(bench.pool, Promotes) == bench.pool.clones_depend


def test_a_branch_goes_and_its_snapshots_with_their_branches_stay(bench: Bench) -> None:
    base = bench.filled("base")
    branch = changed(bench, bench.cloned(base), "early")
    early = snapshot_of(bench, branch)
    changed(bench, branch, "late")
    late = snapshot_of(bench, branch)
    changed(bench, branch, "never kept")
    child, other = bench.cloned(early), bench.cloned(settled(bench, late))
    let_go(bench.pool, branch)
    let_go(bench.pool, branch)  # again, after a crash
    assert branch not in bench.listed()
    seen = {volume.id: volume for volume in bench.pool.list()}
    assert all(seen[name].frozen and seen[name].complete for name in (early, late))
    assert seen[early].mark == {"role": "snapshot", "name": early}
    assert [text(bench, each) for each in (early, late, child, other)] == [
        "early", "late", "early", "late",
    ]  # fmt: skip
    changed(bench, child, "child")
    assert text(bench, bench.cloned(early)) == "early"
    assert text(bench, bench.cloned(snapshot_of(bench, child))) == "child"
    with pytest.raises(StorageError, match="is not in the pool"):
        bench.pool.snapshot(branch, VolumeId("of-the-gone"), MARK)
    bench.pool.set_mark(early, {"role": "snapshot", "name": "renamed"})
    assert {volume.id: volume.mark for volume in bench.pool.list()}[early]["name"] == "renamed"


def test_a_snapshot_goes_and_its_branches_stay(bench: Bench) -> None:
    source = changed(bench, bench.cloned(bench.filled("base")), "one")
    raw = snapshot_of(bench, source)
    frozen = settled(bench, raw)
    first, second, third = bench.cloned(frozen), bench.cloned(frozen), bench.cloned(raw)
    changed(bench, first, "first")
    let_go(bench.pool, frozen, raw)
    assert not {frozen, raw} & bench.listed()
    assert [text(bench, each) for each in (first, second, third)] == ["first", "one", "one"]
    changed(bench, second, "second")
    grandchild = bench.cloned(snapshot_of(bench, second))
    assert text(bench, grandchild) == "second"
    for name in (frozen, raw):
        with pytest.raises(StorageError, match="is not in the pool"):
            bench.pool.clone(name, bench.new(), MARK)
    changed(bench, source, "two")
    assert text(bench, bench.cloned(snapshot_of(bench, source))) == "two"


def test_when_the_last_heir_goes_nothing_is_left(bench: Bench) -> None:
    """Whatever was removed before, and in whatever order the rest goes."""
    for order in (1, -1):
        branch = changed(bench, bench.cloned(base := bench.filled("base")), "early")
        taken = [snapshot_of(bench, branch)]
        changed(bench, branch, "late")
        taken.append(snapshot_of(bench, branch))
        copies = [settled(bench, each) for each in taken]
        children = [bench.cloned(copy) for copy in (*copies, *copies)]
        let_go(bench.pool, branch, base)
        let_go(bench.pool, copies[0], taken[0], copies[1], taken[1])
        assert bench.listed() == set(children)
        for number, child in enumerate(children[::order]):
            bench.pool.destroy(child)
            assert len(bench.listed()) == 3 - number
        assert left(bench) == []


def test_space_of_what_was_written_last_comes_back_at_once(bench: Bench) -> None:
    branch = bench.cloned(bench.filled())
    kept = snapshot_of(bench, branch)
    child = bench.cloned(kept)
    write(bench.pool.path(branch) / "big", 32 * MIB)
    before = _taken(bench)
    let_go(bench.pool, branch)
    bench.eventually(lambda: before - _taken(bench) > 24 * MIB)
    assert text(bench, child) == "one"


def _taken(bench: Bench) -> int:
    """Bytes of data on the disk, when what was destroyed before is gone."""
    if bench.kind.on_btrfs:  # what is free there also changes with each chunk that it sets aside
        command("btrfs", "filesystem", "sync", bench.mountpoint)
        command("btrfs", "subvolume", "sync", bench.mountpoint)
        command("btrfs", "filesystem", "sync", bench.mountpoint)  # it counts when it commits
        lines = command("btrfs", "filesystem", "df", "--raw", bench.mountpoint).splitlines()
        return sum(int(line.rpartition("used=")[2]) for line in lines if line.startswith("Data"))
    if bench.kind.driver == "zfs":
        command("zpool", "sync", zpool_of(bench.mountpoint))
    return -bench.pool.space().free


# --- what only ZFS can show ----------------------------------------------------------------------


def origins(bench: Bench) -> dict[str, str]:
    """Of each dataset of the pool, without the pool's name."""
    shown = command("zfs", "list", "-H", "-o", "name,origin", "-r", bench.pool.dataset)
    lines = [line.split("\t") for line in shown.splitlines()[1:]]
    prefix = bench.pool.dataset + "/"
    return {name.removeprefix(prefix): origin.removeprefix(prefix) for name, origin in lines}


@needs_zfs
def test_the_last_heir_takes_over_what_it_came_from(zfs: Bench) -> None:
    """An experiment that became the real thing keeps nothing of its history, however long."""
    branch = changed(zfs, zfs.cloned(base := zfs.filled("base")), "one")
    write(zfs.pool.path(branch) / "big", 32 * MIB)
    taken = snapshot_of(zfs, branch)
    copy = settled(zfs, taken)
    heir = zfs.cloned(copy)
    (zfs.pool.path(heir) / "big").unlink()
    with open(zfs.pool.path(heir) / "f") as in_use:  # by a server, say
        let_go(zfs.pool, branch)
        assert set(origins(zfs)) == {base, branch, copy, heir}
        before = _taken(zfs)
        let_go(zfs.pool, copy, taken)
        assert in_use.read() == "one"
    assert origins(zfs) == {base: "-", heir: f"{base}@frozen-{base}"}
    assert left(zfs) == [f"{zfs.pool.dataset}/{name}" for name in sorted(
        (base, f"{base}@frozen-{base}", heir))]  # fmt: skip
    zfs.eventually(lambda: before - _taken(zfs) > 24 * MIB)
    held = command("zfs", "holds", "-H", f"{zfs.pool.dataset}/{base}@frozen-{base}")
    assert [line.split("\t")[1] for line in held.splitlines()] == [f"cowdb:{heir}"]
    zfs.pool.destroy(heir)
    zfs.pool.destroy(base)
    assert left(zfs) == []


@needs_zfs
def test_nothing_of_a_source_is_promoted_away(zfs: Bench) -> None:
    zfs.pool.create(source := zfs.new(), MARK)
    changed(zfs, source, "source")
    child = zfs.cloned(taken := snapshot_of(zfs, source))
    let_go(zfs.pool, taken)
    assert origins(zfs) == {source: "-", child: f"{source}@{taken}"}
    with pytest.raises(ConflictError, match="come from it"):
        zfs.pool.destroy(source)
    zfs.pool.destroy(child)
    assert left(zfs) == [f"{zfs.pool.dataset}/{source}"]


@needs_zfs
def test_a_snapshot_that_an_heir_has_by_the_same_name_is_in_nobodys_way(zfs: Bench) -> None:
    """Promotion moves snapshots, and ZFS refuses two of one name: then it is not done."""
    copy = settled(zfs, snapshot_of(zfs, zfs.cloned(zfs.filled())))
    heir = zfs.cloned(copy)
    mine = f"{zfs.pool.dataset}/{heir}@frozen-{copy}"
    command("zfs", "snapshot", mine)
    with pytest.raises(StorageError, match="cannot be promoted"):
        zfs_core.promote(f"{zfs.pool.dataset}/{heir}")
    let_go(zfs.pool, copy)
    assert copy not in zfs.listed()
    assert text(zfs, heir) == "one"
    command("zfs", "destroy", mine)
    let_go(zfs.pool, copy)  # as any removal does, it looks again
    assert f"{zfs.pool.dataset}/{copy}" not in left(zfs)
    zfs.pool.destroy(heir)


@needs_zfs
def test_somebody_elses_snapshot_clone_and_hold_are_respected(zfs: Bench) -> None:
    branch = changed(zfs, zfs.cloned(zfs.filled()), "branch")
    taken = snapshot_of(zfs, branch)
    child, dataset = zfs.cloned(taken), zfs.pool.dataset
    command("zfs", "snapshot", f"{dataset}/{branch}@theirs")
    with pytest.raises(ConflictError, match=f"{branch}@theirs is not cowdb's"):
        let_go(zfs.pool, branch)
    assert branch in zfs.listed()
    command("zfs", "destroy", f"{dataset}/{branch}@theirs")
    let_go(zfs.pool, branch)
    theirs = f"{zpool_of(zfs.mountpoint)}/theirs"
    command("zfs", "clone", f"{dataset}/{branch}@{taken}", theirs)
    command("zfs", "hold", "backup", f"{dataset}/{branch}@{taken}")
    let_go(zfs.pool, taken)
    zfs.pool.destroy(child)
    assert f"{dataset}/{branch}@{taken}" in left(zfs)
    command("zfs", "destroy", theirs)
    other = zfs.filled()
    zfs.pool.destroy(other)
    assert f"{dataset}/{branch}@{taken}" in left(zfs), "still held"
    command("zfs", "release", "backup", f"{dataset}/{branch}@{taken}")
    zfs.pool.destroy(other)
    assert f"{dataset}/{branch}" not in left(zfs)


class Died(BaseException):
    """As by SIGKILL."""


@pytest.mark.timeout(900)  # three minutes in an emulated guest beside other work
@needs_zfs
def test_killed_in_the_middle_of_it_again_and_again(
    zfs: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one change on the disk, or a few; what is left is then given to a driver that
    knows nothing of it, as a new agent does, until it comes to the end."""
    branch = changed(zfs, zfs.cloned(base := zfs.filled()), "kept")
    copy = settled(zfs, taken := snapshot_of(zfs, branch))
    heir, deaths = zfs.cloned(copy), []
    names = ("rollback", "hold", "promote", "release", "destroy", "destroy_snapshots")
    calls = {name: getattr(zfs_core, name) for name in names}
    for number in range(60):
        again = open_pool(record(zfs.pool._pool, "zfs", Path(f"zfs:{zfs.pool.dataset}")))
        lives = iter(range(1 + number % 4))

        def dying(name: str, *words: object, lives: Iterator[int] = lives) -> None:
            if words[0] and next(lives, None) is None:  # of nothing, nothing changes
                raise Died(name)
            calls[name](*words)

        for name in names:
            monkeypatch.setattr(zfs_core, name, functools.partial(dying, name))
        try:
            let_go(again, branch, copy, taken)
            break
        except Died as died:
            deaths.append(str(died))
        finally:
            for name in names:
                monkeypatch.setattr(zfs_core, name, calls[name])
        assert {base, heir} <= {volume.id for volume in again.list()}
        assert text(zfs, heir) == "kept"
    assert {"promote", "release", "destroy"} <= set(deaths), deaths
    assert zfs.listed() == {base, heir}
    assert set(origins(zfs)) == {base, heir}
    zfs.pool.destroy(heir)
    zfs.pool.destroy(base)
    assert left(zfs) == []


@needs_zfs
def test_of_several_datasets(zfs: Bench) -> None:
    zpool, root = zpool_of(zfs.mountpoint), zfs.mountpoint / "many"
    command("zfs", "create", f"{zpool}/many")
    for name in ("data", "wal"):
        command("zfs", "create", f"{zpool}/many/{name}")
        (root / name / "f").write_text("one")
    zfs.pool.snapshot(zfs.pool.enclose([root / "data", root / "wal"]), VolumeId("sn-1"), MARK)
    zfs.pool.clone(VolumeId("sn-1"), VolumeId("br-1"), MARK)
    for part in ("part0", "part1"):
        (zfs.pool.path(VolumeId("br-1")) / part / "f").write_text("kept")
    zfs.pool.snapshot(VolumeId("br-1"), VolumeId("sn-2"), MARK)
    write(zfs.pool.path(VolumeId("br-1")) / "part1" / "big", 16 * MIB)
    zfs.pool.clone(VolumeId("sn-2"), VolumeId("se-2"), MARK)
    zfs.pool.freeze(VolumeId("se-2"))
    zfs.pool.clone(VolumeId("se-2"), VolumeId("br-2"), MARK)
    before = _taken(zfs)
    let_go(zfs.pool, VolumeId("br-1"), VolumeId("sn-1"))
    zfs.eventually(lambda: before - _taken(zfs) > 8 * MIB)
    assert zfs.listed() == {"sn-2", "se-2", "br-2"}
    zfs.pool.clone(VolumeId("sn-2"), VolumeId("br-3"), MARK)
    let_go(zfs.pool, VolumeId("se-2"), VolumeId("sn-2"))
    for name in ("br-2", "br-3"):
        tree = zfs.pool.path(VolumeId(name))
        assert [(tree / part / "f").read_text() for part in ("part0", "part1")] == ["kept"] * 2
        (tree / "part0" / "f").write_text("mine")
    for name in ("br-2", "br-3"):
        assert f"{zpool}/many/data@cowdb-sn-1" in command("zfs", "list", "-H", "-t", "snapshot")
        zfs.pool.destroy(VolumeId(name))
    assert left(zfs) == []
    command("zfs", "destroy", "-r", f"{zpool}/many")
    assert "cowdb-" not in command("zfs", "list", "-H", "-r", "-t", "snapshot", zpool)


@needs_zfs
def test_of_an_encrypted_source(zfs: Bench, tmp_path: Path) -> None:
    zpool, key = zpool_of(zfs.mountpoint), tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    command(
        "zfs", "create", "-o", "encryption=on", "-o", "keyformat=raw",
        "-o", f"keylocation=file://{key}", f"{zpool}/secret",
    )  # fmt: skip
    (zfs.mountpoint / "secret" / "f").write_text("one")
    zfs.pool.snapshot(zfs.pool.enclose([zfs.mountpoint / "secret"]), VolumeId("sn"), MARK)
    branch = changed(zfs, zfs.cloned(VolumeId("sn")), "kept")
    copy = settled(zfs, taken := snapshot_of(zfs, branch))
    heir = zfs.cloned(copy)
    let_go(zfs.pool, branch, copy, taken)
    assert set(origins(zfs)) == {"sn", "sn/part0", heir}
    assert text(zfs, changed(zfs, heir, "heir")) == "heir"
    root = command(
        "zfs", "get", "-H", "-o", "value", "encryptionroot", f"{zfs.pool.dataset}/{heir}"
    )
    assert root.strip() == f"{zpool}/secret"
    let_go(zfs.pool, VolumeId("sn"))
    assert zfs.listed() == {heir}
    zfs.pool.destroy(heir)
    assert left(zfs) == []
    command("zfs", "destroy", f"{zpool}/secret")  # fails if a snapshot was left on it
