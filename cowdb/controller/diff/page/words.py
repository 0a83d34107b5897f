"""What changed inside a text: lines side by side, and within a changed line the words.

Bounded: where two texts are so long that comparing them well would take long, what lies between
their equal ends counts as changed as a whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Pieces: TypeAlias = tuple[tuple[bool, str], ...]
"""A text in pieces, each with whether it has changed."""

CONTEXT = 3  # unchanged lines around a change
_MOST_STEPS = 4_000_000  # lines of one text times lines of the other
_MOST_WORD_STEPS = 40_000
_MOST_EQUAL = 60_000  # pairs of equal lines: hundreds of blank ones would take difflib long
_ALIKE = 0.35  # two lines with less in common are not one line changed
_WORD = re.compile(r"\s+|\d[\d.,]*|\w+|[^\w\s]")


@dataclass(frozen=True)
class Line:
    """A line of both texts, or of one; numbers count from one.

    :param number: of the line in the first and the other text; None where it has no such line.
    """

    number: tuple[int | None, int | None]
    old: Pieces | None
    new: Pieces | None

    @property
    def change(self) -> str:
        if self.old is None:
            return "added"
        if self.new is None:
            return "removed"
        return "changed" if any(changed for changed, _ in self.old + self.new) else "same"


@dataclass(frozen=True)
class Gap:
    """So many lines that are the same on both sides and not shown."""

    lines: int


def compare_texts(old: str, new: str) -> list[Line | Gap]:
    """Changed lines with those around them, in order."""
    return list(_gaps(list(_lines(old.split("\n"), new.split("\n")))))


def compare_words(old: str, new: str) -> tuple[Pieces, Pieces]:
    """What changed in one value; all of it, where the two have little in common."""
    one, two = _WORD.findall(old), _WORD.findall(new)
    if _alike(one, two) < _ALIKE:
        return ((True, old),), ((True, new),)
    pieces: tuple[list[tuple[bool, str]], list[tuple[bool, str]]] = [], []
    for tag, (a, b), (c, d) in _blocks(one, two, _MOST_WORD_STEPS):
        changed = tag != "equal"
        for words, into in ((one[a:b], pieces[0]), (two[c:d], pieces[1])):
            if words:
                into.append((changed, "".join(words)))
    return _joined(pieces[0]), _joined(pieces[1])


def compare_items(old: Sequence[str], new: Sequence[str]) -> tuple[Pieces, Pieces]:
    """Two lists, item by item; an item that moved counts as changed."""
    pieces: tuple[list[tuple[bool, str]], list[tuple[bool, str]]] = [], []
    for tag, (a, b), (c, d) in _blocks(old, new, _MOST_STEPS):
        pieces[0].extend((tag != "equal", item) for item in old[a:b])
        pieces[1].extend((tag != "equal", item) for item in new[c:d])
    return tuple(pieces[0]), tuple(pieces[1])


def _lines(old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    for tag, (a, b), (c, d) in _blocks(old, new, _MOST_STEPS):
        if tag == "equal":
            for i, text in enumerate(old[a:b]):
                yield Line((a + i + 1, c + i + 1), ((False, text),), ((False, text),))
            continue
        for left, right in _pairs(old[a:b], new[c:d]):
            one = None if left is None else old[a + left]
            two = None if right is None else new[c + right]
            numbers = (
                None if left is None else a + left + 1,
                None if right is None else c + right + 1,
            )
            if one is not None and two is not None:
                yield Line(numbers, *compare_words(one, two))
            else:
                yield Line(
                    numbers,
                    None if one is None else ((False, one),),
                    None if two is None else ((False, two),),
                )


def _blocks(
    old: Sequence[str], new: Sequence[str], most: int
) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    """As difflib's opcodes; equal ends are found first, which is most of the work saved."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    one, two = old[start : len(old) - end], new[start : len(new) - end]
    if start:
        yield "equal", (0, start), (0, start)
    if len(one) * len(two) > most or _equal_pairs(one, two) > _MOST_EQUAL:
        yield "replace", (start, len(old) - end), (start, len(new) - end)
    elif one or two:
        for tag, a, b, c, d in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
            yield tag, (a + start, b + start), (c + start, d + start)
    if end:
        yield "equal", (len(old) - end, len(old)), (len(new) - end, len(new))


def _equal_pairs(one: Sequence[str], two: Sequence[str]) -> int:
    other = Counter(two)
    return sum(number * other[item] for item, number in Counter(one).items())


def _pairs(old: Sequence[str], new: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """Which line became which, in order: the pairing with the most in common."""
    if len(old) * len(new) > 900:
        return [
            *((i, None) for i in range(len(old))),
            *((None, j) for j in range(len(new))),
        ]
    words = [_WORD.findall(line) for line in old], [_WORD.findall(line) for line in new]
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    gain = [[_alike(one, two) for two in words[1]] for one in words[0]]
    for i in reversed(range(len(old))):
        for j in reversed(range(len(new))):
            together = gain[i][j] + best[i + 1][j + 1] if gain[i][j] >= _ALIKE else 0.0
            best[i][j] = max(together, best[i + 1][j], best[i][j + 1])
    found: list[tuple[int | None, int | None]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        if i == len(old):
            found.append((None, j))
            j += 1
        elif j == len(new) or best[i][j] == best[i + 1][j]:
            found.append((i, None))
            i += 1
        elif best[i][j] == best[i][j + 1]:
            found.append((None, j))
            j += 1
        else:
            found.append((i, j))
            i, j = i + 1, j + 1
    return found


def _alike(one: Sequence[str], two: Sequence[str]) -> float:
    """The share of characters, but for spaces, in words that both have; 1 where there are none."""
    first, second = (Counter(word for word in words if not word.isspace()) for words in (one, two))
    total = sum(len(word) * n for word, n in (first | second).items())
    common = sum(len(word) * n for word, n in (first & second).items())
    return common / total if total else 1.0


def _joined(pieces: Sequence[tuple[bool, str]]) -> Pieces:
    """Neighbours of one sort as one; a lone space between two changed words has changed too."""
    found: list[tuple[bool, str]] = []
    for place, (changed, text) in enumerate(pieces):
        between = 0 < place < len(pieces) - 1 and text.isspace() and len(text) == 1
        sort = changed or (between and pieces[place - 1][0] and pieces[place + 1][0])
        if found and found[-1][0] == sort:
            found[-1] = (sort, found[-1][1] + text)
        else:
            found.append((sort, text))
    return tuple(found)


def _gaps(lines: Sequence[Line]) -> Iterator[Line | Gap]:
    near: set[int] = set()
    for place, line in enumerate(lines):
        if line.change != "same":
            near.update(range(place - CONTEXT, place + CONTEXT + 1))
    skipped: list[Line] = []
    for place, line in enumerate(lines):
        if place in near:
            yield from _gap(skipped)
            skipped = []
            yield line
        else:
            skipped.append(line)
    yield from _gap(skipped)


def _gap(skipped: Sequence[Line]) -> Iterator[Line | Gap]:
    if len(skipped) == 1:  # its place would be as large
        yield skipped[0]
    elif skipped:
        yield Gap(len(skipped))
