"""What each storage driver costs: one run for each driver, one table for all.

`measure` runs it, where ZFS is missing through `guest`; `story` tells it from the JSON.
"""

from __future__ import annotations

import argparse

from bench import options
from bench.scenarios.storage.measure import DRIVERS, run
from bench.scenarios.storage.story import draw, headline, page, table

HELP = "snapshot, clone, destroy, space, TPS and chains, for each storage driver"
PARTS = tuple(DRIVERS)

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--driver", dest="part", choices=PARTS, default="btrfs",
                        help="default btrfs; zfs: in a guest if the kernel lacks it")  # fmt: skip
    options.amount(parser, "--scale", 20, "of pgbench; 20 are about 300 MB")
    options.amount(parser, "--repeats", 30, "of snapshot, clone and destroy")
    options.amount(parser, "--copies", 3, "repeats of a plain copy with a start")
    options.amount(parser, "--seconds", 6, "of each run of pgbench")
    options.amount(parser, "--started", 10, "of the 100 clones, for what it writes")
    options.amount(parser, "--write-every", 1, "each N-th of the chain is written to")
