"""What is kept of a run beside its report: the statements, the server's log, and when which lock
was seen. Pure. Nothing in it that the report may not show."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from cowdb.controller.lab.model import Statement
from cowdb.controller.lab.probe.events import Gathered
from cowdb.controller.lab.probe.log import Entry
from cowdb.controller.lab.probe.sightings import Sightings

_MOST = 4 * 2**20  # characters of one artifact


def texts(
    branch: str, statements: Sequence[Statement], gathered: Gathered, sightings: Sightings,
    entries: Sequence[Entry], shown: Callable[[str], str],
) -> dict[str, str]:  # fmt: skip
    """By their path in a kept run."""
    return {
        f"{branch}/statements.sql": _bounded(_statements(statements, gathered, shown)),
        f"{branch}/server.log": _bounded([_line(entry, shown) for entry in entries]),
        f"{branch}/samples.jsonl": _bounded(_samples(sightings)),
    }


def _statements(
    statements: Sequence[Statement], gathered: Gathered, shown: Callable[[str], str]
) -> list[str]:  # fmt: skip
    found = []
    for item, ran in zip(statements, gathered.told.statements, strict=True):
        place = f" {item['file']}:{item['line']}" if item["file"] else ""
        head = f"-- {item['number']}{place}: at {item['at_ms']} ms, {item['duration_ms']} ms"
        failed = f"\n-- {item['error']}" if item["error"] else ""
        found.append(f"{head}{failed}\n{shown(ran.text).rstrip(';')};\n")
    return found


def _line(entry: Entry, shown: Callable[[str], str]) -> str:
    at = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds")
    text = shown(entry.text).replace("\n", "\n\t")
    return f"{at} [{entry.pid}] {entry.vxid} {entry.level}: {text}"


def _samples(sightings: Sightings) -> list[str]:
    """A line for each lock that was seen and each wait, and for WAL as it grew."""
    lines: list[dict[str, object]] = [
        {"lock": mode, "relation": relation, "pid": pid, "transaction": vxid,
         "first": item.first, "last": item.last}
        for (pid, vxid, relation, mode), item in sightings.holding.items()
    ]  # fmt: skip
    lines += [
        {"wait": mode, "relation": relation, "pid": pid, "transaction": vxid, "since": since,
         "last": item.last}
        for (pid, vxid, relation, mode, since), item in sightings.waiting.items()
    ]  # fmt: skip
    lines += [{"wal": written, "at": at} for at, written in sightings.wal]
    return [json.dumps(line) for line in lines]


def _bounded(lines: Sequence[str]) -> str:
    """Whole lines, and the end said where that is not all."""
    size = 0
    kept: list[str] = []
    for line in lines:
        size += len(line) + 1
        if size > _MOST:
            kept.append(f"-- {len(lines) - len(kept)} more were left out")
            break
        kept.append(line)
    return "\n".join(kept) + "\n" if kept else ""
