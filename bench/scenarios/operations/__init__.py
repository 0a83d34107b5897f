"""Single operations at the n-th branch of a spine, a bushy and a fan-out tree, and 100 deep.

`measure` runs it, `story` tells it; the seam is the JSON.
"""

from __future__ import annotations

import argparse

from bench.scenarios.operations.measure import run
from bench.scenarios.operations.story import draw, headline, page, table
from bench.sizes import parse_sizes
from bench.ways import PEERS

HELP = "create, connect, read, update and alter at the n-th branch of trees, and 100 branches deep"
PARTS: tuple[str, ...] = ()

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sizes",
        type=parse_sizes,
        default=("20MB", "1GB"),
        metavar="LIST",
        help="of the databases; default 20MB,1GB",
    )
    parser.add_argument(
        "--branches", type=int, default=40, metavar="N", help="of each tree (default 40)"
    )
    parser.add_argument(
        "--threads", type=int, nargs="*", default=[1, 4], metavar="N", help="default 1 4"
    )
    parser.add_argument(
        "--deep", type=int, default=100, metavar="N", help="levels of the deep one (default 100)"
    )
    parser.add_argument(
        "--peers", nargs="*", default=list(PEERS), choices=PEERS, help="default all"
    )
    parser.add_argument(
        "--peer-budget",
        type=float,
        default=3.0,
        metavar="SECONDS",
        help="of a peer for one tree (default 3)",
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="begin anew: do not go on where a run was interrupted",
    )
    parser.add_argument("--pg-version", metavar="MAJOR", help="default: the newest installed")
