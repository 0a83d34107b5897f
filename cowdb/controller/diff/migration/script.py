"""The migration as a script for psql: marks in comments above the statements they speak of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cowdb.controller.diff.model import StatementEntry

# Names are always qualified, bodies are not looked into before what they use is there. A script
# that waits long for a lock stops everybody behind it: so it rather fails.
_OPENING = (
    "SET LOCAL lock_timeout = '10s';",
    "SET LOCAL search_path = '';",
    "SET LOCAL check_function_bodies = off;",
)


def render(entries: Sequence[StatementEntry], first: str, other: str) -> str:
    """:param first: the side to run it on, as it is called; `other` is the one it becomes like."""
    lines = [
        f"-- cowdb diff --sql: run on {_comment(first)}, it gets the schema of {_comment(other)}.",
        "-- Run it with: psql -X -v ON_ERROR_STOP=1 -f FILE",
        *_summary(entries),
        "",
    ]
    before = [one for one in entries if one["statement"] and not one["in_transaction"]]
    inside = [one for one in entries if one["in_transaction"]]
    if before:
        lines += ["SET search_path = '';", ""]
        lines += ["-- Before the transaction, since it needs these committed:"]
        lines += [line for one in before for line in _told(one)]
        lines.append("")
    if inside:
        lines += ["BEGIN;", *_OPENING, ""]
        lines += [line for one in inside for line in _told(one)]
        lines += ["", "COMMIT;"]
    lines += [
        f"-- not done: {one['kind']} {_comment(one['name'])}: {_comment(one['reason'])}"
        for one in entries
        if not one["statement"]
    ]
    return "\n".join(lines).rstrip() + "\n"


def _summary(entries: Sequence[StatementEntry]) -> Iterator[str]:
    counts = {
        "losing data": sum(one["loses_data"] for one in entries),
        "writing a table anew": sum(one["rewrites"] for one in entries),
        "locking for long": sum(one["long_lock"] for one in entries),
    }
    told = [f"{number} {what}" for what, number in counts.items() if number]
    statements = sum(bool(one["statement"]) for one in entries)
    noun = "statement" if statements == 1 else "statements"
    yield f"-- {statements} {noun}" + (f": {', '.join(told)}." if told else ".")
    if left := sum(not one["statement"] for one in entries):
        yield f"-- Not done: {left}, named at the end."


def _told(one: StatementEntry) -> Iterator[str]:
    marks = []
    if one["loses_data"]:
        marks.append("LOSES DATA")
    if one["rewrites"]:
        marks.append("REWRITE")
    if one["long_lock"]:
        marks.append(f"LONG LOCK ({one['lock'] or 'on what it reads'})")
    if marks or one["reason"]:
        label = ", ".join(marks)
        yield f"-- {label}{': ' if label and one['reason'] else ''}{_comment(one['reason'])}"
    yield f"{one['statement']};"


def _comment(text: str) -> str:
    """On one line: a name may hold a line break, and must not become a statement."""
    return " ".join(text.split())
