"""A branch that was ready before it was asked for: spares, beside pools of template databases.

`kinds` are the ways, `measure` runs them, `story` tells it; the seam is the JSON.
"""

from __future__ import annotations

import argparse

from bench import options
from bench.scenarios.spares.measure import run
from bench.scenarios.spares.story import draw, headline, page, table

HELP = "a branch from a warm spare, in the agent and as a whole command, beside pools of databases"
PARTS: tuple[str, ...] = ()

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    options.sizes(parser, ("20MB", "1GB"))
    options.amount(parser, "--repeats", 30, "of each way, in a client's process")
    options.amount(parser, "--commands", 15, "of each way, as a whole command")
    options.amount(parser, "--spares", 3, "ready at any time, also of databases")
    options.amount(parser, "--peer-budget", 20.0, "no further repeat of a peer after so long",
                   "SECONDS")  # fmt: skip
    options.version(parser)
