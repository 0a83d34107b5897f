"""Sleep and wake: what the front costs a query, what a wake costs a client, what a sleeper costs.

`measure` runs it, `story` tells it; the seam between them is the JSON.
"""

from __future__ import annotations

import argparse

from bench import options
from bench.scenarios.sleep.measure import run
from bench.scenarios.sleep.story import draw, headline, page, table

HELP = "branches that sleep: the way through the front, the first answer, the memory of a sleeper"
PARTS: tuple[str, ...] = ()

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    options.amount(parser, "--wakes", 30, "of a branch that has fallen asleep")
    options.amount(parser, "--sleepers", 150, "branches that sleep at once")
    options.amount(parser, "--seconds", 5, "of pgbench, each time")
    options.amount(parser, "--rounds", 3, "of that, the ways in turn")
