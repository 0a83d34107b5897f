"""How much WAL was written, and when. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

Written = Sequence[tuple[float, int]]
"""Moments in seconds and bytes written by then, both rising."""


def by(written: Written, moment: float) -> float:
    """Bytes written by a moment, between two samples in proportion."""
    place = bisect_left(written, (moment, 0))
    if place == 0:
        return float(written[0][1])
    if place == len(written):
        return float(written[-1][1])
    (one, low), (two, high) = written[place - 1], written[place]
    return low + (high - low) * (moment - one) / (two - one) if two > one else float(high)


def part(written: Written, began: float, ended: float) -> Written:
    """What was written between two moments."""
    if not written:
        return []
    inner = [item for item in written if began < item[0] < ended]
    return [(began, round(by(written, began))), *inner, (ended, round(by(written, ended)))]


def busiest(written: Written, length: float = 1.0) -> float:
    """The most bytes in any second; in a shorter time, all of it."""
    if not written:
        return 0.0
    return max(by(written, at + length) - value for at, value in written)


def between(written: Written, began: float, ended: float, apart: float) -> int | None:
    """What a statement wrote; None where it was too short for samples to tell.

    :param apart: seconds between samples."""
    if not written or ended - began < 4 * apart:
        return None
    return round(by(written, ended) - by(written, began))
