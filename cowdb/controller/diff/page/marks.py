"""Pieces of compared texts as markup: what is gone in `<del>`, what is new in `<ins>`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from cowdb.controller.diff.model import Value
from cowdb.controller.diff.page.text import LONGEST, long, rest, shown, value
from cowdb.controller.diff.page.words import (
    Gap,
    Line,
    Pieces,
    compare_items,
    compare_texts,
    compare_words,
)

_DEL, _INS = Markup("<del>{}</del>"), Markup("<ins>{}</ins>")
_ALL_DEL, _ALL_INS = Markup("<del class=w>{}</del>"), Markup("<ins class=w>{}</ins>")
_LONGEST_SAME = 400  # unchanged characters in one run that are shown whole
_SOME_WORDS = 24  # a shorter value is marked as a whole: there is nothing to find in it
_MOST_SAME_ITEMS = 6
_MOST_LINES = 3_000  # of one text


@dataclass(frozen=True)
class TextLine:
    """One row of a text side by side; `gap` stands for so many lines, and then nothing else does.

    :param change: same, added, removed or changed; cut: what is left does not fit on the page.
    """

    change: str
    old_number: int | None = None
    old: Markup | None = None
    new_number: int | None = None
    new: Markup | None = None
    gap: int = 0


def pair(old: Value, new: Value, *, null: str = "none") -> tuple[Markup, Markup]:
    """Both values of what differs, with what differs marked inside them."""
    if isinstance(old, list) and isinstance(new, list):
        one, two = compare_items(old, new)
        return _items(one, _DEL), _items(two, _INS)
    if isinstance(old, str) and isinstance(new, str) and old and new:
        return _strings(old, new)
    return _ALL_DEL.format(value(old, null=null)), _ALL_INS.format(value(new, null=null))


def text_lines(old: str, new: str) -> list[TextLine]:
    lines = compare_texts(old, new)
    shown = [_text_line(line) for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        shown.append(TextLine("cut", gap=len(lines) - _MOST_LINES))
    return shown


def _text_line(line: Line | Gap) -> TextLine:
    if isinstance(line, Gap):
        return TextLine("same", gap=line.lines)
    one = None if line.old is None else _pieces(line.old, _DEL, code=True)
    two = None if line.new is None else _pieces(line.new, _INS, code=True)
    return TextLine(line.change, line.number[0], one, line.number[1], two)


def _strings(old: str, new: str) -> tuple[Markup, Markup]:
    if old.strip(" ") == new.strip(" ") and len(old) + len(new) < LONGEST:
        return _DEL.format(shown(old, edges=True)), _INS.format(shown(new, edges=True))
    if max(len(old), len(new)) < _SOME_WORDS:
        return _ALL_DEL.format(long(old)), _ALL_INS.format(long(new))
    one, two = compare_words(old, new)
    if len(one) == len(two) == 1:
        return _ALL_DEL.format(long(old)), _ALL_INS.format(long(new))
    return _pieces(one, _DEL), _pieces(two, _INS)


def _pieces(pieces: Pieces, mark: Markup, *, code: bool = False) -> Markup:
    return Markup("").join(
        mark.format(_cut(text, code)) if changed else _shortened(text, code)
        for changed, text in pieces
    )


def _cut(text: str, code: bool) -> Markup:
    return shown(text[:LONGEST], code=code) + rest(max(0, len(text) - LONGEST))


def _shortened(text: str, code: bool) -> Markup:
    """Of a long run that is the same on both sides, its ends."""
    if len(text) <= _LONGEST_SAME:
        return shown(text, code=code)
    end = _LONGEST_SAME // 4
    skipped = Markup(" <i class=nil>… {} characters the same …</i> ")
    return (
        shown(text[:end], code=code)
        + skipped.format(f"{len(text) - 2 * end:,}")
        + shown(text[-end:], code=code)
    )


def _items(pieces: Iterable[tuple[bool, str]], mark: Markup) -> Markup:
    """A line for each item; of a long run of unchanged ones, how many."""
    lines: list[Markup] = []
    same: list[str] = []
    for changed, item in pieces:
        if changed:
            lines += _unchanged(same)
            same = []
            lines.append(mark.format(long(item)))
        else:
            same.append(item)
    lines += _unchanged(same)
    return Markup("<br>").join(lines) if lines else value([])


def _unchanged(items: list[str]) -> list[Markup]:
    if len(items) <= _MOST_SAME_ITEMS:
        return [long(item) for item in items]
    return [Markup("<i class=nil>… {} the same</i>").format(len(items))]
