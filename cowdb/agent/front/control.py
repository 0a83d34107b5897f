"""The front itself: its doors, and its ear for the agent.

The control socket lies in a directory that only root can enter, and who comes through it is asked
who they are all the same. One agent is heard at a time: the last that came.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Any

from cowdb.agent.front import messages
from cowdb.agent.front.door import Door, Event
from cowdb.agent.front.poller import IN, Poller

_SWEEP = 0.5  # seconds between two looks for who has waited too long
_LONELY = 30.0  # seconds that a front without doors waits for an agent
_SPARE = 64  # descriptors for all that is no visitor
_FOR_EACH = 2  # descriptors of a visitor: its own and the server's


class Front:
    """:param ear: the listening control socket.
    :param agent_uid: whom it listens to.
    :param behind: the address where servers listen, at the port that the door has.
    :param patience: seconds that a visitor waits while there is no agent.
    :param descriptors: how many this process may have."""

    def __init__(
        self, ear: socket.socket, *, agent_uid: int, behind: str, patience: float,
        descriptors: int,
    ) -> None:  # fmt: skip
        self._poller, self._ear = Poller(), ear
        self._agent_uid, self._behind, self._patience = agent_uid, behind, patience
        self._descriptors = descriptors
        self._link: socket.socket | None = None
        self._serves = False
        self._visitors = 0
        self._restless: set[Door] = set()
        self._sweeping = False
        self.doors: dict[str, Door] = {}
        self.ended = False
        ear.setblocking(False)
        self._poller.watch(ear.fileno(), IN, self._come)
        self._be_alone()

    def run(self) -> None:
        """Until the agent ends it, or there is neither an agent nor a door."""
        while not self.ended:
            self._poller.turn()

    def close(self) -> None:
        """End every session, and give up all."""
        for door in self.doors.values():
            door.release("cowdb's front has ended")
            for visitor in list(door.visitors):
                visitor.leave()
        self.doors.clear()
        self._hang_up()
        self._poller.forget(self._ear.fileno())
        self._ear.close()
        self._poller.close()

    # --- the agent -------------------------------------------------------------------------------

    def _come(self, event: int) -> None:
        try:
            link, _ = self._ear.accept()
        except OSError:
            return
        peer = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", peer)[1] != self._agent_uid:
            link.close()
            return
        self._hang_up()
        self._link = link
        link.setblocking(False)
        self._poller.watch(link.fileno(), IN, self._hear)

    def _hang_up(self) -> None:
        """No agent from now on: who waits for one waits for `patience` seconds from here."""
        self._serves = False
        if self._link is not None:
            self._poller.forget(self._link.fileno())
            self._link.close()
            self._link = None
        for door in self.doors.values():
            door.alone()
        self._be_alone()

    def _be_alone(self) -> None:
        self._poller.at(time.monotonic() + _LONELY, self._end_if_useless)

    def _end_if_useless(self) -> None:
        """An agent that was killed between two words: nobody else would end this."""
        if not self.doors and self._link is None:
            self.ended = True

    def _hear(self, event: int) -> None:
        assert self._link is not None
        passed: list[int] = []
        try:
            message, passed = messages.receive(self._link)
            if message is None:
                self._hang_up()
                return
            answer = self._obey(message, passed)
            if self._link is not None:  # it may have gone while it was told something
                messages.send(self._link, answer)
        except (OSError, ValueError, KeyError, TypeError):
            self._hang_up()  # it does not speak as we do, or does not listen
        finally:
            for handle in passed:
                socket.close(handle)

    def tell(self, event: Event, branch: str) -> bool:
        if self._link is None or not self._serves:
            return False
        try:
            messages.send(self._link, {"event": event, "id": branch})
        except OSError:
            self._hang_up()
            return False
        return True

    def _obey(self, message: dict[str, Any], passed: list[int]) -> dict[str, Any]:
        what = message["do"]
        if what == "hello":
            return self._greet(bool(message["serves"]))
        if what == "doors":
            return self._list(str(message["after"]))
        if what == "hold":
            return self._hold(str(message["id"]), float(message["sleep_after"]), passed)
        if what == "end":
            self.ended = True
            return {"ok": True}
        door = self.doors.get(str(message["id"]))
        if door is None:
            return {"ok": what == "release"}
        if what == "shut":
            return {"ok": door.shut(force=bool(message["force"]))}
        if what == "open":
            door.open()
        elif what == "asleep":
            door.fall_asleep()
        elif what == "refuse":
            door.refuse_waiting(str(message["message"]), str(message["hint"]))
        elif what == "release":
            del self.doors[door.branch]
            door.release(str(message["message"]))
        else:
            raise ValueError(what)
        return {"ok": True}

    def _greet(self, serves: bool) -> dict[str, Any]:
        """Knocks that an agent before did not hear, or did not answer, are repeated."""
        self._serves = serves
        self._poller.at(time.monotonic(), self._knock_again)
        return {"ok": True, "version": messages.VERSION, "pid": os.getpid()}

    def _knock_again(self) -> None:
        for door in list(self.doors.values()):
            door.knock()

    def _list(self, after: str) -> dict[str, Any]:
        now = time.monotonic()
        ids = sorted(branch for branch in self.doors if branch > after)[: messages.PAGE]
        doors = [self.doors[branch] for branch in ids]
        return {"ok": True, "doors": [
            {"id": door.branch, "port": door.port, "state": door.state, "sessions": door.sessions,
             "idle": round(door.idle_for(now), 3)} for door in doors
        ]}  # fmt: skip

    def _hold(self, branch: str, sleep_after: float, passed: list[int]) -> dict[str, Any]:
        if branch in self.doors:
            self.doors[branch].sleep_after = sleep_after
            return {"ok": True}
        (handle,) = passed
        listener = socket.socket(fileno=handle)
        passed.clear()  # the socket closes it from now on
        server = (self._behind, listener.getsockname()[1])
        self.doors[branch] = Door(self._poller, self, branch, listener, server, sleep_after)
        return {"ok": True}

    # --- what doors share ------------------------------------------------------------------------

    def enters(self) -> bool:
        self._visitors += 1
        taken = _SPARE + len(self.doors) + _FOR_EACH * self._visitors
        return taken <= self._descriptors

    def leaves(self) -> None:
        self._visitors -= 1

    def restless(self, door: Door) -> None:
        self._restless.add(door)
        if not self._sweeping:
            self._sweeping = True
            self._poller.at(time.monotonic() + _SWEEP, self._sweep)

    def _sweep(self) -> None:
        now, patience = time.monotonic(), None if self._serves else self._patience
        self._restless = {door for door in self._restless if door.sweep(now, patience)}
        self._sweeping = bool(self._restless)
        if self._sweeping:
            self._poller.at(now + _SWEEP, self._sweep)
