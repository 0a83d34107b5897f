"""Makes the spares that are missing: one at a time, when something may have changed and nobody is
served just then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger("cowdb.refiller")
_LOOK = 5.0  # seconds between two looks: spares die, and what was in use no longer is
_QUIET = 0.03  # seconds without an operation
_PATIENCE = 1.0  # seconds after which it is not waited for quiet any more


class Refiller:
    """:param tidy: takes away what has to go.
    :param refill: makes one spare, and says whether it did.
    :param due: set when it is worth a look.
    :param busy: whether an operation is under way."""

    def __init__(
        self, tidy: Callable[[], None], refill: Callable[[], bool], due: threading.Event,
        busy: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._tidy, self._refill, self._due, self._busy = tidy, refill, due, busy
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refiller", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the spare at work."""
        self._ended.set()
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._due.clear()
            try:
                self._tidy()
                while self._await_quiet() and self._refill():
                    self._tidy()
            except Exception:
                log.exception("a look after the spares failed")
            self._due.wait(_LOOK)

    def _await_quiet(self) -> bool:
        """Wait until requests leave a gap, or have not for long; False when all ends."""
        deadline = time.monotonic() + _PATIENCE
        still = 0.0
        while still < _QUIET and time.monotonic() < deadline:
            if self._ended.wait(_QUIET / 3):
                return False
            still = 0.0 if self._busy() else still + _QUIET / 3
        return not self._ended.is_set()
