"""The host that branches are on, as one comparison asks it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from cowdb.controller.branching import Connect, throw_away
from cowdb.controller.diff.counting.ranges import joined
from cowdb.controller.diff.model import Side
from cowdb.wire import WrittenInfo


class BranchHost:
    """Asks the agent; keeps what it has said, since for one comparison it is searched once.

    For one comparison only, whose sides all have their snapshots before the first question.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._known: dict[tuple[str, ...], WrittenInfo] = {}

    def written(self, branches: Sequence[str], *, search: bool = True) -> WrittenInfo:
        with self._connect() as client:
            found = client.host.written(branches, search=search)
        if search:
            self._known[tuple(branches)] = found
        return found

    def keep_counts(self, ancestor: str, counts: Mapping[str, int]) -> None:
        with self._connect() as client:
            client.host.keep_counts(ancestor, counts)

    @contextlib.contextmanager
    def clone(self, snapshot: str) -> Iterator[Side]:
        with throw_away(self._connect, snapshot, "count", hidden=True) as branch:
            yield Side(snapshot, branch["dsn"], branch["name"])

    def changes(self, first: str, other: str) -> tuple[dict[str, list[list[int]]] | None, str]:
        """Blocks in which two branches can differ, or None and why the host cannot tell."""
        known = self._known.get((first, other))
        if known is None:
            with self._connect() as client:
                found = client.host.changes(first, other)
            return found["relations"], found["reason"]
        if known["reason"]:
            return None, known["reason"]
        either: dict[str, list[list[int]]] = {}
        for side in known["relations"]:
            for file, ranges in side.items():
                either.setdefault(file, []).extend(ranges)
        return {file: [list(item) for item in joined(each)] for file, each in either.items()}, ""
