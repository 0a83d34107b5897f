"""What an incremental send stream of ZFS says was written, without keeping what.

The stream is a sequence of records of 312 bytes (struct dmu_replay_record, zfs_ioctl.h), some with
content behind them, in the byte order of the host that made it. Applied to the older snapshot it
gives the newer one, so a byte that no record names is the same in both. A changed dnode brings its
neighbours along: records of type OBJECT and FREE come for files that nobody touched, and do not
matter, since such a FREE begins at the file's end.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

Written = dict[int, list[tuple[int, int]]]
"""By object number (a file's inode number), half-open ranges of bytes; END for an open end."""

END = 2**64 - 1
_SIZE = 312
_MAGIC = 0x2F5BACBAC
(_BEGIN, _OBJECT, _FREEOBJECTS, _WRITE, _FREE, _LAST, _BYREF, _SPILL, _EMBEDDED,
 _RANGE, _REDACT) = range(11)  # fmt: skip
_HEAD = struct.Struct("=2I")  # type, bytes behind a BEGIN
_BONUS = struct.Struct("=I4xI")  # of an object: bytes of its bonus, and of a raw stream's
_PIECE = struct.Struct("=3Q")  # object, offset, length
_BLOCK = struct.Struct("=Q8x2Q")  # of a WRITE: object, offset, length
_LONG = struct.Struct("=Q")
_CHUNK = 2**20


def written(stream: BinaryIO) -> Written:
    """:raises ValueError: this is no such stream, or not all of one."""
    found: Written = {}
    buffer = memoryview(bytearray(_CHUNK))
    record = buffer[:_SIZE].tobytes()
    begun = False
    while True:
        record = _exactly(stream, _SIZE)
        kind, behind = _HEAD.unpack_from(record)
        if not begun and (kind != _BEGIN or _LONG.unpack_from(record, 8)[0] != _MAGIC):
            raise ValueError("this is not a stream of zfs send")
        begun = True
        if kind == _LAST:
            return found
        if kind in (_FREE, _BYREF, _EMBEDDED, _REDACT):
            _note(found, *_PIECE.unpack_from(record, 8))
        elif kind == _WRITE:
            _note(found, *_BLOCK.unpack_from(record, 8))
        _skip(stream, _content(kind, behind, record), buffer)


def _note(found: Written, item: int, start: int, length: int) -> None:
    end = END if length >= END - start else start + length
    pieces = found.setdefault(item, [])
    if pieces and pieces[-1][1] == start:
        pieces[-1] = (pieces[-1][0], end)
    else:
        pieces.append((start, end))


def _content(kind: int, behind: int, record: bytes) -> int:
    """Bytes behind a record."""
    if kind == _BEGIN:
        return behind
    if kind == _OBJECT:
        plain, raw = _BONUS.unpack_from(record, 28)
        return int(raw or plain + 7 & ~7)
    if kind == _WRITE:
        compressed = record[50] != 0
        return int(_LONG.unpack_from(record, 96 if compressed else 32)[0])
    if kind == _SPILL:
        return int(_LONG.unpack_from(record, 40)[0] or _LONG.unpack_from(record, 16)[0])
    if kind == _EMBEDDED:
        (size,) = struct.unpack_from("=I", record, 52)
        return int(size + 7 & ~7)
    if kind in (_FREEOBJECTS, _FREE, _BYREF, _RANGE, _REDACT):
        return 0
    raise ValueError(f"a stream of zfs send has a record of unknown type {kind}")


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            raise ValueError("the stream of zfs send ends too early")
        data += more
    return data


def _skip(stream: BinaryIO, size: int, buffer: memoryview) -> None:
    while size:
        got = stream.readinto(buffer[: min(size, len(buffer))])  # type: ignore[attr-defined]
        if not got:
            raise ValueError("the stream of zfs send ends too early")
        size -= got
