"""Every lab run, kept in the user's state directory until there are enough newer ones.

    $XDG_STATE_HOME/cowdb/lab/            mode 0700
      RUN/report.json                     the LabReport
      RUN/BRANCH/statements.sql, ...      artifacts of each run of a strategy
      .RUN-xxxx/                          being written; one that has stayed is removed later

A run is there as a whole or not at all: its directory gets its name when all is in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypedDict, cast

from cowdb.controller.lab.model import LabReport, Verdict
from cowdb.errors import ConflictError, CowdbError, InvalidError, NotFoundError

REPORT = "report.json"
RUNS, DAYS = 50, 90
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_STALE = 24 * 3600  # seconds


@dataclass(frozen=True)
class Retention:
    """The newest `runs` of the last `days` are kept."""

    runs: int = RUNS
    days: int = DAYS


class Entry(TypedDict):
    """A line of `cowdb lab list`."""

    id: str
    name: str
    version: str
    started_at: str
    checkpoint: str
    verdict: Verdict
    strategies: list[str]
    recommended: str | None
    total_ms: float
    path: str


def directory() -> Path:
    """Where runs are kept: in $XDG_STATE_HOME, else ~/.local/state."""
    home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".local" / "state"
    return base / "cowdb" / "lab"


def retention(runs: int | None = None, days: int | None = None) -> Retention:
    """What was asked for, else COWDB_LAB_KEEP_RUNS and COWDB_LAB_KEEP_DAYS.

    :raises InvalidError: a variable is no number of 1 or more."""
    return Retention(
        runs if runs is not None else _number("COWDB_LAB_KEEP_RUNS", RUNS),
        days if days is not None else _number("COWDB_LAB_KEEP_DAYS", DAYS),
    )


def _number(variable: str, otherwise: int) -> int:
    text = os.environ.get(variable, "")
    if not text:
        return otherwise
    if not text.isdecimal() or int(text) < 1:
        raise InvalidError(f"{variable} is {text!r}", hint="it takes a number of 1 or more")
    return int(text)


class Kept:
    """The runs in one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def save(
        self, report: LabReport, artifacts: Mapping[str, str] | None = None,
        retention: Retention | None = None,
    ) -> Path:  # fmt: skip
        """:param artifacts: texts by their path in the run, such as "BRANCH/statements.sql".
        :param retention: older runs than this go.
        :returns: the run's directory.
        :raises ConflictError: there is such a run. CowdbError: it cannot be written."""
        target = self._root / _named(report["id"])
        texts = {REPORT: json.dumps(report, indent=1) + "\n", **(artifacts or {})}
        for name in texts:
            if not all(map(_NAME.fullmatch, name.split("/"))):
                raise InvalidError(f"{name!r} is no name for an artifact")
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if target.exists():
                raise ConflictError(f"there is a lab run {report['id']} already")
            self._write(target, texts)
            self.prune(retention or Retention(), keep=report["id"])
        except OSError as error:
            raise CowdbError(
                f"the lab run cannot be kept in {self._root}: {error.strerror}",
                hint="set XDG_STATE_HOME to a directory that you may write to",
            ) from error
        return target

    def _write(self, target: Path, texts: Mapping[str, str]) -> None:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=self._root))
        try:
            for name, text in texts.items():
                file = folder / name
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with file.open("w", encoding="utf-8", errors="backslashreplace") as stream:
                    stream.write(text)
                    stream.flush()
                    os.fsync(stream.fileno())
            folder.rename(target)
            _sync(self._root)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def entries(self) -> list[Entry]:
        """The newest first; what cannot be read is left out."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for path in self._root.iterdir():
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    if _NAME.fullmatch(path.name):
                        found.append(_entry(path, _read(path)))
        return sorted(found, key=lambda item: (item["started_at"], item["id"]), reverse=True)

    def read(self, run: str) -> LabReport:
        """:param run: a run's id, enough of its beginning, or "last".
        :raises NotFoundError: there is none, or there are several."""
        path = self._root / self._found(run)
        try:
            return _read(path)
        except (OSError, ValueError) as error:
            raise CowdbError(f"the lab run {path.name} cannot be read: {error}") from error

    def _found(self, run: str) -> str:
        names = [entry["id"] for entry in self.entries()]
        if run == "last" and names:
            return names[0]
        matching = [name for name in names if name == run] or [
            name for name in names if run and name.startswith(run)
        ]
        if len(matching) == 1:
            return matching[0]
        if matching:
            raise NotFoundError(f"{run!r} is the beginning of {len(matching)} lab runs",
                                hint=f"such as {' and '.join(sorted(matching)[:2])}")  # fmt: skip
        raise NotFoundError(f"there is no lab run {run!r}", hint="cowdb lab list shows all")

    def prune(self, retention: Retention, keep: str = "") -> list[str]:
        """Remove runs that are too many or too old, and what a killed writer left.

        :param keep: this one stays.
        :returns: the ids of those removed."""
        since = (datetime.now(UTC) - timedelta(days=retention.days)).isoformat()
        gone = [
            entry["id"] for number, entry in enumerate(self.entries())
            if entry["id"] != keep and (number >= retention.runs or entry["started_at"] < since)
        ]  # fmt: skip
        for name in gone:
            hidden = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=self._root))
            with contextlib.suppress(FileNotFoundError):  # another run has just removed it
                (self._root / name).rename(hidden)
            shutil.rmtree(hidden, ignore_errors=True)
        for path in self._root.glob(".*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - _STALE:
                    shutil.rmtree(path, ignore_errors=True)
        return gone


def _named(run: str) -> str:
    if not _NAME.fullmatch(run):
        raise InvalidError(f"{run!r} is no name for a lab run")
    return run


def _read(path: Path) -> LabReport:
    return cast(LabReport, json.loads((path / REPORT).read_text(encoding="utf-8")))


def _entry(path: Path, report: LabReport) -> Entry:
    return {
        "id": path.name,
        "name": report["name"],
        "version": report["version"],
        "started_at": report["started_at"],
        "checkpoint": report["checkpoint"],
        "verdict": report["verdict"],
        "strategies": [item["name"] for item in report["strategies"]],
        "recommended": report["recommendation"]["strategy"],
        "total_ms": report["total_ms"],
        "path": str(path),
    }


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
