"""The pure half of the ZFS driver: names, what datasets mean as volumes, where origins stand."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from cowdb.agent.storage.protocol import VolumeId
from cowdb.agent.storage.zfs_command import Entry
from cowdb.agent.storage.zfs_names import dataset_of, holder, zpool_of
from cowdb.agent.storage.zfs_origin import Mounted, _inside, _places, _relative
from cowdb.agent.storage.zfs_volumes import parts_text, survey
from cowdb.errors import InvalidError, UnsoundError

ROOT = "tank/cowdb"


def entry(name: str, inherited: str = "", **local: str) -> Entry:
    """With user properties `volume=` and so on set on it itself."""
    words = {"readonly": "readonly", "origin": "origin", "recordsize": "recordsize"}
    values = {words.get(key, f"cowdb:{key}"): value for key, value in local.items()}
    sources = dict.fromkeys(values, "local")
    if inherited:
        values["cowdb:volume"], sources["cowdb:volume"] = inherited, f"inherited from {ROOT}"
    return Entry(f"{ROOT}/{name}", values, sources)


def test_names() -> None:
    assert dataset_of("zfs:tank/a/b_c.d-1") == "tank/a/b_c.d-1"
    for path in ("zfs:tank", "tank/cowdb", "zfs:tank/", "zfs:/a/b", "zfs:a/b@c", "zfs:a/b;c",
                 "zfs:a//b", "zfs:a/" + "x" * 120):  # fmt: skip
        with pytest.raises(InvalidError):
            dataset_of(path)
    assert (zpool_of("tank/a@b"), zpool_of("tank@b"), zpool_of("tank")) == ("tank",) * 3
    assert (holder("cowdb:br-1"), holder("backup"), holder("cowdb:")) == ("br-1", None, None)


def test_a_mark_counts_only_where_it_was_set() -> None:
    found = survey(
        ROOT,
        [
            Entry(ROOT),
            entry("so", volume="so", mark='{"role": "source"}'),
            entry("so@sn", inherited="so", snapshot="sn", mark="{}"),
            entry("so@manual", inherited="so"),
            entry("so@copied", inherited="so", snapshot="other"),
            entry("renamed", volume="before"),
            entry("child", inherited="so"),
            entry("BAD", volume="BAD"),
        ],
    )
    assert set(found) == {"so", "sn"}
    assert found[VolumeId("so")].volume.mark == {"role": "source"}
    assert found[VolumeId("so")].strangers == (f"{ROOT}/so@sn", f"{ROOT}/so@manual",
                                               f"{ROOT}/so@copied")  # fmt: skip
    snapshot = found[VolumeId("sn")]
    assert snapshot.volume.frozen
    assert snapshot.tree == PurePosixPath("so/.zfs/snapshot/sn")
    assert snapshot.pieces[0].source == f"{ROOT}/so@sn"


def test_frozen_and_interrupted() -> None:
    found = survey(
        ROOT,
        [
            entry("done", volume="done", readonly="on", recordsize="8192"),
            entry("done@frozen-done", inherited="done"),
            entry("half", volume="half", readonly="on", mark="not json"),
        ],
    )
    done, half = found[VolumeId("done")], found[VolumeId("half")]
    assert (done.volume.frozen, done.volume.complete, done.strangers) == (True, True, ())
    assert done.pieces[0].source == f"{ROOT}/done@frozen-done"
    assert done.pieces[0].carried == {"recordsize": "8192"}
    assert (half.volume.frozen, half.volume.complete, half.volume.mark) == (False, False, {})


def test_what_is_retired_and_what_moved_to_an_heir() -> None:
    found = survey(
        ROOT,
        [
            entry("br", volume="br", retired="br"),
            entry("br@sn", inherited="br", snapshot="sn"),
            entry("br@old", inherited="br", snapshot="old", retired="old"),
            entry("heir", volume="heir", origin=f"{ROOT}/se@frozen-se"),
            entry("heir@frozen-se", inherited="heir", retired="frozen-se"),
        ],
    )
    seen = {name: each.retired for name, each in found.items()}
    assert seen == {"br": True, "sn": False, "old": True, "heir": False, "frozen-se": True}
    assert found[VolumeId("frozen-se")].head == f"{ROOT}/heir@frozen-se"
    assert found[VolumeId("heir")].volume.frozen is False, "of another's frozen- snapshot"


def test_a_set_of_one_and_a_set_of_two() -> None:
    two = parts_text([(PurePosixPath("part0"), "t/a@s"), (PurePosixPath("part0/w"), "t/b@s")])
    one = parts_text([(PurePosixPath("."), "t/a@s")])
    found = survey(
        ROOT,
        [
            entry("one", volume="one", set="one", parts=one),
            entry("one/part0", inherited="one", origin="t/a@s"),
            entry("two", volume="two", set="two", parts=two),
            entry("two/part0", inherited="two", origin="t/a@s"),
        ],
    )
    single, half = found[VolumeId("one")], found[VolumeId("two")]
    assert (single.tree, half.tree) == (PurePosixPath("one/part0"), PurePosixPath("two"))
    assert single.volume.complete
    assert single.pieces[0].source == "t/a@s"
    assert not half.volume.complete
    assert half.taken == ("t/a@s", "t/b@s"), "what is to be destroyed is known all the same"
    assert half.datasets == [f"{ROOT}/two", f"{ROOT}/two/part0"]


DATA = Mounted(Path("/srv/data"), PurePosixPath("/"), "tank/data")
WAL = Mounted(Path("/srv/data/15/pg_wal"), PurePosixPath("/"), "tank/wal")
DEEP = Mounted(Path("/srv/data/15/pg_wal/x"), PurePosixPath("/"), "tank/deep")
SPACE = Mounted(Path("/srv/space"), PurePosixPath("/inner"), "tank/space")


def test_places() -> None:
    assert _places([DATA, DATA], []) == {"tank/data": PurePosixPath(".")}
    assert _places([DATA, SPACE], [WAL, DEEP]) == {
        "tank/data": PurePosixPath("part0"),
        "tank/space": PurePosixPath("part1"),
        "tank/wal": PurePosixPath("part0/15/pg_wal"),
        "tank/deep": PurePosixPath("part0/15/pg_wal/x"),
    }
    assert _relative(Path("/srv/space/a"), SPACE) == PurePosixPath("inner/a")


def test_what_is_mounted_inside() -> None:
    looked_at = Mounted(Path("/srv/data/.zfs/snapshot/a"), PurePosixPath("/"), "tank/data@a")
    assert _inside(Path("/srv/data"), [DATA, WAL, looked_at], "tank") == [WAL]
    for hole in (
        Mounted(Path("/srv/data/tmp"), PurePosixPath("/"), ""),
        Mounted(Path("/srv/data/tmp"), PurePosixPath("/"), "other/data"),
        Mounted(Path("/srv/data/tmp"), PurePosixPath("/dir"), "tank/bound"),
    ):
        with pytest.raises(UnsoundError, match="is mounted inside"):
            _inside(Path("/srv/data"), [DATA, hole], "tank")
