"""Long lists of rows in portions: a browser lays out the first, and the others when opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST = 200
"""Rows in a portion."""


@dataclass(frozen=True)
class Portion(Generic[T]):
    """:param title: which rows they are; empty for those that stand open."""

    title: str
    records: Sequence[T]


def portions(records: Sequence[T]) -> Iterator[Portion[T]]:
    for start in range(0, len(records), _MOST):
        part = records[start : start + _MOST]
        title = f"Rows {start + 1:,} to {start + len(part):,} of {len(records):,}"
        yield Portion(title if start else "", part)
