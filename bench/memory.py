"""What the host loses to what a benchmark made, while others use it, too.

The kernel's MemAvailable is what is to be had, page cache among it; what it loses has everything in
it: own and shared memory, page tables, stacks, the kernel's structures. But other programs take and
give meanwhile. So what they have is added to it, process by process: the sum is what would be to
be had if the benchmark were alone, and stands still where only others move.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path

import psutil

from bench.stats import median
from tests.agenthost import AgentHost

_LOOKS = 5
_ROLLUP = frozenset({"Pss_Anon:", "Pss_Shmem:"})
_STATUS = frozenset({"VmPTE:", "VmSwap:"})
_STACK = 16 * 2**10  # of the kernel's, for each thread


def alone(host: AgentHost) -> float:
    """Bytes that would be available if nothing ran but this benchmark: the median of some looks."""
    ours = own(host)
    looks = []
    for _ in range(_LOOKS):
        others = accounted(set(psutil.pids()) - ours)
        looks.append(psutil.virtual_memory().available + others)
    return median(looks)


def own(host: AgentHost) -> set[int]:
    """Pids of this benchmark: itself, the agent and what that has started."""
    daemon = {host.daemon.pid} if host.daemon else set()
    return {os.getpid(), *daemon, *host.servers()}


def accounted(pids: Collection[int]) -> int:
    """Bytes that are the processes' own, with their part of shared memory, page tables and stacks;
    files that they have mapped are page cache and left out."""
    found = 0
    for pid in pids:
        with contextlib.suppress(OSError, psutil.Error):  # some have ended meanwhile
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            found += _sum(lines, _ROLLUP)
            status = Path(f"/proc/{pid}/status").read_text().splitlines()
            threads = next(int(line.split()[1]) for line in status if line.startswith("Threads:"))
            found += _sum(status, _STATUS) + threads * _STACK
    return found


def _sum(lines: Iterable[str], names: Collection[str]) -> int:
    """Of lines such as "VmPTE:  12 kB", in bytes."""
    words = (line.split() for line in lines)
    return sum(int(item[1]) * 1024 for item in words if item and item[0] in names)
