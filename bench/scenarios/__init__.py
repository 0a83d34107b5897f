"""The scenarios: each package or module in this folder is one, by its own name."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from bench.record import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Say = Callable[[str], None]
"""Tells the person who watches what is being done."""


class Scenario(Protocol):
    """What a scenario's module offers. `run` measures and leaves nothing behind, however it ends;
    everything else is made from the results alone.

    PARTS: where one run measures one part only, the parts' names; `add_options` then sets
    `options.part`, and the rest is told from the merged results of all parts. Else empty.
    `headline` is the table, in Markdown, that docs/benchmarks.md shows of it; it may be missing."""

    HELP: str
    PARTS: tuple[str, ...]

    def add_options(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, options: argparse.Namespace, say: Say) -> Results: ...
    def table(self, results: Results) -> str: ...
    def headline(self, results: Results) -> str: ...
    def page(self, results: Results) -> str: ...
    def draw(self, results: Results) -> Figure | None: ...


def find() -> dict[str, Scenario]:
    return {
        item.name: cast(Scenario, importlib.import_module(f"{__name__}.{item.name}"))
        for item in pkgutil.iter_modules(__path__)
    }
