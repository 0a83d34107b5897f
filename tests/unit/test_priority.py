"""Priority of processes, on a real one and what it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import psutil
import pytest

from cowdb.agent import priority


def test_what_a_lowered_process_starts_is_lowered_too_and_all_come_back() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may raise a priority")
    child = subprocess.Popen(["sh", "-c", "read go; sleep 60 & wait"], stdin=subprocess.PIPE,
                             start_new_session=True)  # fmt: skip
    try:
        parent = psutil.Process(child.pid)
        priority.lower([child.pid])
        assert parent.nice() == 15
        assert parent.ionice().ioclass == psutil.IOPRIO_CLASS_IDLE
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
        deadline = time.monotonic() + 20
        while not (below := parent.children()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert below[0].nice() == 15
        priority.normal([child.pid, below[0].pid])
        assert [parent.nice(), below[0].nice()] == [psutil.Process().nice()] * 2
        assert parent.ionice().ioclass == psutil.IOPRIO_CLASS_NONE
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
    priority.lower([child.pid])  # gone: nothing to do
