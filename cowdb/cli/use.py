"""cowdb connect, cowdb run: a branch in a user's hands."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from types import FrameType

import click

from cowdb.cli.output import Progress, client, epilog, json_option, print_json
from cowdb.errors import CommandError, ConflictError, NotFoundError
from cowdb.units import major_of
from cowdb.wire import BranchInfo, SourceInfo


@click.command(
    "connect",
    context_settings={"ignore_unknown_options": True},
    epilog=epilog("cowdb connect try-a\ncowdb connect try-a -- -c 'select count(*) from users'",
                  "psql's own; 4 not found, 5 not running, 6 no agent"),
)  # fmt: skip
@click.argument("name")
@click.argument("psql_args", nargs=-1, type=click.UNPROCESSED)
@click.option("--json", "as_json", is_flag=True, help="Print how to connect, and do not.")
def connect_to(name: str, psql_args: tuple[str, ...], as_json: bool) -> None:
    """Open psql on a branch, or on a managed source."""
    with client() as agent:
        found: BranchInfo | SourceInfo
        try:
            found = agent.branches.show(name)
        except NotFoundError:
            found = agent.sources.show(name)
    if as_json:
        print_json({"name": name, "dsn": found["dsn"], "port": found["port"]})
        return
    if found["state"] not in ("running", "sleeping") or found["dsn"] is None:
        raise ConflictError(f"{name!r} is {found['state']}", hint=f"cowdb branch start {name}")
    from cowdb.config import load
    from cowdb.controller import programs

    major = major_of(found["pg_version"])
    psql = programs.find("psql", major, load().bindirs)
    os.execve(psql, ["psql", *psql_args], programs.environment(found["dsn"]))  # noqa: S606


@click.command(
    epilog=epilog(
        "cowdb run --from main@seed -- pytest -q\n"
        "cowdb run --from main -- sh -c 'psql -f v2.sql && ./check'",
        "the command's own; 4 not found, 5 conflict, 6 no agent",
    )
)
@click.option("--from", "origin", required=True, metavar="REF", help="What the branch is made of.")
@click.option("--keep-failed", is_flag=True, help="Keep the branch when the command fails.")
@json_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(origin: str, keep_failed: bool, as_json: bool, command: tuple[str, ...]) -> None:
    """Run a command on a throw-away branch: DATABASE_URL and PG* are set, the branch goes when
    the command ends. With --json the command's output goes to stderr."""
    from cowdb.controller.branching import throw_away

    signals = _Signals()
    code = 1
    with contextlib.ExitStack() as stack:
        with Progress(shown=not as_json) as report:
            made = throw_away(
                client, origin, "run", keep=lambda: keep_failed and code != 0, report=report
            )
            branch = stack.enter_context(made)
        code = _execute(command, branch["dsn"], signals, to_stderr=as_json)
    if code != 0 and keep_failed:
        click.echo(f"kept for a day: cowdb connect {branch['name']}", err=True)
    if as_json:
        print_json({"branch": branch["name"], "exit_code": code})
    sys.exit(code)


class _Signals:
    """Signals go to the command; one that comes while there is none yet keeps it from starting.
    Either way the branch is removed in peace."""

    def __init__(self) -> None:
        self.early: int | None = None
        self.child: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.child is None:
            self.early = number
        else:
            self.child.send_signal(number)


def _execute(command: tuple[str, ...], dsn: str, signals: _Signals, *, to_stderr: bool) -> int:
    """The command's exit status, as a shell would say it (128 + N after signal N)."""
    from cowdb.controller import programs

    if signals.early is not None:
        return 128 + signals.early
    try:
        signals.child = subprocess.Popen(
            command, env=programs.environment(dsn), stdout=sys.stderr if to_stderr else None
        )
    except OSError as error:
        raise CommandError(
            f"{command[0]!r} cannot be run: {error.strerror}", hint="give a program and its words"
        ) from error
    if signals.early is not None:  # it came while the command was being started
        signals.child.send_signal(signals.early)
    code = signals.child.wait()
    return code if code >= 0 else 128 - code
