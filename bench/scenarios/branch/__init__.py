"""Branch creation: cowdb beside dump and restore, a plain copy, and template databases.

`measure` runs it, `story` tells it; the seam between them is the JSON.
"""

from __future__ import annotations

import argparse

from bench import options
from bench.scenarios.branch import measure
from bench.scenarios.branch.measure import run
from bench.scenarios.branch.story import draw, headline, page, table

HELP = "make a branch, and the same by dump, by copy and by template, for several database sizes"
PARTS: tuple[str, ...] = ()

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    options.sizes(parser, measure.DEFAULT_SIZES)
    options.amount(parser, "--creations", 30, "branches made of each database")
    options.amount(parser, "--repeats", 3, "of each peer, as far as the budget goes")
    options.amount(parser, "--peer-budget", 60.0, "no further repeat of a peer after so long",
                   "SECONDS")  # fmt: skip
    options.version(parser)
