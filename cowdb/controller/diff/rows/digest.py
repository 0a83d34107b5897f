"""Find the rows that differ by a digest of each, and read only those.

    digest = two hashes of the row's text, 128 bits     place = in which relation and where there
    part   = some bits of the key's hash, so that a row is in the same part on both sides

Each server sends (digest, place) of its rows, 24 bytes a row; what stands on one side alone
differs, and is then read at its place. One part after another is compared, so that memory is
bounded by the size of a part and not by the number of rows or of changes; digests beyond a few
megabytes wait in a file without a name. A hidden difference takes two rows with the same 128 bits.

A row stays where its tid says as long as the snapshots are open: rewriting a table would need a
lock that conflicts with our reading, and vacuum keeps what a snapshot can see.
"""

from __future__ import annotations

import struct
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any, Self

import psycopg
from psycopg import sql

from cowdb.controller.diff.rows.hashing import Hashing
from cowdb.controller.diff.rows.lanes import Lanes
from cowdb.controller.diff.rows.merge import Found, Names, merge
from cowdb.controller.diff.rows.shape import Common
from cowdb.controller.diff.rows.spill import Sorter
from cowdb.errors import CowdbError

ROWS_IN_PART = 32_768
MOST_PARTS = 1024
_RECORD = struct.Struct("!16s8s")
_TID = struct.Struct("!HIH")  # relation, block, line: sorted by where it lies
_END = 2**32 - 2  # the largest block number
_AT_ONCE = 1024  # blocks that one query reads, of up to 226 rows each, 34 bytes a row
_WIDEST = 512
_MEMORY = 8 * 2**20  # of digests of one side, before they go to a file
_TIDS = 1000  # that one query fetches

Ranges = Sequence[Sequence[int]]
"""Half-open ranges of blocks, in order, without overlap."""


@dataclass(frozen=True)
class Place:
    """Where rows lie: in some blocks of a table or of one of its partitions."""

    relation: str
    ranges: Ranges


Places = Sequence[Place]


class MovedError(CowdbError):
    """Rows are not where they were."""


@dataclass(frozen=True)
class Digesting:
    """:param parts: a power of two.
    :param mask, buckets: only rows whose key's hash, masked, is one of these."""

    table: Common
    hashing: Hashing
    parts: int = 1
    mask: int = 0
    buckets: Sequence[int] | None = None

    def query(self, side: int, relation: str, number: int) -> sql.Composed:
        """Of ranges of tuple ids, given as two arrays: (part, records).

        The inner query is planned by itself, where the bounds are parameters: a scan of tuple ids
        for each range, which reads nothing else, and one statement for all of them.

        :param number: of the place."""
        table, hashing = self.table, self.hashing
        key = hashing.of(table.key_text(side), 0)
        part: sql.Composable = sql.SQL("0")
        if self.parts > 1:
            part = sql.SQL("(({} >> 32) & {})::int").format(key, sql.Literal(self.parts - 1))
        chosen: sql.Composable = sql.SQL("")
        if self.buckets is not None:
            listed = "{" + ",".join(map(str, self.buckets)) + "}"
            chosen = sql.SQL("AND ({} & {}) = ANY ({}::bigint[])").format(
                key, sql.Literal(self.mask), sql.Literal(listed)
            )
        # OFFSET 0 keeps the row's text from being made once for each hash of it.
        return sql.SQL(
            "SELECT p, string_agg(int8send({}) || int8send({}) || {}::bytea || tidsend(c),"
            " ''::bytea) FROM unnest($1::tid[], $2::tid[]) AS piece (low, high),"
            " LATERAL (SELECT {} AS p, {} AS r, t.ctid AS c FROM {} t"
            " WHERE t.ctid >= piece.low AND t.ctid < piece.high {} OFFSET 0) x GROUP BY p"
        ).format(hashing.of(sql.SQL("r"), 1), hashing.of(sql.SQL("r"), 2),
                 sql.Literal(f"\\x{number:04x}"), part, table.row_text(),
                 table.relation(relation), chosen)  # fmt: skip


