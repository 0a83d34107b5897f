"""What every report tells of a strategy, in words: a fact for each line. Pure.

Of several runs the one with the median duration is told, and the spread where it matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cowdb.controller.diff.model import Report
from cowdb.controller.lab import words
from cowdb.controller.lab.blocking import longest, total_ms
from cowdb.controller.lab.model import (
    Checked,
    LabReport,
    LoadResult,
    Locked,
    Run,
    Statement,
    StrategyResult,
    Traffic,
    Verdict,
)
from cowdb.controller.lab.verdict import typical

VERDICTS: dict[Verdict, str] = {"pass": "passes", "warn": "passes with a warning", "fail": "fails"}
_BLOCKS = {"reads": "blocks reads and writes", "writes": "blocks writes", "ddl": "blocks only DDL"}
_MOST = 4
_SHARE = 0.1
"""A statement that took this much of the time is told of, with or without a reason."""


@dataclass(frozen=True)
class Fact:
    """:param bad: it goes against the strategy."""

    label: str
    text: str
    bad: bool = False


def title(report: LabReport) -> str:
    version = f" {report['version']}" if report["version"] else ""
    return f"{report['name']}{version}"


def setting(report: LabReport) -> str:
    """What it was tried on."""
    return (
        f"{report['checkpoint']}, database {report['database']}, PostgreSQL {report['pg_version']}"
    )


def ends(report: LabReport) -> str:
    """Whether the strategies end alike; empty where nothing is known. What the recommendation
    says already is not said again."""
    found = report["ends"]
    known = [(name, same) for name, same in (("schema", found["schema"]), ("rows", found["rows"]))
             if same is not None]  # fmt: skip
    if not known:
        return ""
    alike = [name for name, same in known if same]
    unlike = [name for name, same in known if not same]
    told = []
    if alike:
        told.append(f"in the same {' and the same '.join(alike)}")
    if unlike and "do not end in the same" not in report["recommendation"]["sentence"]:
        groups = " | ".join(", ".join(group) for group in found["groups"])
        told.append(f"not in the same {' or '.join(unlike)}" + (f" ({groups})" if groups else ""))
    return f"The strategies end {', but '.join(told)}." if told else ""


def facts(result: StrategyResult) -> list[Fact]:
    run = typical(result)
    return [
        Fact("duration", _duration(result, run)),
        *_locks(run["locked"]),
        *_waits(run),
        *_written(run),
        *_load(run["load"]),
        *_counts(run["difference"]),
        *(
            Fact("validation", validation_text(item), not item["passed"])
            for item in run["validations"]
        ),
        *_schema(result, run),
        *(Fact("lost", text, True) for text in run["lost"]),
        *(Fact("left", f"{item['kind']} {item['name']}", True) for item in run["leftovers"]),
        *_looking(run),
        *(Fact("mind", text) for text in run["notes"]),
        *_kept(result),
    ]


def told_statements(result: StrategyResult) -> tuple[list[Statement], int]:
    """Those that a reason names, that failed, or that took a good part of the time; and how many
    others there are."""
    run = typical(result)
    named = {reason["statement"] for reason in result["reasons"]}
    long = max(run["duration_ms"] * _SHARE, 10)
    kept = [item for item in run["statements"]
            if item["number"] in named or item["error"] or item["duration_ms"] >= long]  # fmt: skip
    return kept, len(run["statements"]) - len(kept)


def statement_facts(item: Statement) -> str:
    """Its time and what it cost."""
    about = "" if item["exact"] else "about "
    told = [f"{about}{words.span(item['duration_ms'])}"]
    if item["waited_ms"] >= 1:
        told.append(f"{words.span(item['waited_ms'])} of it waiting")
    if item["wal_bytes"]:
        told.append(f"{words.size_text(item['wal_bytes'])} of WAL")
    if item["rewrote"]:
        told.append(f"rewrote {words.joined(item['rewrote'])}")
    return ", ".join(told)


def statement_place(item: Statement) -> str:
    """v2.sql:12, or statement 3 where it stands in no file."""
    if item["file"] is not None and item["line"] is not None:
        return f"{item['file']}:{item['line']}"
    return f"statement {item['number']}"


def _duration(result: StrategyResult, run: Run) -> str:
    text = words.span(result["duration_ms"]["median"])
    if len(result["runs"]) > 1:
        least, most = result["duration_ms"]["least"], result["duration_ms"]["most"]
        text += f" ({words.span(least)} to {words.span(most)} in {len(result['runs'])} runs)"
    reads, writes = longest(run["locks"], "reads"), longest(run["locks"], "writes")
    if writes is None:
        return f"{text}, neither reads nor writes blocked"
    told = []
    if reads is not None:
        told.append(_blocked("reads", total_ms(run["locks"], "reads"), reads.ms, reads.relation))
    if reads is None or total_ms(run["locks"], "writes") > total_ms(run["locks"], "reads") + 1:
        told.append(_blocked("writes", total_ms(run["locks"], "writes"), writes.ms,
                             writes.relation))  # fmt: skip
    return f"{text}, {' and '.join(told)}"


def _blocked(who: str, total: float, most: float, relation: str) -> str:
    at_most = f", {words.span(most)} at the longest" if total > most + 1 else ""
    return f"{who} blocked for {words.span(total)}{at_most} ({relation})"


def _locks(locked: Sequence[Locked]) -> Iterator[Fact]:
    strength = ("reads", "writes", "ddl")
    ordered = sorted(locked, key=lambda item: (strength.index(item["blocks"]), -item["total_ms"]))
    for item in ordered[:_MOST]:
        times = "" if item["times"] == 1 else (
            f" in {item['times']:,} times, {words.span(item['longest_ms'])} at the longest"
        )  # fmt: skip
        waited = f", waited {words.span(item['waited_ms'])}" if item["waited_ms"] >= 1 else ""
        yield Fact("locks", f"{item['relation']}: {item['mode']} {words.span(item['total_ms'])}"
                   f"{times}{waited}, {_BLOCKS[item['blocks']]}")  # fmt: skip
    if len(ordered) > _MOST:
        yield Fact("locks", f"{words.many(len(ordered) - _MOST, 'lock')} more")


def _waits(run: Run) -> Iterator[Fact]:
    for who, name in (("strategy", "it"), ("load", "the load"), ("other", "others")):
        found = [item for item in run["waits"] if item["who"] == who]
        if found:
            worst = max(found, key=lambda item: item["waited_ms"])
            on = f" for {worst['mode']}" + (f" on {worst['relation']}" if worst["relation"] else "")
            behind = f" behind {words.one_line(worst['behind'][0], 100)}" if worst["behind"] else ""
            yield Fact("waits", f"{name} waited {words.span(worst['waited_ms'])}{on}{behind}",
                       who == "strategy" and worst["waited_ms"] >= 100)  # fmt: skip


def _written(run: Run) -> Iterator[Fact]:
    if run["rewritten"]:
        yield Fact("rewritten", words.joined(run["rewritten"]), True)
    if scanned := [name for name in run["scanned"] if name not in run["rewritten"]]:
        more = f" and {len(scanned) - _MOST} more" if len(scanned) > _MOST else ""
        yield Fact("read whole", words.joined(scanned[:_MOST]) + more)
    disk = run["disk"]
    told = [f"{words.size_text(disk['wal_bytes'])} of WAL"
            f" ({words.per_second(disk['wal_bytes_per_second'])} in the busiest second)",
            f"the database grew by {words.size_text(disk['logical_bytes'])}"]  # fmt: skip
    if disk["cow_bytes"] is not None:
        told.append(f"{words.size_text(disk['cow_bytes'])} really taken")
    if disk["temp_bytes"]:
        told.append(f"{words.size_text(disk['temp_bytes'])} of temporary files")
    yield Fact("disk", ", ".join(told))


def _load(load: LoadResult | None) -> Iterator[Fact]:
    if load is None:
        return
    for phase in load["phases"]:
        yield Fact("load", f"{phase['phase']}: {phase_text(phase)}",
                   phase["phase"] != "before" and phase["errors"] > 0)  # fmt: skip
    for message, number in sorted(load["errors"].items(), key=lambda item: -item[1])[:_MOST]:
        yield Fact("load", f"{words.many(number, 'query')} failed: {words.one_line(message, 160)}",
                   True)  # fmt: skip


def phase_text(phase: Traffic) -> str:
    told = [f"{phase['per_second']:,.0f}/s"]
    for name, ms in (("p50", phase["p50_ms"]), ("p95", phase["p95_ms"]), ("p99", phase["p99_ms"]),
                     ("longest", phase["longest_ms"])):  # fmt: skip
        if ms is not None:
            told.append(f"{name} {words.span(ms)}")
    told.append(f"without an answer for {words.span(phase['stall_ms'])}")
    if phase["errors"]:
        told.append(words.many(phase["errors"], "error"))
    return ", ".join(told)


def _counts(difference: Report) -> Iterator[Fact]:
    lines = difference["counts"]
    if not lines:
        return
    other = [line for line in lines if len(set(line["counts"])) > 1]
    for line in other[:_MOST]:
        old, new = line["counts"][0], line["counts"][-1]
        delta = f" ({new - old:+,})" if old is not None and new is not None else ""
        yield Fact("row counts", f"{line['table']}: {_number(old)} before, {_number(new)} after"
                   f"{delta}")  # fmt: skip
    same = [line for line in lines if line not in other]
    rest = f"{words.many(len(other) - _MOST, 'table')} more changed, " if len(other) > _MOST else ""
    total = sum(line["counts"][0] or 0 for line in same)
    if same:
        yield Fact("row counts", f"{rest}{words.many(total, 'row')} in "
                   f"{words.many(len(same), 'table')} as before")  # fmt: skip


def _number(count: int | None) -> str:
    return "no table" if count is None else f"{count:,}"


def validation_text(item: Checked) -> str:
    if item["passed"]:
        return f"{item['name']} holds"
    why = item["error"] or f"the answer is {item['value'] or 'null'}"
    return f"{item['name']} does not hold: {words.one_line(why)}"


def _schema(result: StrategyResult, run: Run) -> Iterator[Fact]:
    difference = run["difference"]
    changes = [f"{item['kind']} {item['name']} {item['change']}" for item in difference["schema"]]
    if result["expect"] is None:
        if "schema" in difference["timings_ms"]:
            yield Fact("schema", _listed(changes) or "as before")
        return
    if run["same_as_checkpoint"]:
        yield Fact("after rollback", "schema and rows match the checkpoint")
    elif run["same_as_checkpoint"] is None:
        yield Fact("after rollback", "not compared with the checkpoint", True)
    else:
        rows = [_row_text(item["table"], item["added"], item["removed"], item["changed"])
                for item in difference["rows"]]  # fmt: skip
        what = _listed([*changes, *rows]) or "not everything could be compared"
        yield Fact("after rollback", f"does not match the checkpoint: {what}", True)
    for text in difference["not_compared"][:_MOST]:
        yield Fact("not compared", text)


def _row_text(table: str, added: int, removed: int, changed: int) -> str:
    numbers = (("added", added), ("removed", removed), ("changed", changed))
    return f"rows of {table} " + ", ".join(f"{number:,} {word}" for word, number in numbers
                                           if number)  # fmt: skip


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MOST} more" if len(texts) > _MOST else ""
    return ", ".join(texts[:_MOST]) + more


def _looking(run: Run) -> Iterator[Fact]:
    found = run["sampling"]
    if found["samples"]:
        yield Fact("sampling", f"locks looked at every {words.span(found['interval_ms'])}, "
                   f"{words.span(found['longest_gap_ms'])} apart at the most, for "
                   f"{found['overhead'] * 100:.1f} % of one core")  # fmt: skip


def _kept(result: StrategyResult) -> Iterator[Fact]:
    for run in result["runs"]:
        if run["kept"] and run["connect"] is not None:
            yield Fact("kept", f"{run['branch']}: {run['connect']}")
