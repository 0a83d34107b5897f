"""Records as the JSON that the contract promises (wire.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from urllib.parse import quote

from cowdb.agent.effects.servers import LOOPBACK, process_of
from cowdb.agent.host import Host
from cowdb.agent.plan import server_of
from cowdb.agent.policy import Caller, owns
from cowdb.agent.pools import Pools
from cowdb.agent.storage.protocol import VolumeId
from cowdb.agent.store import Transaction
from cowdb.agent.system import user_of
from cowdb.errors import StorageError
from cowdb.model import BranchRecord, Cluster, PoolRecord, SnapshotRecord, SourceRecord
from cowdb.wire import BranchInfo, CapacityInfo, PoolInfo, ServerState, SnapshotInfo, SourceInfo


def iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


def when(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def dsn(cluster: Cluster, host: Host, *, secret: bool) -> str:
    """Works as it stands over TCP; without its password for those who do not own it."""
    user, database = quote(cluster.superuser, safe=""), quote(cluster.database, safe="")
    password = f":{host.keyring.password(cluster.id)}" if secret else ""
    return f"postgresql://{user}{password}@{LOOPBACK}:{cluster.port}/{database}"


def _datadir(cluster: Cluster, host: Host) -> str:
    """Empty while the pool is not there."""
    try:
        return str(host.pool(cluster.pool).path(VolumeId(cluster.volume)) / cluster.data)
    except StorageError:
        return ""


def server_state(record: BranchRecord | SourceRecord, host: Host) -> ServerState:
    """What the host shows, unless an operation is at work."""
    if record.state != "ready":
        return record.state
    cluster = record.cluster
    if cluster is None:
        return "stopped"
    if process_of(server_of(record), host) is not None:
        return "running"
    return "crashed" if cluster.wanted == "running" else cluster.wanted


class Known:
    """What the records of one listing have in common, read once: a thousand branches come from a
    few snapshots and belong to a few users."""

    def __init__(self, tx: Transaction) -> None:
        self.snapshot = cache(tx.snapshots.get)
        self.source = cache(tx.sources.get)
        self.user = cache(lambda uid: user_of(uid).name)


def branch_info(
    tx: Transaction, branch: BranchRecord, host: Host, caller: Caller, known: Known | None = None
) -> BranchInfo:
    """`used_bytes` is left out: measuring takes too long for a transaction.

    :param known: shared by those of one listing."""
    known = known or Known(tx)
    snapshot = known.snapshot(branch.snapshot)
    source = known.source(snapshot.source) if snapshot else None
    cluster = branch.cluster
    return {
        "name": branch.name,
        "source": source.name if source else "",
        "parent": snapshot.parent_name if snapshot else "",
        "snapshot": _reference(snapshot) if snapshot and not snapshot.removed else "",
        "removed_snapshot": (snapshot.removed if snapshot else "") or None,
        "state": server_state(branch, host),
        "port": cluster.port,
        "dsn": dsn(cluster, host, secret=owns(caller, branch.owner_uid)),
        "datadir": _datadir(cluster, host),
        "database": cluster.database,
        "pg_version": cluster.version,
        "created_at": when(branch.created_at),
        "expires_at": iso(branch.expires_at),
        "sleep_after": cluster.sleep_after or None,
        "protected": branch.protected,
        "durability": "full" if cluster.durable else "fast",
        "owner": known.user(branch.owner_uid),
        "used_bytes": None,
        "limits": {
            "memory_bytes": cluster.limits.memory,
            "cpus": cluster.limits.cpus,
            "disk_bytes": cluster.limits.disk,
        },
        "quarantined": list(branch.quarantined),
        "spare": branch.spare,
        "timings_ms": branch.timings,
    }


def _reference(snapshot: SnapshotRecord) -> str:
    return f"{snapshot.parent_name}@{snapshot.name}"


def used_bytes(host: Host, pool: str, volume: str) -> int | None:
    """None when the volume is gone meanwhile, or its pool is: the state says so."""
    try:
        return host.pool(pool).used_bytes(VolumeId(volume))
    except StorageError:
        return None


def snapshot_info(
    tx: Transaction, snapshot: SnapshotRecord, wishes: Mapping[str, int]
) -> SnapshotInfo:
    """`used_bytes` is left out: measuring takes too long for a transaction.

    :param wishes: how many spares each snapshot is to have.
    """
    ready = [item for item in tx.spares.all("snapshot = ?", snapshot.id) if item.state == "ready"]
    return {
        "ref": _reference(snapshot),
        "mode": snapshot.mode,
        "settled": snapshot.settled is not None,
        "frozen": snapshot.settled is not None and snapshot.freeze,
        "lsn": snapshot.lsn,
        "timeline": snapshot.timeline,
        "system_identifier": snapshot.system_identifier,
        "created_at": when(snapshot.created_at),
        "used_bytes": None,
        "protected": snapshot.protected,
        "pg_version": snapshot.version,
        "branches": tx.branch_names(snapshot.id),
        "consistency": snapshot.consistency,
        "spares": {
            "wanted": wishes.get(snapshot.id, 0),
            "ready": len(ready),
            "automatic": snapshot.spares is None,
        },
        "timings_ms": snapshot.timings,
    }


def source_info(
    source: SourceRecord,
    host: Host,
    caller: Caller,
    attached: tuple[ServerState, int | None, str | None] | None,
) -> SourceInfo:
    """:param attached: (state, port, DSN) of a source that somebody else runs."""
    cluster = source.cluster
    if cluster is not None:
        state, port = server_state(source, host), cluster.port
        address: str | None = dsn(cluster, host, secret=owns(caller, source.owner_uid))
        datadir = _datadir(cluster, host)
    else:
        state, found, address = attached or ("stopped", None, None)
        port, datadir = found or 0, source.datadir
    return {
        "name": source.name,
        "kind": source.kind,
        "state": state,
        "port": port or None,
        "dsn": address,
        "datadir": datadir,
        "pg_version": source.version,
        "database": source.database,
        "pool": source.pool,
        "created_at": when(source.created_at),
        "owner": user_of(source.owner_uid).name,
        "timings_ms": source.timings,
    }


def capacity_info(host: Host) -> CapacityInfo:
    return {
        "memory": "memory" in host.groups.controllers,
        "cpus": "cpu" in host.groups.controllers,
        "reason": host.groups.reason,
        "branches_per_user": host.config.branches_per_user or None,
    }


def pool_info(record: PoolRecord, pools: Pools) -> PoolInfo:
    try:
        space = pools.get(record.id).space()
    except StorageError:
        space = None
    return {
        "id": record.id,
        "driver": record.driver,
        "path": record.path,
        "total_bytes": space.total if space else None,
        "free_bytes": space.free if space else None,
        "state": "ready" if space else "missing",
        "image": record.image,
    }
