"""Commands as a shell runs them: whole processes, from their start to their end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.clock import since
from tests.agenthost import AgentHost

Words = Sequence[str | Path]


def cowdb(*words: str | Path) -> list[str | Path]:
    """As it was installed beside this Python; else by module, which is the slower way."""
    program = Path(sys.executable).with_name("cowdb")
    found: list[str | Path] = [program] if program.exists() else [sys.executable, "-m", "cowdb"]
    return [*found, *words]


def environment(host: AgentHost) -> dict[str, str]:
    """For commands that speak to that host's agent."""
    found = {**os.environ, **host.environment}
    found.pop("PYTHONDONTWRITEBYTECODE", None)  # or each run would compile cowdb anew
    return found


def timed(words: Words, env: Mapping[str, str] | None = None) -> tuple[float, str]:
    """(milliseconds, what it printed).

    :raises subprocess.CalledProcessError: it ended with another status than 0."""
    begun = time.perf_counter()
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)  # fmt: skip
    took = since(begun)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, [str(word) for word in words],
                                            done.stdout, done.stderr)  # fmt: skip
    return took, done.stdout
