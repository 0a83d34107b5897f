"""The branches of one lab run: made on fresh copies of the checkpoint, gone whatever happens, but
for those that are kept."""

from __future__ import annotations

import contextlib
import threading

from cowdb.controller.branching import Connect
from cowdb.controller.transport import Report
from cowdb.errors import ConflictError, CowdbError, NotFoundError
from cowdb.names import LONGEST
from cowdb.wire import BranchInfo

_LIFE = 24 * 3600  # seconds after which the agent removes what a killed lab, or nobody, removed


def name_of(run: str, strategy: str, number: int, place: int) -> str:
    """`lab-RUN-STRATEGY-NUMBER`; a strategy's name that is too long is cut, and then told from
    others by its place in the file."""
    whole = f"lab-{run}-{strategy}-{number}"
    if len(whole) <= LONGEST:
        return whole
    tail = f".{place}-{number}"
    head = f"lab-{run}-"
    return head + strategy[: LONGEST - len(head) - len(tail)] + tail


class LabBranches:
    def __init__(self, connect: Connect, checkpoint: str, report: Report) -> None:
        self._connect, self._checkpoint, self._report = connect, checkpoint, report
        self._lock = threading.Lock()
        self._made: dict[str, BranchInfo] = {}
        self._kept: set[str] = set()
        self._closed = False
        self.left: list[str] = []

    def create(self, name: str) -> BranchInfo:
        """:raises ConflictError: the lab is over already, since somebody ended it."""
        with self._connect() as client:
            made = client.branches.create(
                name, self._checkpoint, ttl_seconds=_LIFE, report=self._report
            )
        with self._lock:
            self._made[name] = made
            closed = self._closed
        if closed:
            self.remove(name)
            raise ConflictError("the lab was ended")
        return made

    def keep(self, name: str) -> None:
        """For a day."""
        with self._lock:
            self._kept.add(name)

    def kept(self) -> list[str]:
        with self._lock:
            return sorted(self._kept)

    def remove(self, name: str) -> None:
        with self._lock:
            self._made.pop(name, None)
        with contextlib.suppress(NotFoundError), self._connect() as client:
            client.branches.remove(name)

    def close(self) -> None:
        """Remove all that is not kept; `left` tells of those that would not go."""
        with self._lock:
            self._closed = True
            names = [name for name in self._made if name not in self._kept]
        for name in names:
            try:
                self.remove(name)
            except CowdbError as error:  # the others go all the same
                self.left.append(f"{name} is left behind: {error.message}")
