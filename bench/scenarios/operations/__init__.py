"""Single operations at the n-th branch of a spine, a bushy and a fan-out tree, and 100 deep.

`measure` runs it, `story` tells it; the seam is the JSON.
"""

from __future__ import annotations

import argparse

from bench import options
from bench.scenarios.operations.measure import run
from bench.scenarios.operations.story import draw, headline, page, table

HELP = "create, connect, read, update and alter at the n-th branch of trees, and 100 branches deep"
PARTS: tuple[str, ...] = ()

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    options.sizes(parser, ("20MB", "1GB"))
    options.amount(parser, "--branches", 40, "of each tree")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 4], metavar="N",
                        help="default 1 4")  # fmt: skip
    options.amount(parser, "--deep", 100, "levels of the deep one")
    options.peers(parser)
    options.amount(parser, "--peer-budget", 3.0, "of a peer for one tree", "SECONDS")
    options.fresh(parser)
    options.version(parser)
