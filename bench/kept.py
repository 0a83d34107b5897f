"""What an interrupted run has measured already, so that the next one goes on from there.

    RESULTS/<scenario>-unfinished.json  {"options": ..., "cells": {label: facts}, "samples": [...]}

It is taken away when a run is complete.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.record import Record


@dataclass
class Kept:
    """:param done: parts that were measured, by name. :param cells: what is known of each."""

    path: Path
    options: dict[str, Any]
    record: Record = field(default_factory=Record)
    cells: dict[str, dict[str, Any]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    conditions: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def found(cls, path: Path, options: dict[str, Any], *, fresh: bool) -> Kept:
        """What was kept by a run with the same options, else nothing."""
        kept = cls(path, options)
        if fresh or not path.exists():
            return kept
        told = json.loads(path.read_text())
        if told["options"] != options:
            return kept
        for item in told["samples"]:
            kept.record.samples[item["database"], item["method"], item["measure"]] = item["ms"]
        kept.cells, kept.done = told["cells"], set(told["done"])
        kept.conditions = told["conditions"]
        return kept

    @classmethod
    def resumed(
        cls, options: argparse.Namespace, names: Sequence[str], say: Callable[[str], None]
    ) -> Kept:
        """What the last run of this scenario left, if it was interrupted and is to be gone on with.

        :param names: of the options that must be the same."""
        chosen = json.loads(json.dumps({name: getattr(options, name) for name in names}))
        name = f"{options.scenario}-unfinished{'-quick' if options.quick else ''}.json"
        kept = cls.found(options.results / name, chosen, fresh=options.fresh)
        if kept.done:
            say(f"going on where a run was interrupted: {len(kept.done)} parts are done")
        return kept

    def finish(self, part: str) -> None:
        self.done.add(part)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({
            "options": self.options, "cells": self.cells, "done": sorted(self.done),
            "samples": self.record.series(), "conditions": self.conditions,
        }))  # fmt: skip

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
