"""What being watched costs a migration: the same one by `cowdb lab run`, as its report has its
duration, and by the same command on a bare branch. The two take turns.

Both begin after a CHECKPOINT and the same look at the catalogs.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import yaml

from bench.clock import since
from cowdb.controller import programs
from cowdb.controller.client import Client
from cowdb.controller.lab.probe import facts
from tests.agenthost import COWDB, AgentHost

BARE, LAB = "bare", "watched"
BACKFILL, CHECK, DDL, STATEMENTS = "backfill", "check", "ddl", "statements"


@dataclass(frozen=True)
class Migration:
    name: str
    says: str
    file: str


def written(folder: Path, statements: int) -> list[Migration]:
    """Those to measure by; the files that the demo has not are written to the lab file's folder."""
    ddl, many = "ddl.sql", "statements.sql"
    (folder / ddl).write_text("alter table users add column noted text;\n")
    lines = [f"update users set country = country where id = {number};"
             for number in range(1, statements + 1)]  # fmt: skip
    (folder / many).write_text("\n".join(lines) + "\n")
    return [
        Migration(BACKFILL, "a column, filled in batches, then closed",
                  "migrations/v2-strategy-b.sql"),
        Migration(CHECK, "a column with a constant default, its check validated",
                  "migrations/v2-strategy-a.sql"),
        Migration(DDL, "one ALTER TABLE that writes no row", ddl),
        Migration(STATEMENTS, f"{statements:,} updates of one row each", many),
    ]  # fmt: skip


def command(migration: Migration) -> str:
    return f"psql -q -v ON_ERROR_STOP=1 -f {migration.file}"


def bare(client: Client, snapshot: str, folder: Path, migration: Migration) -> float:
    """Milliseconds from the command's start to its end."""
    branch = client.branches.create("bare", snapshot)
    try:
        with psycopg.connect(branch["dsn"], autocommit=True) as db:
            db.execute("CHECKPOINT")
            facts.read(db)
        begun = time.perf_counter()
        subprocess.run(["/bin/sh", "-c", command(migration)], cwd=folder, check=True,
                       env=programs.environment(branch["dsn"]), stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        return since(begun)
    finally:
        client.branches.remove("bare")


def by_lab(host: AgentHost, file: Path) -> dict[str, Any]:
    """The report of `cowdb lab run FILE --json`, and `command_ms` of the whole command.

    :raises RuntimeError: it failed, or a verdict did."""
    begun = time.perf_counter()
    done = subprocess.run([*COWDB, "lab", "run", str(file), "--json"], env=host.environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    took = since(begun)
    if done.returncode:
        raise RuntimeError(f"cowdb lab run: status {done.returncode}\n{done.stderr[-500:]}\n"
                           f"{done.stdout[-500:]}")  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return {**found, "command_ms": took}


def lab_file(folder: Path, checkpoint: str, database: str, migration: Migration) -> Path:
    """Of this migration alone; nothing in it can fail."""
    path = folder / f"lab-{migration.name}.yaml"
    path.write_text(yaml.safe_dump({
        "name": migration.name,
        "version": "1",
        "services": {"postgres": {"config": {"databases": [database]}}},
        "tests": {"migration": {
            "checkpoint": checkpoint, "keep": "none",
            "branches": [{"name": migration.name, "command": command(migration)}],
            "limits": {"max_lock_ms": 600_000, "forbid": [], "warn": []},
        }},
    }, sort_keys=False))  # fmt: skip
    return path
