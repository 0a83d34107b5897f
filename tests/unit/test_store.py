from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cowdb.agent.store import EXPIRING, MIGRATIONS, Store
from cowdb.errors import ConflictError, StoreError
from tests.unit.records import BRANCH, SNAPSHOT, SOURCE


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store.db")


def test_an_empty_store_is_migrated_and_opens_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Store(path).close()
    with sqlite3.connect(path) as db:
        assert db.execute("pragma user_version").fetchone() == (len(MIGRATIONS),)
    db.close()
    assert path.stat().st_mode & 0o777 == 0o600
    Store(path).close()


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Store(path).close()
    newer = len(MIGRATIONS) + 1
    db = sqlite3.connect(path)
    db.execute(f"pragma user_version = {newer}")
    db.close()
    with pytest.raises(StoreError, match="newer cowdb"):
        Store(path)
    db = sqlite3.connect(path)
    assert db.execute("pragma user_version").fetchone() == (newer,)
    db.close()


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="cannot be read"):
        Store(path)


def test_records_come_back_as_they_were(store: Store) -> None:
    with store.transaction() as tx:
        tx.sources.put(SOURCE)
        tx.snapshots.put(SNAPSHOT)
        tx.branches.put(BRANCH)
    with store.transaction() as tx:
        assert tx.sources.get(SOURCE.id) == SOURCE
        assert tx.snapshots.all("parent = ?", SOURCE.id) == [SNAPSHOT]
        assert tx.branches.all("snapshot = ?", SNAPSHOT.id) == [BRANCH]
        tx.branches.put(replace(BRANCH, protected=True))
        assert tx.branches.get(BRANCH.id) == replace(BRANCH, protected=True)


def test_a_transaction_is_whole_or_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        with store.transaction() as tx:
            tx.sources.put(SOURCE)
            tx.claim_name("main", "source", SOURCE.id)
            raise ZeroDivisionError
    with store.transaction() as tx:
        assert tx.sources.all() == []
        assert tx.owner_of_name("main") is None


def test_a_nested_transaction_is_part_of_the_outer_one(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        with store.transaction() as outer:
            with store.transaction() as inner:
                inner.sources.put(SOURCE)
            assert outer.sources.get(SOURCE.id) == SOURCE
            raise ZeroDivisionError
    with store.transaction() as tx:
        assert tx.sources.all() == []


def test_names_and_ports_are_given_once_until_released(store: Store) -> None:
    with store.transaction() as tx:
        tx.claim_name("main", "source", "so-1")
        tx.claim_port(15500, "so-1")
        with pytest.raises(ConflictError, match="already a source named 'main'"):
            tx.claim_name("main", "branch", "br-1")
        with pytest.raises(ConflictError, match="port 15500"):
            tx.claim_port(15500, "br-1")
        tx.release("so-1")
        tx.claim_name("main", "branch", "br-1")
        tx.claim_port(15500, "br-1")
        assert tx.owner_of_name("main") == ("branch", "br-1")
        assert tx.ports() == {15500: "br-1"}


def test_a_snapshot_name_is_unique_within_its_parent(store: Store) -> None:
    with store.transaction() as tx:
        tx.snapshots.put(SNAPSHOT)
        tx.snapshots.put(replace(SNAPSHOT, id="sn-2", parent="so-2"))
        with pytest.raises(ConflictError):
            tx.snapshots.put(replace(SNAPSHOT, id="sn-3"))


def test_a_branch_needs_its_snapshot(store: Store) -> None:
    with store.transaction() as tx:
        with pytest.raises(ConflictError):
            tx.branches.put(BRANCH)
    assert BRANCH.created_at == datetime(2026, 1, 2, tzinfo=UTC)


def test_numbers_of_rows_serve_who_counted_them_and_roots_serve_all(store: Store) -> None:
    with store.transaction() as tx:
        tx.sources.put(SOURCE)
        tx.snapshots.put(SNAPSHOT)
        tx.counts.keep(SNAPSHOT.id, "se-1", 1000, {"base/5/1": 10, "base/5/2": 20})
        tx.counts.keep(SNAPSHOT.id, "se-1", 0, {"base/5/2": 21})
        tx.counts.keep(SNAPSHOT.id, "se-1", 1000, {"base/5/1": 11})
        assert tx.counts.known("se-1", 1000) == {"base/5/1": 11, "base/5/2": 21}
        assert tx.counts.known("se-1", 1001) == {"base/5/2": 21}
        assert tx.counts.known("se-1", 0) == {"base/5/2": 21}
        assert tx.counts.known("se-2", 1000) == {}


def test_numbers_of_rows_go_with_their_snapshot_and_not_before(store: Store) -> None:
    with store.transaction() as tx:
        tx.sources.put(SOURCE)
        tx.snapshots.put(SNAPSHOT)
        tx.counts.keep(SNAPSHOT.id, "se-1", 1000, {"base/5/1": 10})
        tx.snapshots.put(replace(SNAPSHOT, settled="se-1"))
        assert tx.counts.known("se-1", 1000) == {"base/5/1": 10}
        tx.snapshots.delete(SNAPSHOT.id)
        assert tx.counts.known("se-1", 1000) == {}


def test_a_user_cannot_fill_the_store_with_numbers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cowdb.agent.store.COUNTS_KEPT", 3)
    with store.transaction() as tx:
        tx.sources.put(SOURCE)
        tx.snapshots.put(SNAPSHOT)
        for number in range(10):
            tx.counts.keep(SNAPSHOT.id, "se-1", 1000, {f"base/5/{number}": 1, "base/6/1": 1})
            assert len(tx.counts.known("se-1", 1000)) <= 3


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ("operations", "state in ('running', 'committed', 'failed')"),
        ("branches", EXPIRING),
        ("branches", "json_extract(doc, '$.owner_uid') = 7 and json_extract(doc, '$.hidden') = 0"),
    ],
)
def test_what_is_asked_again_and_again_has_an_index(store: Store, table: str, where: str) -> None:
    with store.transaction() as tx:
        rows = tx.db.execute(f"explain query plan select * from {table} where {where}").fetchall()
    assert all("USING INDEX" in row[3] for row in rows), rows


def test_branches_are_counted_and_named_without_the_hidden(store: Store) -> None:
    hidden = replace(BRANCH, id="br-2", name="_side", hidden=True)
    with store.transaction() as tx:
        tx.snapshots.put(SNAPSHOT)
        tx.branches.put(BRANCH)
        tx.branches.put(hidden)
        assert tx.branches.count("snapshot = ?", SNAPSHOT.id) == 2
        assert tx.branch_names(SNAPSHOT.id) == [BRANCH.name]
