"""A strategy as a step: which program, in which environment, and where its SQL stands in files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cowdb.controller import programs
from cowdb.controller.lab.spec.model import Strategy, seconds
from cowdb.controller.lab.steps import command
from cowdb.controller.lab.steps.command import Ended, Stop
from cowdb.controller.lab.steps.lexer import statements

_LARGEST = 8 * 2**20  # bytes of a file that is looked into for lines


@dataclass(frozen=True, slots=True)
class Placed:
    """A statement of a file. `plain` as the lexer has it."""

    plain: str
    file: str
    line: int


def run(
    strategy: Strategy, dsn: str, major: int, directory: Path, bindirs: Sequence[str], stop: Stop
) -> Ended:
    """:raises CommandError: its program cannot be started."""
    if strategy.command is not None:
        argv = ["/bin/sh", "-c", strategy.command]
    else:
        argv = [programs.find("psql", major, bindirs), "-X", "-q", "-v", "ON_ERROR_STOP=1"]
        for name in strategy.files:
            argv += ["-f", name]
    environment = programs.environment(dsn) | strategy.environment
    return command.run(argv, environment, directory, seconds(strategy.timeout), stop)


def words(strategy: Strategy) -> str:
    return strategy.command if strategy.command is not None else ", ".join(strategy.files)


def placed(strategy: Strategy, directory: Path) -> list[Placed]:
    """Where its statements stand: in its SQL files, or in those that its command names."""
    found = []
    for name in strategy.files or _named(strategy.command or "", directory):
        path = directory / name
        if path.stat().st_size <= _LARGEST:
            text = path.read_text(errors="replace")
            found += [Placed(item.plain, name, item.line) for item in statements(text)]
    return found


def _named(text: str, directory: Path) -> list[str]:
    """Files of SQL that a command's words name, in order, each once."""
    try:
        found = shlex.split(text, comments=False)
    except ValueError:  # an open quote, of which the shell will speak
        return []
    parts = [word.partition("=")[2] if "=" in word else word for word in found]
    names = dict.fromkeys(part.strip(";&|()<>") for part in parts)
    return [name for name in names if name.endswith(".sql") and (directory / name).is_file()]
