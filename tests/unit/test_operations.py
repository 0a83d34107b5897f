"""How operations run and are taken back, with steps that leave files in a directory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from cowdb.agent import effects, journal
from cowdb.agent.effects import dispatch
from cowdb.agent.host import Attempt, Host
from cowdb.agent.journal import Operation
from cowdb.agent.operations import Claims, Intent, Operations, complete, restore
from cowdb.agent.steps import NoteMark, Plan, Step
from cowdb.agent.store import Store, Transaction
from cowdb.errors import BusyError, PoolFullError, ServerError
from cowdb.model import Process
from tests.unit.records import BRANCH, SNAPSHOT, SOURCE


class Touch(Step, frozen=True, kw_only=True):
    """Makes a file; fails, or cannot be undone, when told so by a file beside it."""

    name: str

    def describe(self) -> str:
        return f"touch {self.name}"


@dispatch.do.register
def _(step: Touch, host: Host, attempt: Attempt) -> None:
    folder = cast(Any, host).folder
    if (folder / f"{step.name}.fails").exists():
        raise ServerError(f"{step.name} will not")
    (folder / step.name).touch()
    with (folder / "log").open("a") as log:
        log.write(f"+{step.name} ")


@dispatch.undo.register
def _(step: Touch, host: Host, attempt: Attempt) -> None:
    folder = cast(Any, host).folder
    with (folder / "log").open("a") as log:
        log.write(f"-{step.name} ")
    if (folder / f"{step.name}.stays").exists():
        raise RuntimeError(f"{step.name} stays")
    (folder / step.name).unlink(missing_ok=True)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(folder / "store.db")
        self.operations = Operations(self.store, cast(Host, SimpleNamespace(folder=folder)))
        self.committed = False

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text().strip() if path.exists() else ""

    def run(self, steps: str, cleanup: str = "", state: str = "creating") -> None:
        plan = cast(
            Plan,
            SimpleNamespace(
                steps=tuple(Touch(name=name) for name in steps),
                cleanup=tuple(Touch(name=name) for name in cleanup),
            ),
        )

        def prepare(tx: Transaction) -> Intent:
            tx.snapshots.put(SNAPSHOT)
            tx.branches.put(replace(BRANCH, state=cast(Any, state)))
            tx.claim_name("pr-42", "branch", BRANCH.id)
            return Intent("test", "pr-42", BRANCH.id, plan)

        def commit(tx: Transaction, done: Attempt) -> None:
            self.committed = True
            after = "ready" if state == "creating" else state
            tx.branches.put(replace(BRANCH, state=cast(Any, after)))

        self.operations.run("root", prepare, commit, Attempt())

    def commit(self, cleanup: str, urgent: int) -> Operation:
        plan = cast(
            Plan,
            SimpleNamespace(steps=(), cleanup=tuple(Touch(name=name) for name in cleanup)),
        )

        def prepare(tx: Transaction) -> Intent:
            tx.snapshots.put(SNAPSHOT)
            tx.branches.put(BRANCH)
            return Intent("test", "pr-42", BRANCH.id, plan)

        return self.operations.commit("root", prepare, Attempt(), urgent=urgent)

    def finish(self, operation: Operation) -> None:
        self.operations.finish(operation, Attempt(), lambda tx: None, urgent=1)

    def branch_state(self) -> str | None:
        with self.store.transaction() as tx:
            found = tx.branches.get(BRANCH.id)
        return found.state if found else None

    def journal_state(self) -> tuple[str, str | None]:
        with self.store.transaction() as tx:
            row = tx.db.execute("select state, error from operations").fetchone()
        return row[0], row[1]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    # The journal knows the steps of the package only.
    monkeypatch.setattr(msgspec.json, "encode", _encode)
    made = Bench(tmp_path)
    yield made
    made.store.close()


_real_encode = msgspec.json.encode


def _encode(value: object) -> bytes:
    return b"{}" if isinstance(value, SimpleNamespace) else _real_encode(value)


def test_steps_then_commit_then_cleanup(bench: Bench) -> None:
    bench.run("ab", "yz")
    assert bench.log == "+a +b +y +z"
    assert bench.branch_state() == "ready"
    assert bench.journal_state() == ("done", None)


def test_a_failure_takes_back_what_began_newest_first(bench: Bench) -> None:
    (bench.folder / "c.fails").touch()
    with pytest.raises(ServerError, match="c will not"):
        bench.run("abcd", "z")
    assert bench.log == "+a +b -c -b -a"
    assert not bench.committed
    assert bench.branch_state() is None
    assert bench.journal_state() == ("undone", "c will not")
    with bench.store.transaction() as tx:
        assert tx.owner_of_name("pr-42") is None


def test_what_cannot_be_undone_stops_no_other_undo_and_stays_in_the_journal(bench: Bench) -> None:
    (bench.folder / "c.fails").touch()
    (bench.folder / "b.stays").touch()
    with pytest.raises(ServerError, match="c will not"):
        bench.run("abc")
    assert bench.log == "+a +b -c -b -a"
    state, error = bench.journal_state()
    assert state == "failed"
    assert error == "c will not; not undone: touch b: RuntimeError: b stays"
    assert bench.branch_state() == "creating"  # its name stays taken until doctor has repaired it

    with bench.store.transaction() as tx:
        row = tx.db.execute("select id from operations").fetchone()
    failed = journal.Operation(
        row[0], "test", "pr-42", BRANCH.id, "root", "failed", Plan(), BRANCH.created_at, None, error
    )
    attempt = Attempt()
    bench.operations.take_back(failed, [Touch(name="b")], attempt, error)  # type: ignore[list-item]
    assert attempt.stuck
    assert bench.journal_state()[1] == error  # and does not grow with each attempt
    (bench.folder / "b.stays").unlink()
    bench.operations.take_back(failed, [Touch(name="b")], Attempt(), error)  # type: ignore[list-item]
    assert bench.journal_state() == ("undone", "c will not")
    assert bench.branch_state() is None


def test_a_failing_cleanup_stays_committed(bench: Bench) -> None:
    (bench.folder / "y.fails").touch()
    with pytest.raises(ServerError, match="y will not"):
        bench.run("a", "yz", state="resetting")
    assert bench.log == "+a"
    assert bench.committed
    assert bench.journal_state() == ("committed", None)


def test_what_is_committed_with_its_intent_is_finished_later(bench: Bench) -> None:
    operation = bench.commit("yz", urgent=1)
    assert (bench.log, bench.journal_state()[0]) == ("+y", "committed")
    assert bench.operations.at_work(operation)  # so that doctor leaves it
    assert not bench.operations.busy
    bench.finish(operation)
    assert (bench.log, bench.journal_state()[0]) == ("+y +z", "done")
    assert not bench.operations.at_work(operation)
    bench.finish(operation)
    assert bench.log == "+y +z"


def test_who_builds_upon_it_finishes_it_first(bench: Bench) -> None:
    operation = bench.commit("yz", urgent=1)
    bench.operations.resume("br-other")
    assert bench.journal_state()[0] == "committed"
    bench.operations.resume(BRANCH.id)
    assert bench.journal_state()[0] == "done"
    assert not bench.operations.at_work(operation)
    bench.finish(operation)
    assert bench.log == "+y"  # the journal of this bench keeps no steps


def test_a_mark_that_finds_no_room_keeps_nothing_from_being_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full pool is emptied by removing, so what only tells of a branch may fail before."""
    bench, note = Bench(tmp_path), NoteMark(pool="p", volume="v", mark={}, before={}, change="it")

    def full(step: Step, host: Host, attempt: Attempt) -> None:
        raise PoolFullError("no room")

    monkeypatch.setattr(effects, "do", full)

    def prepare(tx: Transaction) -> Intent:
        tx.snapshots.put(SNAPSHOT)
        tx.branches.put(BRANCH)
        return Intent("test", "pr-42", BRANCH.id, Plan(cleanup=(note,)))

    bench.operations.commit("root", prepare, Attempt(), urgent=0)
    with pytest.raises(PoolFullError):
        bench.operations.resume(BRANCH.id)
    bench.operations.resume(BRANCH.id, forgiving=True)
    assert bench.journal_state()[0] == "committed"
    with bench.store.transaction() as tx:
        tx.branches.put(replace(BRANCH, state="deleting"))
        complete(tx, BRANCH.id)
    assert bench.journal_state()[0] == "done"
    bench.store.close()


