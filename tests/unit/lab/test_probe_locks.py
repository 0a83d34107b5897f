"""Three witnesses of locks, merged: events, samples and the log."""

from __future__ import annotations

from typing import Any

import pytest

from cowdb.controller.lab.model import Lock
from cowdb.controller.lab.probe import locks, waits, wal
from cowdb.controller.lab.probe.events import Gathered
from cowdb.controller.lab.probe.locks import Relation
from cowdb.controller.lab.probe.sightings import LockRow, Sample, Session, Sightings
from tests.unit.lab.test_probe_log import T, gathered, line

USERS, PKEY = 16400, 16403
RELATIONS = {
    USERS: Relation("public.users", "r"), PKEY: Relation("public.users_pkey", "i", "public.users")
}  # fmt: skip
ALTER = "LOG:  statement: alter table users add a int"
X, SHARE = "AccessExclusiveLock", "ShareLock"


def seen(*samples: tuple[float, list[LockRow]], **sessions: Session) -> Sightings:
    found = Sightings()
    known = {int(pid.removeprefix("p")): session for pid, session in sessions.items()}
    for at_ms, rows in samples:
        found.add(Sample(T + at_ms / 1000, int(at_ms * 1000), rows, known))
    return found


def held(pid: int, mode: str, relation: int = USERS, vxid: str = "3/1") -> LockRow:
    return LockRow(pid, vxid, "relation", relation, mode, True)


def waiting(pid: int, mode: str, since_ms: float, *behind: int, vxid: str = "3/1") -> LockRow:
    return LockRow(pid, vxid, "relation", USERS, mode, False, T + since_ms / 1000, behind)


def merged(log: Gathered, sightings: Sightings) -> list[Lock]:
    return locks.merge(log, sightings, RELATIONS, T, T + 1)


def shape(lock: Lock) -> tuple[Any, ...]:
    return (lock["relation"], lock["mode"], lock["at_ms"], lock["held_ms"], lock["waited_ms"],
            lock["exact"])  # fmt: skip


def event(at_ms: int, mode: str, vxid: str = "3/1") -> str:
    return line(at_ms, 7, vxid, f'LOG:  cowdb_lab {{"locks" : [[{USERS}, "{mode}", "{vxid}"]]}}')


def test_an_event_alone() -> None:
    """Between two samples: begin and end are the statement's."""
    log = gathered(line(10, 7, "3/1", ALTER), event(11, X),
                   line(11, 7, "3/0", "LOG:  duration: 1.0 ms"))  # fmt: skip
    (lock,) = merged(log, seen((8, []), (13, [])))
    assert shape(lock) == ("public.users", X, pytest.approx(10), pytest.approx(1), 0, True)
    assert (lock["blocks"], lock["statement"]) == ("reads", 1)


def test_samples_alone_and_a_late_lock() -> None:
    """A lock that a long statement takes late begins with the first sample that shows it."""
    log = gathered(line(0, 7, "3/1", "LOG:  statement: select slow()"),
                   line(100, 7, "3/0", "LOG:  duration: 100.0 ms"))  # fmt: skip
    (lock,) = merged(log, seen((45, []), (50, [held(7, SHARE)]), (95, [held(7, SHARE)])))
    assert shape(lock) == ("public.users", SHARE, pytest.approx(50), pytest.approx(50), 0, False)


def test_a_transaction_s_lock_lasts_to_its_end() -> None:
    log = gathered(
        line(0, 7, "3/1", "LOG:  statement: begin"), line(0, 7, "3/1", "LOG:  duration: 0.1 ms"),
        line(1, 7, "3/1", ALTER), event(2, X), line(2, 7, "3/1", "LOG:  duration: 1.0 ms"),
        line(300, 7, "3/1", "LOG:  statement: commit"),
        line(301, 7, "3/0", "LOG:  duration: 1.0 ms"),
    )  # fmt: skip
    (lock,) = merged(log, seen((5, [held(7, X)]), (200, [held(7, X)])))
    assert lock["held_ms"] == pytest.approx(300) and lock["statement"] == 2


