"""The second step: the source itself, where the host's policy allows it and nothing has changed.

The schema is compared with the checkpoint's right before the first statement. Whoever changes it
between the two is not noticed: PostgreSQL has no lock on a schema as a whole, and what the
statements may do in a transaction is theirs to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from cowdb.config import Config
from cowdb.controller.branching import Connect
from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.model import SchemaChange, Side, Wanted
from cowdb.controller.diff.sides import side_of
from cowdb.controller.lab.steps.command import Stop
from cowdb.controller.migrations import target
from cowdb.controller.migrations.prepare import source_of
from cowdb.controller.migrations.records import Prepared, Records
from cowdb.controller.sqlrun.session import Done, How, Row, StatementError, connected, run
from cowdb.controller.transport import Report
from cowdb.errors import ConflictError, CowdbError, NotFoundError, NotPermittedError

_APPLICATION = "cowdb migration"
_MOST = 3
_MOVES = frozenset({"last_value", "is_called"})


def allowed(config: Config, record: Prepared) -> None:
    """:raises NotPermittedError: the policy does not allow it.
    :raises ConflictError: it failed its test, or it is not waiting to be completed."""
    source = record["source"]
    if source not in config.complete_migrations:
        raise NotPermittedError(
            f"this host does not allow migrations of source {source!r} to be completed",
            hint=f'root may: complete_migrations = ["{source}"] in config.toml',
        )
    if record["state"] == "applying":
        raise ConflictError(
            f"migration {record['id']} was begun, and how it ended is not known",
            hint="look at the source; then prepare what is left as a new one",
        )
    if record["state"] != "prepared":
        raise ConflictError(f"migration {record['id']} is {record['state']} already",
                            hint="prepare a new one")  # fmt: skip
    if record["verdict"] == "fail":
        raise ConflictError(
            f"migration {record['id']} failed its test: {record['sentence']}",
            hint=f"cowdb lab show {record['lab_run']}; change it and prepare it again",
        )


def completable(connect: Connect, config: Config, record: Prepared) -> None:
    """What can be known before anybody is asked: it is allowed, and there is a DSN to use.

    :raises CowdbError: as `allowed` and `target.dsn_of`."""
    allowed(config, record)
    target.dsn_of(source_of(connect, record["source"]))


def complete(
    connect: Connect, records: Records, migration: str, config: Config, timeout: float, stop: Stop,
    report: Report,
) -> tuple[Prepared, Done]:  # fmt: skip
    """Apply it, statement by statement as it was tried.

    :raises NotPermittedError: the policy does not allow it.
    :raises ConflictError: the source's schema is not what it was, or see `allowed`.
    :raises StatementError: a statement failed; the record says so."""
    with records.held(migration) as record:
        allowed(config, record)
        source = source_of(connect, record["source"])
        dsn = target.dsn_of(source)
        how = How(timeout, application=_APPLICATION)
        report("is it the server that the checkpoint was taken of?", None, None)
        with connected(dsn, how) as conn:
            target.check(conn, _identifier(connect, record), record["database"])
        report("has the source's schema changed since?", None, None)
        _unchanged(connect, record, dsn, held=source["kind"] == "managed", report=report)
        if stop.said:
            raise CowdbError(f"nothing was applied: {stop.reason}")
        report("applying it to the source", None, None)
        return _apply(records, record, dsn, how, stop)


def _identifier(connect: Connect, record: Prepared) -> str:
    with connect() as client:
        try:
            return client.snapshots.show(record["checkpoint"])["system_identifier"]
        except NotFoundError as error:
            raise ConflictError(
                f"the checkpoint {record['checkpoint']} is gone, so nobody can tell whether the "
                "source has changed since", hint="prepare the migration again",
            ) from error  # fmt: skip


def _unchanged(connect: Connect, record: Prepared, dsn: str, *, held: bool, report: Report) -> None:
    with ExitStack() as stack:
        before = side_of(connect, record["checkpoint"], stack, report)
        now = Side(record["source"], dsn, None, held)
        found = compare([before, now], Wanted(schema=True, counts=False))
    changes = [item for item in found["schema"] if not only_moved(item)]
    if changes:
        told = ", ".join(f"{item['kind']} {item['name']} {item['change']}"
                         for item in changes[:_MOST])  # fmt: skip
        more = f" and {len(changes) - _MOST} more" if len(changes) > _MOST else ""
        raise ConflictError(
            f"the schema of {record['source']!r} has changed since the migration was prepared: "
            f"{told}{more}", hint="prepare it again, on the source as it is now",
        )  # fmt: skip


def only_moved(change: SchemaChange) -> bool:
    """A sequence that has gone on: rows were inserted, and the schema is what it was."""
    details = change["details"]
    return (
        change["kind"] == "sequence" and change["change"] == "changed" and isinstance(details, list)
        and all(item["property"] in _MOVES for item in details)
    )  # fmt: skip


def _apply(
    records: Records, record: Prepared, dsn: str, how: How, stop: Stop
) -> tuple[Prepared, Done]:
    record["state"] = "applying"
    records.save(record)
    try:
        done = run(dsn, record["sql"], how, _nowhere, stop)
    except StatementError as error:
        record["state"], record["error"] = "failed", error.message
        record["completed_at"] = _now()
        records.save(record)
        raise
    except CowdbError:  # before the first statement
        record["state"] = "prepared"
        records.save(record)
        raise
    record["state"], record["completed_at"] = "applied", _now()
    if done.rolled_back:
        record["state"] = "failed"
        record["error"] = "it left its transaction open, so nothing of that has been kept"
    records.save(record)
    return record, done


def _nowhere(_: Sequence[object]) -> Callable[[Row], None]:
    """Rows of a migration are nobody's business."""
    return lambda row: None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
