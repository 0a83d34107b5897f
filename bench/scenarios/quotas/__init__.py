"""What disk limits cost: branches under btrfs' simple quotas, without, and under full accounting.

`measure` runs it, `story` tells it; the seam is the JSON.
"""

from __future__ import annotations

import argparse

from bench import options
from bench.scenarios.quotas.measure import run
from bench.scenarios.quotas.story import draw, headline, page, table

HELP = "what a limit of disk (`--disk`) costs on btrfs, with few and with many snapshots"
PARTS: tuple[str, ...] = ()

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--snapshots", type=int, nargs="*", default=[0, 50, 200], metavar="N",
                        help="that there are, besides the first; default 0 50 200")  # fmt: skip
    options.amount(parser, "--rounds", 5, "through the ways of accounting, in turn")
    options.amount(parser, "--repeats", 6, "branches in each round")
    options.amount(parser, "--full-budget", 40.0, "no further branch under full accounting beside "
                   "one number of snapshots after so long", "SECONDS")  # fmt: skip
    options.version(parser)
