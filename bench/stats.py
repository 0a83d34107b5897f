"""Medians, percentiles and ratios of samples. Pure: the random source comes in as an argument."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

median = statistics.median


def percentile(values: Sequence[float], q: float) -> float:
    """Between the two nearest samples, linearly; the same as numpy's default.

    :param q: 0 to 100.
    """
    if not values:
        raise ValueError("no samples")
    ordered = sorted(values)
    place = (len(ordered) - 1) * q / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def growth(values: Sequence[float]) -> float | None:
    """The median of the last tenth over that of the first; None for less than ten samples."""
    tenth = len(values) // 10
    return median(values[-tenth:]) / median(values[:tenth]) if tenth else None


def medians_along(values: Sequence[float], parts: int) -> list[tuple[float, float]]:
    """(place, median) of each of so many equal parts of a series, in their order."""
    found = []
    for part in range(parts):
        low, high = (len(values) * end // parts for end in (part, part + 1))
        if high > low:
            found.append(((low + high) / 2, median(values[low:high])))
    return found


@dataclass(frozen=True, slots=True)
class Summary:
    n: int
    median: float
    p95: float
    p99: float
    min: float
    max: float

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 3) for name, value in asdict(self).items()}


def summarise(values: Sequence[float]) -> Summary:
    return Summary(len(values), median(values), percentile(values, 95), percentile(values, 99),
                   min(values), max(values))  # fmt: skip


def ratio_of_medians(
    over: Sequence[float], under: Sequence[float], chance: random.Random, rounds: int = 2000
) -> tuple[float, float, float]:
    """(ratio, low, high): the ratio of the medians and its 95 % interval by bootstrap."""
    found = sorted(
        median(chance.choices(over, k=len(over))) / median(chance.choices(under, k=len(under)))
        for _ in range(rounds)
    )
    return median(over) / median(under), percentile(found, 2.5), percentile(found, 97.5)
