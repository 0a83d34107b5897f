"""Sessions that stay for a moment: who gets which, and when they end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cowdb.agent.engines.postgres import admin
from cowdb.agent.engines.postgres.admin import Place
from cowdb.agent.engines.postgres.sessions import Sessions
from cowdb.model import Process

PLACE = Place(Path("/nowhere"), 1, "postgres")
ONE, OTHER = (Process(pid=pid, started=1, boot="b") for pid in (1, 2))


class Line:
    """Stands for a connection."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """Every one that was opened."""
    made: list[Line] = []

    def opened(place: Place, process: Process) -> Line:
        made.append(Line())
        return made[-1]

    monkeypatch.setattr(admin, "opened", opened)
    return made


def which(line: Any) -> Any:
    return line


def failing(error: Exception) -> Callable[[Any], None]:
    def query(line: Any) -> None:
        raise error

    return query


def test_one_for_each_server_is_kept_and_used_again(lines: list[Line]) -> None:
    sessions = Sessions(linger=60)
    assert [sessions.ask(PLACE, ONE, which) for _ in range(3)] == [lines[0]] * 3
    assert sessions.ask(PLACE, OTHER, which) is lines[1]
    assert not any(line.closed for line in lines)
    sessions.close()
    assert [line.closed for line in lines] == [True, True]


def test_it_ends_by_itself(lines: list[Line]) -> None:
    sessions = Sessions(linger=0.05)
    for _ in range(2):
        sessions.ask(PLACE, ONE, which)
        deadline = time.monotonic() + 10
        while not lines[-1].closed:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert len(lines) == 2


def test_who_comes_while_it_is_in_use_has_another(lines: list[Line]) -> None:
    sessions = Sessions(linger=60)
    inner = sessions.ask(PLACE, ONE, lambda outer: (outer, sessions.ask(PLACE, ONE, which)))
    assert inner == (lines[0], lines[1])
    assert [line.closed for line in lines].count(False) == 1


def test_one_that_has_ended_meanwhile_is_replaced(lines: list[Line]) -> None:
    sessions = Sessions(linger=60)
    sessions.ask(PLACE, ONE, which)

    def query(line: Any) -> object:
        if line is lines[0]:
            raise psycopg.OperationalError("terminating connection")
        return line

    assert sessions.ask(PLACE, ONE, query) is lines[1]
    assert [line.closed for line in lines] == [True, False]


@pytest.mark.parametrize("error", [psycopg.OperationalError("full"), psycopg.ProgrammingError()])
def test_what_the_server_refuses_is_raised_and_nothing_kept(
    lines: list[Line], error: Exception
) -> None:
    sessions = Sessions(linger=60)
    for _ in range(2):
        with pytest.raises(type(error)):
            sessions.ask(PLACE, ONE, failing(error))
    assert [line.closed for line in lines] == [True, True]