def parts_for(rows: int) -> int:
    """How many parts keep each of them small."""
    wanted = max(1, -(-rows // ROWS_IN_PART))
    return min(MOST_PARTS, 1 << (wanted - 1).bit_length())


class Store:
    """The digests of one side by part; filled from several threads. A context manager, since it
    may hold a file."""

    def __init__(self, most_bytes: int = _MEMORY) -> None:
        self._most = most_bytes
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._held: dict[int, list[bytes]] = defaultdict(list)
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._places: dict[int, list[tuple[int, int]]] = defaultdict(list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, part: int, records: bytes) -> None:
        with self._lock:
            self._held[part].append(records)
            self._bytes += len(records)
            if self._bytes > self._most:
                self._spill()

    def _spill(self) -> None:
        if self._file is None:
            file = tempfile.TemporaryFile(prefix="cowdb-diff-")  # noqa: SIM115
            self._file = self._stack.enter_context(file)
        for part, blobs in self._held.items():
            records = b"".join(blobs)
            self._places[part].append((self._file.tell(), len(records)))
            self._file.write(records)
        self._held.clear()
        self._bytes = 0

    def take(self, part: int) -> bytes:
        """All records of a part, once."""
        pieces = []
        if self._file is not None:
            end = self._file.seek(0, 2)
            for start, length in self._places.pop(part, ()):
                self._file.seek(start)
                pieces.append(self._file.read(length))
            self._file.seek(end)
        pieces += self._held.pop(part, ())
        return b"".join(pieces)


def differing(first: bytes, other: bytes) -> tuple[list[bytes], list[bytes]]:
    """The tids of the rows that only one side has; of a row that a side has more often than the
    other, as many as there are too many. Pure."""
    one, two = dict(_RECORD.iter_unpack(first)), dict(_RECORD.iter_unpack(other))
    if len(one) * _RECORD.size == len(first) and len(two) * _RECORD.size == len(other):
        return ([one[digest] for digest in one.keys() - two.keys()],
                [two[digest] for digest in two.keys() - one.keys()])  # fmt: skip
    places: tuple[dict[bytes, list[bytes]], ...] = (defaultdict(list), defaultdict(list))
    for side, records in zip(places, (first, other), strict=True):
        for digest, tid in _RECORD.iter_unpack(records):
            side[digest].append(tid)
    return _surplus(*places), _surplus(*reversed(places))


def _surplus(ours: dict[bytes, list[bytes]], theirs: dict[bytes, list[bytes]]) -> list[bytes]:
    return [tid for digest, tids in ours.items()
            for tid in tids[len(theirs[digest]) if digest in theirs else 0 :]]  # fmt: skip


def read_digests(conn: psycopg.Connection[Any], query: bytes, ranges: Ranges, store: Store) -> None:
    """Every visible row of these blocks."""
    for batch in _batches(ranges):
        bounds = [[f"({block},0)" for block in blocks] for blocks in zip(*batch, strict=True)]
        # Raw: a name in the query may hold a percent sign.
        with psycopg.RawCursor(conn) as cursor:
            cursor.execute(query, bounds, prepare=True, binary=True)
            for part, records in cursor:
                store.add(part, records)


def _batches(ranges: Ranges) -> Iterator[list[tuple[int, int]]]:
    """What is asked for at once: bounded in blocks, and so in rows."""
    batch: list[tuple[int, int]] = []
    blocks = 0
    for low, high in _pieces(ranges):
        size = min(high - low, _WIDEST)
        if batch and blocks + size > _AT_ONCE:
            yield batch
            batch, blocks = [], 0
        batch.append((low, high))
        blocks += size
    if batch:
        yield batch


def _pieces(ranges: Ranges) -> Iterator[tuple[int, int]]:
    for low, high in ranges:
        if high == _END:  # the open end of a table: nearly always nothing
            yield low, high
            continue
        for start in range(low, high, _WIDEST):
            yield start, min(start + _WIDEST, high)


def whole(pages: int) -> list[tuple[int, int]]:
    """All of a table; its end is left open, in case that it has grown since it was measured."""
    return [(0, pages), (pages, _END)] if pages else [(0, _END)]


def shares(ranges: Ranges, most: int) -> list[Ranges]:
    """The ranges in about equal portions, for several connections.

    :param most: how many portions.
    """
    pieces = list(_pieces(ranges))
    size = max(16, -(-len(pieces) // most))
    return [pieces[start : start + size] for start in range(0, len(pieces), size)]


def compare_digests(
    lanes: Lanes, digesting: Digesting, places: tuple[Places, Places], most: int
) -> Found:
    """:param places: of each side.
    :param most: how many differences the sample holds.
    :raises MovedError: a table was rewritten in a way that no snapshot protects from."""
    with Store() as first, Store() as other:
        jobs = []
        for side, store in enumerate((first, other)):
            for number, place in enumerate(places[side]):
                query = digesting.query(side, place.relation, number).as_bytes()
                for share in shares(place.ranges, 2 * lanes.width):
                    jobs.append(lanes.submit(side, _reader(query, share, store)))
        for job in jobs:
            job.result()
        found = Found()
        for part in range(digesting.parts):
            tids = differing(first.take(part), other.take(part))
            if any(tids):
                _compare_rows(lanes, digesting.table, places, tids, found, most)
        return found


def _reader(query: bytes, share: Ranges, store: Store) -> Any:  # noqa: ANN401
    return lambda conn: read_digests(conn, query, share, store)


def _compare_rows(
    lanes: Lanes, table: Common, places: tuple[Places, Places],
    tids: tuple[list[bytes], list[bytes]], found: Found, most: int,
) -> None:  # fmt: skip
    """Match the rows that differ by their key."""
    with Sorter() as one, Sorter() as two:
        jobs = [lanes.submit(side, _fetcher(table, side, places[side], tids[side], sorter))
                for side, sorter in enumerate((one, two)) if tids[side]]  # fmt: skip
        for job in jobs:
            job.result()
        merge(one.sorted(), two.sorted(), Names(table.columns, table.key, table.told), most, found)


def _fetcher(table: Common, side: int, places: Places, tids: list[bytes], sorter: Sorter) -> Any:  # noqa: ANN401
    def fetch(conn: psycopg.Connection[Any]) -> None:
        found: dict[int, list[tuple[int, int]]] = {}
        for number, block, line in map(_TID.unpack, sorted(tids)):
            found.setdefault(number, []).append((block, line))
        for number, lines in found.items():
            read_rows(conn, table, side, places[number].relation, lines, sorter)

    return fetch


def read_rows(
    conn: psycopg.Connection[Any], table: Common, side: int, relation: str,
    lines: Sequence[tuple[int, int]], sorter: Sorter,
) -> None:  # fmt: skip
    """The rows that lie there; by COPY, which holds no more than one of them in memory."""
    query = sql.SQL(
        "COPY (SELECT {}, {} FROM {} t WHERE t.ctid = ANY ({}::tid[])) TO STDOUT (FORMAT binary)"
    )
    texts: list[sql.Composable] = [table.key_text(side), table.row_text()]
    if conn.info.parameter_status("server_encoding") == "SQL_ASCII":
        # Any bytes may be there; as text they would have to be UTF-8 to come here.
        texts = [sql.SQL("convert_to({}, 'SQL_ASCII')").format(text) for text in texts]
    for start in range(0, len(lines), _TIDS):
        chunk = lines[start : start + _TIDS]
        listed = "{" + ",".join(f'"({block},{line})"' for block, line in chunk) + "}"
        text = query.format(*texts, table.relation(relation), sql.Literal(listed))
        read = 0
        with conn.cursor() as cursor, cursor.copy(text) as copy:
            copy.set_types(["bytea", "bytea"])  # their bytes, whatever they are
            for row in copy.rows():
                sorter.add(row)
                read += 1
        if read != len(chunk):
            raise MovedError(
                f"rows of {relation} were moved while they were compared",
                hint="compare again when nobody rewrites the table",
            )
