"""The migration lab: three strategies by `cowdb lab run` and by hand, and what watching costs.

`measure` runs it by `serial` (what a user would do instead) and `watched` (what the lab's probes
cost a migration), `story` tells it; the seam is the JSON.
"""

from __future__ import annotations

import argparse

from bench.scenarios.lab.measure import run
from bench.scenarios.lab.story import draw, headline, page, table

HELP = "three ways to change a million users: by the lab, and serially with a restore before each"
PARTS: tuple[str, ...] = ()

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scale", type=float, default=1.0, metavar="N",
                        help="1 is a million users (the default)")  # fmt: skip
    parser.add_argument("--repeats", type=int, default=3, metavar="N",
                        help="of each way to try the strategies (default 3)")  # fmt: skip
    parser.add_argument("--watched", type=int, default=7, metavar="N",
                        help="of each migration, with and without the lab (default 7)")  # fmt: skip
    parser.add_argument("--pg-version", metavar="MAJOR", help="default: the newest installed")
