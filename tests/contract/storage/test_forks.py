"""A snapshot and a clone of it in one, where a driver can (see Forks in protocol.py)."""

from __future__ import annotations

import os

import pytest

from cowdb.agent.storage.protocol import Descent, Forks, ReportsChangedBlocks
from cowdb.errors import StorageError
from tests.contract.storage.fixture import MARK, Bench, write


def forking(bench: Bench) -> Forks:
    if not isinstance(bench.pool, Forks):
        pytest.skip(f"{bench.kind.name} makes a snapshot and a clone one after the other")
    return bench.pool


def test_a_fork_is_a_snapshot_and_a_clone_of_it(bench: Bench) -> None:
    pool, origin = forking(bench), bench.new()
    bench.pool.create(origin, MARK)
    tree = bench.pool.path(origin)
    (tree / "f").write_text("one")
    frozen, clone = bench.new(), bench.new()
    pool.fork(origin, frozen, {"role": "snapshot"}, clone, {"role": "branch"})
    (tree / "f").write_text("two")
    seen = {volume.id: volume for volume in bench.pool.list()}
    assert (seen[frozen].frozen, seen[frozen].complete) == (True, True)
    assert (seen[clone].frozen, seen[clone].complete) == (False, True)
    assert (seen[frozen].mark, seen[clone].mark) == ({"role": "snapshot"}, {"role": "branch"})
    assert [(bench.pool.path(each) / "f").read_text() for each in (frozen, clone)] == ["one"] * 2
    (bench.pool.path(clone) / "f").write_text("three")
    assert (bench.pool.path(frozen) / "f").read_text() == "one"
    again = bench.cloned(frozen)
    assert (bench.pool.path(again) / "f").read_text() == "one"


def test_what_a_fork_has_changed_is_told_as_of_a_clone(bench: Bench) -> None:
    pool, origin = forking(bench), bench.new()
    bench.pool.create(origin, MARK)
    for name in ("still", "changed"):
        write(bench.pool.path(origin) / name, 64 * 1024)
    (bench.pool.path(origin) / "late").write_bytes(b"x" * 32768)  # not on disk yet
    frozen, clone = bench.new(), bench.new()
    pool.fork(origin, frozen, MARK, clone, MARK)
    reports = bench.pool
    assert isinstance(reports, ReportsChangedBlocks)
    descent = Descent(clone, clone, frozen)
    assert reports.changed(descent, lambda path: True) == []
    with (bench.pool.path(clone) / "changed").open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(8192))
    found = {str(item.path) for item in reports.changed(descent, lambda path: True)}
    assert found == {"changed"}


@pytest.mark.parametrize("taken", ["frozen", "clone"])
def test_a_fork_that_fails_leaves_nothing(bench: Bench, taken: str) -> None:
    pool, origin = forking(bench), bench.new()
    bench.pool.create(origin, MARK)
    names = {"frozen": bench.new(), "clone": bench.new()}
    bench.pool.create(names[taken], MARK)
    with pytest.raises(StorageError, match="there is one"):
        pool.fork(origin, names["frozen"], MARK, names["clone"], MARK)
    assert bench.listed() == {origin, names[taken]}
    assert bench.staged() == []
