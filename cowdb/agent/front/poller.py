"""Events on file descriptors and points in time, handled in one thread (epoll, level-triggered)."""

from __future__ import annotations

import heapq
import itertools
import logging
import select
import time
from collections.abc import Callable

log = logging.getLogger("cowdb.front")  # to standard error, which is front.log
IN, OUT = select.EPOLLIN, select.EPOLLOUT
Handler = Callable[[int], None]
_BATCH = 512  # events at once


class Poller:
    """A descriptor without interest is not watched at all, so that one whose other end is gone
    (which epoll reports whether asked or not) cannot keep the loop busy."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def watch(self, fd: int, interest: int, handler: Handler) -> None:
        if fd in self._handlers:
            if interest:
                self._handlers[fd] = handler
                self._epoll.modify(fd, interest)
            else:
                self.forget(fd)
        elif interest:
            self._epoll.register(fd, interest)
            self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Before the descriptor is closed; harmless when it is not watched."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Call `what` once, at that time of the monotonic clock."""
        heapq.heappush(self._timers, (when, next(self._order), what))

    def turn(self, longest: float = 60.0) -> None:
        """Wait for events or the next point in time, and handle what came."""
        if self._timers:
            longest = min(longest, max(0.0, self._timers[0][0] - time.monotonic()))
        for fd, event in self._epoll.poll(longest, _BATCH):
            handler = self._handlers.get(fd)
            if handler is None:  # closed by an event before it
                continue
            try:
                handler(event)
            except Exception:  # an error of ours costs the one connection, not all of them
                log.exception("unforeseen")
                self.forget(fd)
        while self._timers and self._timers[0][0] <= time.monotonic():
            what = heapq.heappop(self._timers)[2]
            try:
                what()
            except Exception:
                log.exception("unforeseen")

    def close(self) -> None:
        self._epoll.close()
