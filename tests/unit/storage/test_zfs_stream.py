"""Records of a send stream, put together by hand; test_zfs_changed.py reads real ones."""

from __future__ import annotations

import io
import struct

import pytest

from cowdb.agent.storage.zfs_stream import END, written

BEGIN, OBJECT, FREEOBJECTS, WRITE, FREE, LAST, BYREF, SPILL, EMBEDDED, RANGE, REDACT = range(11)


def record(kind: int, *words: int, behind: int = 0, content: int = 0) -> bytes:
    """:param words: from byte 8 on, of eight bytes each. :param content: bytes behind it."""
    body = struct.pack(f"=2I{len(words)}Q", kind, behind, *words)
    return body.ljust(312, b"\0") + b"\xee" * content


HEAD = record(BEGIN, 0x2F5BACBAC, behind=40, content=40)


def write(item: int, start: int, length: int, compressed: int = 0) -> bytes:
    made = bytearray(record(WRITE, item, 19, start, length, content=compressed or length))
    if compressed:
        made[50] = 15
        struct.pack_into("=Q", made, 96, compressed)
    return bytes(made)


def test_every_kind_of_record() -> None:
    item = record(OBJECT, 7, 0, 512 | 168 << 32, content=168)  # block size, bytes of the bonus
    odd = record(OBJECT, 7, 0, 512 | 5 << 32, content=8)
    embedded = record(EMBEDDED, 7, 65536, 16384, 0, 0, 16384 | 57 << 32, content=64)
    spill = record(SPILL, 7, 512, content=512)
    packed = record(SPILL, 7, 512, 0, 0, 96, content=96)
    stream = b"".join([
        HEAD, item, write(7, 0, 16384), write(7, 16384, 16384, 4096), spill, packed,
        record(FREE, 7, 1 << 20, END - (1 << 20)), odd, embedded, record(FREEOBJECTS, 9, 3),
        record(BYREF, 8, 0, 512), record(REDACT, 8, 1024, 512), record(RANGE, 32, 32),
        record(FREE, 9, 4096, END), record(LAST),
    ])  # fmt: skip
    assert written(io.BytesIO(stream)) == {
        7: [(0, 32768), (1 << 20, END), (65536, 81920)],
        8: [(0, 512), (1024, 1536)],
        9: [(4096, END)],
    }


def test_what_is_no_whole_stream_is_an_error() -> None:
    for stream in (b"", HEAD, HEAD[:-1], HEAD + write(1, 0, 4096)[:-1], record(LAST),
                   record(BEGIN, 1) + record(LAST), HEAD + record(99)):  # fmt: skip
        with pytest.raises(ValueError, match="stream"):
            written(io.BytesIO(stream))
