"""One strategy, once, on a branch of its own: run, watched, validated, compared."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg

from cowdb.controller.branching import Connect
from cowdb.controller.diff.model import Report as DiffReport
from cowdb.controller.diff.model import Side
from cowdb.controller.lab import artifacts as artifact_texts
from cowdb.controller.lab import compared, listed, redaction
from cowdb.controller.lab.model import Checked, Disk, LoadResult, Run, Sampling
from cowdb.controller.lab.probe import facts, locks, loss, waits, wal, watch
from cowdb.controller.lab.probe.instruments import connected
from cowdb.controller.lab.probe.watch import Seen
from cowdb.controller.lab.spec.model import Migration, Strategy, Validation
from cowdb.controller.lab.steps import step
from cowdb.controller.lab.steps.command import Ended, Stop
from cowdb.controller.lab.traffic import traffic
from cowdb.units import major_of
from cowdb.wire import BranchInfo

_OUTPUT = 4000  # characters


@dataclass(frozen=True)
class Bench:
    """What all attempts of a lab run share.

    :param checkpoint: a branch of the checkpoint that nobody writes to, by the snapshot's name."""

    connect: Connect
    migration: Migration
    directory: Path
    bindirs: Sequence[str]
    checkpoint: Side
    stop: Stop


@dataclass
class Done:
    """:param artifacts: texts that are kept with the report, by their path."""

    run: Run
    side: Side
    artifacts: dict[str, str]


def attempt(bench: Bench, strategy: Strategy, branch: BranchInfo, dsn: str) -> Done:
    """:param dsn: of the database that the strategy is led to.
    :raises CowdbError: the branch cannot be watched, or the command not be started."""
    started = datetime.now(UTC)
    major = major_of(branch["pg_version"])
    with watch.watching(bench.connect, branch["name"], dsn) as seen:
        with traffic(dsn, bench.migration.load, bench.directory, bench.bindirs, bench.stop) as load:
            load.begin()
            ended = step.run(strategy, dsn, major, bench.directory, bench.bindirs, bench.stop)
            load.end()
    side = Side(branch["name"], dsn, branch["name"])
    # A way back ends as the checkpoint: what holds at the end of the others does not there.
    checks = [] if strategy.expect else _validate(dsn, bench.migration.validate)
    disk_after = _settled_disk(bench, branch["name"], dsn, seen)
    difference = compared.with_checkpoint(bench.connect, bench.checkpoint, side)
    run, artifacts = _run(bench, strategy, branch, started, ended, seen, difference, load.result())
    run["validations"] = checks
    if seen.disk_before is not None and disk_after is not None:
        run["disk"]["cow_bytes"] = max(0, disk_after - seen.disk_before)
    return Done(run, side, artifacts)


def _settled_disk(bench: Bench, branch: str, dsn: str, seen: Seen) -> int | None:
    """Bytes that the branch takes once everything has been written out."""
    try:
        with connected(dsn) as db:
            db.execute("CHECKPOINT")
    except psycopg.Error:
        seen.notes.append("blocks that the branch took could not be measured")
        return None
    return watch.taken(bench.connect, branch)


def _validate(dsn: str, validations: Sequence[Validation]) -> list[Checked]:
    return [_check(dsn, item) for item in validations]


def _check(dsn: str, validation: Validation) -> Checked:
    """In a transaction that may not write: a validation only looks."""
    done: Checked = {"name": validation.name, "passed": False, "value": None, "error": None}
    try:
        with connected(dsn) as db:
            db.execute("SET default_transaction_read_only = on")
            cursor = db.execute(validation.sql.encode())
            row = cursor.fetchone() if cursor.description else None
    except psycopg.Error as error:
        text = error.diag.message_primary or str(error).strip()
        return {**done, "error": redaction.cleaned(text, ())}
    if row is None:
        return {**done, "error": "the query has no answer"}
    value = row[0]
    if not isinstance(value, bool) and value is not None:
        return {**done, "value": str(value)[:200],
                "error": f"the answer is {str(value)[:200]!r}, and not true or false"}  # fmt: skip
    text = {True: "true", False: "false", None: "null"}[value]
    return {**done, "passed": value is True, "value": text}


