"""What was too long for an answer, kept until newer results need its place.

Rows lie in files without a name, so that nothing is left of them when the server ends; reports stay
in memory. Safe for several calls at once.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cowdb.controller.sqlrun.session import Column, Row
from cowdb.errors import NotFoundError

MOST = 32  # results
MOST_BYTES = 16 * 2**20  # of the rows of one
_STRIDE = 64  # rows between two known places in a file
_IN_MEMORY = 256 * 1024  # bytes of a result before it becomes a file
_SHORTEST = 10  # characters of a value, however little room there is


@dataclass
class Page:
    """:param cut: some value in it is longer."""

    rows: list[list[str | None]]
    cut: bool


class Rows:
    """The rows of one statement. :param most_bytes: what comes after them is counted only."""

    def __init__(self, columns: Sequence[Column], most_bytes: int = MOST_BYTES) -> None:
        self.columns = tuple(columns)
        self.kept = self.dropped = 0
        self._most, self._places = most_bytes, [0]
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (as long as the result)
        self._lock = threading.Lock()

    def add(self, row: Row) -> None:
        line = json.dumps(row).encode() + b"\n"
        with self._lock:
            if self.dropped or self._file.tell() + len(line) > self._most:
                self.dropped += 1
                return
            self._file.write(line)
            self.kept += 1
            if self.kept % _STRIDE == 0:
                self._places.append(self._file.tell())

    def read(self, after: int, most: int, characters: int, value: int) -> Page:
        """Rows from number `after` on: as many as there is room for, and one at least.

        :param value: characters of one value; a longer one is cut, and says so."""
        page = Page([], False)
        with self._lock:
            self._file.seek(self._places[min(after // _STRIDE, len(self._places) - 1)])
            for number in range(after // _STRIDE * _STRIDE, min(after + most, self.kept)):
                line = self._file.readline()
                if number < after:
                    continue
                row, cut, size = _fitted(json.loads(line), value, characters, not page.rows)
                if size > characters and page.rows:
                    break
                page.rows.append(row)
                page.cut |= cut
                characters -= size
            self._file.seek(0, 2)
        return page

    def close(self) -> None:
        with self._lock:
            self._file.close()


def _fitted(row: Row, value: int, characters: int, first: bool) -> tuple[Any, bool, int]:
    """(the row with values as short as they have to be, whether one was cut, its size)."""
    while True:
        found = [_short(item, value) for item in row]
        size = len(json.dumps(found))
        if not first or size <= characters or value <= _SHORTEST:
            return found, found != list(row), size
        value = max(_SHORTEST, value // 4)


def _short(text: str | None, most: int) -> str | None:
    if text is None or len(text) <= most:
        return text
    return f"{text[:most]} … ({len(text)} characters)"


class Results:
    """:param most: how many are kept; the one that was least recently used goes first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def keep(self, value: Any) -> str:  # noqa: ANN401 (Rows, or JSON)
        """:returns: what to ask for it by."""
        name = secrets.token_hex(4)
        with self._lock:
            self._kept[name] = value
            while len(self._kept) > self._most:
                _, old = self._kept.popitem(last=False)
                _close(old)
        return name

    def get(self, name: str) -> Any:  # noqa: ANN401
        """:raises NotFoundError: it is gone, or never was."""
        with self._lock:
            if name not in self._kept:
                raise NotFoundError(
                    f"there is no result {name!r}",
                    hint=f"the latest {self._most} are kept: ask for it anew",
                )
            self._kept.move_to_end(name)
            return self._kept[name]

    def close(self) -> None:
        with self._lock:
            for value in self._kept.values():
                _close(value)
            self._kept.clear()


def _close(value: object) -> None:
    if isinstance(value, Rows):
        value.close()
