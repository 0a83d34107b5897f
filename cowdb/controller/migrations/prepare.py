"""The first step: try a migration on a branch of the source as it is now, and keep the evidence."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cowdb.controller.branching import Connect
from cowdb.controller.lab.inline import Inline, InlineStrategy, run_inline
from cowdb.controller.lab.run import Outcome
from cowdb.controller.lab.spec.model import Validation
from cowdb.controller.lab.steps.command import Stop
from cowdb.controller.migrations.records import Prepared, Records
from cowdb.controller.sqlrun.session import statements_of
from cowdb.controller.transport import Report
from cowdb.errors import CowdbError, InvalidError, NotFoundError
from cowdb.wire import SourceInfo

LOCK_TIMEOUT = "SET lock_timeout = '5s'; "
"""In front of what is tried and of what is applied: a migration that waits for a lock makes
everybody wait who comes after it. The text may set another one."""
_STRATEGY = "migration"


@dataclass(frozen=True)
class Wish:
    """:param validations: queries whose first value must be true afterwards."""

    source: str
    sql: str
    validations: Sequence[Validation] = ()


def prepare(
    connect: Connect, records: Records, wish: Wish, bindirs: Sequence[str], stop: Stop,
    report: Report,
) -> tuple[Prepared, Outcome]:  # fmt: skip
    """The record, and all that the lab found out.

    :raises InvalidError: the SQL cannot be applied statement by statement, or that is no source.
    :raises CowdbError: as the lab."""
    source = source_of(connect, wish.source)
    statements = statements_of(wish.sql)
    sql = LOCK_TIMEOUT + wish.sql
    migration = secrets.token_hex(6)
    ref = f"{source['name']}@migration-{migration}"
    with connect() as client:
        client.snapshots.create(ref, settle=True, report=report)
    try:
        outcome = _tried(connect, f"migration-{migration}", ref, source["database"], sql, wish,
                         bindirs, stop, report)  # fmt: skip
    except BaseException:
        with contextlib.suppress(CowdbError), connect() as client:
            client.snapshots.remove(ref)
        raise
    (result,) = outcome.report["strategies"]
    record: Prepared = {
        "id": migration,
        "source": source["name"],
        "checkpoint": ref,
        "database": source["database"],
        "sql": sql,
        "statements": len(statements),
        "verdict": result["verdict"],
        "sentence": outcome.report["recommendation"]["sentence"],
        "lab_run": outcome.report["id"],
        "branch": result["runs"][0]["branch"],
        "prepared_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "state": "prepared",
        "completed_at": None,
        "error": None,
    }
    records.save(record)
    return record, outcome


def _tried(
    connect: Connect, name: str, checkpoint: str, database: str, sql: str, wish: Wish,
    bindirs: Sequence[str], stop: Stop, report: Report,
) -> Outcome:  # fmt: skip
    inline = Inline(
        name=name, checkpoint=checkpoint, database=database,
        strategies=[InlineStrategy(_STRATEGY, sql=sql)], validate=wish.validations, keep="all",
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="cowdb-migration-") as folder:
        return run_inline(connect, inline, Path(folder), bindirs, stop, report)


def source_of(connect: Connect, name: str) -> SourceInfo:
    """:raises InvalidError: a branch has that name. NotFoundError: nothing has."""
    with connect() as client:
        try:
            return client.sources.show(name)
        except NotFoundError as error:
            if any(item["name"] == name for item in client.branches.list()):
                raise InvalidError(
                    f"{name!r} is a branch: a migration is prepared for a source",
                    hint="run the SQL on the branch itself",
                ) from error
            raise
