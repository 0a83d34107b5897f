"""A host for benchmarks: a btrfs pool in a loop file and an agent, gone at the end however it ends.

It is the host that the tests use; the peers work on the same filesystem, beside the pool.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from cowdb.agent.storage.kernel import syncfs
from tests.agenthost import AgentHost, agent_host
from tests.loopfs import mounted, zpool_of

_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def bench_host(
    size: int, *, wipe: bool = True, config: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[AgentHost]:
    """:param size: bytes that the pool may grow to; the loop file is sparse.
    :param wipe: take down branch by branch; else by force, which is quicker where there are many.
    :param config: keys of config.toml that differ."""
    with _signals_restored():
        with agent_host("btrfs", size=size, **{"reap_interval": 1.0, **config}) as host:
            try:
                yield host
            finally:
                _deaf()
                _clear(host, wipe)


@contextlib.contextmanager
def bench_filesystem(kind: str, size: int) -> Iterator[tuple[Path, str]]:
    """A new filesystem without an agent: its mount point, and what a pool on it is called.

    :param kind: "btrfs", "xfs" or "zfs".
    """
    with _signals_restored():
        with mounted(kind, size) as mountpoint:
            try:
                yield (mountpoint, f"zfs:{zpool_of(mountpoint)}/pool" if kind == "zfs"
                       else str(mountpoint / "pool"))  # fmt: skip
            finally:
                _deaf()
                _end_all(mountpoint)


@contextlib.contextmanager
def _signals_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _deaf() -> None:
    """An impatient second Ctrl-C must not stop the cleaning up."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def _clear(host: AgentHost, wipe: bool) -> None:
    if wipe:
        with contextlib.suppress(Exception):  # what it leaves is ended by force
            host.wipe()
    with contextlib.suppress(Exception):
        host.stop_agent()
    _end_all(host.mountpoint)


@contextlib.contextmanager
def folder(parent: Path, uid: int, gid: int) -> Iterator[Path]:
    """A new directory of that user's, removed with everything in it."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parent) as made:
        os.chown(made, uid, gid)
        yield Path(made)


def settle_disk(place: Path) -> None:
    """Write out what is dirty on the filesystem at a path, so that no repeat pays for another."""
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        syncfs(fd)
    finally:
        os.close(fd)


def warm(tree: Path) -> int:
    """Read every file beneath a directory into the page cache; returns their bytes."""
    total = 0
    for path in sorted(tree.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with contextlib.suppress(FileNotFoundError):  # a living server's come and go
                with path.open("rb", buffering=0) as file:
                    while block := file.read(2**20):
                        total += len(block)
    return total


def btrfs_used(place: Path) -> int:
    """Bytes in use on the btrfs at a path, metadata included; what it keeps twice counts twice.
    What was written just now counts when it has been written out."""
    shown = subprocess.run(["btrfs", "filesystem", "df", "--raw", place], capture_output=True,
                           text=True, check=True, timeout=60).stdout  # fmt: skip
    kinds = re.findall(r"^(\w+), (\w+): total=\d+, used=(\d+)$", shown, re.MULTILINE)
    return sum(int(used) * (2 if profile == "DUP" else 1)
               for kind, profile, used in kinds if kind != "GlobalReserve")  # fmt: skip


def _end_all(mountpoint: Path) -> None:
    """Kill what still works on our own filesystem; it could not be unmounted otherwise."""
    for _ in range(100):
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if Path(process.cwd()).is_relative_to(mountpoint):
                    found.append(process)
        if not found:
            return
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.05)
