"""`do` and `undo` by the type of the step; the modules beside register theirs."""

from __future__ import annotations

from functools import singledispatch

from cowdb.agent.host import Attempt, Host
from cowdb.agent.steps import Step


@singledispatch
def do(step: Step, host: Host, attempt: Attempt) -> None:
    """Make a step happen; harmless when it has happened already."""
    raise NotImplementedError(type(step).__name__)


@singledispatch
def undo(step: Step, host: Host, attempt: Attempt) -> None:
    """Take a step back; harmless when it never happened. Steps without an undo have no effect
    of their own that outlives the volume or server they work on."""