def _run(
    bench: Bench, strategy: Strategy, branch: BranchInfo, started: datetime, ended: Ended,
    seen: Seen, difference: DiffReport, load: LoadResult | None,
) -> tuple[Run, dict[str, str]]:  # fmt: skip
    gathered, sightings, before = seen.gathered, seen.sampler.sightings, seen.before
    after = seen.after or before
    told = gathered.told
    password = unquote(urlsplit(branch["dsn"]).password or "")
    secrets = redaction.secrets_in(ran.text for ran in told.statements)
    secrets |= {password} if password else set()

    def shown(text: str) -> str:
        return listed.text_of(text, secrets)

    def clean(text: str) -> str:
        return redaction.cleaned(redaction.shown(text), secrets)

    def rows(oid: int) -> float:
        known = before.stored.get(oid)
        return counted.get(known.relation.name, known.rows) if known else 0

    names = {oid: known.name for oid, known in before.relations.items()}
    counted = {
        item["table"]: item["counts"][0]
        for item in difference["counts"] if item["counts"][0] is not None
    }  # fmt: skip
    held = locks.merge(gathered, sightings, before.relations, ended.began, ended.ended)
    spells = waits.spells(gathered, sightings)
    sampling = _sampling(seen)
    context = listed.Context(
        ended.began, step.placed(strategy, bench.directory), secrets,
        sightings.wal if load is None else None, sampling["interval_ms"] / 1000, names, rows,
        [(spell.pid, spell.since, spell.waited) for spell in spells],
    )  # fmt: skip
    statements = listed.listed(gathered, context)
    failed = listed.failure(statements)
    kept, note = listed.shorten(statements, held)
    kept_texts = artifact_texts.texts(
        branch["name"], statements, gathered, sightings, seen.entries, clean
    )
    run: Run = {
        "branch": branch["name"],
        "kept": False,
        "connect": None,
        "started_at": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "duration_ms": round((ended.ended - ended.began) * 1000, 3),
        "exit_code": ended.code,
        "error": _error(ended, failed, secrets),
        "output": redaction.cleaned(ended.output, secrets)[-_OUTPUT:],
        "statements": kept,
        "locks": held,
        "locked": locks.together(held),
        "waits": waits.listed(
            spells, gathered, seen.sampler.everyone, before.relations, ended.began, shown
        ),
        "sampling": sampling,
        "rewritten": facts.rewritten(before, after, {one.relation for one in gathered.rewritten}),
        "scanned": facts.scanned(before, after, counted),
        "disk": _disk(seen, after, ended),
        "lost": loss.find(before, after, difference, loss.held_at(bench.checkpoint.dsn)),
        "leftovers": facts.leftovers(before, after),
        "validations": [],
        "difference": difference,
        "same_as_checkpoint": compared.same(difference) if strategy.expect else None,
        "load": load,
        "notes": [
            *seen.notes,
            *([note] if note else []),
            *_of_load(load),
            *facts.locked_rows(before, after, held),
        ],
    }
    return run, kept_texts


def _error(ended: Ended, failed: str, secrets: set[str]) -> str | None:
    """What failed, if it did: the statement where one did, else the last words of the command."""
    if ended.why:
        return ended.why
    if ended.code == 0:
        return None
    if failed:
        return failed
    last = [line for line in ended.output.strip().splitlines() if line.strip()][-1:]
    said = f": {redaction.cleaned(last[0], secrets)}" if last else ""
    return f"the command ended with status {ended.code}{said}"


def _sampling(seen: Seen) -> Sampling:
    sightings = seen.sampler.sightings
    return {
        "interval_ms": round(statistics.median(sightings.gaps or [0.0]) * 1000, 3),
        "samples": sightings.count,
        "longest_gap_ms": round(sightings.longest_gap * 1000, 3),
        "overhead": round(seen.sampler.overhead, 4),
    }


def _disk(seen: Seen, after: facts.Facts, ended: Ended) -> Disk:
    written = wal.part(seen.sampler.sightings.wal, ended.began, ended.ended)
    return {
        "logical_bytes": after.size - seen.before.size,
        "cow_bytes": None,
        "temp_bytes": seen.gathered.told.temp_bytes,
        "wal_bytes": round(written[-1][1] - written[0][1]) if written else 0,
        "wal_bytes_per_second": round(wal.busiest(written), 1),
    }


def _of_load(load: LoadResult | None) -> list[str]:
    if load is None:
        return []
    return ["the load ran meanwhile: WAL, disk, scans and the difference are its as well"]
