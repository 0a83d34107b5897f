"""Answers of the load as they come, summed up in slices of time, so that hours fit in memory.
Pure: every time is given, in seconds of one clock; may be called from several threads.

A stall is a time in which somebody waited and nobody got an answer: an error is no answer, and a
pause between queries that a rate asks for is no waiting.
"""

from __future__ import annotations

import bisect
import math
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from cowdb.controller.lab.model import LoadResult, Second, Traffic

Phase = Literal["before", "during", "after"]
SLICE = 0.1  # seconds
_PHASES: tuple[Phase, ...] = ("before", "during", "after")
_MOST_SLICES = 600
_MOST_MESSAGES = 50
_GROWTH = math.log(1.03)
_LEAST_GAP = 0.01  # seconds; shorter ones are only kept as the longest of their phase


class Latencies:
    """How often which latency, to 1.5 %; milliseconds."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.longest: float | None = None

    def add(self, ms: float) -> None:
        self._buckets[math.floor(math.log(max(ms, 0.001)) / _GROWTH)] += 1
        self.count += 1
        self.longest = ms if self.longest is None else max(self.longest, ms)

    def merge(self, other: Latencies) -> None:
        self._buckets.update(other._buckets)
        self.count += other.count
        if other.longest is not None:
            self.longest = max(self.longest or 0.0, other.longest)

    def percentile(self, share: float) -> float | None:
        """:param share: 0.95 for what 95 % do not exceed."""
        if self.longest is None:
            return None
        wanted, seen = math.ceil(share * self.count), 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return round(min(math.exp((bucket + 0.5) * _GROWTH), self.longest), 3)
        raise AssertionError("every answer is in a bucket")


@dataclass
class _Slice:
    latencies: Latencies = field(default_factory=Latencies)
    errors: int = 0


class Recorder:
    """:param start: when the phase `before` begins."""

    def __init__(self, start: float) -> None:
        self._lock = threading.Lock()
        self._begins: dict[Phase, float] = {"before": start}
        self._slices: dict[tuple[Phase, int], _Slice] = {}
        self._messages: Counter[str] = Counter()
        self._waiting_since: float | None = None
        self._under_way = 0
        self._gaps: list[tuple[float, float]] = []
        self._small: Counter[Phase] = Counter()

    def mark(self, phase: Phase, at: float) -> None:
        """The strategy begins (`during`), or has ended (`after`)."""
        with self._lock:
            self._begins[phase] = at

    def begun(self, at: float) -> None:
        with self._lock:
            self._under_way += 1
            if self._waiting_since is None:
                self._waiting_since = at

    def answered(self, at: float, ms: float) -> None:
        with self._lock:
            self._under_way -= 1
            self._slice(at).latencies.add(ms)
            if self._waiting_since is not None:
                self._gap(self._waiting_since, at)
            self._waiting_since = at if self._under_way else None

    def failed(self, at: float, message: str, *, begun: bool = True) -> None:
        """:param begun: a query had been sent; not so where nobody could connect."""
        with self._lock:
            self._under_way -= begun
            self._slice(at).errors += 1
            if message not in self._messages and len(self._messages) >= _MOST_MESSAGES:
                message = "other errors"
            self._messages[message] += 1
            if self._waiting_since is None:
                self._waiting_since = at

    def stopped(self) -> None:
        """A query was ended by the load itself, which is neither an answer nor an error."""
        with self._lock:
            self._under_way -= 1

    def result(self, end: float) -> LoadResult:
        """:param end: when the last phase ends. Milliseconds, since the strategy began."""
        with self._lock:
            gaps = list(self._gaps)
            if self._waiting_since is not None and self._waiting_since < end:
                gaps.append((self._waiting_since, end))
            return {
                "phases": [self._phase(name, gaps, end) for name in _PHASES
                           if name in self._begins],
                "line": self._line(end),
                "errors": dict(self._messages.most_common()),
            }  # fmt: skip

    def _phase_at(self, at: float) -> Phase:
        return next(name for name in reversed(_PHASES)
                    if name == "before" or at >= self._begins.get(name, math.inf))  # fmt: skip

    def _slice(self, at: float) -> _Slice:
        phase = self._phase_at(at)
        number = max(0, math.floor((at - self._begins[phase]) / SLICE))
        return self._slices.setdefault((phase, number), _Slice())

    def _gap(self, begin: float, end: float) -> None:
        if end - begin >= _LEAST_GAP:
            self._gaps.append((begin, end))
        else:
            phase = self._phase_at(end)
            self._small[phase] = max(self._small[phase], end - begin)  # type: ignore[assignment]

    def _until(self, phase: Phase, end: float) -> float:
        later = [self._begins[name] for name in _PHASES[_PHASES.index(phase) + 1 :]
                 if name in self._begins]  # fmt: skip
        return min([*later, end])

    def _phase(self, phase: Phase, gaps: list[tuple[float, float]], end: float) -> Traffic:
        begin, until = self._begins[phase], self._until(phase, end)
        whole, errors = Latencies(), 0
        for (name, _), one in self._slices.items():
            if name == phase:
                whole.merge(one.latencies)
                errors += one.errors
        inside = [min(to, until) - max(since, begin) for since, to in gaps]
        stall = max([self._small[phase], *inside, 0.0])
        return {
            "phase": phase,
            "transactions": whole.count,
            "per_second": round(whole.count / max(until - begin, 0.001), 1),
            "errors": errors,
            "p50_ms": whole.percentile(0.5),
            "p95_ms": whole.percentile(0.95),
            "p99_ms": whole.percentile(0.99),
            "longest_ms": None if whole.longest is None else round(whole.longest, 3),
            "stall_ms": round(stall * 1000, 1),
        }

    def _line(self, end: float) -> list[Second]:
        """Slices of one width, wider where it was long; the last one of a phase takes the rest."""
        origin = self._begins.get("during", self._begins["before"])
        spans = [(name, self._begins[name], self._until(name, end)) for name in _PHASES
                 if name in self._begins]  # fmt: skip
        slices = sum(max(0.0, until - begin) for _, begin, until in spans) / SLICE
        width = max(1, math.ceil(slices / _MOST_SLICES))
        line: list[Second] = []
        for name, begin, until in spans:
            numbers = sorted(number for phase, number in self._slices if phase == name)
            firsts = range(0, max(1, round((until - begin) / SLICE)), width)
            for first in firsts:
                latencies, errors = Latencies(), 0
                low = bisect.bisect_left(numbers, first)
                high = bisect.bisect_left(numbers, first + width)
                for number in numbers[low : None if first == firsts[-1] else high]:
                    latencies.merge(self._slices[name, number].latencies)
                    errors += self._slices[name, number].errors
                line.append({
                    "at_ms": round((begin - origin + first * SLICE) * 1000, 1),
                    "answered": latencies.count,
                    "errors": errors,
                    "p50_ms": latencies.percentile(0.5),
                    "p99_ms": latencies.percentile(0.99),
                    "longest_ms": latencies.longest,
                })  # fmt: skip
        return line
