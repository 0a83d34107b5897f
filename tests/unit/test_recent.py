"""For whom the latest snapshot of a running server is good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cowdb.agent.engines.postgres.standing import Standing
from cowdb.agent.service.recent import Incarnation, Recent, Taken
from cowdb.model import Process

SERVER = Incarnation("br-1", Process(pid=42, started=17, boot="boot"))
STANDING = Standing("0/1500028", (("postgresql.auto.conf", 300, 88, 1),))
TAKEN = Taken("sn-1", 100.0, SERVER, STANDING)


def serves(taken: Taken, asked: float, now: Incarnation, standing: Standing | None) -> bool:
    return taken.serves(asked, lambda: now, lambda: standing)


def test_one_that_was_begun_after_somebody_asked_is_good_whatever_happened_since() -> None:
    other = Incarnation("br-2", None)
    assert serves(TAKEN, 99.0, other, None)
    assert serves(replace(TAKEN, standing=None), 100.0, other, None)
    assert not serves(TAKEN, 100.5, other, None)


@pytest.mark.parametrize(
    ("now", "standing"),
    [
        (SERVER, None),
        (SERVER, STANDING._replace(position="0/1500060")),
        (SERVER, STANDING._replace(files=(("postgresql.auto.conf", 301, 88, 2),))),
        (replace(SERVER, volume="br-2"), STANDING),
        (replace(SERVER, process=Process(pid=43, started=18, boot="boot")), STANDING),
    ],
    ids=["unknown", "committed", "set", "reset", "started again"],
)
def test_an_older_one_is_good_while_nothing_has_changed(
    now: Incarnation, standing: Standing | None
) -> None:
    assert serves(TAKEN, 200.0, SERVER, STANDING)
    assert not serves(TAKEN, 200.0, now, standing)


def test_where_it_is_not_known_how_the_server_stood_nothing_is_equal() -> None:
    assert not serves(replace(TAKEN, standing=None), 200.0, SERVER, None)


def test_the_latest_of_each_parent_is_remembered() -> None:
    recent = Recent()
    recent.note("br-1", TAKEN)
    recent.note("br-1", replace(TAKEN, snapshot="sn-2"))
    found = recent.of("br-1")
    assert found is not None
    assert found.snapshot == "sn-2"
    recent.forget("br-1")
    assert recent.of("br-1") is None


def test_a_snapshot_is_to_be_settled_once() -> None:
    recent = Recent()
    assert [recent.to_settle(name) for name in ("sn-1", "sn-2", "sn-1")] == [True, True, False]
