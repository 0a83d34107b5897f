"""One program of the user's, run as the user: in a process group of its own, with its output
kept and its end certain.

Nothing of the group outlives the step: a program that was left in the background would go on
changing the branch while it is compared.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cowdb.errors import CommandError

_TAIL = 16 * 1024  # bytes of output that are kept
_LOOK = 0.2  # seconds between looks at whether it shall end
_GRACE = 5.0  # seconds between SIGTERM and SIGKILL


@dataclass(frozen=True, slots=True)
class Ended:
    """:param code: as a shell says it (128 + N after signal N); None: it was ended by the lab.
    :param began: seconds since the epoch, as the server's log counts; `ended` likewise.
    :param output: the last of what it printed, both streams together."""

    code: int | None
    began: float
    ended: float
    output: str
    why: str = ""
    """Why the lab ended it."""


class Stop:
    """Ends the steps that run, from another thread or a signal handler; a step that would begin
    after it does not."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._event = threading.Event()
        self.reason = ""

    @property
    def said(self) -> bool:
        return self._event.is_set()

    def now(self, reason: str) -> None:
        self.reason = self.reason or reason
        self._event.set()
        for group in list(self._groups):
            _signal(group, signal.SIGTERM)

    def wait(self, seconds: float) -> bool:
        """Sleep, unless it is said; whether it was."""
        return self._event.wait(seconds)

    def add(self, group: int) -> None:
        self._groups.add(group)
        if self.said:
            _signal(group, signal.SIGTERM)

    def discard(self, group: int) -> None:
        self._groups.discard(group)


def run(
    argv: Sequence[str], environment: Mapping[str, str], directory: Path, timeout: float, stop: Stop
) -> Ended:
    """:param timeout: seconds, after which it is ended.
    :raises CommandError: it cannot be started."""
    if stop.said:
        now = time.time()
        return Ended(None, now, now, "", stop.reason)
    began = time.time()
    try:
        child = subprocess.Popen(
            list(argv), env=dict(environment), cwd=directory, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise CommandError(
            f"{argv[0]!r} cannot be run: {error.strerror}", hint="is it on PATH?"
        ) from error
    stop.add(child.pid)
    tail = _Tail(child.stdout)
    try:
        why = _await(child, timeout, stop)
        ended = time.time()
    finally:
        _end_group(child)
        stop.discard(child.pid)
    code = child.returncode if child.returncode >= 0 else 128 - child.returncode
    return Ended(None if why else code, began, ended, tail.text(), why)


def _await(child: subprocess.Popen[bytes], timeout: float, stop: Stop) -> str:
    """Why it was ended, if it was."""
    deadline = time.monotonic() + timeout
    handle = os.pidfd_open(child.pid)  # Popen.wait would look every 50 ms
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            if poll.poll(max(0.0, min(left, _LOOK)) * 1000):
                child.wait()
                return stop.reason if stop.said else ""
            if stop.said:
                return stop.reason
            if left <= 0:
                return f"it had not ended after {timeout:g} s"
    finally:
        os.close(handle)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Whoever is left of it; harmless when nobody is."""
    _signal(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    _signal(child.pid, signal.SIGKILL)
    child.wait()


def _alive(child: subprocess.Popen[bytes]) -> bool:
    child.poll()
    try:
        os.killpg(child.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class _Tail:
    """Reads a stream to its end, and keeps the last of it."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        self._stream, self._kept = stream, b""
        self._thread = threading.Thread(target=self._read, daemon=True, name="cowdb-lab-output")
        self._thread.start()

    def _read(self) -> None:
        with self._stream as stream:
            while piece := os.read(stream.fileno(), 65536):
                self._kept = (self._kept + piece)[-_TAIL:]

    def text(self) -> str:
        self._thread.join(_GRACE)  # a program that left the group may hold the stream for ever
        return self._kept.decode(errors="replace")
