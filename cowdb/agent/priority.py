"""How much of the host's processors and disks a process may have while others want them, too."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable

_NICE = 15
_IOPRIO_SET = 30 if os.uname().machine == "aarch64" else 251
_WHO_PROCESS, _CLASS_SHIFT = 1, 13
_NORMAL, _IDLE = 0, 3  # classes of I/O; "normal" follows the process's niceness
_libc = ctypes.CDLL(None, use_errno=True)


def lower(pids: Iterable[int]) -> None:
    """Behind everybody else. What these start from now on inherits it; what is gone is left out."""
    _set(pids, _NICE, _IDLE)


def normal(pids: Iterable[int]) -> None:
    """As this process has it, and what it starts inherits."""
    _set(pids, os.getpriority(os.PRIO_PROCESS, os.getpid()), _NORMAL)


def _set(pids: Iterable[int], nice: int, io_class: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, pid, nice)
        # Not every kernel schedules I/O by class; where it does not, this says so and that is all.
        _libc.syscall(_IOPRIO_SET, _WHO_PROCESS, pid, io_class << _CLASS_SHIFT)
