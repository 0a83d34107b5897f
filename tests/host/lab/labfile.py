"""A source for labs, and lab files beside their SQL."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.agenthost import COWDB, AgentHost

ROWS = 40_000
SHOP = (
    "create table users (id int primary key, name varchar(10), v int, email text, unused text)",
    f"insert into users select i, 'u' || i, i, 'u' || i || '@example.org' "
    f"from generate_series(1, {ROWS}) i",
    "create table orders (id int primary key, user_id int)",
    f"insert into orders select i, i from generate_series(1, {ROWS}) i",
    "create table tiny (id int primary key, v int)",
    "insert into tiny values (1, 1)",
    "vacuum (freeze, analyze)",
)


def shop(host: AgentHost, name: str = "main") -> dict[str, Any]:
    """A source with a snapshot `loaded`."""
    made: dict[str, Any] = host.json("source", "add", name, "--empty")
    host.sql(made["dsn"], *SHOP)
    host.json("snapshot", "create", f"{name}@loaded", "--settle")
    return made


def write(
    host: AgentHost, strategies: Sequence[Mapping[str, object]], files: Mapping[str, str],
    *, postgres: Mapping[str, object] | None = None, **migration: object,
) -> Path:  # fmt: skip
    """A lab file in a directory of its own, with SQL files beside it."""
    directory = host.base / "lab"
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text)
    document = {
        "name": "test",
        "version": "1.0.0",
        "services": {"postgres": {"config": dict(postgres or {})}},
        "tests": {"migration": {"checkpoint": "loaded", "branches": list(strategies), **migration}},
    }
    path = directory / "lab.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def run(host: AgentHost, path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COWDB, "lab", "run", str(path), *words], env=host.environment, capture_output=True,
        text=True, timeout=280, check=False,
    )  # fmt: skip


def report(host: AgentHost, path: Path) -> dict[str, Any]:
    """What `cowdb lab run --json` prints, whatever the verdict."""
    done = run(host, path, "--json")
    assert done.returncode in (0, 3), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def runs_of(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The first run of each strategy."""
    return {item["name"]: item["runs"][0] for item in found["strategies"]}


def locks(run: Mapping[str, Any], blocks: str) -> set[tuple[str, str]]:
    """Relations and modes that blocked reads, writes or ddl."""
    return {(item["relation"], item["mode"]) for item in run["locks"] if item["blocks"] == blocks}


@contextlib.contextmanager
def cleaned(host: AgentHost) -> Iterator[AgentHost]:
    """The host, and nothing left on it afterwards."""
    yield host
    host.wipe()
    host.require_empty()
