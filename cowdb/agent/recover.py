"""At start: compare what was meant with what is, then finish or undo.

    pools made by cowdb      mounted again after a reboot
    unfinished operations    "running" is undone, "committed" is finished
    servers, doors           found again by pid and start time; those that should run and do not
                             (a reboot, a kill) are started, unless their files may be torn
    implicit snapshots       that no branch came from, because of a crash in between, go

What cannot be explained is left for doctor to report; nothing without cowdb's mark is touched.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import psycopg

from cowdb.agent import doors, journal, plan
from cowdb.agent.effects import do
from cowdb.agent.effects.servers import process_of
from cowdb.agent.host import Attempt
from cowdb.agent.journal import Operation
from cowdb.agent.service.context import Context
from cowdb.agent.steps import DestroyVolume, StartServer, StopServer
from cowdb.agent.storage import pools as drivers
from cowdb.errors import BusyError, CowdbError
from cowdb.model import BranchRecord, SourceRecord, Wanted

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
    """Finish or undo what no thread of this agent is at work on. Returns a sentence for each
    operation for which that failed; nothing of it keeps the agent from starting."""
    faults = []
    for operation in journal.unfinished(context.store):
        if context.operations.at_work(operation):
            continue
        try:
            if operation.state == "committed":
                context.operations.clean_up(operation, Attempt())
            else:
                _take_back(context, operation)
        except Exception as error:
            log.exception("not finished", extra={"operation": operation.id})
            faults.append(f"{operation.kind} {operation.target}: {error}")
    faults += [f"{item.kind} {item.target}: {item.error}"
               for item in journal.unfinished(context.store) if item.state == "failed"]  # fmt: skip
    return faults


def _take_back(context: Context, operation: Operation) -> None:
    """Any of its steps may have happened. Servers that it had stopped are left to
    adopt_servers, which knows what should run by now: a failed operation may be old."""
    steps = [step for step in operation.plan.steps if not isinstance(step, StopServer)]
    reason = operation.error or "the agent died"
    context.operations.take_back(operation, steps, Attempt(), reason)


def adopt_servers(context: Context) -> None:
    """Find every server again, or start it when it should run. What an operation holds is left
    to that operation."""
    with context.store.transaction() as tx:
        records: list[BranchRecord | SourceRecord] = [*tx.branches.all(), *tx.sources.all()]
    found = [(record.id, record.name) for record in records]
    for record_id, name in found:
        try:
            with context.claims.hold(record_id, name, patience=0):
                _adopt(context, record_id)
        except BusyError:
            continue
        except (CowdbError, OSError, psycopg.Error) as error:
            log.warning("server not started: %s", error, extra={"target": name})
    doors.agree(context)


def _adopt(context: Context, record_id: str) -> None:
    with context.store.transaction() as tx:
        record = tx.branches.get(record_id) or tx.sources.get(record_id)
    if record is None or record.cluster is None or record.state not in ("ready", "loading"):
        return
    server = plan.server_of(record)
    process = process_of(server, context.host)
    if process is None and record.cluster.wanted == "running":
        attempt = Attempt()
        do(StartServer(server=server), context.host, attempt)
        process = attempt.process
        log.info("started again", extra={"target": record.name})
    woken = record.cluster.wanted == "sleeping"  # by an agent that did not come to say so
    if process is None or (process == record.cluster.process and not woken):
        return
    with context.store.transaction() as tx:
        branch, source = tx.branches.get(record_id), tx.sources.get(record_id)
        if branch is not None:
            wanted: Wanted = "running" if woken else branch.cluster.wanted
            cluster = replace(branch.cluster, process=process, wanted=wanted)
            tx.branches.put(replace(branch, cluster=cluster))
        elif source is not None and source.cluster is not None:
            tx.sources.put(replace(source, cluster=replace(source.cluster, process=process)))


def collect_implicit(context: Context) -> None:
    with context.store.transaction() as tx:
        lost = [item for item in tx.snapshots.all()
                if item.implicit and not tx.branches.count("snapshot = ?", item.id)]  # fmt: skip
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
