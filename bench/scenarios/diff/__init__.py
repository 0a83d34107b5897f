"""Row diff: two branches that differ in some rows, by cowdb, reladiff, EXCEPT and plain counting.

`measure` runs it, `peers` are the others' ways, `story` tells it; the seam is the JSON.
"""

from __future__ import annotations

import argparse

from bench import options
from bench.scenarios.diff import measure
from bench.scenarios.diff.measure import run
from bench.scenarios.diff.story import draw, headline, page, table

HELP = "find the rows that differ between two branches, for several sizes and amounts of change"
PARTS: tuple[str, ...] = ()

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=measure.parse_amounts, default=(10**6, 10**7),
                        metavar="LIST", help="default 1M,10M; or 1M,10M,100M")  # fmt: skip
    parser.add_argument("--changes", type=measure.parse_amounts,
                        default=(10, 1000, 100_000, 10**6), metavar="LIST",
                        help="changed rows, where a table has ten times as many; default "
                        "10,1000,100k,1M")  # fmt: skip
    options.amount(parser, "--repeats", 7, "of cowdb for each")
    options.amount(parser, "--peer-repeats", 2, "of each peer, as far as the budget goes")
    options.amount(parser, "--peer-budget", 120.0, "no further repeat of a peer after so long",
                   "SECONDS")  # fmt: skip
    parser.add_argument("--peers-up-to", type=measure.amount, default=10**7, metavar="ROWS",
                        help="no peers for larger tables (default 10M)")  # fmt: skip
    options.fresh(parser)
    options.version(parser)
