from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from cowdb.agent import journal, plan, steps
from cowdb.agent.steps import DestroyVolume, NoteMark, Plan
from cowdb.agent.store import Store
from cowdb.model import NOBODY, Limits
from tests.unit.records import ATTACHED, BRANCH, NOW, SNAPSHOT, SOURCE

SLEEPER = replace(BRANCH, cluster=replace(BRANCH.cluster, sleep_after=600))
NOTE = NoteMark(pool="pool", volume="br-1", mark={"a": "1"}, before={}, change="it says a")
LIMITS = Limits(memory=2**30, cpus=1.5, disk=2**32)
LIMITED = replace(BRANCH, cluster=replace(BRANCH.cluster, limits=LIMITS))
ALL = [
    plan.create_branch(SLEEPER, SNAPSHOT),
    plan.remove_branch(SLEEPER, None),
    plan.sleep(plan.server_of(SLEEPER)),
    plan.create_branch(LIMITED, SNAPSHOT),
    plan.reset_branch(BRANCH, SNAPSHOT, replace(BRANCH.cluster, volume="br-2"), running=True),
    plan.remove_branch(BRANCH, SNAPSHOT),
    plan.remove_snapshot(SNAPSHOT, (NOTE,)),
    plan.snapshot_cluster(SNAPSHOT, plan.server_of(BRANCH), running=True, ordered=False),
    plan.snapshot_attached(replace(SNAPSHOT, mode="stop"), ATTACHED),
    plan.branch_cluster(
        BRANCH, SNAPSHOT, plan.server_of(SOURCE), running=True, ordered=False, forks=True
    ),
    plan.settle(replace(SNAPSHOT, freeze=True), "se-1"),
    plan.create_managed(SOURCE),
    plan.take_spare(BRANCH, replace(BRANCH, owner_uid=NOBODY)),
    plan.copy_managed(SOURCE, "host=there", (("/mnt/space", "tblspc/1"),)),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "store.db")
    yield made
    made.close()


def begin(store: Store, target: str, made: Plan = ALL[0]) -> journal.Operation:
    with store.transaction() as tx:
        return journal.begin(tx, "branch create", target, f"br-{target}", "root", made, NOW)


def test_every_kind_of_step_comes_back_from_the_journal(store: Store) -> None:
    seen = {type(step) for made in ALL for step in (*made.steps, *made.cleanup)}
    seen.add(steps.SealServer)  # by itself only where a store is rebuilt, and in older journals
    assert seen == set(get_args(steps.AnyStep)), "a step that no plan here has"
    for number, made in enumerate(ALL):
        assert msgspec.json.decode(msgspec.json.encode(made), type=Plan) == made
        begin(store, str(number), made)
    assert [item.plan for item in reversed(journal.unfinished(store))] == ALL


def test_no_step_has_a_field_for_a_secret() -> None:
    names = {item.name for kind in get_args(steps.AnyStep) for item in msgspec.structs.fields(kind)}
    assert not names & {"password", "secret", "secrets", "key", "dsn", "env"}


def test_the_intent_is_written_with_the_records_or_not_at_all(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        with store.transaction() as tx:
            tx.sources.put(SOURCE)
            journal.begin(tx, "source add", "main", SOURCE.id, "root", ALL[0], NOW)
            raise ZeroDivisionError
    assert journal.unfinished(store) == []


def test_the_intent_is_synced(store: Store) -> None:
    def ask(tx: Any) -> int:
        value: int = tx.db.execute("pragma synchronous").fetchone()[0]
        return value

    with store.transaction() as tx:
        assert ask(tx) == 2  # full
    with store.transaction(lazy=True) as tx:
        assert ask(tx) == 1  # normal
    with pytest.raises(ZeroDivisionError), store.transaction(lazy=True):
        raise ZeroDivisionError
    with store.transaction() as tx:
        assert ask(tx) == 2


def test_the_newest_unfinished_operation_comes_first(store: Store) -> None:
    first, second, third, fourth = (begin(store, name) for name in ("a", "b", "c", "d"))
    with store.transaction() as tx:
        journal.mark(tx, first, "committed")
        journal.mark(tx, second, "done")
        journal.mark(tx, third, "failed", "no room; not undone: it")
    found = journal.unfinished(store)
    assert [(item.target, item.state) for item in found] == [
        ("d", "running"), ("c", "failed"), ("a", "committed"),
    ]  # fmt: skip
    assert found[0].id == fourth.id
    assert found[1].error == "no room; not undone: it"
    assert found[1].finished_at is not None
    assert found[2].finished_at is None


def test_people_see_what_an_operation_did(store: Store) -> None:
    done = begin(store, "a", Plan(cleanup=(DestroyVolume(pool="p", volume="v"),)))
    with store.transaction() as tx:
        journal.mark(tx, done, "committed")
    (shown,) = journal.recent(store)
    assert shown["state"] == "running"  # for people
    assert shown["steps"] == ["destroy volume v"]
    assert shown["finished_at"] is None


def test_finished_operations_are_kept_for_a_while_and_open_ones_for_ever(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "KEEP", 10)
    open_one = begin(store, "open")
    failed = begin(store, "failed")
    with store.transaction() as tx:
        journal.mark(tx, failed, "failed", "why")
    for number in range(40):
        operation = replace(begin(store, str(number)), id=f"op-{number}0")
        with store.transaction() as tx:
            tx.db.execute(
                "update operations set id = ? where target = ?", (operation.id, str(number))
            )
            journal.mark(tx, operation, "done")
    with store.transaction() as tx:
        left = [row[0] for row in tx.db.execute("select target from operations order by rowid")]
    assert left == [open_one.target, "failed", *map(str, range(29, 40))]


def test_the_store_is_a_plain_database_that_others_can_read(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    begin(store, "a")
    db = sqlite3.connect(tmp_path / "store.db")
    assert db.execute("select state from operations").fetchall() == [("running",)]
    db.close()
    store.close()
