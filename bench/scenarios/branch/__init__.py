"""Branch creation: cowdb beside dump and restore, a plain copy, and template databases.

`measure` runs it, `story` tells it; the seam between them is the JSON.
"""

from __future__ import annotations

import argparse

from bench.scenarios.branch import measure
from bench.scenarios.branch.measure import run
from bench.scenarios.branch.story import draw, headline, page, table
from bench.sizes import parse_sizes

HELP = "make a branch, and the same by dump, by copy and by template, for several database sizes"
PARTS: tuple[str, ...] = ()

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", type=parse_sizes, default=measure.DEFAULT_SIZES,
                        metavar="LIST", help="such as 100MB,1GB,3GB (the default)")  # fmt: skip
    parser.add_argument("--creations", type=int, default=30, metavar="N",
                        help="branches made of each database (default 30)")  # fmt: skip
    parser.add_argument("--repeats", type=int, default=3, metavar="N",
                        help="of each peer, as far as the budget goes (default 3)")  # fmt: skip
    parser.add_argument("--peer-budget", type=float, default=60.0, metavar="SECONDS",
                        help="no further repeat of a peer after so long (default 60)")  # fmt: skip
    parser.add_argument("--pg-version", metavar="MAJOR", help="default: the newest installed")
