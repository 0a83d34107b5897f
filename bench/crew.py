"""Several threads that work at once, and end together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

Worker = Callable[[threading.Event], None]
"""Told by the event that it shall end at its next chance."""


def work(workers: Sequence[Worker]) -> None:
    """Returns when all have ended. The first error of one, or Ctrl-C, tells all others to end and
    is raised when they have."""
    stop, errors = threading.Event(), list[BaseException]()

    def guarded(worker: Worker) -> None:
        try:
            worker(stop)
        except BaseException as error:
            errors.append(error)
            stop.set()

    threads = [threading.Thread(target=guarded, args=(worker,)) for worker in workers]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        raise
    if errors:
        raise errors[0]
