"""SQL on a branch: run it, explain it, read the schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field

from cowdb.controller.diff.catalog.reader import read_schema
from cowdb.controller.diff.model import Side
from cowdb.controller.diff.schema import RANKS, compare_schemas
from cowdb.controller.diff.scope import chosen_part
from cowdb.controller.diff.session import Connections, connected
from cowdb.controller.lab.checkpoint import database_dsn
from cowdb.controller.sqlrun.branch import branch_of
from cowdb.controller.sqlrun.session import Column, How, Ran, Row, run, statements_of
from cowdb.errors import InvalidError
from cowdb.mcp import bounds
from cowdb.mcp.answers import (
    ColumnAnswer,
    PlanAnswer,
    RowsAnswer,
    SchemaAnswer,
    SqlAnswer,
    StatementAnswer,
    cuts_of,
)
from cowdb.mcp.calling import Call
from cowdb.mcp.results import Rows
from cowdb.mcp.tools.arguments import Branch, Database, Limit, Tables, Timeout

_APPLICATION = "cowdb mcp"
_STATEMENTS = 50
_VALUE = 2000  # characters
_CLUSTER = frozenset({
    "role", "role membership", "role setting", "tablespace", "parameter", "replication origin",
    "database", "language", "access method", "system object", "default privileges", "cast",
    "conversion", "security label",
})  # fmt: skip
"""Left out unless asked for: mostly what every server has."""


def db_execute_sql(
    call: Call,
    branch: Branch,
    sql: Annotated[
        str, Field(description="One statement or several; each takes effect by itself unless there "
                   "is a BEGIN. No psql commands, no COPY FROM STDIN.")
    ],
    read_only: Annotated[
        bool, Field(description="Run each statement in a read-only transaction.")
    ] = False,
    rows: Limit = 100,
    timeout_seconds: Timeout = 60,
    database: Database = None,
) -> SqlAnswer:  # fmt: skip
    """Run SQL on a branch, as its owner: anything goes there, and nothing else changes by it. Never
    runs on a source. It stops at the first statement that fails. Where there are more rows than
    shown, db_read_result reads the rest."""
    found = branch_of(call.desk.connect, branch)
    given: list[Rows] = []
    how = How(timeout_seconds, read_only, database=database, application=_APPLICATION)
    call.report(f"running SQL on {branch}", None, None)
    try:
        done = run(found["dsn"], sql, how, _into(given), call.stop)
    except BaseException:
        for kept in given:
            kept.close()
        raise
    return SqlAnswer(
        branch=found["name"], statements=statement_answers(call, done.statements, given, rows),
        statement_count=len(done.statements), rolled_back=done.rolled_back, notices=done.notices,
    )  # fmt: skip


def _into(given: list[Rows]) -> Callable[[Sequence[Column]], Callable[[Row], None]]:
    def take(columns: Sequence[Column]) -> Callable[[Row], None]:
        given.append(Rows(columns))
        if len(given) > _STATEMENTS:  # nobody would hear of them
            given[-_STATEMENTS - 1].close()
        return given[-1].add

    return take


def statement_answers(
    call: Call, done: Sequence[Ran], given: Sequence[Rows], rows: int
) -> list[StatementAnswer]:
    """The last ones, with as many rows as have room in all.

    :param given: what each statement that has columns returned, in their order."""
    left, remaining = bounds.CHARACTERS, list(given)
    found: list[StatementAnswer] = []
    for ran in reversed(done):
        kept = remaining.pop() if ran.columns is not None and remaining else None
        if len(found) == _STATEMENTS:
            if kept is not None:
                kept.close()
            continue
        answer = None
        if kept is not None:
            answer = _rows(call, kept, rows, left)
            left -= bounds.size(answer.rows)
        found.append(StatementAnswer(
            number=ran.number, line=ran.line, status=ran.status, duration_ms=ran.duration_ms,
            rows=answer,
        ))  # fmt: skip
    return found[::-1]


def _rows(call: Call, kept: Rows, most: int, characters: int) -> RowsAnswer:
    page = kept.read(0, most, max(characters, 0), _VALUE)
    more = len(page.rows) if len(page.rows) < kept.kept else None
    name = call.desk.results.keep(kept) if more is not None or page.cut else None
    if name is None:
        kept.close()
    columns = [ColumnAnswer(name=item.name, type=item.type) for item in kept.columns]
    return RowsAnswer(
        result=name, columns=columns, rows=page.rows, of=kept.kept, next=more, cut_values=page.cut,
        dropped=kept.dropped,
    )  # fmt: skip


def db_explain(
    call: Call,
    branch: Branch,
    sql: Annotated[str, Field(description="One statement.")],
    analyze: Annotated[
        bool, Field(description="Really run it and measure; what it did is rolled back.")
    ] = False,
    timeout_seconds: Timeout = 60,
    database: Database = None,
) -> PlanAnswer:
    """Show how PostgreSQL would run a statement on a branch, or with analyze how it did."""
    (piece, *more) = statements_of(sql)
    if more:
        raise InvalidError("one statement at a time can be explained")
    found = branch_of(call.desk.connect, branch)
    lines: list[str] = []
    how = How(timeout_seconds, rolled_back=True, database=database, application=_APPLICATION)
    options = "ANALYZE, BUFFERS, VERBOSE" if analyze else "VERBOSE"
    run(found["dsn"], f"EXPLAIN ({options}) {piece.text}", how,
        lambda _: lambda row: lines.append(row[0] or ""), call.stop)  # fmt: skip
    plan, cut = bounds.bounded("\n".join(lines))
    return PlanAnswer(
        branch=found["name"], plan=plan, analyzed=analyze, cut=cuts_of(cut),
        result=call.desk.results.keep("\n".join(lines)) if cut else None,
    )  # fmt: skip


def db_schema(
    call: Call,
    branch: Branch,
    tables: Tables = [],  # noqa: B006 (pydantic copies it)
    kinds: Annotated[
        list[str], Field(description="Such as table, view, index, function; empty for those that a "
                         "database has of its own.")
    ] = [],  # noqa: B006
    database: Database = None,
) -> SchemaAnswer:  # fmt: skip
    """Read the schema of a branch: tables with columns, constraints and indexes, views, functions,
    types, privileges. What may hold a password is hidden."""
    for kind in kinds:
        if kind not in RANKS:
            raise InvalidError(f"{kind!r} is no kind of object", hint=", ".join(RANKS))
    found = branch_of(call.desk.connect, branch)
    dsn = database_dsn(found, [database] if database else [])
    call.report(f"reading the schema of {branch}", None, None)
    with connected(Side(branch, dsn, branch), Connections()) as conn:
        schema, notes = read_schema(conn)
    objects: list[dict[str, Any]] = [
        {"kind": item["kind"], "name": item["name"], "details": item["details"]}
        for item in compare_schemas({}, chosen_part(schema, tables), branch)
        if (item["kind"] in kinds if kinds else item["kind"] not in _CLUSTER)
    ]
    shown, cut = bounds.bounded(objects)
    return SchemaAnswer(
        branch=found["name"], objects=shown or [], of=len(objects), cut=cuts_of(cut),
        result=call.desk.results.keep(objects), notes=notes,
    )  # fmt: skip
