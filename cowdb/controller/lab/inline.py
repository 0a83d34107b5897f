"""A lab that is given as values instead of a file: its SQL becomes files for as long as it runs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cowdb.controller.branching import Connect
from cowdb.controller.lab.kept import Kept, directory, retention
from cowdb.controller.lab.run import Asked, Outcome, run
from cowdb.controller.lab.spec import parse
from cowdb.controller.lab.spec.model import Validation
from cowdb.controller.lab.steps.command import Stop
from cowdb.controller.transport import Report
from cowdb.errors import CowdbError, InvalidError


@dataclass(frozen=True)
class InlineStrategy:
    """:param sql: the statements themselves, or else a command."""

    name: str
    sql: str | None = None
    command: str | None = None
    expect: Literal["same-as-checkpoint"] | None = None


@dataclass(frozen=True)
class Inline:
    """:param database: None for the snapshot's own.
    :param limits: as in a lab file."""

    name: str
    checkpoint: str
    strategies: Sequence[InlineStrategy]
    validate: Sequence[Validation] = ()
    limits: Mapping[str, object] = field(default_factory=dict)
    runs: int = 1
    keep: Literal["failed", "all", "none"] = "failed"
    database: str | None = None


def run_inline(
    connect: Connect, lab: Inline, folder: Path, bindirs: Sequence[str], stop: Stop, report: Report
) -> Outcome:
    """:param folder: where commands are run.
    :raises InvalidError: the values are no lab. CowdbError: as `run.run`."""
    with tempfile.TemporaryDirectory(prefix="cowdb-lab-") as place:
        text = json.dumps(_values(lab, Path(place)), indent=1)  # which is YAML as well
        asked = Asked(parse(text, "the test", folder), folder / lab.name, bindirs, stop, report)
        outcome = run(connect, asked)
    outcome.artifacts["lab.yaml"] = text
    return outcome


def _values(lab: Inline, place: Path) -> dict[str, object]:
    migration: dict[str, object] = {
        "checkpoint": lab.checkpoint,
        "branches": [_strategy(number, item, place) for number, item in enumerate(lab.strategies)],
        "validate": [{"name": item.name, "sql": item.sql} for item in lab.validate],
        "limits": dict(lab.limits),
        "runs": lab.runs,
        "keep": lab.keep,
    }
    config = {"databases": [lab.database]} if lab.database is not None else {}
    return {
        "name": lab.name,
        "services": {"postgres": {"config": config}},
        "tests": {"migration": migration},
    }


def _strategy(number: int, item: InlineStrategy, place: Path) -> dict[str, object]:
    found: dict[str, object] = {"name": item.name}
    if (item.sql is None) == (item.command is None):
        raise InvalidError(f"strategy {item.name!r} needs sql or a command, and not both")
    if item.command is not None:
        found["command"] = item.command
    else:
        file = place / f"{number + 1}.sql"
        file.write_text(item.sql or "", encoding="utf-8")
        found["sql"] = str(file)
    if item.expect is not None:
        found["expect"] = item.expect
    return found


def keep(outcome: Outcome) -> str:
    """Keeps the run as `cowdb lab run` does. What to say where that is not possible, else empty."""
    try:
        Kept(directory()).save(outcome.report, outcome.artifacts, retention())
    except (CowdbError, OSError) as error:
        return f"this run is not kept: {error}"
    return ""
