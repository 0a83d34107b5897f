"""Words for the terminal: colour where it may be, and nothing that could act on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click
from tabulate import tabulate

from cowdb.controller.diff.model import MOST_SAMPLE, Change, Value

CHANGES: tuple[Change, ...] = ("added", "removed", "changed")
SIGNS: dict[Change, str] = {"added": "+", "removed": "-", "changed": "~"}
COLORS = {"added": "green", "removed": "red", "changed": "yellow"}
_LONGEST_VALUE = 120


@dataclass(frozen=True)
class Pen:
    color: bool

    def __call__(self, text: str, hue: str | None = None, *, bold: bool = False) -> str:
        return click.style(text, fg=hue, bold=bold or None) if self.color else text

    def table(
        self, headers: Sequence[str], rows: Sequence[Sequence[str]], hues: Sequence[str | None],
        *, left: int = 1,
    ) -> list[str]:  # fmt: skip
        """:param hues: of each row; a row with one is bold, too.
        :param left: how many columns, the first ones, are set to the left."""
        align = ["left" if place < left else "right" for place in range(len(headers))]
        text = tabulate(rows, headers, tablefmt="simple", colalign=align, disable_numparse=True)
        head, rule, *lines = (line.rstrip() for line in text.splitlines())
        told = [self(line, hue, bold=hue is not None)
                for line, hue in zip(lines, hues, strict=True)]  # fmt: skip
        return [self(head, bold=True), rule, *told]


def many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def joined(names: Sequence[str]) -> str:
    """a, b and c"""
    *start, last = map(printable, names)
    return f"{', '.join(start)} and {last}" if start else last


def value_text(value: Value) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return f"[{', '.join(map(printable, value))}]"
    text = printable(" ".join(value.split()) if isinstance(value, str) else str(value))
    if len(text) > _LONGEST_VALUE:
        return text[: _LONGEST_VALUE - 4] + " ..."
    return text or "''"


def printable(text: str) -> str:
    """A name may hold escape sequences that would act on the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def more_rows(shown: int, kept: int) -> str:
    """How to see more rows of a table than are shown, where there is a way.

    :param kept: how many the report has."""
    if shown < kept:
        return " (--details)"
    return " (--sample N)" if kept < MOST_SAMPLE else ""


def limited(lines: Sequence[str], most: int | None, noun: str) -> list[str]:
    """The first lines, and how many more there are; all of them where there is no limit."""
    if most is None or len(lines) <= most + 1:
        return list(lines)
    return [*lines[:most], f"... {many(len(lines) - most, noun)} more (--details)"]