def test_an_event_at_the_end_of_a_long_statement() -> None:
    """A sample just after its begin does not show the lock yet, and then none is taken."""
    log = gathered(line(10, 7, "3/1", ALTER), event(500, X),
                   line(501, 7, "3/1", "LOG:  duration: 491.0 ms"),
                   line(520, 7, "3/0", "LOG:  disconnection: session time: 0:00"))  # fmt: skip
    (lock,) = merged(log, seen((15, []), (505, [held(7, X)])))
    assert (lock["at_ms"], lock["exact"]) == (pytest.approx(15), False)
    assert lock["held_ms"] >= 485


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("lock users", ("public.users", X)),
        ('LOCK TABLE ONLY public."users" IN ACCESS EXCLUSIVE MODE NOWAIT', ("public.users", X)),
        ("lock table users * in share mode", ("public.users", SHARE)),
        ("-- all\ntruncate table nothing, users restart identity cascade", ("public.users", X)),
        ("truncate other.users", None),
        ("select 'lock users'", None),
    ],
)
def test_a_statement_says_what_it_locks(statement: str, expected: tuple[str, str] | None) -> None:
    shifted = statement.replace("\n", "\n\t")
    log = gathered(line(10, 7, "3/1", f"LOG:  statement: {shifted}"),
                   line(11, 7, "3/0", "LOG:  duration: 0.9 ms"))  # fmt: skip
    found = merged(log, seen((8, []), (13, [])))
    assert [(lock["relation"], lock["mode"]) for lock in found] == ([expected] if expected else [])
    assert all(lock["exact"] and 0.5 < lock["held_ms"] < 1 for lock in found)


def test_waiting_is_told_from_holding() -> None:
    acquired = line(90, 7, "3/1", f"LOG:  process 7 acquired {X} on relation {USERS} of database 5 "
                    "after 80.000 ms")  # fmt: skip
    log = gathered(line(10, 7, "3/1", ALTER), acquired, event(99, X),
                   line(100, 7, "3/0", "LOG:  duration: 90.0 ms"))  # fmt: skip
    sightings = seen((15, [waiting(7, X, 10, 8)]), (88, [waiting(7, X, 10, 8)]),
                     (95, [held(7, X)]))  # fmt: skip
    (lock,) = merged(log, sightings)
    assert shape(lock) == ("public.users", X, pytest.approx(90), pytest.approx(10),
                           pytest.approx(80), True)  # fmt: skip


def test_a_lock_that_was_never_got() -> None:
    timeout = line(60, 7, "3/1", "ERROR:  canceling statement due to lock timeout")
    log = gathered(line(10, 7, "3/1", ALTER), timeout)
    (lock,) = merged(log, seen((15, [waiting(7, X, 10, 8)]), (55, [waiting(7, X, 10, 8)])))
    assert (lock["held_ms"], lock["waited_ms"]) == (0, pytest.approx(50))


def test_a_statement_of_several_transactions_lets_go_early() -> None:
    """Of CREATE INDEX CONCURRENTLY the log only knows the first transaction."""
    log = gathered(
        line(0, 7, "3/1", "LOG:  statement: create index concurrently i on users (a)"),
        line(500, 7, "3/0", "LOG:  duration: 500.0 ms"),
    )
    mode = "ShareUpdateExclusiveLock"
    rows = seen((5, [held(7, mode)]), (20, [held(7, mode)]), (25, [held(7, mode, vxid="3/2")]),
                (400, [held(7, mode, vxid="3/2")]), (405, []))  # fmt: skip
    first, second = merged(log, rows)
    assert (first["exact"], second["exact"]) == (False, False)
    assert first["at_ms"] + first["held_ms"] == pytest.approx(20)
    assert second["at_ms"] + second["held_ms"] == pytest.approx(400)


