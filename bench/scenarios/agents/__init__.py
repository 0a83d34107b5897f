"""Five workloads of agents that branch, work, compare and throw away, in the shape of BranchBench.

`tree` draws which branch comes of which, `workloads` says what is done there, `run` does it,
`measure` goes through sizes and ways, `story` tells it; the seam is the JSON.
"""

from __future__ import annotations

import argparse

from bench import options
from bench.scenarios.agents.measure import run
from bench.scenarios.agents.story import draw, headline, page, table
from bench.scenarios.agents.workloads import ALL, SEARCH

HELP = "five workloads of agents, by cowdb and by its peers: software development to simulation"
PARTS: tuple[str, ...] = ()

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    names, grown = [item.name for item in ALL], [SEARCH]
    options.sizes(parser, ("20MB", "1GB", "10GB"), "all workloads on the first, some on the others")
    parser.add_argument("--workloads", nargs="*", default=names, choices=names,
                        metavar="WORKLOAD", help="those on the first; default all")  # fmt: skip
    parser.add_argument("--grown", nargs="*", default=grown, choices=names, metavar="WORKLOAD",
                        help=f"those on the others; default {' '.join(map(repr, grown))}",
                        )  # fmt: skip
    options.amount(parser, "--scale", 1.0, "with this share of the steps, for trying", "SHARE")
    options.peers(parser)
    options.amount(parser, "--peer-budget", 60.0, "of the clone for one workload", "SECONDS")
    options.amount(parser, "--copy-budget", 6.0,
                   "of a peer that copies every byte, for one workload", "SECONDS")  # fmt: skip
    parser.add_argument("--roots", choices=("running", "snapshot"), default="running",
                        help="what tree search and simulation branch from")  # fmt: skip
    parser.add_argument("--keep-sessions", action="store_true",
                        help="of workers between their steps, also where they are in the way of "
                        "branching")  # fmt: skip
    options.amount(parser, "--spares", 0, "started clones that cowdb holds ready of a snapshot")
    options.fresh(parser)
    options.version(parser)
