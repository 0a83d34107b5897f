"""What a request for a branch asks for, as the record of the branch that it would be."""

from __future__ import annotations

from datetime import timedelta

from cowdb.agent.policy import Caller
from cowdb.agent.requests import CreateBranch
from cowdb.agent.service import fairness
from cowdb.agent.service.context import Context
from cowdb.model import NOBODY, BranchRecord, Cluster, SnapshotRecord


def record_of(
    context: Context, request: CreateBranch, snapshot: SnapshotRecord, branch_id: str, port: int,
    caller: Caller,
) -> BranchRecord:  # fmt: skip
    now = context.now()
    ttl, sleep = request.ttl_seconds, request.sleep_seconds
    if sleep is None:
        sleep = 0 if request.hidden else context.host.config.sleep_after
    return BranchRecord(
        id=branch_id,
        name=request.name,
        snapshot=snapshot.id,
        base=snapshot.settled or snapshot.id,
        state="creating",
        cluster=Cluster(
            id=branch_id,
            pool=snapshot.pool,
            volume=branch_id,
            data=snapshot.data,
            port=port,
            version=snapshot.version,
            superuser=snapshot.superuser,
            database=snapshot.database,
            durable=request.durability == "full",
            sleep_after=sleep,
            limits=fairness.limits_of(context.host, snapshot.pool, request, caller),
        ),
        owner_uid=caller.uid,
        created_at=now,
        expires_at=now + timedelta(seconds=ttl) if ttl else None,
        hidden=request.hidden,
    )


def ordinary(context: Context, snapshot: SnapshotRecord, branch_id: str, port: int) -> BranchRecord:
    """A branch for which nothing special was asked, and by nobody in particular. It never sleeps:
    its server would have to listen elsewhere."""
    request = CreateBranch(name=f"_spare-{branch_id}", origin=snapshot.name, sleep_seconds=0)
    return record_of(context, request, snapshot, branch_id, port, Caller(NOBODY, 0))
