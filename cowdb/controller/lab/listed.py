"""The statements of a run as its report lists them: numbered, placed in their files, without
secrets. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cowdb.controller.lab import redaction
from cowdb.controller.lab.model import Lock, Statement
from cowdb.controller.lab.probe import wal
from cowdb.controller.lab.probe.events import Gathered
from cowdb.controller.lab.probe.statements import Ran
from cowdb.controller.lab.steps.lexer import plain
from cowdb.controller.lab.steps.step import Placed

MOST = 1000
"""Statements that a report lists."""
_LONGEST = 400  # characters of a statement
_LEXED = 20_000  # characters: a longer statement is not looked for in files


@dataclass(frozen=True)
class Context:
    """:param written: WAL by moment, None where others wrote as well.
    :param names: relations that were there before, by oid. :param rows: that they had.
    :param waits: seconds that a session waited: (pid, since, how long)."""

    began: float
    placed: Sequence[Placed]
    secrets: Iterable[str]
    written: wal.Written | None
    apart: float
    names: Mapping[int, str]
    rows: Callable[[int], float]
    waits: Sequence[tuple[int, float, float]]


def listed(gathered: Gathered, context: Context) -> list[Statement]:
    finder = _Finder(context.placed)
    return [_statement(ran, gathered, context, finder) for ran in gathered.told.statements]


def shorten(
    statements: Sequence[Statement], locks: Sequence[Lock], most: int = MOST
) -> tuple[list[Statement], str]:
    """Those that matter most where there are too many, and what to say of it."""
    if len(statements) <= most:
        return list(statements), ""
    locking = {lock["statement"] for lock in locks if lock["blocks"] != "ddl"}

    def weight(item: Statement) -> tuple[bool, float]:
        return (bool(item["error"] or item["rewrote"] or item["number"] in locking),
                item["duration_ms"])  # fmt: skip

    kept = sorted(statements, key=weight, reverse=True)[:most]
    note = f"{len(statements):,} statements ran; those that failed, blocked or took longest are "
    return sorted(kept, key=lambda item: item["number"]), note + f"listed ({most:,})"


class _Finder:
    """Finds statements in files: each text in the order of its places, and round again."""

    def __init__(self, placed: Sequence[Placed]) -> None:
        self._places: dict[str, list[Placed]] = defaultdict(list)
        for item in placed:
            self._places[item.plain].append(item)
        self._next: dict[str, int] = defaultdict(int)

    def place(self, text: str) -> Placed | None:
        if not self._places or len(text) > _LEXED:
            return None
        key = plain(text)
        found = self._places.get(key)
        if not found:
            return None
        place = found[self._next[key] % len(found)]
        self._next[key] += 1
        return place


def _statement(ran: Ran, gathered: Gathered, context: Context, finder: _Finder) -> Statement:
    place = finder.place(ran.text)
    ended = ran.ended if ran.ended is not None else ran.began
    rewrote = [context.names[item.relation] for item in gathered.rewritten
               if item.ran is ran and item.relation in context.names]  # fmt: skip
    scanned = [
        context.names[item.relation] for item in gathered.scanned
        if item.ran is ran and item.relation in context.names
        and item.rows >= max(1, context.rows(item.relation))
    ]  # fmt: skip
    waited = sum(
        long for pid, since, long in context.waits if pid == ran.pid and ran.covers(since, 0.0015)
    )  # fmt: skip
    written = context.written
    error = f"{ran.error} ({ran.code})" if ran.error else None
    return {
        "number": ran.number,
        "text": text_of(ran.text, context.secrets),
        "file": place.file if place else None,
        "line": place.line if place else None,
        "at_ms": _ms(ran.began - context.began),
        "duration_ms": _ms(ended - ran.began),
        "exact": ran.ended is not None,
        "waited_ms": _ms(waited),
        "wal_bytes": wal.between(written, ran.began, ended, context.apart) if written else None,
        "rewrote": list(dict.fromkeys(rewrote)),
        "scanned": sorted(set(scanned)),
        "error": redaction.cleaned(error, context.secrets) if error else None,
    }


def text_of(text: str, secrets: Iterable[str]) -> str:
    """Shortened after it has been cleaned: half a literal would not be known as one."""
    shown = redaction.cleaned(redaction.shown(text), secrets)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + " …"


def failure(statements: Sequence[Statement]) -> str:
    """The last statement that failed, with its place."""
    for item in reversed(statements):
        if item["error"]:
            place = f"{item['file']}:{item['line']}: " if item["file"] else ""
            return f"{place}{item['error']}"
    return ""


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
