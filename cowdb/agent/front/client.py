"""The agent's side of the front: starts it, finds it again, gives it orders.

    RUN/front/               root's, 0700: who can open what is in it is root
    RUN/front/control.sock   where the front listens

The front runs as long as there is a door. Orders that a front which is not there need not hear
start none.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

import cowdb
from cowdb.agent import ports, processes
from cowdb.agent.front import messages
from cowdb.agent.processes import Children
from cowdb.agent.system import OsUser, spawn
from cowdb.config import Config
from cowdb.errors import ServerError

log = logging.getLogger("cowdb.front")

OUTSIDE, BEHIND = "127.0.0.1", "127.0.0.2"
"""Where clients come, and where the servers of the same ports listen."""
PATIENCE = 10.0  # seconds that a connection waits while no agent runs: one that restarts is back
_ANSWER = 10.0  # seconds
_START = 10.0
_QUEUE = 1024  # connections that the kernel holds until the front takes them

OnEvent = Callable[[str, str], None]
Result = TypeVar("Result")


class _Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the front may say by itself. It hears strangers, and is believed no more than this."""

    event: str
    id: str


class DoorInfo(msgspec.Struct, frozen=True):
    """:param idle: seconds without anybody."""

    id: str
    port: int
    state: str
    sessions: int
    idle: float


class _Gone(Exception):
    """The front has ended, or does not answer."""


class _Link:
    """A connection to the front, and a thread that hears it."""

    def __init__(
        self, end: socket.socket, on_event: OnEvent, on_lost: Callable[[_Link], None]
    ) -> None:
        self.end, self._on_event, self._on_lost = end, on_event, on_lost
        self.answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.farewell = False
        threading.Thread(target=self._hear, name="front", daemon=True).start()

    def _hear(self) -> None:
        try:
            while True:
                message, _ = messages.receive(self.end)
                if message is None:
                    break
                if "event" in message:
                    said = msgspec.convert(message, _Event)
                    self._on_event(said.event, said.id)
                else:
                    self.answers.put(message)
        except (OSError, ValueError) as error:
            log.warning("the front is not understood: %s", error)
        self.end.close()
        self.answers.put(None)
        if not self.farewell:
            self._on_lost(self)

    def ask(self, message: dict[str, Any], passed: socket.socket | None) -> dict[str, Any]:
        """:raises OSError: it is gone, or does not answer."""
        messages.send(self.end, message, passed)
        try:
            answer = self.answers.get(timeout=_ANSWER)
        except queue.Empty:
            raise TimeoutError("it does not answer") from None
        if answer is None:
            raise ConnectionResetError("it has ended")
        return answer

    def close(self, *, lost: bool = False) -> None:
        """Its thread closes the socket, which would not wake it.

        :param lost: it failed, and that is told as if it had ended."""
        self.farewell = not lost
        with contextlib.suppress(OSError):
            self.end.shutdown(socket.SHUT_RDWR)


