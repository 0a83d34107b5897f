"""Block ranges of relations, from byte ranges and lengths of their files. Pure.

A relation is named by its main fork, `base/DATABASE/FILENODE`; a file of it holds SEGMENT blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

BLOCK = 8192
SEGMENT = 2**30 // BLOCK  # blocks of one file; changes.py looks whether both hold
_MAIN_FORK = re.compile(r"(base/\d+/\d+)(?:\.(\d+))?")

Ranges = dict[str, list[tuple[int, int]]]
"""For each relation, half-open ranges of its blocks."""


@dataclass(frozen=True)
class MainForks:
    """Files of a data directory that hold relations' main forks.

    :param data: the data directory, relative to the volume's tree.
    """

    data: str
    _prefix: str = field(init=False, default="")

    def __post_init__(self) -> None:
        place = str(PurePosixPath(self.data))
        object.__setattr__(self, "_prefix", "" if place == "." else f"{place}/")

    def named(self, path: str) -> tuple[str, int] | None:
        """(relation, its first block in this file), by the path in the volume's tree."""
        if not path.startswith(self._prefix):
            return None
        match = _MAIN_FORK.fullmatch(path, len(self._prefix))
        return (match[1], int(match[2] or 0) * SEGMENT) if match else None

    def wanted(self, path: str) -> bool:
        return self.named(path) is not None


def blocks(start: int, length: int, first: int) -> tuple[int, int]:
    """The blocks that a range of bytes touches.

    :param first: the file's first block.
    """
    return first + start // BLOCK, first - (-(start + length) // BLOCK)


def joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Half-open ranges in order, without overlap or touching neighbours."""
    result: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if result and low <= result[-1][1]:
            result[-1] = (result[-1][0], max(high, result[-1][1]))
        else:
            result.append((low, high))
    return result


def beyond_the_end(found: Ranges, first: Mapping[str, int], other: Mapping[str, int]) -> None:
    """Add the blocks that only one of two data directories has: what a truncation took is in no
    file any more.

    :param first: blocks of each relation; `other` likewise.
    """
    for name in first.keys() | other.keys():
        low, high = sorted((first.get(name, 0), other.get(name, 0)))
        if low != high:
            found.setdefault(name, []).append((low, high))