def test_what_fails_of_it_is_for_the_next_start(bench: Bench) -> None:
    (bench.folder / "y.fails").touch()
    with pytest.raises(ServerError):
        bench.commit("yz", urgent=1)
    assert (bench.journal_state()[0], bench.branch_state()) == ("committed", "ready")
    (operation,) = journal.unfinished(bench.store)
    assert not bench.operations.at_work(operation)
    (bench.folder / "y.fails").unlink()
    bench.operations.resume(BRANCH.id)
    assert bench.journal_state()[0] == "done"


def test_nobody_else_touches_an_operation_at_work(bench: Bench) -> None:
    seen: list[bool] = []
    real = bench.operations.clean_up

    def watched(operation: journal.Operation, attempt: Attempt) -> None:
        seen.append(bench.operations.at_work(operation))
        real(operation, attempt)
        seen.append(bench.operations.at_work(operation))

    bench.operations.clean_up = watched  # type: ignore[method-assign]
    bench.run("a", "z")
    assert seen == [True, True]
    assert not bench.operations._at_work


@pytest.mark.parametrize(
    ("state", "completed", "restored"),
    [("creating", "creating", None), ("deleting", None, "ready"), ("resetting", "ready", "ready"),
     ("ready", "ready", "ready")],
)  # fmt: skip
def test_records_come_to_rest(
    bench: Bench, state: str, completed: str | None, restored: str | None
) -> None:
    for rest, expected in ((complete, completed), (restore, restored)):
        with bench.store.transaction() as tx:
            tx.snapshots.put(SNAPSHOT)
            tx.branches.put(replace(BRANCH, state=cast(Any, state)))
            rest(tx, BRANCH.id)
            found = tx.branches.get(BRANCH.id)
        assert (found.state if found else None) == expected