def test_what_concerns_nobody_is_left_out() -> None:
    """Other sessions' locks, relations that were not there before, weaker locks beneath a stronger
    one, and an index's beneath its table's."""
    log = gathered(line(10, 7, "3/1", ALTER), line(50, 7, "3/0", "LOG:  duration: 40.0 ms"))
    rows = [held(7, X), held(7, X, 99999), held(8, X, vxid="4/1"), held(7, SHARE), held(7, X, PKEY)]
    (lock,) = merged(log, seen((5, []), (12, rows), (48, rows)))
    assert (lock["relation"], lock["mode"]) == ("public.users", X)
    (alone,) = merged(log, seen((5, []), (12, [held(7, X, PKEY)])))
    assert alone["relation"] == "public.users_pkey"


def test_times_that_overlap_count_once() -> None:
    log = gathered(
        *(line(10, pid, f"{pid}/1", ALTER) for pid in (7, 8)),
        *(line(50, pid, f"{pid}/0", "LOG:  duration: 40.0 ms") for pid in (7, 8)),
    )
    rows = [held(7, SHARE, vxid="7/1"), held(8, SHARE, vxid="8/1")]
    (total,) = locks.together(merged(log, seen((5, []), (12, rows))))
    assert (total["times"], total["total_ms"]) == (2, pytest.approx(40))


def test_chains_of_waiting() -> None:
    """A reader behind ALTER TABLE behind a reader."""
    rows = [waiting(7, X, 10, 6), waiting(5, "AccessShareLock", 20, 7, vxid="5/9")]
    who = {"p5": Session("cowdb load", "client backend", "select"),
           "p6": Session("report", "client backend", "select slow()"),
           "p7": Session("psql", "client backend", "alter table users")}  # fmt: skip
    sightings = seen((25, rows), (80, rows), **who)
    log = gathered(line(10, 7, "3/1", ALTER), line(90, 7, "3/0", "LOG:  duration: 80.0 ms"))
    found = waits.listed(waits.spells(log, sightings), log,
                         {int(pid[1:]): item for pid, item in who.items()}, RELATIONS, T,
                         lambda text: text)  # fmt: skip
    assert [(item["who"], item["at_ms"], item["waited_ms"]) for item in found] == [
        ("strategy", pytest.approx(10), pytest.approx(70)),
        ("load", pytest.approx(20), pytest.approx(60)),
    ]
    assert found[1]["behind"] == ["psql: alter table users (waits, itself behind others)",
                                  "report: select slow() (holds it)"]  # fmt: skip


def test_a_wait_between_samples_is_in_the_log() -> None:
    log = gathered(
        line(10, 7, "3/1", ALTER),
        line(21, 7, "3/1", f"LOG:  process 7 still waiting for {X} on relation {USERS} of database "
             "5 after 10.5 ms"),
        line(30, 7, "3/1", f"LOG:  process 7 acquired {X} on relation {USERS} of database 5 after "
             "19.5 ms"),
        line(31, 7, "3/0", "LOG:  duration: 21.0 ms"),
    )  # fmt: skip
    (spell,) = waits.spells(log, seen((5, []), (40, [])))
    assert (spell.pid, spell.waited) == (7, pytest.approx(0.0195))


def test_gaps_between_samples() -> None:
    sightings = seen((0, []), (5, []), (45, []), (50, []))
    assert (sightings.count, sightings.longest_gap) == (4, pytest.approx(0.04))


def test_wal_of_the_busiest_second() -> None:
    written = [(0.0, 0), (1.0, 100), (1.5, 900), (3.0, 1000)]
    assert wal.busiest(written) == pytest.approx(900 - 100 + 100 / 3)
    assert wal.between(written, 1.0, 1.5, 0.01) == 800
    assert wal.between(written, 1.0, 1.02, 0.01) is None
    assert wal.part(written, 1.25, 1.5) == [(1.25, 500), (1.5, 900)]
