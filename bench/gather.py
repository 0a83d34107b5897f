"""All scenarios' results on one page, docs/benchmarks.md, from their JSON alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

from bench.record import Results, merged
from bench.report import bullets, busy_note, claim_lines
from bench.scenarios import Scenario


def read(scenario: Scenario, name: str, results: Path, suffix: str = ".json") -> Results | None:
    """What a scenario's last run kept, its parts merged; None when it never ran.

    :param results: the folder of the JSON."""
    stems = [f"{name}-{part}" for part in scenario.PARTS] or [name]
    paths = [path for stem in stems if (path := results / f"{stem}{suffix}").exists()]
    return merged([json.loads(path.read_text()) for path in paths]) if paths else None


def write(scenarios: Mapping[str, Scenario], results: Path, docs: Path) -> Path:
    """The page beside the folder of the scenarios' pages; returns its path."""
    found = {name: read(scenario, name, results) for name, scenario in scenarios.items()}
    kept = {name: item for name, item in found.items() if item is not None}
    target = docs.parent / "benchmarks.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(scenarios, kept, docs))
    return target


def page(scenarios: Mapping[str, Scenario], kept: Mapping[str, Results], folder: Path) -> str:
    parts = "\n\n".join(
        _part(name, scenarios[name], results, folder) for name, results in kept.items()
    )
    return f"""# What was measured

Made by `python -m bench report` from the JSON in [bench/results](../bench/results), which holds
every sample; do not edit it by hand. Each scenario has a page of its own that says how it was
measured and how to run it. Figures depend on the machine, ratios much less.

{parts}
"""


def _part(name: str, scenario: Scenario, results: Results, folder: Path) -> str:
    blocks = [
        f"## {name}",
        f"{scenario.HELP[:1].upper()}{scenario.HELP[1:]}: [the page]({folder.name}/{name}.md).",
        f"![{name}]({folder.name}/{name}.svg)" if (folder / f"{name}.svg").exists() else "",
        scenario.headline(results) if hasattr(scenario, "headline") else "",
        bullets(claim_lines(results)),
        _where(results),
    ]
    return "\n\n".join(block for block in blocks if block)


def _where(results: Results) -> str:
    machine = results["machine"]
    said = (
        f"{machine['date'][:10]}, commit `{machine['git_commit']}`: {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB, {machine['os']}, "
        f"kernel {machine['kernel']}, PostgreSQL {machine.get('postgres', '?')}, "
        f"{machine.get('filesystem', 'a filesystem of its own for each')}. "
        f"{busy_note(machine)}"
    )
    return fill(said, 100, break_long_words=False, break_on_hyphens=False)
