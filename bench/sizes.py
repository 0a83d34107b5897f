"""Sizes of databases, as options name them. Pure."""

from __future__ import annotations

import argparse
import re

_UNITS = {"MB": 10**6, "GB": 10**9}


def parse_sizes(text: str) -> tuple[str, ...]:
    """ "100MB,1GB" as labels; raises what argparse reports."""
    sizes = tuple(item.strip() for item in text.split(","))
    for size in sizes:
        bytes_of(size)
    return sizes


def bytes_of(size: str) -> int:
    match = re.fullmatch(r"(\d+)(MB|GB)", size)
    if match is None:
        raise argparse.ArgumentTypeError(f"{size!r} is not a size such as 100MB or 3GB")
    return int(match[1]) * _UNITS[match[2]]
