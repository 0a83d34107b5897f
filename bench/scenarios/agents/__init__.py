"""Five workloads of agents that branch, work, compare and throw away, in the shape of BranchBench.

`tree` draws which branch comes of which, `workloads` says what is done there, `run` does it,
`measure` goes through sizes and ways, `story` tells it; the seam is the JSON.
"""

from __future__ import annotations

import argparse

from bench.scenarios.agents.measure import run
from bench.scenarios.agents.story import draw, headline, page, table
from bench.scenarios.agents.workloads import ALL, SEARCH
from bench.sizes import parse_sizes
from bench.ways import PEERS

HELP = "five workloads of agents, by cowdb and by its peers: software development to simulation"
PARTS: tuple[str, ...] = ()

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    names, grown = [item.name for item in ALL], [SEARCH]
    parser.add_argument(
        "--sizes",
        type=parse_sizes,
        default=("20MB", "1GB"),
        metavar="LIST",
        help="all workloads on the first, some on the others; default 20MB,1GB",
    )
    parser.add_argument(
        "--workloads",
        nargs="*",
        default=names,
        choices=names,
        metavar="WORKLOAD",
        help="those on the first; default all five",
    )
    parser.add_argument(
        "--grown",
        nargs="*",
        default=grown,
        choices=names,
        metavar="WORKLOAD",
        help=f"those on the others; default {' '.join(map(repr, grown))}",
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="with this share of the steps, for trying (default 1)",
    )
    parser.add_argument(
        "--peers", nargs="*", default=list(PEERS), choices=PEERS, help="default all"
    )
    parser.add_argument(
        "--peer-budget",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="of the clone for one workload (default 60)",
    )
    parser.add_argument(
        "--copy-budget",
        type=float,
        default=6.0,
        metavar="SECONDS",
        help="of a peer that copies every byte, for one workload (default 6)",
    )
    parser.add_argument(
        "--roots",
        choices=("running", "snapshot"),
        default="running",
        help="what tree search and simulation branch from",
    )
    parser.add_argument(
        "--keep-sessions",
        action="store_true",
        help="of workers between their steps, also where they are in the way of branching",
    )
    parser.add_argument(
        "--spares",
        type=int,
        default=0,
        metavar="N",
        help="started clones that cowdb holds ready of a snapshot",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="begin anew: do not go on where a run was interrupted"
    )
    parser.add_argument("--pg-version", metavar="MAJOR", help="default: the newest installed")
