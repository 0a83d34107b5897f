"""What the tests of whole use cases share: a small source, programs in the way, raw requests."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.agenthost import COWDB, AgentHost

ROWS = 100
_LOST = {"timings_ms", "quarantined", "used_bytes"}  # used_bytes is measured anew each time


def seeded(host: AgentHost, name: str = "main") -> dict[str, Any]:
    """A managed source with one table `t` of 100 rows."""
    made: dict[str, Any] = host.json("source", "add", name, "--empty")
    host.sql(
        made["dsn"],
        "create table t (id int primary key, word text)",
        f"insert into t select i, 'row ' || i from generate_series(1, {ROWS}) i",
    )
    return made


def count(host: AgentHost, dsn: str) -> int:
    found: int = host.sql(dsn, "select count(*) from t")[0][0]
    return found


def branch_names(host: AgentHost) -> set[str]:
    return {item["name"] for item in host.json("branch", "list")}


def eventually(what: Callable[[], object], seconds: float = 20.0, message: str = "") -> None:
    """Wait until `what()` is true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, message or "it did not happen in time"
        time.sleep(0.02)


@contextlib.contextmanager
def listener(port: int, address: str = "127.0.0.1") -> Iterator[None]:
    """Somebody else's program on a port: this very process."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((address, port))
        taken.listen(1)
        yield


@contextlib.contextmanager
def background(host: AgentHost, *words: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """`cowdb WORDS` while the block runs; killed at its end if need be, with its session."""
    child = subprocess.Popen(
        [*COWDB, *words], env=host.environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def raw(
    path: Path, method: str, target: str, body: bytes | None = None, **headers: str
) -> tuple[int, Any]:
    """A request as somebody would send it who is not our client: (status, JSON answer)."""
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.sock.connect(str(path))
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def postmaster(host: AgentHost, datadir: str) -> int:
    return int((Path(datadir) / "postmaster.pid").read_text().splitlines()[0])


def listings(host: AgentHost) -> dict[str, list[dict[str, Any]]]:
    """What a rebuilt store must know as before."""

    with host.client() as client:
        found: dict[str, Sequence[Mapping[str, Any]]] = {
            "source": client.sources.list(),
            "snapshot": client.snapshots.list(),
            "branch": client.branches.list(),
        }
    return {kind: [{key: value for key, value in item.items() if key not in _LOST}
                   for item in items] for kind, items in found.items()}  # fmt: skip


def lose_store(host: AgentHost, *, key: bool = False) -> None:
    """The agent starts again with an empty store; the servers go on meanwhile.

    :param key: its key and the captured settings are lost, too."""
    host.stop_agent()
    for path in (host.base / "state").glob("store.db*"):
        path.unlink()
    if key:
        (host.base / "state/secret.key").unlink()
        shutil.rmtree(host.base / "state/snapshots")
    host.start_agent()


def pool_options(host: AgentHost) -> list[str]:
    """Where its pool is."""
    return ["--pool", host.pool_spec]


def rebuild(host: AgentHost, status: int = 0) -> list[dict[str, Any]]:
    """`cowdb doctor --rebuild` of the pool; its findings."""
    found: list[dict[str, Any]] = host.json(
        "doctor", "--rebuild", *pool_options(host), status=status
    )
    return found
