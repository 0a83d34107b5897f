"""The port of a server that is made: the caller's, or any that is free.

Between the choice and the moment in which the server has its port somebody else may take it, and no
look beforehand keeps that from happening. Where any port will do, the operation is then taken back
and done again with another one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from cowdb.agent import ports
from cowdb.agent.effects.servers import LOOPBACK
from cowdb.agent.host import Attempt
from cowdb.agent.ports import TakenError
from cowdb.agent.service.context import Context
from cowdb.agent.store import Transaction
from cowdb.errors import PortError

log = logging.getLogger("cowdb.ports")
TRIES = 5

Result = TypeVar("Result")


def claim_port(
    context: Context, tx: Transaction, wanted: int | None, owner: str, attempt: Attempt
) -> int:
    """The wanted port, or a free one that no attempt before has lost.

    :raises InvalidError, ConflictError, PortError: it cannot be had."""
    taken = tx.ports()
    port = (
        ports.require(wanted, taken, LOOPBACK)
        if wanted is not None
        else ports.choose(context.host.config.ports, taken.keys() | attempt.lost_ports, LOOPBACK)
    )
    tx.claim_port(port, owner)
    return port


def on_another_port(
    wanted: int | None, attempt: Attempt, work: Callable[[Attempt], Result]
) -> Result:
    """Do `work`, one operation that claims a port, and again while somebody takes it meanwhile;
    nothing of those before is left. One that could not be taken back is the last.

    :param wanted: the port that the caller named: there is no other.
    :raises PortError: time and again somebody was faster. CowdbError: what `work` raises.
    """
    while True:
        try:
            return work(attempt)
        except TakenError as error:
            if wanted is not None:
                error.hint = "stop that program, or choose another port"
            if wanted is not None or attempt.stuck:
                raise
            lost = attempt.lost_ports | {error.port}
            if len(lost) == TRIES:
                raise PortError(
                    f"{TRIES} ports in turn were taken by others before the server had them; "
                    f"{error.message}",
                    hint="let 'ports' in /etc/cowdb/config.toml be a range that nobody else uses",
                ) from error
            said = f"port {error.port} was taken meanwhile: again with another one"
            log.info(said)
            attempt.report(said, None, None)
            attempt = attempt.again(lost)
