"""The two steps of a migration: prepared on a branch, completed on the source where that is
allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel, Field

from cowdb.controller.lab.spec.model import Validation
from cowdb.controller.migrations.complete import completable, complete
from cowdb.controller.migrations.prepare import Wish, prepare
from cowdb.controller.migrations.records import Prepared, Records, directory
from cowdb.errors import CowdbError, NotPermittedError
from cowdb.mcp.answers import CompletedAnswer, PreparedAnswer
from cowdb.mcp.calling import Call, Desk, told
from cowdb.mcp.tools.arguments import Timeout
from cowdb.mcp.tools.lab import ValidationArgument, tested
from cowdb.mcp.tools.sql import statement_answers

_SHOWN = 1500  # characters of the SQL in the question


class Confirmation(BaseModel):
    """The answer to the question."""

    apply: bool = Field(description="Apply this migration to the source itself?")


def prepare_migration(
    call: Call,
    source: Annotated[str, Field(description="The source that it is meant for.")],
    sql: Annotated[str, Field(description="The migration; no psql commands.")],
    validate: Annotated[list[ValidationArgument], Field(max_length=100)] = [],  # noqa: B006
) -> PreparedAnswer:
    """The first of two steps: checkpoint the source as it is now, try the migration on a branch of
    it, and say with evidence what it did. Nothing is changed on the source. The branch is kept to
    be looked at; remove it afterwards. Statements wait for a lock for 5 s at most, unless the SQL
    sets another lock_timeout."""
    wish = Wish(source, sql, [Validation(name=item.name, sql=item.sql) for item in validate])
    desk = call.desk
    record, outcome = prepare(desk.connect, Records(directory()), wish, desk.config.bindirs,
                              call.stop, call.report)  # fmt: skip
    why_not = ""
    try:
        completable(desk.connect, desk.config, record)
    except CowdbError as error:
        why_not = told(error)
    return PreparedAnswer(
        migration=record["id"], source=record["source"], checkpoint=record["checkpoint"],
        branch=record["branch"], verdict=record["verdict"], can_be_completed=not why_not,
        why_not=why_not, evidence=tested(call, outcome),
    )  # fmt: skip


def completing(desk: Desk) -> Callable[..., Any]:
    """The tool complete_migration: its question needs the desk before there is a call."""

    def ask(migration: str, ctx: Context[Any, Any]) -> Elicit[Confirmation] | Confirmation:
        """Asks whoever sits at the client, if it can ask; nothing is asked of what is refused."""
        try:
            record = Records(directory()).read(migration)
            completable(desk.connect, desk.config, record)
        except CowdbError as error:
            raise ToolError(told(error)) from error
        capabilities = ctx.client_capabilities
        if capabilities is None or capabilities.elicitation is None:
            return Confirmation(apply=True)
        return Elicit(question(record), Confirmation)

    def complete_migration(
        call: Call,
        migration: Annotated[str, Field(description="What prepare_migration returned.")],
        answer: Annotated[ElicitationResult[Confirmation], Resolve(ask)],
        timeout_seconds: Timeout = 600,
    ) -> CompletedAnswer:
        """The second step: apply a prepared migration to the source itself. Only where the host's
        policy allows it for that source (off by default), where it passed its test, and where the
        source's schema has not changed since; asks the user first, if the client can ask. It
        cannot be undone."""
        if not (isinstance(answer, AcceptedElicitation) and answer.data.apply):
            raise NotPermittedError("the user did not agree; nothing was applied")
        record, done = complete(
            desk.connect, Records(directory()), migration, desk.config, timeout_seconds,
            call.stop, call.report,
        )  # fmt: skip
        return CompletedAnswer(
            migration=record["id"], source=record["source"], state=record["state"],
            error=record["error"], statements=statement_answers(call, done.statements, [], 0),
            statement_count=len(done.statements), notices=done.notices,
        )  # fmt: skip

    # Annotations are text in this module; `ask` is known in this function only.
    complete_migration.__annotations__["answer"] = Annotated[
        ElicitationResult[Confirmation], Resolve(ask)
    ]
    return complete_migration


def question(record: Prepared) -> str:
    """The same for one record whenever it is asked."""
    sql = record["sql"]
    shown = sql if len(sql) <= _SHOWN else f"{sql[:_SHOWN]} … ({len(sql)} characters)"
    return (
        f"Apply migration {record['id']} to the source {record['source']!r} itself (database "
        f"{record['database']!r})? {record['statements']} statements. On a branch: "
        f"{record['verdict']}. {record['sentence']}\n\n{shown}"
    )
