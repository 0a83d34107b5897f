"""One port that the front holds, and who stands before it.

asleep   the server does not run. Who wants a session waits, and the agent is told once
shut     the server is being stopped. Who wants a session waits
open     the server runs. Visitors are passed on; when the last one has left and nobody has
         come for `sleep_after` seconds, the agent is told
"""

from __future__ import annotations

import errno
import socket
import time
from typing import Literal, Protocol

from cowdb.agent.front import startup
from cowdb.agent.front.poller import IN, Poller
from cowdb.agent.front.visitor import Visitor

State = Literal["asleep", "shut", "open"]
Event = Literal["wake", "idle"]

GREETING = 60.0  # seconds in which to say what one wants, as a server allows
_AT_ONCE = 64  # connections accepted before others have their turn
_BREATH = 0.1  # seconds without accepting, when there are no descriptors left
_AGAIN = 60.0  # seconds after which an idle branch is mentioned again


class House(Protocol):
    """What all doors share."""

    def tell(self, event: Event, branch: str) -> bool:
        """To the agent; False when there is none to hear it."""

    def enters(self) -> bool:
        """Count a visitor; False when there are too many."""

    def leaves(self) -> None:
        """Count it no longer."""

    def restless(self, door: Door) -> None:
        """Somebody there may wait too long: `sweep` is to be called from time to time."""


class Door:
    """:param sleep_after: seconds."""

    def __init__(
        self, poller: Poller, house: House, branch: str, listener: socket.socket,
        server: tuple[str, int], sleep_after: float,
    ) -> None:  # fmt: skip
        self._poller, self._house = poller, house
        self.branch, self.server, self.sleep_after = branch, server, sleep_after
        self._listener = listener
        self.port: int = listener.getsockname()[1]
        self.state: State = "asleep"
        self.knocked = False  # the agent has been told
        self.sessions = 0
        self.visitors: set[Visitor] = set()
        self._greeting: dict[Visitor, None] = {}  # in the order in which they came
        self._waiting: dict[Visitor, None] = {}
        self._idle_since = time.monotonic()
        self._timed = False
        listener.setblocking(False)
        self._listen()

    # --- what visitors do ------------------------------------------------------------------------

    def _accept(self, event: int) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.ECONNABORTED, errno.EINTR):
                    continue
                self._catch_breath()
                return
            client.setblocking(False)
            visitor = Visitor(self._poller, self, client, welcome=self._house.enters())
            self.visitors.add(visitor)
            self._greeting[visitor] = None
            self._house.restless(self)

    def _catch_breath(self) -> None:
        """Out of descriptors or memory: those who come queue in the kernel for a while."""
        self._poller.forget(self._listener.fileno())
        self._poller.at(time.monotonic() + _BREATH, self._listen)

    def _listen(self) -> None:
        if self._listener.fileno() >= 0:
            self._poller.watch(self._listener.fileno(), IN, self._accept)

    def asked(self, visitor: Visitor, *, session: bool) -> None:
        """It has said what it wants. A cancel request is neither a use of the branch nor worth
        waking it: what does not run has nothing to cancel."""
        self._greeting.pop(visitor, None)
        if not visitor.welcome:
            visitor.refuse(startup.TOO_MANY_CONNECTIONS, "cowdb can pass on no more connections")
            return
        if session:
            visitor.counted = True
            self.sessions += 1
        if self.state == "open":
            visitor.enter(self.server)
        elif session:
            self._wait(visitor)
        else:
            visitor.leave()

    def _wait(self, visitor: Visitor) -> None:
        visitor.since = time.monotonic()
        self._waiting[visitor] = None
        visitor.wait()
        self._house.restless(self)
        self.knock()

    def deserted(self, visitor: Visitor) -> None:
        """The server refuses: it has died, and nobody has told us."""
        if self.state == "open":
            self.state = "asleep"
        self._wait(visitor)

    def left(self, visitor: Visitor) -> None:
        self._greeting.pop(visitor, None)
        self._waiting.pop(visitor, None)
        if visitor in self.visitors:
            self.visitors.discard(visitor)
            self._house.leaves()
        if visitor.counted:
            visitor.counted = False
            self.sessions -= 1
            if not self.sessions:
                self._rest_begins()

    # --- what the agent says ---------------------------------------------------------------------

    def open(self) -> None:
        """The server runs."""
        self.state, self.knocked = "open", False
        waiting = list(self._waiting)
        self._waiting.clear()
        for visitor in waiting:
            visitor.enter(self.server)
        if not self.sessions:
            self._rest_begins()

    def shut(self, *, force: bool) -> bool:
        """The server is about to stop. False, and nothing happens, when somebody is there.

        :param force: it stops all the same."""
        if self.sessions and not force and self.state == "open":
            return False
        self.state = "shut"
        return True

    def fall_asleep(self) -> None:
        """The server does not run."""
        self.state, self.knocked = "asleep", False
        self.knock()

    def refuse_waiting(self, message: str, hint: str = "") -> None:
        """The server could not be started."""
        self.knocked = False
        for visitor in list(self._waiting):
            visitor.refuse(startup.CANNOT_CONNECT_NOW, message, hint)

    def release(self, message: str) -> None:
        """Give up the port. Sessions end with their server."""
        self._poller.forget(self._listener.fileno())
        self._listener.close()
        self.refuse_waiting(message)
        for visitor in list(self.visitors):
            if visitor.relay is None:
                visitor.leave()

    # --- time ------------------------------------------------------------------------------------

    def knock(self) -> None:
        """Tell the agent that somebody waits, once."""
        if self._waiting and self.state == "asleep" and not self.knocked:
            self.knocked = self._house.tell("wake", self.branch)

    def alone(self) -> None:
        """There is no agent any more: who waits has waited for it since now."""
        self.knocked = False
        for visitor in self._waiting:
            visitor.since = time.monotonic()

    def sweep(self, now: float, patience: float | None) -> bool:
        """Send away who has not said for too long what it wants, or waits for nobody. Whether
        somebody is left of whom that may have to be asked again.

        :param patience: seconds to wait while there is no agent; None while there is one."""
        for visitor in list(self._greeting):
            if visitor.since > now - GREETING:
                break
            visitor.leave()
        for visitor in list(self._waiting):
            if patience is None or visitor.since > now - patience:
                break
            visitor.refuse(
                startup.CANNOT_CONNECT_NOW, "this branch sleeps, and no agent is there to wake it",
                "start it (as root): cowdb agent serve",
            )  # fmt: skip
        return bool(self._greeting or self._waiting)

    def idle_for(self, now: float) -> float:
        """Seconds without anybody, 0 while somebody is there."""
        return 0.0 if self.sessions else now - self._idle_since

    def _rest_begins(self) -> None:
        self._idle_since = time.monotonic()
        self._remind(self._idle_since + self.sleep_after)

    def _remind(self, when: float) -> None:
        if not self._timed:
            self._timed = True
            self._poller.at(when, self._look)

    def _look(self) -> None:
        """The time may have come. One reminder is out at a time, however many have come."""
        self._timed = False
        if self.sessions or self.state != "open" or self._listener.fileno() < 0:
            return
        now = time.monotonic()
        due = self._idle_since + self.sleep_after
        if now < due:
            self._remind(due)
            return
        self._house.tell("idle", self.branch)
        self._remind(now + min(_AGAIN, max(self.sleep_after, 1.0)))
