"""Numbers as people read them in every report of the lab. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from cowdb.units import size_text

__all__ = ["joined", "many", "one_line", "per_second", "place", "size_text", "span", "spread"]


def span(ms: float) -> str:
    """A duration: 0.4 ms, 12 ms, 3.2 s, 2 min 5 s, 1 h 12 min."""
    if ms < 9.95:
        return f"{ms:.1f} ms" if ms >= 0.05 else "0 ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def spread(values: Sequence[float]) -> str:
    """The median, and the range where there are several."""
    ordered = sorted(values)
    text = span(median(ordered))
    if len(ordered) > 1:
        text += f" ({span(ordered[0])} to {span(ordered[-1])})"
    return text


def median(values: Sequence[float]) -> float:
    """Of one value or more."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def per_second(count: float) -> str:
    return f"{size_text(round(count))}/s"


def many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {_plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith(("x", "ch")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith(("ry", "cy")) else f"{noun}s"


def joined(names: Sequence[str]) -> str:
    """a, b and c"""
    *start, last = names
    return f"{', '.join(start)} and {last}" if start else last


def one_line(text: str, most: int = 200) -> str:
    """White space folded, and cut at `most` characters."""
    folded = " ".join(text.split())
    return folded if len(folded) <= most else f"{folded[: most - 4]} ..."


def place(number: int | None, file: str | None, line: int | None) -> str:
    """Where a statement stands: statement 3 (up.sql:12)."""
    if number is None:
        return ""
    where = f" ({file}:{line})" if file is not None and line is not None else ""
    return f"statement {number}{where}"
