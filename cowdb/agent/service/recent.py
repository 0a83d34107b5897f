"""The latest snapshot that was taken of each running server for branches, and for whom it is good.

Who asks for a branch of a running server gets what was committed when they asked. A snapshot that
was begun after that has it, whoever it was taken for; so has an older one if nothing was committed
since. In memory: who asks after a restart of the agent has a snapshot taken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from cowdb.agent.engines.postgres.standing import Standing
from cowdb.model import Process

_KEPT = 10_000  # parents, and snapshots, that are remembered


@dataclass(frozen=True, slots=True)
class Incarnation:
    """What a standing is one of: after a reset the same position is another history's."""

    volume: str
    process: Process | None


@dataclass(frozen=True, slots=True)
class Taken:
    """:param begun: by perf_counter, before the server was asked to write anything.
    :param standing: at or after `begun` and before the files were copied; None: not known."""

    snapshot: str
    begun: float
    incarnation: Incarnation
    standing: Standing | None

    def serves(
        self, asked: float, now: Callable[[], Incarnation], look: Callable[[], Standing | None]
    ) -> bool:
        """Whether it has all that was committed when somebody asked.

        :param now: what the server is, and `look` where it stands: asked only if that matters."""
        if self.begun >= asked:
            return True
        if self.standing is None or self.incarnation != now():
            return False
        return look() == self.standing


class Recent:
    """By the parent's id."""

    def __init__(self) -> None:
        self._taken: dict[str, Taken] = {}
        self._to_settle: dict[str, None] = {}
        self._lock = threading.Lock()

    def note(self, parent: str, taken: Taken) -> None:
        with self._lock:
            self._taken.pop(parent, None)  # so that the order is of age
            self._taken[parent] = taken
            if len(self._taken) > _KEPT:
                self._taken.pop(next(iter(self._taken)))

    def of(self, parent: str) -> Taken | None:
        with self._lock:
            return self._taken.get(parent)

    def to_settle(self, snapshot: str) -> bool:
        """Whether this is the first time that somebody asks: what could not be settled once is not
        tried again with each branch that comes of it."""
        with self._lock:
            if snapshot in self._to_settle:
                return False
            self._to_settle[snapshot] = None
            if len(self._to_settle) > _KEPT:
                self._to_settle.pop(next(iter(self._to_settle)))
            return True

    def forget(self, parent: str) -> None:
        with self._lock:
            self._taken.pop(parent, None)
