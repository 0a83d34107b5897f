"""What counting asks of the host that the branches are on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from cowdb.controller.diff.model import Side
from cowdb.wire import WrittenInfo


class Host(Protocol):
    def written(self, branches: Sequence[str], *, search: bool = True) -> WrittenInfo:
        """What branches have written since their common snapshot; search it once all snapshots
        that are to be compared have been taken."""

    def keep_counts(self, ancestor: str, counts: Mapping[str, int]) -> None:
        """Have numbers of rows in a snapshot remembered, by relation file."""

    def clone(self, snapshot: str) -> AbstractContextManager[Side]:
        """A new branch of a snapshot, for the length of a block."""
