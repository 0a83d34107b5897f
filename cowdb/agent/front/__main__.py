"""The process: `python -m cowdb.agent.front --uid N --gid N ...`, with its control socket as
standard input. Started by root; once it has its limits it is nobody special, and, since it changed
its user without exec, no other process of that user can look into it (the kernel marks it as not
dumpable)."""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import socket
from pathlib import Path

from cowdb.agent.front.control import Front


def main() -> None:
    words = argparse.ArgumentParser(prog="cowdb.agent.front")
    words.add_argument("--uid", type=int, required=True)
    words.add_argument("--gid", type=int, required=True)
    words.add_argument("--behind", required=True)
    words.add_argument("--patience", type=float, required=True)
    given = words.parse_args()
    descriptors = _raise_limit()
    agent = os.geteuid()
    if agent == 0:
        os.setgroups([])
        os.setresgid(given.gid, given.gid, given.gid)
        os.setresuid(given.uid, given.uid, given.uid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the agent
    front = Front(
        socket.socket(fileno=0), agent_uid=agent, behind=given.behind, patience=given.patience,
        descriptors=descriptors,
    )  # fmt: skip
    try:
        front.run()
    finally:
        front.close()


def _raise_limit() -> int:
    """As many descriptors as the kernel lets this process have; the number."""
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    for wanted in (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


if __name__ == "__main__":
    main()
