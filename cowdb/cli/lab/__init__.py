"""cowdb lab ... Each command is imported only when it is used."""

from __future__ import annotations

import click

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


class _Lab(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = COMMANDS.get(cmd_name)
        if where is None:
            return None
        module, _, name = where.partition(":")
        import importlib

        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in self.list_commands(ctx)])


@click.group(cls=_Lab, epilog="""\b
Examples:
  cowdb lab init && cowdb lab run lab.yaml
  cowdb lab run lab.yaml --html report.html
  cowdb lab compare 3f2a last

\b
Exit codes: 0 success, 3 failed verdict or something got worse, 1 failure, 2 usage.""")  # fmt: skip
def lab() -> None:
    """Try migrations on branches of real data, and say which way is safe."""
