"""The doors of servers that may sleep: held at the front, open while the server runs."""

from __future__ import annotations

from cowdb.agent.effects.dispatch import do, undo
from cowdb.agent.host import Attempt, Host
from cowdb.agent.steps import HoldPort, ReleasePort, Server
from cowdb.errors import BusyError


def has_door(target: Server) -> bool:
    """Whether clients reach it through the front."""
    return bool(target.cluster.sleep_after) and not target.private


def hold(target: Server, host: Host) -> None:
    """:raises TakenError: somebody else has its port."""
    cluster = target.cluster
    host.front.hold(cluster.id, cluster.port, cluster.sleep_after)


def open_door(target: Server, host: Host) -> None:
    """Its server runs."""
    cluster = target.cluster
    if has_door(target):
        host.front.open(cluster.id, cluster.port, cluster.sleep_after)


def shut(target: Server, host: Host, *, idle: bool) -> None:
    """Its server is about to stop: clients that come wait until it is known what comes then.

    :param idle: not while somebody is connected.
    :raises BusyError: somebody is."""
    if has_door(target) and not host.front.shut(target.cluster.id, force=not idle):
        raise BusyError(f"{target.name!r} is in use", hint="it sleeps when its clients have left")


def asleep(target: Server, host: Host) -> None:
    """Its server does not run; clients that wait have it woken."""
    if has_door(target):
        host.front.asleep(target.cluster.id)


def release(target: Server, host: Host, why: str) -> None:
    host.front.release(target.cluster.id, why)


@do.register
def _(step: HoldPort, host: Host, attempt: Attempt) -> None:
    hold(step.server, host)


@undo.register
def _(step: HoldPort, host: Host, attempt: Attempt) -> None:
    release(step.server, host, f"branch {step.server.name!r} could not be started")


@do.register
def _(step: ReleasePort, host: Host, attempt: Attempt) -> None:
    release(step.server, host, step.why)
