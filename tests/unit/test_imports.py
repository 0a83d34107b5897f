"""What commands import: a budget in modules, which does not depend on the machine's mood.

Half of the 100 ms that `cowdb branch create` may take is Python and click. Each name here once cost
milliseconds, or would.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

HEAVY = {
    "asyncio", "btrfsutil", "cheroot", "cowdb.agent", "ctypes", "email", "hashlib", "http.client",
    "inotify_simple", "jinja2", "logging", "msgspec", "psutil", "psycopg", "secrets", "sqlite3",
    "ssl", "subprocess", "tabulate", "tempfile", "urllib.request", "zipfile",
}  # fmt: skip
# The installed package of a development tree is found by a module that imports more itself.
ANSWER = {"name": "b", "dsn": "postgresql://x", "quarantined": [], "timings_ms": {"total": 3.5}}


def imported(*words: str, env: dict[str, str] | None = None) -> set[str]:
    """The modules that `cowdb WORDS` imports beyond what an empty program does."""
    return _modules("-m", "cowdb", *words, env=env) - _modules("-c", "pass")


def _modules(*words: str, env: dict[str, str] | None = None) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=True,
        env=env,
    )  # fmt: skip
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[list[bytes]]:
    """An agent that says yes to whatever; the questions, one for each connection."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent.sock"))
        listener.listen()

        def serve() -> None:
            body = json.dumps(ANSWER).encode()
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    heard.append(connection.recv(65536))
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
                    )

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield heard
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


@pytest.mark.parametrize(
    "words", [("--help",), ("--version",), ("branch", "--help"), ("branch", "create", "--help")]
)
def test_help_imports_click_and_little_else(words: tuple[str, ...]) -> None:
    found = imported(*words)
    assert "click.core" in found
    assert not found & HEAVY
    assert not {name for name in found if name.startswith(("cowdb.controller", "cowdb.agent"))}
    assert not {"dataclasses", "json", "socket", "tomllib"} & found or words[0] == "branch"


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_making_a_branch_is_one_question_by_a_small_client(
    tmp_path: Path, asked: list[bytes], more: tuple[str, ...]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"run_dir = '{tmp_path}'\n")
    env = {**os.environ, "COWDB_CONFIG": str(config)}
    found = imported("branch", "create", "b", "--from", "main@s", *more, env=env)
    assert len(asked) == 1
    assert asked[0].startswith(b"POST /v1/branches ")
    assert b"ndjson" not in asked[0]  # nobody watches
    assert "cowdb.controller.exchange" in found
    assert not found & HEAVY
    assert not {name for name in found if name.startswith("cowdb.agent")}
