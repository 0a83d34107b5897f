"""Sizes, durations and versions as people write and read them. Pure."""

from __future__ import annotations

import re

from cowdb.errors import InvalidError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def size_text(count: int | None) -> str:
    """Bytes for people: 1.5 MiB."""
    if count is None:
        return "-"
    amount, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):  # noqa: B007
        if abs(amount) < 1024:
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def parse_duration(text: str) -> int:
    """ "90s", "15m", "2h", "7d" as seconds; raises InvalidError."""
    match = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if not match or int(match[1]) == 0:
        raise InvalidError(f"{text!r} is not a duration", hint="such as 90s, 15m, 2h or 7d")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds > 366 * _UNITS["d"]:
        raise InvalidError(f"{text!r} is longer than a year", hint="at most 366d")
    return seconds


def parse_size(text: str) -> int:
    """ "20G", "512M" as bytes; raises InvalidError."""
    match = re.fullmatch(r"(\d+)([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if not match:
        raise InvalidError(f"{text!r} is not a size", hint="such as 512M or 20G")
    return int(match[1]) * _SIZES[match[2].upper()]


def major_of(version: str) -> int:
    """15 of "15.18"."""
    return int(version.partition(".")[0])
