"""Options that several scenarios have, worded alike."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bench.sizes import parse_sizes
from bench.ways import PEERS

Parser = argparse.ArgumentParser


def amount(parser: Parser, name: str, default: float, said: str, metavar: str = "N") -> None:
    """A number of the default's type, whose help ends with that default."""
    parser.add_argument(name, type=type(default), default=default, metavar=metavar,
                        help=f"{said} (default {default:g})")  # fmt: skip


def sizes(parser: Parser, default: Sequence[str], said: str = "of the databases") -> None:
    parser.add_argument("--sizes", type=parse_sizes, default=tuple(default), metavar="LIST",
                        help=f"{said}; default {','.join(default)}")  # fmt: skip


def peers(parser: Parser, known: Sequence[str] = PEERS) -> None:
    parser.add_argument("--peers", nargs="*", default=list(known), choices=known,
                        help="default all")  # fmt: skip


def fresh(parser: Parser) -> None:
    parser.add_argument("--fresh", action="store_true",
                        help="begin anew: do not go on where a run was interrupted")  # fmt: skip


def version(parser: Parser) -> None:
    parser.add_argument("--pg-version", metavar="MAJOR", help="default: the newest installed")
