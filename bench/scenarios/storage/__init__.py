"""What each storage driver costs: one run for each driver, one table for all.

`measure` runs it, where ZFS is missing through `guest`; `story` tells it from the JSON.
"""

from __future__ import annotations

import argparse

from bench.scenarios.storage.measure import DRIVERS, run
from bench.scenarios.storage.story import draw, headline, page, table

HELP = "snapshot, clone, destroy, space, TPS and chains, for each storage driver"
PARTS = tuple(DRIVERS)

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--driver", dest="part", choices=PARTS, default="btrfs",
                        help="default btrfs; zfs: in a guest if the kernel lacks it")  # fmt: skip
    parser.add_argument("--scale", type=int, default=20, metavar="N",
                        help="of pgbench (default 20, about 300 MB)")  # fmt: skip
    parser.add_argument("--repeats", type=int, default=30, metavar="N",
                        help="of snapshot, clone and destroy (default 30)")  # fmt: skip
    parser.add_argument("--copies", type=int, default=3, metavar="N",
                        help="repeats of a plain copy with a start (default 3)")  # fmt: skip
    parser.add_argument("--seconds", type=int, default=6, metavar="N",
                        help="of each run of pgbench (default 6)")  # fmt: skip
    parser.add_argument("--started", type=int, default=10, metavar="N",
                        help="of the 100 clones, for what it writes (default 10)")  # fmt: skip
    parser.add_argument("--write-every", type=int, default=1, metavar="N",
                        help="each N-th of the chain is written to (default 1)")  # fmt: skip
