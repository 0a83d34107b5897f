"""cowdb lab ... Each command is imported only when it is used."""

from __future__ import annotations

import click

from cowdb.cli.lazy import LazyGroup

COMMANDS = {
    "compare": "cowdb.cli.lab.runs:compare",
    "init": "cowdb.cli.lab.files:init",
    "list": "cowdb.cli.lab.runs:list_",
    "run": "cowdb.cli.lab.run:run",
    "schema": "cowdb.cli.lab.files:schema",
    "show": "cowdb.cli.lab.runs:show",
}
SUMMARIES = {
    "compare": "Did it get slower from one run to another?",
    "init": "Write an example that runs on the demo's data.",
    "list": "The runs that were kept.",
    "run": "Try each strategy of a lab file on branches.",
    "schema": "Print the JSON Schema of a lab file, for editors.",
    "show": "The report of a run, also as a page or for a CI.",
}


@click.group(cls=LazyGroup, where=COMMANDS, summaries=SUMMARIES, epilog="""\b
Examples:
  cowdb lab init && cowdb lab run lab.yaml
  cowdb lab run lab.yaml --html report.html
  cowdb lab compare 3f2a last

\b
Exit codes: 0 success, 3 failed verdict or something got worse, 1 failure, 2 usage.""")  # fmt: skip
def lab() -> None:
    """Try migrations on branches of real data, and say which way is safe."""
