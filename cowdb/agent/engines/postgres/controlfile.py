"""pg_control, read without starting a program for it (which costs 8 ms, several times a branch).

The fields up to the timeline have stood in the same places since PostgreSQL 13; those about the
build follow the number 1234567.0, which is there to show the format of floats:

    0 system identifier  8 version of the layout  16 state  32 checkpoint  40 redo  48 timeline
    ... 1234567.0  bytes of a block  blocks of a file ... CRC-32C of everything before it

Where anything is not as expected there is no answer, and pg_controldata has the word.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

SIZE: Final = 8192  # bytes of the file
_USED: Final = 512  # bytes in use, at most
_VERSIONS: Final = range(1300, 1801)  # of 13 to 18; a changed layout has another number
_HEAD: Final = struct.Struct("<Q2Ii12x2QI")
_BUILD: Final = struct.Struct("<d2I")
_CRC: Final = struct.Struct("<I")
# As pg_controldata words them, by number.
STATES: Final = (
    "starting up",
    "shut down",
    "shut down in recovery",
    "shutting down",
    "in crash recovery",
    "in archive recovery",
    "in production",
)
CLEAN_STATES: Final = ("shut down", "shut down in recovery")


@dataclass(frozen=True, slots=True)
class Control:
    """pg_control.

    :param lsn: of the latest checkpoint.
    :param redo: where replay begins after a crash.
    :param state: as pg_controldata words it ("in production", "shut down", ...).
    :param layout: bytes of a block, blocks of a relation's file; a build can have its own.
    """

    system_identifier: str
    lsn: str
    timeline: int
    state: str
    redo: str = ""
    layout: tuple[int, int] = (8192, 131072)

    @property
    def clean(self) -> bool:
        return self.state in CLEAN_STATES

    @property
    def over(self) -> bool:
        """Every transaction has ended, but for prepared ones. On a standby that was shut down some
        may have been in progress."""
        return self.state == "shut down"


def parse(content: bytes) -> Control | None:
    """None when this is not a whole pg_control of a layout that is known."""
    if len(content) != SIZE:
        return None
    identifier, version, _, state, checkpoint, redo, timeline = _HEAD.unpack_from(content)
    if version not in _VERSIONS or not 0 <= state < len(STATES):
        return None
    place = content.find(struct.pack("<d", 1234567.0), _HEAD.size, _USED)
    if place < 0 or place % 8 or not _whole(content, place + _BUILD.size):
        return None
    _, block, blocks = _BUILD.unpack_from(content, place)
    return Control(
        system_identifier=str(identifier),
        lsn=lsn(checkpoint),
        timeline=timeline,
        state=STATES[state],
        redo=lsn(redo),
        layout=(block, blocks),
    )


def lsn(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def _whole(content: bytes, since: int) -> bool:
    """Whether the CRC is right. Where it stands depends on the version: it is the first number
    that agrees with what is before it."""
    crc = 0xFFFFFFFF
    for place in range(0, _USED, _CRC.size):
        if place >= since and _CRC.unpack_from(content, place)[0] == crc ^ 0xFFFFFFFF:
            return True
        for byte in content[place : place + _CRC.size]:
            crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return False


def _table() -> tuple[int, ...]:
    """Of CRC-32C (Castagnoli), bits reversed."""
    table = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        table.append(number)
    return tuple(table)


_TABLE: Final = _table()
