"""What the agent does by itself, every second: expire branches, forget dead loaders, reap
children. One thread; an error in one round is logged and the next round tries again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger("cowdb.reaper")


class Reaper:
    def __init__(self, rounds: tuple[Callable[[], None], ...], interval: float) -> None:
        self._rounds, self._interval = rounds, interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reaper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            for task in self._rounds:
                try:
                    task()
                except Exception:
                    log.exception("a round of the reaper failed")
