"""The `cowdb` command. Each group of commands is imported only when it is used."""

from __future__ import annotations

import sys

import click

from cowdb import __version__
from cowdb.cli.lazy import LazyGroup
from cowdb.errors import CowdbError

COMMANDS = {
    "agent": "cowdb.cli.agent:agent",
    "branch": "cowdb.cli.branch:branch",
    "connect": "cowdb.cli.use:connect_to",
    "demo": "cowdb.cli.demo:demo",
    "diff": "cowdb.cli.diff:diff",
    "doctor": "cowdb.cli.host:doctor",
    "init": "cowdb.cli.host:init",
    "lab": "cowdb.cli.lab:lab",
    "mcp": "cowdb.cli.mcp:mcp_command",
    "run": "cowdb.cli.use:run",
    "snapshot": "cowdb.cli.snapshot:snapshot",
    "source": "cowdb.cli.source:source",
    "status": "cowdb.cli.host:status",
}
SUMMARIES = {
    "agent": "The privileged side.",
    "branch": "Branches: make, list, reset, stop, start, remove.",
    "connect": "Open psql on a branch.",
    "demo": "See it work on an e-commerce database of a million users.",
    "diff": "Say what differs between branches, snapshots or databases.",
    "doctor": "Compare what was meant with what is.",
    "init": "Make the pool.",
    "lab": "Try migrations on branches, and say which way is safe.",
    "mcp": "Serve coding assistants (Model Context Protocol).",
    "run": "Run a command on a throw-away branch.",
    "snapshot": "Snapshots: take, list, protect, remove.",
    "source": "Sources: the data directories that branches come from.",
    "status": "What runs on this host.",
}


@click.group(
    cls=LazyGroup,
    where=COMMANDS,
    summaries=SUMMARIES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  cowdb source add main --attach /srv/pg/15/main
  cowdb snapshot create main@before-v2
  cowdb branch create try-a --from main@before-v2
  cowdb diff main@before-v2 try-a

\b
Exit codes: 0 success (diff: no difference), 1 failure, 2 usage, 3 differences found or a
failed verdict, 4 not found, 5 busy or conflicting, 6 agent unreachable, 7 not permitted.
Every command takes --json: one JSON document on stdout, errors as JSON on stderr.""",
)
@click.version_option(__version__, prog_name="cowdb")
def cli() -> None:
    """A real, writable PostgreSQL for every migration, test and experiment, in milliseconds, and
    exactly what each of them changed."""


def main() -> None:
    """The console script: every error becomes a message with a hint and its exit status."""
    try:
        sys.exit(cli.main(standalone_mode=False))  # None, or what ctx.exit was given
    except CowdbError as error:
        _tell(error)
        sys.exit(error.exit_status)
    except click.Abort:
        click.echo("aborted", err=True)
        sys.exit(1)
    except click.ClickException as error:
        if _wants_json():
            from cowdb.errors import InvalidError

            _tell(InvalidError(error.format_message(), hint="see --help"))
        else:
            error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


def _wants_json() -> bool:
    """What comes after a bare `--` belongs to another command."""
    words = sys.argv[1:]
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def _tell(error: CowdbError) -> None:
    if _wants_json():
        import json

        click.echo(json.dumps({"error": error.as_json()}), err=True)
        return
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error.message}", err=True)
    if error.hint:
        click.echo(f"{click.style('hint:', bold=True)}  {error.hint}", err=True)
