"""What every scenario measures time by."""

from __future__ import annotations

import time


def since(begun: float) -> float:
    """Milliseconds since a reading of time.perf_counter."""
    return (time.perf_counter() - begun) * 1000
