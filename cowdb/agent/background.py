"""Work that nobody waits for (settling snapshots, marks of taken spares), one task after the
other."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger("cowdb.background")

Task = Callable[[], None]


class Background:
    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, task: Task) -> None:
        self._tasks.put(task)

    def stop(self, *, drain: bool = False) -> None:
        """End after the task at work; those that wait are found again at the next start.

        :param drain: they are done first."""
        if not drain:
            self._ended.set()
        self._tasks.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None and not self._ended.is_set():
            try:
                task()
            except Exception:
                log.exception("a background task failed")
