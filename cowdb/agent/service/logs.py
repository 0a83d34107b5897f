"""What a branch's server prints, for its owner: it may hold whatever statements hold."""

from __future__ import annotations

from cowdb.agent.engines.postgres import rooms
from cowdb.agent.policy import Caller, require_owner
from cowdb.agent.service.context import Context, find_branch
from cowdb.wire import LogInfo

PIECE = 2**20
"""Bytes that one answer holds at most."""


class Logs:
    def __init__(self, context: Context) -> None:
        self._context = context

    def read(self, name: str, caller: Caller, after: int | None, last: int | None) -> LogInfo:
        """A piece of the log, cut at the end of a line where it holds one.

        :param after: from this byte on. :param last: else from so many bytes before the end.
        :raises NotPermittedError: it is somebody else's branch."""
        with self._context.store.transaction() as tx:
            branch = find_branch(tx, name)
        require_owner(caller, branch.owner_uid, f"read the log of branch {name!r}")
        place = rooms.rooms_of(self._context.host.config, branch.cluster.id)
        size = rooms.log_size(place)
        if after is None:
            after = max(0, size - (PIECE if last is None else min(last, PIECE)))
        if after > size:  # begun anew since, when the server was started
            after = 0
        piece = rooms.log_piece(place, after, PIECE)
        whole = piece[: piece.rfind(b"\n") + 1] or (piece if len(piece) == PIECE else b"")
        text = whole.decode(errors="replace")
        return {"text": text, "after": after, "next": after + len(whole), "size": size}
