"""What people do without a lab: one strategy after the other, each on a database that is made
afresh, and looked at afterwards with what Postgres comes with.

    make      a fresh database: pg_restore -j2 of a dump that lies there, or CREATE DATABASE of a
              template
    migrate   the lab file's own command
    validate  the lab file's own queries
    compare   pg_dump --schema-only held against the original's, and count(*) of every table
"""

from __future__ import annotations

import difflib
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.clock import since
from bench.peers import SETTINGS, Server, Stage
from cowdb.controller.lab.spec.model import Lab, Strategy

RESTORE = "serially, pg_restore -j2"
TEMPLATE = "serially, CREATE DATABASE ... TEMPLATE"
ALL = (RESTORE, TEMPLATE)
PARTS = ("make", "migrate", "validate", "compare")
SERVER: Mapping[str, str] = {
    **SETTINGS,
    "maintenance_work_mem": "256MB",
    "wal_level": "minimal",  # a restore in parallel then writes no WAL for its rows
    "max_wal_senders": "0",
}
_FRESH = "fresh"
_TABLES = """
select format('select %L, count(*) from %s', c.oid::regclass, c.oid::regclass)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema') order by c.oid
"""


@dataclass(frozen=True)
class Origin:
    """What the strategies' databases are made of, and held against.

    :param folder: of the lab file; :param dump: of pg_dump -Fd.
    :param schemas: of a fresh database, by the way it is made: what was restored has not the
        original's text to the letter."""

    stage: Stage
    folder: Path
    dump: Path
    schemas: dict[str, list[str]]
    counts: dict[str, int]


@dataclass(frozen=True)
class Tried:
    """One strategy: milliseconds of each part, and what comparing found.

    :param lines: of the schema's dump that differ; :param counted: tables with other numbers."""

    ms: dict[str, float]
    valid: bool
    lines: int
    counted: int


def prepared(stage: Stage, folder: Path) -> tuple[Origin, float]:
    """The dump, and what is to be known before; and the milliseconds of the dump. The stage's
    server runs."""
    server, dump = stage.server, stage.place / "dump"
    begun = time.perf_counter()
    _run(server, "pg_dump", "-Fd", "-Z0", "-j2", "-f", str(dump), stage.database)
    took = since(begun)
    origin = Origin(stage, folder, dump, {}, _counts(server, stage.database))
    for way, make in _MAKERS.items():
        try:
            make(origin)
            origin.schemas[way] = _schema(server, _FRESH)
        finally:
            _drop(server)
    return origin, took


def _restore(origin: Origin) -> None:
    server = origin.stage.server
    with server.connect("postgres") as db:
        db.execute(f"create database {_FRESH} template template0".encode())
    _run(server, "pg_restore", "-j2", "-d", _FRESH, str(origin.dump))


def _template(origin: Origin) -> None:
    server = origin.stage.server
    with server.connect("postgres") as db:
        strategy = "strategy file_copy" if db.info.server_version >= 150000 else ""  # all 14 has
        db.execute(f'create database {_FRESH} template "{origin.stage.database}" {strategy}'
                   .encode())  # fmt: skip


_MAKERS: Mapping[str, Callable[[Origin], None]] = {
    RESTORE: _restore,
    TEMPLATE: _template,
}


def tried(origin: Origin, way: str, lab: Lab, strategy: Strategy) -> Tried:
    """The fresh database is dropped afterwards; that, and a checkpoint, is not part of the time.

    :raises subprocess.CalledProcessError: the strategy's command failed."""
    server, ms, marks = origin.stage.server, dict[str, float](), [time.perf_counter()]

    def done(part: str) -> None:
        ms[part] = since(marks[0])
        marks[0] = time.perf_counter()

    try:
        _MAKERS[way](origin)
        done("make")
        assert strategy.command is not None
        subprocess.run(["/bin/sh", "-c", strategy.command], check=True, cwd=origin.folder,
                       env=_environment(server, _FRESH), capture_output=True)  # fmt: skip
        done("migrate")
        valid = _valid(server, lab, strategy)
        done("validate")
        lines = differing(origin.schemas[way], _schema(server, _FRESH))
        counts = _counts(server, _FRESH)
        done("compare")
    finally:
        _drop(server)
    changed = {name for name in origin.counts.keys() | counts.keys()
               if origin.counts.get(name) != counts.get(name)}  # fmt: skip
    return Tried(ms, valid, lines, len(changed))


def _drop(server: Server) -> None:
    with server.connect("postgres") as db:
        db.execute(f"drop database if exists {_FRESH} with (force)".encode())
        db.execute(b"checkpoint")


def _valid(server: Server, lab: Lab, strategy: Strategy) -> bool:
    if strategy.expect is not None:
        return True
    with server.connect(_FRESH) as db:
        return all(db.execute(item.sql.encode()).fetchone() == (True,)
                   for item in lab.tests.migration.validate)  # fmt: skip


def _schema(server: Server, database: str) -> list[str]:
    """Without the lines that newer minors put in with a random word."""
    shown = _run(server, "pg_dump", "--schema-only", database)
    return [line for line in shown.splitlines()
            if not line.startswith(("\\restrict ", "\\unrestrict "))]  # fmt: skip


def differing(one: list[str], other: list[str]) -> int:
    """Lines of two texts."""
    lines = difflib.unified_diff(one, other, n=0, lineterm="")
    return sum(line[:1] in "+-" and line[:3] not in ("+++", "---") for line in lines)


def _counts(server: Server, database: str) -> dict[str, int]:
    with server.connect(database) as db:
        queries = [str(row[0]) for row in db.execute(_TABLES).fetchall()]
        rows = db.execute(" union all ".join(queries).encode()).fetchall()
    return {str(name): int(str(number)) for name, number in rows}


def _run(server: Server, program: str, *words: str) -> str:
    """What it printed."""
    done = subprocess.run([server.bindir / program, *words], env=_environment(server),
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{program}: {done.stderr.strip()[-300:]}")
    return done.stdout


def _environment(server: Server, database: str = "") -> dict[str, str]:
    own = {"PGHOST": str(server.room), "PGPORT": "5432", "PGUSER": "postgres"}
    return {**os.environ, **own, **({"PGDATABASE": database} if database else {})}
