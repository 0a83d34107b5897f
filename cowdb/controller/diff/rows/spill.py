"""Sort more rows than should be in memory: sorted runs in temporary files, merged at the end."""

from __future__ import annotations

import heapq
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Self

from cowdb.controller.diff.rows.merge import Row

MOST_BYTES = 12 * 2**20  # of rows in memory, before they go to a file
_OVERHEAD = 150  # bytes that Python needs for one row beside its text
_LENGTHS = struct.Struct("<II")


class Sorter:
    """Takes rows in any order and gives them back sorted. A context manager, since it may hold
    files (which have no name and so cannot be left behind)."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._rows: list[Row] = []
        self._bytes = 0
        self._runs: list[IO[bytes]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, row: Row) -> None:
        self._rows.append(row)
        self._bytes += len(row[0]) + len(row[1]) + _OVERHEAD
        if self._bytes > self._most:
            self._spill()

    def _spill(self) -> None:
        self._rows.sort()
        file = tempfile.TemporaryFile(prefix="cowdb-diff-")  # noqa: SIM115
        run = self._stack.enter_context(file)
        for order, text in self._rows:
            run.write(_LENGTHS.pack(len(order), len(text)) + order + text)
        run.flush()
        self._runs.append(run)
        self._rows, self._bytes = [], 0

    def sorted(self) -> Iterator[Row]:
        """All rows, once, in the order of (order, text)."""
        self._rows.sort()
        yield from heapq.merge(*map(_read, self._runs), self._rows)


def _read(run: IO[bytes]) -> Iterator[Row]:
    run.seek(0)
    while head := run.read(_LENGTHS.size):
        order, text = _LENGTHS.unpack(head)
        yield run.read(order), run.read(text)
