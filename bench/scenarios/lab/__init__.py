"""The migration lab: three strategies by `cowdb lab run` and by hand, and what watching costs.

`measure` runs it by `serial` (what a user would do instead) and `watched` (what the lab's probes
cost a migration), `story` tells it; the seam is the JSON.
"""

from __future__ import annotations

import argparse

from bench import options
from bench.scenarios.lab.measure import run
from bench.scenarios.lab.story import draw, headline, page, table

HELP = "three ways to change a million users: by the lab, and serially with a restore before each"
PARTS: tuple[str, ...] = ()

__all__ = ["HELP", "PARTS", "add_options", "draw", "headline", "page", "run", "table"]


def add_options(parser: argparse.ArgumentParser) -> None:
    options.amount(parser, "--scale", 1.0, "1 is a million users")
    options.amount(parser, "--repeats", 3, "of each way to try the strategies")
    options.amount(parser, "--watched", 7, "of each migration, with and without the lab")
    options.version(parser)
