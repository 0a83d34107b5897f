"""Checkpoints and branches: what to go back to, and where to try things."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from cowdb.controller.sqlrun.branch import branch_of
from cowdb.errors import InvalidError, NotFoundError
from cowdb.mcp.answers import (
    BranchAnswer,
    BranchesAnswer,
    ConnectionAnswer,
    RemovedAnswer,
    SnapshotAnswer,
    SnapshotsAnswer,
    SourceAnswer,
    SourcesAnswer,
)
from cowdb.mcp.calling import Call
from cowdb.mcp.tools.arguments import After, Branch, Limit, page
from cowdb.units import parse_duration
from cowdb.wire import BranchInfo, SnapshotInfo, SourceInfo

_NAMES = 20


def db_checkpoint(
    call: Call,
    name: Annotated[str, Field(description="What to call it, such as before-v2.")],
    of: Annotated[
        str | None,
        Field(description="A source or a branch; may be left out where there is one source only."),
    ] = None,
) -> SnapshotAnswer:
    """Capture the whole state of a source or a branch as a checkpoint OF@NAME: every database of
    the server with all that is in memory flushed first. It takes a moment, whatever the size, and
    never changes again. Branches are made of it, resets go back to it."""
    with call.desk.connect() as client:
        if of is None:
            of = _only([item["name"] for item in client.sources.list()])
        made = client.snapshots.create(f"{of}@{name}", mode="checkpoint", report=call.report)
    return _snapshot(made)


def _only(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    if not names:
        raise NotFoundError("there is no source", hint="cowdb source add NAME ...")
    raise InvalidError(f"there are {len(names)} sources", hint=f"give `of`: {', '.join(names)}")


def db_list_checkpoints(call: Call, after: After = 0, limit: Limit = 100) -> SnapshotsAnswer:
    """List the checkpoints (snapshots) of all sources and branches."""
    with call.desk.connect() as client:
        found = client.snapshots.list()
    shown, more = page(found, after, limit, _snapshot)
    return SnapshotsAnswer(snapshots=shown, of=len(found), next=more)


def db_remove_checkpoint(
    call: Call, checkpoint: Annotated[str, Field(description="Such as main@before-v2.")]
) -> RemovedAnswer:
    """Remove a checkpoint for ever. Refused while branches come from it, or if it is protected."""
    if "@" not in checkpoint:
        raise InvalidError(f"{checkpoint!r} is not a checkpoint", hint="such as main@before-v2")
    with call.desk.connect() as client:
        client.snapshots.remove(checkpoint, call.report)
    return RemovedAnswer(removed=checkpoint)


def db_list_sources(call: Call, after: After = 0, limit: Limit = 100) -> SourcesAnswer:
    """List the sources: the databases that checkpoints and branches come from. No tool but
    complete_migration ever connects to one."""
    with call.desk.connect() as client:
        found = client.sources.list()
    shown, more = page(found, after, limit, _source)
    return SourcesAnswer(sources=shown, of=len(found), next=more)


def db_list_branches(call: Call, after: After = 0, limit: Limit = 100) -> BranchesAnswer:
    """List the branches: writable copies, each a PostgreSQL server of its own."""
    with call.desk.connect() as client:
        found = client.branches.list()
    shown, more = page(found, after, limit, _branch)
    return BranchesAnswer(branches=shown, of=len(found), next=more)


def db_create_branch(
    call: Call,
    name: Annotated[str, Field(description="What to call it.")],
    origin: Annotated[
        str, Field(description="A checkpoint such as main@before-v2, or a source or branch as it "
                   "is now.")
    ],
    ttl: Annotated[
        str | None, Field(description="It goes by itself after this time, such as 2h.")
    ] = None,
) -> BranchAnswer:  # fmt: skip
    """Make a branch: a writable copy with a server of its own, in milliseconds, whatever its size.
    Whatever happens on it, nothing else changes."""
    seconds = parse_duration(ttl) if ttl else None
    with call.desk.connect() as client:
        made = client.branches.create(name, origin, ttl_seconds=seconds, report=call.report)
    return _branch(made)


def db_reset_branch(call: Call, branch: Branch) -> BranchAnswer:
    """Put a branch back to the checkpoint that it was made of. Everything that was done on it since
    is lost; its connection string stays the same."""
    with call.desk.connect() as client:
        return _branch(client.branches.reset(branch, call.report))


def db_remove_branch(call: Call, branch: Branch) -> RemovedAnswer:
    """Remove a branch with everything on it, for ever."""
    with call.desk.connect() as client:
        client.branches.remove(branch, call.report)
    return RemovedAnswer(removed=branch)


def db_connection_string(call: Call, branch: Branch) -> ConnectionAnswer:
    """The URL of a branch, for an application or a migration tool (DATABASE_URL). It holds the
    branch's password: do not write it into files that are kept."""
    found = branch_of(call.desk.connect, branch)
    assert urlsplit(found["dsn"]).password
    return ConnectionAnswer(
        branch=found["name"], url=found["dsn"], psql=f"cowdb connect {found['name']}"
    )


def _branch(info: BranchInfo) -> BranchAnswer:
    """Without its DSN, which holds a password."""
    return BranchAnswer(
        name=info["name"], source=info["source"], snapshot=info["snapshot"],
        parent=info["parent"], state=info["state"], port=info["port"], database=info["database"],
        pg_version=info["pg_version"], owner=info["owner"], protected=info["protected"],
        created_at=info["created_at"], expires_at=info["expires_at"],
    )  # fmt: skip


def _snapshot(info: SnapshotInfo) -> SnapshotAnswer:
    return SnapshotAnswer(
        ref=info["ref"], settled=info["settled"], protected=info["protected"],
        created_at=info["created_at"], pg_version=info["pg_version"],
        consistency=info["consistency"], branches=info["branches"][:_NAMES],
    )  # fmt: skip


def _source(info: SourceInfo) -> SourceAnswer:
    return SourceAnswer(
        name=info["name"], kind=info["kind"], state=info["state"], database=info["database"],
        pg_version=info["pg_version"], owner=info["owner"], created_at=info["created_at"],
    )  # fmt: skip