def test_an_implicit_snapshot_goes_or_stays_with_its_branch(bench: Bench) -> None:
    for rest, expected in ((restore, "ready"), (complete, None)):
        with bench.store.transaction() as tx:
            tx.snapshots.put(replace(SNAPSHOT, implicit=True, state="deleting"))
            tx.branches.put(replace(BRANCH, state="deleting"))
            rest(tx, BRANCH.id)
            found = tx.snapshots.get(SNAPSHOT.id)
        assert (found.state if found else None) == expected


def test_a_source_that_is_not_removed_after_all_waits_for_its_loader_again(bench: Bench) -> None:
    loader = Process(pid=1, started=1, boot="b")
    for who, expected in ((loader, "loading"), (None, "ready")):
        with bench.store.transaction() as tx:
            tx.sources.put(replace(SOURCE, state="deleting", loader=who))
            restore(tx, SOURCE.id)
            found = tx.sources.get(SOURCE.id)
        assert found is not None
        assert found.state == expected


def test_a_claim_is_waited_for_and_then_refused() -> None:
    claims, inside, leave = Claims(), threading.Event(), threading.Event()

    def hold() -> None:
        with claims.hold("br-1", "pr-42"):
            inside.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(10)
    with pytest.raises(BusyError, match="'pr-42'"):
        with claims.hold("br-1", "pr-42", patience=0.01):
            pass
    with claims.hold("br-2", "other", patience=0):
        leave.set()
    with claims.hold("br-1", "pr-42", patience=10):
        holder.join()
