"""Half-open ranges of blocks, in order and without overlap. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

Ranges: TypeAlias = Sequence[tuple[int, int]]


def joined(ranges: Iterable[Sequence[int]], gap: int = 0) -> list[tuple[int, int]]:
    """In order, with gaps of up to `gap` blocks between two of them filled."""
    result: list[tuple[int, int]] = []
    for low, high in sorted((low, high) for low, high in ranges):
        if low >= high:
            continue
        if result and low <= result[-1][1] + gap:
            result[-1] = (result[-1][0], max(high, result[-1][1]))
        else:
            result.append((low, high))
    return result


def without(ranges: Ranges, others: Ranges) -> list[tuple[int, int]]:
    """What of `ranges` is not in `others`."""
    result = []
    place = 0
    for low, high in ranges:
        while place < len(others) and others[place][1] <= low:
            place += 1
        here, start = place, low
        while here < len(others) and others[here][0] < high:
            if start < others[here][0]:
                result.append((start, others[here][0]))
            start = max(start, others[here][1])
            here += 1
        if start < high:
            result.append((start, high))
    return result


def total(ranges: Ranges) -> int:
    """Blocks in them."""
    return sum(high - low for low, high in ranges)
