"""The differences of many pairs of sides, brought together by table and key.

Every difference that a comparison of two sides finds is taken apart into the row that went and the
row that came. These are sorted by (table, key) and lie in files where they are many, so that a
million changes of each of many sides need no more memory than one.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Self

from cowdb.controller.diff.rows.merge import Told
from cowdb.controller.diff.rows.record import fields
from cowdb.controller.diff.rows.spill import MOST_BYTES, Sorter
from cowdb.controller.diff.ways.tables import Plan, Rank

_TABLE = struct.Struct(">I")
_HEAD = struct.Struct(">HB")  # the side, and whether the row went or came
_WENT, _CAME = 0, 1

Piece = tuple[Rank, bool, str]
"""(side, whether the row came or went, the row's text)."""


class Recorder:
    """A context manager, since it may hold files. Comparisons may tell from several threads."""

    def __init__(self, plans: Mapping[str, Plan], most_bytes: int = MOST_BYTES) -> None:
        self._plans = plans
        self._numbers = {name: number for number, name in enumerate(plans)}
        self._names = list(plans)
        self._sorter = Sorter(most_bytes)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._sorter.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._sorter.__exit__(*raised)

    def told(self, table: str, rank: Rank) -> Told:
        """What the comparison of a table's reference with this side is to call."""
        plan = self._plans[table]
        columns = plan.columns[rank]
        # Rows of a table without a key are the same row where all the sides' columns are.
        place = [columns.index(name) for name in plan.key or plan.everywhere]
        start = _TABLE.pack(self._numbers[table])
        heads = _HEAD.pack(rank, _WENT), _HEAD.pack(rank, _CAME)

        matched = plan.key and rank in plan.matched

        def tell(before: bytes | None, after: bytes | None) -> None:
            order = None
            for head, text in zip(heads, (before, after), strict=True):
                if text is None:
                    continue
                # Where the key matched them, both rows are told under the reference's: a key may
                # have several texts (1.0 and 1.00), of which the reference has only one.
                if order is None or not matched:
                    values = _fields(text, columns)
                    order = start + encoded([values[number] for number in place])
                with self._lock:
                    self._sorter.add((order, head + text))

        return tell

    def rows(self) -> Iterator[tuple[str, Iterator[tuple[bytes, Iterator[Piece]]]]]:
        """Table by table, and in each row by row: (its key, what is known of it). To be read in
        this order, once."""
        for number, items in groupby(self._sorter.sorted(), lambda row: row[0][: _TABLE.size]):
            table = self._names[_TABLE.unpack(number)[0]]
            yield (
                table,
                (
                    (order, (_piece(text) for _, text in rows))
                    for order, rows in groupby(items, lambda row: row[0])
                ),
            )


def encoded(values: Sequence[str | None]) -> bytes:
    """Different bytes for different values; no text of Postgres holds a zero byte."""
    return b"".join(b"\0" if value is None else b"\1" + value.encode() + b"\0" for value in values)


def decoded(order: bytes) -> list[str | None]:
    """The values again, of a row's key as `Recorder.rows` gives it."""
    found: list[str | None] = []
    place = _TABLE.size
    while place < len(order):
        if order[place] == 0:
            found.append(None)
            place += 1
        else:
            end = order.index(b"\0", place)
            found.append(order[place + 1 : end].decode())
            place = end + 1
    return found


def _fields(text: bytes, columns: Sequence[str]) -> list[str | None]:
    # A database in SQL_ASCII may hold any bytes; escaped, they still tell values apart.
    return fields(text.decode(errors="backslashreplace")) if columns else []


def _piece(text: bytes) -> Piece:
    rank, which = _HEAD.unpack_from(text)
    return rank, which == _CAME, text[_HEAD.size :].decode(errors="backslashreplace")
