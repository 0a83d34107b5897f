"""Many branches on one host: commands among a thousand, memory of an idle one, many made at once.

`measure` runs it, `story` tells it; the seam is the JSON.
"""

from __future__ import annotations

import argparse

from bench import options
from bench.scenarios.crowd.measure import run
from bench.scenarios.crowd.story import draw, headline, page, table

HELP = "a thousand branches: commands among them, memory of an idle one, many made at once"
PARTS: tuple[str, ...] = ()

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    options.amount(parser, "--branches", 1000, "in all, also databases of the peer")
    options.amount(parser, "--live", 320, "of them stay started")
    options.amount(parser, "--snapshots", 200, "that they come from")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2, 4, 8], metavar="N",
                        help="that make the live ones, a part each; default 1 2 4 8")  # fmt: skip
    options.amount(parser, "--repeats", 15, "of each command")
    options.version(parser)