class FrontClient:
    """Safe to use from several threads, one order at a time."""

    def __init__(self, config: Config, user: OsUser, children: Children) -> None:
        self._config, self._user, self._children = config, user, children
        self._lock = threading.RLock()
        self._link: _Link | None = None
        self._pid = 0
        self._held: set[str] = set()
        self._on_event: OnEvent | None = None
        self._on_lost: Callable[[], None] = lambda: None

    def serve(self, on_event: OnEvent, on_lost: Callable[[], None]) -> None:
        """From now on be told of knocks and of rest. Neither function may wait for the front.

        :param on_event: ("wake" or "idle", id of the branch), from a thread of its own.
        :param on_lost: the front has died."""
        with self._lock:
            self._on_event, self._on_lost = on_event, on_lost
            self._order(self._introduce)

    def close(self) -> None:
        """Hang up; the front goes on."""
        with self._lock:
            self._on_event, self._on_lost = None, lambda: None
            self._drop()

    # --- orders ----------------------------------------------------------------------------------

    def hold(self, branch: str, port: int, sleep_after: int) -> None:
        """Have the port held; harmless when it is.

        :raises TakenError: somebody else has it."""
        self._order(lambda: self._hold(branch, port, sleep_after))

    def _hold(self, branch: str, port: int, sleep_after: int) -> None:
        self._connect(start=True)
        order = {"do": "hold", "id": branch, "sleep_after": sleep_after}
        if branch in self._held:
            self._ask(order)
            return
        with ports.listening(OUTSIDE, port, _QUEUE) as listener:
            self._ask(order, listener)
        self._held.add(branch)

    def open(self, branch: str, port: int, sleep_after: int) -> None:
        """Its server runs: let them in."""

        def work() -> None:
            self._hold(branch, port, sleep_after)
            self._ask({"do": "open", "id": branch})

        self._order(work)

    def shut(self, branch: str, *, force: bool) -> bool:
        """Its server is about to stop: let nobody in until `open` or `asleep`. False when somebody
        is there, and nothing has changed.

        :param force: whoever is there."""
        answer = self._tell({"do": "shut", "id": branch, "force": force}, branch)
        return answer is None or bool(answer["ok"])

    def asleep(self, branch: str) -> None:
        """Its server does not run."""
        self._tell({"do": "asleep", "id": branch}, branch)

    def refuse(self, branch: str, message: str, hint: str = "") -> None:
        """Tell who waits that it cannot be woken."""
        self._tell({"do": "refuse", "id": branch, "message": message, "hint": hint}, branch)

    def release(self, branch: str, message: str) -> None:
        """Give up its port. When this returns it is free, and with the last one the front ends."""

        def work() -> None:
            self._connect(start=False)
            if branch in self._held:
                self._ask({"do": "release", "id": branch, "message": message})
                self._held.discard(branch)
            if self._link is not None and not self._held:
                self._end()

        self._order(work)

    def doors(self) -> list[DoorInfo]:
        """What the front holds; nothing when there is none."""

        def work() -> list[DoorInfo]:
            self._connect(start=False)
            return self._listed() if self._link is not None else []

        return self._order(work)

    def _listed(self) -> list[DoorInfo]:
        found: list[DoorInfo] = []
        while True:
            order = {"do": "doors", "after": found[-1].id if found else ""}
            page = msgspec.convert(self._ask(order)["doors"], list[DoorInfo])
            if not page:
                return found
            found += page

    def _tell(self, order: dict[str, Any], branch: str) -> dict[str, Any] | None:
        def work() -> dict[str, Any] | None:
            self._connect(start=False)
            return self._ask(order) if branch in self._held else None

        return self._order(work)

    def _order(self, work: Callable[[], Result]) -> Result:
        """Do it, with another front if this one is gone."""
        with self._lock:
            try:
                return work()
            except _Gone:
                pass
            try:
                return work()
            except _Gone as error:
                raise ServerError(
                    f"cowdb's front, which holds the ports of branches that may sleep, fails: "
                    f"{error}",
                    hint="see front.log beside audit.jsonl",
                ) from error

    # --- the process -----------------------------------------------------------------------------

    @property
    def _room(self) -> Path:
        return self._config.run_dir / "front"

    def _ask(self, order: dict[str, Any], passed: socket.socket | None = None) -> dict[str, Any]:
        assert self._link is not None
        try:
            return self._link.ask(order, passed)
        except OSError as error:
            self._drop(lost=True)
            raise _Gone(str(error)) from error

    def _connect(self, *, start: bool) -> None:
        if self._link is not None:
            return
        end = self._reach() or (self._launch() if start else None)
        if end is None:
            return
        self._link = _Link(end, self._hear, self._lost)
        answer = self._greet()
        self._pid = int(answer["pid"])
        if answer["version"] == messages.VERSION:
            self._held = {door.id for door in self._listed()}
            return
        log.warning("a front of another version is ended; sessions through it are lost")
        self._end()
        self._connect(start=start)

    def _introduce(self) -> None:
        if self._link is None:
            self._connect(start=False)
        else:
            self._greet()

    def _greet(self) -> dict[str, Any]:
        return self._ask({"do": "hello", "serves": self._on_event is not None})

    def _reach(self) -> socket.socket | None:
        """The one that runs."""
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            end.connect(str(self._room / "control.sock"))
        except OSError:
            end.close()
            return None
        return end

    def _launch(self) -> socket.socket:
        self._room.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._room.chmod(0o700)
        place = self._room / "control.sock"
        place.unlink(missing_ok=True)
        handle = os.open(
            self._config.log_dir / "front.log",
            os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640,
        )  # fmt: skip
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as ear:
                ear.bind(str(place))
                ear.listen(8)
                self._children.add(spawn(
                    [sys.executable, "-m", "cowdb.agent.front", "--uid", str(self._user.uid),
                     "--gid", str(self._user.gid), "--behind", BEHIND, "--patience",
                     str(PATIENCE)],
                    env={"PYTHONPATH": str(Path(cowdb.__file__).parents[1])},
                    stdin=ear.fileno(), stdout=handle, stderr=handle, cwd=self._room,
                ))  # fmt: skip
        finally:
            os.close(handle)
        end = self._reach()
        if end is None:
            raise _Gone("it did not start")
        return end

    def _end(self) -> None:
        """End it, and wait until its ports are free."""
        assert self._link is not None
        process = processes.identify(self._pid)
        self._link.farewell = True
        self._ask({"do": "end"})
        self._drop()
        if process is not None and not processes.wait(process, _START):
            log.warning("the front does not end", extra={"target": str(process.pid)})
        (self._room / "control.sock").unlink(missing_ok=True)
        self._children.reap()

    def _drop(self, *, lost: bool = False) -> None:
        if self._link is not None:
            self._link.close(lost=lost)
        self._link, self._held = None, set()

    def _hear(self, event: str, branch: str) -> None:
        if self._on_event is not None:
            self._on_event(event, branch)

    def _lost(self, link: _Link) -> None:
        """From the link's own thread, which has no more to do."""
        with self._lock:
            if self._link is link:
                self._drop()
        self._on_lost()
