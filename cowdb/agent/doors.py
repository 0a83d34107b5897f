"""Agent and front agree on which ports are held, after either of them has been away."""

from __future__ import annotations

import contextlib
import logging

from cowdb.agent import plan
from cowdb.agent.effects import doors
from cowdb.agent.effects.servers import process_of
from cowdb.agent.operations import PATIENCE
from cowdb.agent.service.context import Context
from cowdb.errors import BusyError, CowdbError
from cowdb.model import BranchRecord

log = logging.getLogger("cowdb.doors")


def agree(context: Context, patience: float = 0) -> None:
    """Every branch that may sleep has its door, open if its server runs; no other door is there.

    :param patience: seconds to wait for the operation that is at work on a branch; one at work
        since the front is there does what is needed itself.
    """
    with context.store.transaction() as tx:
        branches = [item for item in tx.branches.all() if item.cluster.sleep_after]
    for branch in branches:
        try:
            with context.claims.hold(branch.id, branch.name, patience):
                _mind(context, branch.id)
        except BusyError:
            continue
        except (CowdbError, OSError) as error:
            log.warning("port not held: %s", error, extra={"target": branch.name})
    _release_strangers(context)


def after_a_loss(context: Context) -> None:
    """The front has died: another one takes its place, for those first that nothing keeps busy."""
    agree(context)
    agree(context, PATIENCE)


def _mind(context: Context, branch_id: str) -> None:
    host = context.host
    with context.store.transaction() as tx:
        branch = tx.branches.get(branch_id)
    if branch is None or branch.state != "ready":
        return
    server = plan.server_of(branch)
    if not wants_door(branch):
        doors.release(server, host, f"branch {branch.name!r} is stopped")
        return
    doors.hold(server, host)
    if process_of(server, host) is not None:
        doors.open_door(server, host)
    else:
        doors.asleep(server, host)


def wants_door(branch: BranchRecord) -> bool:
    return bool(branch.cluster.sleep_after) and branch.cluster.wanted != "stopped"


def _release_strangers(context: Context) -> None:
    """Doors that no record speaks of, because of a crash in between. A store that knows nothing at
    all was lost, and may be made anew (`doctor --rebuild`)."""
    with context.store.transaction() as tx:
        if not tx.sources.all():
            return
    with contextlib.suppress(CowdbError):  # without a front there are none
        for door in context.host.front.doors():
            with context.store.transaction() as tx:
                known = tx.branches.get(door.id)
            if known is None:
                context.host.front.release(door.id, "this branch was removed")
