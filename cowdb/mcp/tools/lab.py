"""The lab as a tool: ways to make a change, each on a branch of its own, with evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cowdb.controller.lab import spec
from cowdb.controller.lab.inline import Inline, InlineStrategy, keep, run_inline
from cowdb.controller.lab.model import StrategyResult
from cowdb.controller.lab.reports.text import text
from cowdb.controller.lab.run import Asked, Outcome, run
from cowdb.controller.lab.spec.model import Validation
from cowdb.controller.lab.verdict import typical
from cowdb.errors import InvalidError
from cowdb.mcp import bounds
from cowdb.mcp.answers import MigrationTestAnswer, StrategyAnswer, cuts_of
from cowdb.mcp.calling import Call

_TEXT = 12_000  # characters
_REASONS = 20


class StrategyArgument(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Small letters, digits, '.', '_', '-'.")
    sql: str | None = Field(None, description="The migration itself, as psql would run it.")
    command: str | None = Field(
        None, description="Instead of sql: a shell command, run as you in `directory` with "
        "DATABASE_URL and PG* set, such as alembic upgrade head.",
    )  # fmt: skip
    expect: Literal["same-as-checkpoint"] | None = Field(
        None, description="For up and then down again: it must leave nothing behind."
    )


class ValidationArgument(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    sql: str = Field(description="A query whose first value must be true afterwards.")


class LimitsArgument(BaseModel):
    """What a strategy may not exceed."""

    model_config = ConfigDict(extra="forbid")

    max_lock_ms: int | None = Field(default=1000, ge=0)
    max_duration: str | None = Field(default=None, description="Such as 30s or 10m.")


def db_migration_test(
    call: Call,
    checkpoint: Annotated[
        str | None, Field(description="What to start from, such as main@before-v2.")
    ] = None,
    strategies: Annotated[
        list[StrategyArgument], Field(max_length=20, description="Ways to make the change; each "
                                      "runs on a fresh branch.")
    ] = [],  # noqa: B006 (pydantic copies it)
    validate: Annotated[list[ValidationArgument], Field(max_length=100)] = [],  # noqa: B006
    limits: LimitsArgument | None = None,
    runs: Annotated[
        int, Field(ge=1, le=20, description="Each strategy so often, for the spread.")
    ] = 1,
    directory: Annotated[
        str | None, Field(description="Where commands run; default: where the server was started.")
    ] = None,
    file: Annotated[
        str | None, Field(description="Instead of all the others: the path of a lab file, which "
                          "can do more (traffic meanwhile, settings).")
    ] = None,
) -> MigrationTestAnswer:  # fmt: skip
    """Try a migration, or several ways to make one, on branches: how long each takes, which locks
    it holds and whom they stop, what it rewrites, what it does to the data, whether the way back is
    really back, and which way is the safe one. Nothing else is touched. Branches of strategies that
    failed are kept to be looked at; remove them afterwards."""
    bindirs, connect = call.desk.config.bindirs, call.desk.connect
    if file is not None:
        if checkpoint is not None or strategies or validate or limits or runs != 1 or directory:
            raise InvalidError("a lab file says everything: give `file` alone")
        path = Path(file)
        outcome = run(connect, Asked(spec.read(path), path, bindirs, call.stop, call.report))
        outcome.artifacts["lab.yaml"] = path.read_text(encoding="utf-8", errors="replace")
        return tested(call, outcome)
    if checkpoint is None or not strategies:
        raise InvalidError("there is nothing to test",
                           hint="give checkpoint and strategies, or a file")  # fmt: skip
    inline = Inline(
        name="mcp", checkpoint=checkpoint,
        strategies=[InlineStrategy(**item.model_dump()) for item in strategies],
        validate=[Validation(name=item.name, sql=item.sql) for item in validate],
        limits=(limits or LimitsArgument()).model_dump(), runs=runs,
    )  # fmt: skip
    folder = Path(directory) if directory is not None else Path.cwd()
    if not folder.is_dir():
        raise InvalidError(f"there is no directory {folder}")
    return tested(call, run_inline(connect, inline, folder, bindirs, call.stop, call.report))


def tested(call: Call, outcome: Outcome) -> MigrationTestAnswer:
    """The answer; the run is kept as `cowdb lab run` keeps it."""
    report = outcome.report
    problem = keep(outcome)
    words = text(report, color=False)
    shown, cut = bounds.bounded({"text": words}, _TEXT)
    whole: dict[str, Any] = {"report": dict(report), "text": words}
    return MigrationTestAnswer(
        run=report["id"], checkpoint=report["checkpoint"], verdict=report["verdict"],
        recommended=report["recommendation"]["strategy"],
        recommendation=report["recommendation"]["sentence"],
        strategies=[_strategy(item) for item in report["strategies"]],
        text=(shown or {}).get("text", ""), cut=cuts_of(cut),
        result=call.desk.results.keep(whole),
        warnings=[*outcome.left, *([problem] if problem else [])],
    )  # fmt: skip


def _strategy(item: StrategyResult) -> StrategyAnswer:
    run = typical(item)
    return StrategyAnswer(
        name=item["name"], verdict=item["verdict"],
        reasons=[f"{each['level']}: {each['text']}" for each in item["reasons"][:_REASONS]],
        duration_ms=item["duration_ms"]["median"], locked_ms=item["locked_ms"]["median"],
        rewritten=run["rewritten"][:_REASONS], wal_bytes=run["disk"]["wal_bytes"],
        lost=run["lost"][:_REASONS],
        failed_validations=[each["name"] for each in run["validations"] if not each["passed"]],
        same_as_checkpoint=run["same_as_checkpoint"], error=run["error"],
        kept_branches=[each["branch"] for each in item["runs"] if each["kept"]],
    )  # fmt: skip
