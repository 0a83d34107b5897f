"""Throw-away branches: made for a moment, gone whatever happens."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from cowdb.controller.client import Client
from cowdb.controller.transport import Report, quiet
from cowdb.errors import NotFoundError
from cowdb.wire import BranchInfo

Connect = Callable[[], AbstractContextManager[Client]]
"""Opens a client. A throw-away branch opens one to be made and one to go, since a root user's
in-process agent must not keep the host locked while the branch is used."""

_LONGEST = 24 * 3600  # seconds after which the agent removes one whose maker was killed


@contextlib.contextmanager
def throw_away(
    connect: Connect, origin: str, prefix: str, *, hidden: bool = False,
    keep: Callable[[], bool] = lambda: False, report: Report = quiet,
) -> Iterator[BranchInfo]:  # fmt: skip
    """A branch for the length of a block.

    :param hidden: cowdb's own, not listed.
    :param keep: asked at the end of the block, whether to leave it to its time to live.
    """
    name = f"{'_' if hidden else ''}{prefix}-{secrets.token_hex(4)}"
    with connect() as client:
        branch = client.branches.create(
            name, origin, ttl_seconds=_LONGEST, sleep_seconds=0, hidden=hidden, report=report
        )
    try:
        yield branch
    finally:
        if not keep():
            # Somebody else, or its expiry, may have removed it meanwhile.
            with contextlib.suppress(NotFoundError), connect() as client:
                client.branches.remove(name)
