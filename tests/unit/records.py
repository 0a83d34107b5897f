"""Records that the unit tests share: a source, a snapshot of it, a branch of that."""

from __future__ import annotations

from datetime import UTC, datetime

from cowdb.model import BranchRecord, Cluster, Process, SnapshotRecord, SourceRecord

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def cluster(cluster_id: str, *, durable: bool = False) -> Cluster:
    return Cluster(
        id=cluster_id, pool="pool", volume=cluster_id, data="data", port=15500, version="15.4",
        superuser="postgres", database="main", durable=durable,
        process=Process(pid=4242, started=17, boot="boot"),
    )  # fmt: skip


SOURCE = SourceRecord(
    id="so-1", name="main", kind="managed", state="ready", pool="pool", version="15.4",
    database="main", superuser="postgres", owner_uid=0, created_at=NOW,
    cluster=cluster("so-1", durable=True),
)  # fmt: skip
ATTACHED = SourceRecord(
    id="so-2", name="prod", kind="attached", state="ready", pool="pool", version="15.4",
    database="prod", superuser="postgres", owner_uid=0, created_at=NOW, datadir="/srv/pg",
)  # fmt: skip
SNAPSHOT = SnapshotRecord(
    id="sn-1", name="before", parent="so-1", parent_name="main", source="so-1", state="ready",
    pool="pool", data="data", mode="checkpoint", consistency="crash-consistent", implicit=False,
    protected=False, version="15.4", superuser="postgres", database="main", owner_uid=0,
    created_at=NOW, parts=(("/srv/pg", "data"),),
)  # fmt: skip
BRANCH = BranchRecord(
    id="br-1", name="pr-42", snapshot="sn-1", state="ready", cluster=cluster("br-1"), owner_uid=0,
    created_at=NOW,
)  # fmt: skip
