"""Whether WAL that a recovery would replay can hold a CREATE TABLESPACE: read here, page by page.

pg_waldump knows for certain, and takes 15 ms to start. Most copies have a few pages to replay, and
in those nothing even looks like such a record:

    record    total length (u32), transaction (u32), previous record (u64), info (u8), manager (u8),
              two zero bytes, CRC (u32); begins on a multiple of 8, so that the eight bytes from
              `info` on are never parted by the end of a page
    page      magic (u16), info (u16), timeline (u32), its own address (u64), ...; the first one of
              a segment has the bytes of a page (u32) at 36

Recovery reads page after page and ends at the latest where a page has not its own address.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cowdb.agent.beneath import Beneath
from cowdb.errors import CowdbError

_PAGE: Final = struct.Struct("<8xQ8x")  # the header's size, too
_PAGE_SIZE: Final = struct.Struct("<36xI")
_RECORD: Final = struct.Struct("<2IQ")  # up to `info`
# CREATE is 0 in the upper half of `info`, and the manager of tablespaces is number 5.
_LIKELY: Final = re.compile(rb"(?=[\x00-\x0f]\x05\x00\x00)", re.DOTALL)
_LENGTHS: Final = range(24, 2048)  # bytes of such a record: headers, a number, a path
_LIMIT: Final = 2 * 2**20  # bytes to read; more is for pg_waldump
_SEGMENTS: Final = range(2**20, 2**30 + 1)
_LENGTHS_OF_PAGES: Final = frozenset(2**power for power in range(10, 17))
_NAME: Final = re.compile(r"[0-9A-F]{24}")


class _UnknownError(Exception):
    """This is not as expected."""


def surely_no_tablespace(datadir: Path, redo: str, timeline: int) -> bool:
    """False says nothing: there is too much to read, or something that could be one.

    :param redo: where replay begins, as pg_control has it.
    """
    high, _, low = redo.partition("/")
    position = (int(high, 16) << 32) + int(low, 16)
    try:
        with Beneath(datadir) as directory, directory.directory("pg_wal") as wal:
            pages = _pages(wal, position, timeline)
            return not any(_looks_like_one(page, address, position) for address, page in pages)
    except (CowdbError, OSError, struct.error, _UnknownError):
        return False


def _pages(wal: int, position: int, timeline: int) -> Iterator[tuple[int, bytes]]:
    """(address, content) of each page that recovery may read, from the one at `position` on."""
    names = os.listdir(wal)
    if any(name.endswith(".history") for name in names):
        raise _UnknownError("it may follow another timeline")
    segments = [name for name in names if _NAME.fullmatch(name)]
    size = os.stat(segments[0], dir_fd=wal, follow_symlinks=False).st_size if segments else 0
    if size not in _SEGMENTS or size & (size - 1):
        raise _UnknownError("no segment")
    read, first = 0, position
    for number in range(position // size, position // size + _LIMIT // size + 2):
        name = _segment(number, timeline, size)
        if name not in segments:
            if number == first // size:
                raise _UnknownError("the first segment is missing")
            return
        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=wal), "rb",
                  buffering=0) as file:  # fmt: skip
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _UnknownError(name)
            (length,) = _PAGE_SIZE.unpack(file.read(_PAGE_SIZE.size))
            if length not in _LENGTHS_OF_PAGES:
                raise _UnknownError("no page")
            start = position % size // length * length if number == first // size else 0
            file.seek(start)
            while start < size and (page := file.read(length)):
                address = number * size + start
                if len(page) < length or _PAGE.unpack_from(page)[0] != address:
                    if address <= first:
                        raise _UnknownError("the first page is another's")
                    return
                yield address, page
                start, read = start + length, read + length
                if read > _LIMIT:
                    raise _UnknownError("too much")


def _segment(number: int, timeline: int, size: int) -> str:
    each = 2**32 // size
    return f"{timeline:08X}{number // each:08X}{number % each:08X}"


def _looks_like_one(page: bytes, address: int, since: int) -> bool:
    """:param since: what begins before is not replayed."""
    for found in _LIKELY.finditer(page):
        place = found.start()
        begin = place - _RECORD.size
        if place % 8 or address + place < since:
            continue
        if begin < _PAGE.size:  # its head may be on the page before
            return True
        length, _, before = _RECORD.unpack_from(page, begin)
        if length in _LENGTHS and 0 < before < address + begin:
            return True
    return False
