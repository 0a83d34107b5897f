"""At start: compare what was meant with what is, then finish or undo.

    pools made by cowdb      mounted again after a reboot
    unfinished operations    "running" is undone, "committed" is finished
    servers                  found again by pid and start time; those that should run and do not
                             (a reboot, a kill) are started
    implicit snapshots       that no branch came from, because of a crash in between, go

What cannot be explained is left for doctor to report; nothing without cowdb's mark is touched.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from cowdb.agent import journal, plan
from cowdb.agent.effects import do
from cowdb.agent.effects.servers import process_of
from cowdb.agent.host import Attempt
from cowdb.agent.operations import settle_records
from cowdb.agent.service.context import Context
from cowdb.agent.steps import DestroyVolume, StartServer
from cowdb.agent.storage import pools as drivers
from cowdb.errors import CowdbError
from cowdb.model import BranchRecord, SourceRecord

log = logging.getLogger("cowdb.recover")


def recover(context: Context) -> None:
    mount_images(context)
    finish_operations(context)
    adopt_servers(context)
    collect_implicit(context)


def mount_images(context: Context) -> None:
    for record in context.pools.records():
        if record.image is not None:
            try:
                drivers.attach_image(Path(record.image), Path(record.path).parent)
            except CowdbError as error:
                log.warning("pool not mounted: %s", error.message, extra={"target": record.path})


def finish_operations(context: Context) -> list[str]:
    """Returns a sentence for each operation that could not be finished or undone."""
    faults = []
    for operation in journal.unfinished(context.store):
        attempt = Attempt()
        try:
            if operation.state == "committed":
                context.operations.clean_up(operation, attempt)
                continue
        except (CowdbError, OSError) as error:
            faults.append(f"{operation.kind} {operation.target}: {error}")
            continue
        # A server must not be taken for one that we may stop: undoing works from what is there.
        context.operations.take_back(
            operation, operation.plan.steps, attempt, operation.error or "the agent died"
        )
    faults += [f"{item.kind} {item.target}: {item.error}"
               for item in journal.unfinished(context.store) if item.state == "failed"]  # fmt: skip
    return faults


def adopt_servers(context: Context) -> None:
    """Find every server again, or start it when it should run."""
    with context.store.transaction() as tx:
        records: list[BranchRecord | SourceRecord] = [*tx.branches.all(), *tx.sources.all()]
    for record in records:
        if record.cluster is None or record.state not in ("ready", "loading"):
            continue
        try:
            _adopt(context, record)
        except (CowdbError, OSError) as error:
            log.warning("server not started: %s", error, extra={"target": record.name})


def _adopt(context: Context, record: BranchRecord | SourceRecord) -> None:
    cluster = record.cluster
    assert cluster is not None
    server = plan.server_of(record)
    process = process_of(server, context.host)
    if process is None and cluster.wanted == "running":
        attempt = Attempt()
        do(StartServer(server=server), context.host, attempt)
        process = attempt.process
        log.info("started again", extra={"target": record.name})
    if process == cluster.process:
        return
    with context.store.transaction() as tx:
        if isinstance(record, BranchRecord):
            tx.branches.put(replace(record, cluster=replace(cluster, process=process)))
        else:
            tx.sources.put(replace(record, cluster=replace(cluster, process=process)))


def collect_implicit(context: Context) -> None:
    with context.store.transaction() as tx:
        lost = [item for item in tx.snapshots.all()
                if item.implicit and not tx.branches.all("snapshot = ?", item.id)]  # fmt: skip
    for snapshot in lost:
        for volume in filter(None, (snapshot.settled, snapshot.id)):
            try:
                do(DestroyVolume(pool=snapshot.pool, volume=volume), context.host, Attempt())
            except CowdbError as error:
                log.warning("not removed: %s", error.message, extra={"target": volume})
                break
        else:
            with context.store.transaction() as tx:
                tx.snapshots.delete(snapshot.id)
                settle_records(tx, snapshot.id)
