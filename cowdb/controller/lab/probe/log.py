"""A server's log as entries. Pure.

Every line of ours begins with the prefix; a newline inside an entry is followed by a tab, so
nothing that a statement holds can pass for an entry of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

PREFIX = "%n|%p|%v|%e|%a|"
"""Epoch, pid, virtual transaction, SQLSTATE, application."""

_LINE = re.compile(
    r"(?P<at>\d+\.\d{3})\|(?P<pid>\d+)\|(?P<vxid>\d*/?\d*)\|(?P<code>[0-9A-Z]{5})\|(?P<app>.*?)\|"
    r"(?P<level>[A-Z]+[1-5]?):  (?P<text>.*)",
    re.DOTALL,
)
_FURTHER = frozenset({"DETAIL", "HINT", "QUERY", "CONTEXT", "LOCATION", "STATEMENT", "BACKTRACE"})


@dataclass(frozen=True, slots=True)
class Entry:
    """:param at: seconds since the epoch, to the millisecond.
    :param vxid: "3/45"; "3/0" outside a transaction; empty of processes that have none.
    :param statement: what an error concerns, where the log repeats it."""

    at: float
    pid: int
    vxid: str
    code: str
    app: str
    level: str
    text: str
    detail: str = ""
    statement: str = ""

    @property
    def in_transaction(self) -> bool:
        return self.vxid != "" and not self.vxid.endswith("/0")


def entries(pieces: Iterable[str]) -> Iterator[Entry]:
    """:param pieces: the log, cut anywhere."""
    current: Entry | None = None
    for line in _joined(_lines(pieces)):
        found = _LINE.fullmatch(line)
        if found is None:
            continue  # printed by something else that shares the server's stderr
        level, text = found["level"], found["text"]
        if level in _FURTHER:
            if current is not None and level in ("DETAIL", "STATEMENT"):
                current = replace(current, **{level.lower(): text})  # type: ignore[arg-type]
            continue
        if current is not None:
            yield current
        current = Entry(float(found["at"]), int(found["pid"]), found["vxid"], found["code"],
                        found["app"], level, text)  # fmt: skip
    if current is not None:
        yield current


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield from whole
    if rest:
        yield rest


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Lines of one entry as one."""
    parts: list[str] = []
    for line in lines:
        if line.startswith("\t") and parts:
            parts.append(line[1:])
            continue
        if parts:
            yield "\n".join(parts)
        parts = [line]
    if parts:
        yield "\n".join(parts)
