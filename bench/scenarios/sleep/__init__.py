"""Sleep and wake: what the front costs a query, what a wake costs a client, what a sleeper costs.

`measure` runs it, `story` tells it; the seam between them is the JSON.
"""

from __future__ import annotations

import argparse

from bench.scenarios.sleep.measure import run
from bench.scenarios.sleep.story import draw, headline, page, table

HELP = "branches that sleep: the way through the front, the first answer, the memory of a sleeper"
PARTS: tuple[str, ...] = ()

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wakes", type=int, default=30, metavar="N",
                        help="of a branch that has fallen asleep (default 30)")  # fmt: skip
    parser.add_argument("--sleepers", type=int, default=150, metavar="N",
                        help="branches that sleep at once (default 150)")  # fmt: skip
    parser.add_argument("--seconds", type=int, default=5, metavar="N",
                        help="of pgbench, each time (default 5)")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3, metavar="N",
                        help="of that, the ways in turn (default 3)")  # fmt: skip
