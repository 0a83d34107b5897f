"""Operations, journaled from intent to completion.

    running    the plan is written; its steps may have happened, in part or not at all
    committed  all steps happened and the records say so; the cleanup may not be done
    done       finished
    undone     a step failed, and everything before it was taken back
    failed     a step failed, and so did taking it back: doctor explains and repairs

The intent, with the whole plan, is synced to disk in the same transaction as the records that it
changes, before the first step. A crash in `running` is undone and in `committed` is finished.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

import msgspec

from cowdb.agent.steps import Plan
from cowdb.agent.store import Store, Transaction
from cowdb.wire import OperationInfo

KEEP = 10_000  # finished operations
Shown = Literal["running", "done", "failed", "undone"]
State = Literal["running", "committed", "done", "undone", "failed"]


@dataclass(frozen=True, slots=True)
class Operation:
    """:param target: the name that people know; `subject`: the id of the record."""

    id: str
    kind: str
    target: str
    subject: str
    caller: str
    state: State
    plan: Plan
    started_at: datetime
    finished_at: datetime | None = None
    error: str | None = None


_COLUMNS = "id, kind, target, subject, caller, state, plan, started_at, finished_at, error"


def begin(
    tx: Transaction, kind: str, target: str, subject: str, caller: str, plan: Plan, now: datetime,
    state: State = "running",
) -> Operation:  # fmt: skip
    """Write the intent, inside the transaction that changes the records.

    :param state: "committed" where the plan has no steps, so that nothing is left to go wrong."""
    operation = Operation(
        f"op-{secrets.token_hex(5)}", kind, target, subject, caller, state, plan, now
    )
    tx.db.execute(
        f"insert into operations ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, null, null)",
        (
            operation.id, kind, target, subject, caller, state,
            msgspec.json.encode(plan).decode(), now.isoformat(),
        ),
    )  # fmt: skip
    return operation


def mark(tx: Transaction, operation: Operation, state: State, error: str | None = None) -> None:
    """Note how far an operation has come."""
    finished = None if state == "committed" else datetime.now(UTC).isoformat()
    tx.db.execute(
        "update operations set state = ?, error = ?, finished_at = ? where id = ?",
        (state, error, finished, operation.id),
    )
    if finished and operation.id.endswith("0"):  # now and then
        tx.db.execute(
            "delete from operations where state in ('done', 'undone') and rowid < "
            "(select max(rowid) from operations) - ?",
            (KEEP,),
        )


def close(tx: Transaction, subject: str) -> None:
    """What was left to do to something that is gone is done."""
    tx.db.execute(
        "update operations set state = 'done', finished_at = ? "
        "where subject = ? and state = 'committed'",
        (datetime.now(UTC).isoformat(), subject),
    )


def unfinished(store: Store) -> list[Operation]:
    """What a crash interrupted, or what could not be undone; newest first, so that what built
    upon something else is taken back before it."""
    with store.transaction() as tx:
        rows = tx.db.execute(
            f"select {_COLUMNS} from operations "
            "where state in ('running', 'committed', 'failed') order by rowid desc"
        ).fetchall()
    return [_operation(row) for row in rows]


def recent(store: Store, limit: int = 100) -> list[OperationInfo]:
    with store.transaction() as tx:
        rows = tx.db.execute(
            f"select {_COLUMNS} from operations order by rowid desc limit ?",
            (limit,),
        ).fetchall()
    return [_info(_operation(row)) for row in rows]


def _operation(row: Sequence[str]) -> Operation:
    finished = datetime.fromisoformat(row[8]) if row[8] else None
    return Operation(
        row[0], row[1], row[2], row[3], row[4], row[5],  # type: ignore[arg-type]
        msgspec.json.decode(row[6], type=Plan), datetime.fromisoformat(row[7]), finished, row[9],
    )  # fmt: skip


def _info(operation: Operation) -> OperationInfo:
    open_ = operation.state in ("running", "committed")
    shown = cast(Shown, "running" if open_ else operation.state)
    return {
        "id": operation.id,
        "kind": operation.kind,
        "target": operation.target,
        "state": shown,
        "caller": operation.caller,
        "started_at": operation.started_at.isoformat(),
        "finished_at": operation.finished_at.isoformat() if operation.finished_at else None,
        "error": operation.error,
        "steps": operation.plan.describe(),
    }
