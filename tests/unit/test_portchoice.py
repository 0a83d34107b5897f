"""An operation that loses its port is done again, as long as that can help."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cowdb.agent.host import Attempt
from cowdb.agent.ports import TakenError
from cowdb.agent.service.portchoice import TRIES, on_another_port
from cowdb.errors import PortError, ServerError


def losing(times: int, seen: list[Attempt], **more: bool) -> Callable[[Attempt], int]:
    """Work that loses another port each time."""

    def work(attempt: Attempt) -> int:
        seen.append(attempt)
        attempt.quarantined.append("wire")
        attempt.stuck = more.get("stuck", False)
        if len(seen) <= times:
            raise TakenError("127.0.0.1", 30000 + len(seen))
        return len(seen)

    return work


def test_each_attempt_starts_afresh_and_knows_what_was_lost() -> None:
    seen: list[Attempt] = []
    said: list[str] = []
    first = Attempt(report=lambda what, done, total: said.append(what), secrets={"password": "x"})
    assert on_another_port(None, first, losing(2, seen)) == 3
    assert [item.lost_ports for item in seen] == [set(), {30001}, {30001, 30002}]
    assert all(item.quarantined == ["wire"] and item.secrets == first.secrets for item in seen)
    assert ["30001" in said[0], "30002" in said[1]] == [True, True]


def test_it_is_bounded() -> None:
    seen: list[Attempt] = []
    with pytest.raises(PortError, match=f"{TRIES} ports"):
        on_another_port(None, Attempt(), losing(99, seen))
    assert len(seen) == TRIES


def test_there_is_no_other_port_than_the_one_that_was_asked_for() -> None:
    seen: list[Attempt] = []
    with pytest.raises(TakenError) as found:
        on_another_port(30001, Attempt(), losing(1, seen))
    assert len(seen) == 1
    assert "another port" in found.value.hint


def test_what_could_not_be_taken_back_is_not_done_again() -> None:
    seen: list[Attempt] = []
    with pytest.raises(TakenError):
        on_another_port(None, Attempt(), losing(1, seen, stuck=True))
    assert len(seen) == 1


def test_other_failures_are_not_its_matter() -> None:
    def work(attempt: Attempt) -> None:
        raise ServerError("no")

    with pytest.raises(ServerError):
        on_another_port(None, Attempt(), work)
