"""Holds what was found out against the limits: reasons, and a verdict from them. Pure.

A reason that comes up in several runs of a strategy is told once, of the run in which it was the
worst. Every reason that fails a strategy has a code that is stable: a limit's name, a word of
`forbid`, or one of those below.

    failed            the command or a statement failed, or was ended
    statement-error   a statement failed, and the command went on and ended well
    validation        a query of `validate` did not answer true
    rows-left         a rollback left rows unlike the checkpoint's
    not-compared      a rollback could not be compared with the checkpoint
    lock-queue        it waited for a lock, and whoever came after queued behind it
    load-errors       queries of the load failed
    load-slower       the load is slower than before
    scan              a table was read whole while others were blocked
    wal               so much WAL that a replica may fall behind
    sampling          locks were not looked at for a while, so that some may be missing
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from cowdb.controller.lab import words
from cowdb.controller.lab.blocking import Blocked, blocked, longest_ms
from cowdb.controller.lab.model import Reason, Run, Spread, StrategyResult, Traffic, Verdict
from cowdb.controller.lab.spec.model import Forbidden, Limits, seconds

Level = Literal["note", "warn", "fail"]
_ORDER: tuple[Level, ...] = ("fail", "warn", "note")
_QUEUE_MS = 100.0
"""Others feel it when a lock queue stands this long."""
_GAP_MS = 100.0
_WAL_PER_SECOND = 64 * 2**20
"""What a replica on a 1 Gbit/s line, with something else to do, still takes."""
_SLOWER = 2.0
_SLOWER_MS = 5.0
_LONGEST_ERRORS = 3


@dataclass(frozen=True)
class _Finding:
    """One reason in one run.

    :param about: with the level and code, what makes it the same reason in another run.
    :param weight: how bad it is, among the same ones."""

    level: Level
    code: str
    text: str
    about: str = ""
    weight: float = 0.0
    statement: int | None = None


def judge(
    name: str, command: str, limits: Limits, runs: Sequence[Run], *,
    expect: Literal["same-as-checkpoint"] | None = None,
) -> StrategyResult:  # fmt: skip
    """What came of a strategy over all its runs, one or more.

    :param command: how reports call what was done: the command, or the files.
    :param limits: those that hold for this strategy (`strategy.limits.over(migration.limits)`).
    """
    reasons = _merged([list(_findings(run, command, limits, expect)) for run in runs])
    levels = {reason["level"] for reason in reasons}
    verdict: Verdict = "fail" if "fail" in levels else "warn" if "warn" in levels else "pass"
    return {
        "name": name,
        "words": command,
        "verdict": verdict,
        "reasons": reasons,
        "runs": list(runs),
        "duration_ms": spread_of([run["duration_ms"] for run in runs]),
        "locked_ms": spread_of([longest_ms(run["locks"], "writes") for run in runs]),
        "expect": expect,
        "limits": msgspec.json.decode(msgspec.json.encode(limits)),  # lists, as in JSON
    }


def limits_from(limits: Mapping[str, object]) -> Limits:
    """Those that a result holds; a limit that a newer cowdb wrote is left out."""
    known = {item.encode_name for item in msgspec.structs.fields(Limits)}
    return msgspec.convert({k: v for k, v in limits.items() if k in known}, Limits)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Of a whole lab run: one that fails fails it."""
    found = set(verdicts)
    return "fail" if "fail" in found else "warn" if "warn" in found else "pass"


def typical(result: StrategyResult) -> Run:
    """The run in the middle, by duration; the faster one of two."""
    runs = sorted(result["runs"], key=lambda run: run["duration_ms"])
    return runs[(len(runs) - 1) // 2]


def spread_of(values: Sequence[float]) -> Spread:
    return {
        "median": words.median(values),
        "least": min(values),
        "most": max(values),
        "values": list(values),
    }


def _merged(runs: Sequence[Sequence[_Finding]]) -> list[Reason]:
    grouped: dict[tuple[Level, str, str], list[_Finding]] = {}
    for findings in runs:
        seen: dict[tuple[Level, str, str], _Finding] = {}
        for item in findings:
            key = (item.level, item.code, item.about)
            if key not in seen or item.weight > seen[key].weight:
                seen[key] = item
        for key, item in seen.items():
            grouped.setdefault(key, []).append(item)
    told = []
    for (level, code, _), items in grouped.items():
        item = max(items, key=lambda item: item.weight)
        text = item.text
        if len(runs) > 1:
            text += f" (in {len(items)} of {len(runs)} runs)"
        told.append(Reason(level=level, code=code, text=text, statement=item.statement))
    return sorted(told, key=lambda reason: _ORDER.index(reason["level"]))


def _findings(run: Run, command: str, limits: Limits, expect: str | None) -> Iterator[_Finding]:
    yield from _failures(run, command)
    yield from _validations(run)
    if expect is not None:
        yield from _way_back(run, limits)
    yield from _forbidden(run, limits)
    yield from _locks(run, limits)
    yield from _duration(run, limits)
    yield from _load(run, limits)
    yield from _notes(run)


def _failures(run: Run, command: str) -> Iterator[_Finding]:
    wrong = [item for item in run["statements"] if item["error"]]
    if run["error"] or run["exit_code"] not in (0, None):
        text = run["error"] or f"the command ended with status {run['exit_code']}"
        last = wrong[-1] if wrong else None
        if last is not None:
            told = words.one_line(last["error"] or "")
            where = _place(run, last["number"])
            text = f"{where} failed: {told}" if told in text or not run["error"] else (
                f"{words.one_line(text)}; {where} had failed: {told}"
            )  # fmt: skip
        if "due to lock timeout" in text:
            text += "; it gave up rather than let others wait, so it can be tried again"
        yield _Finding("fail", "failed", words.one_line(text, 500), "", 0,
                       last["number"] if last else None)  # fmt: skip
        return
    for item in wrong:
        text = f"{_place(run, item['number'])} failed and the command went on: " + words.one_line(
            item["error"] or ""
        )
        if "psql" in command:
            text += " (psql stops at an error with -v ON_ERROR_STOP=1)"
        yield _Finding("warn", "statement-error", text, str(item["number"]), 0, item["number"])


def _validations(run: Run) -> Iterator[_Finding]:
    for item in run["validations"]:
        if not item["passed"]:
            answer = item["error"] or f"the answer is {item['value'] or 'null'}"
            yield _Finding("fail", "validation",
                           f"{item['name']} does not hold: {words.one_line(answer)}",
                           item["name"])  # fmt: skip


def _way_back(run: Run, limits: Limits) -> Iterator[_Finding]:
    """A rollback that leaves something fails, but for a schema that only a warning was asked
    for."""
    if run["same_as_checkpoint"]:
        return
    schema, rows = run["difference"]["schema"], run["difference"]["rows"]
    if schema:
        names = [f"{item['kind']} {item['name']} {item['change']}" for item in schema]
        level: Level = _level("schema-left", limits) or "fail"
        yield _Finding(level, "schema-left", "the schema is not the checkpoint's again: "
                       + _first(names), "", len(names))  # fmt: skip
    if rows:
        tables = [
            f"{item['table']} (" + ", ".join(
                f"{number:,} {word}" for word, number in
                (("added", item["added"]), ("removed", item["removed"]),
                 ("changed", item["changed"])) if number) + ")"
            for item in rows
        ]  # fmt: skip
        text = "the rows are not the checkpoint's again: " + _first(tables)
        if run["load"] is not None:
            text += " (what the load wrote counts as well: give it queries that only read)"
        yield _Finding("fail", "rows-left", text, "", len(tables))
    if not schema and not rows and not _has_failed(run):
        missing = run["difference"]["not_compared"]
        why = f": {_first(missing)}" if missing else ""
        yield _Finding("fail", "not-compared",
                       f"it could not be compared with the checkpoint{why}")  # fmt: skip


def _has_failed(run: Run) -> bool:
    return bool(run["error"]) or run["exit_code"] not in (0, None)


def _forbidden(run: Run, limits: Limits) -> Iterator[_Finding]:
    for table in run["rewritten"]:
        level = _level("rewrite", limits) or "note"
        by = next((item["number"] for item in run["statements"] if table in item["rewrote"]), None)
        text = f"{table} was written anew" + (f" by {_place(run, by)}" if by is not None else "")
        yield _Finding(level, "rewrite", text, table, 0, by)
    for text in run["lost"]:
        yield _Finding(_level("data-loss", limits) or "note", "data-loss", text, text)
    for left in run["leftovers"]:
        code: Forbidden = (
            "invalid-index" if left["kind"] == "invalid index" else "not-valid-constraint"
        )
        yield _Finding(_level(code, limits) or "note", code,
                       f"{left['kind']} {left['name']} is left behind", left["name"])  # fmt: skip


def _locks(run: Run, limits: Limits) -> Iterator[_Finding]:
    reads, writes = blocked(run["locks"], "reads"), blocked(run["locks"], "writes")
    kinds: tuple[tuple[list[Blocked], Forbidden], ...] = (
        (reads, "blocked-reads"), (writes, "blocked-writes"),
    )  # fmt: skip
    for found, code in kinds:
        level = _level(code, limits)
        if level is not None:
            yield from (_blocking(run, item, level, code, "") for item in found)
    limit = limits.max_lock_ms
    if limit is not None:
        over = {item.relation: item for item in reversed(reads) if item.ms > limit}
        for item in writes:
            if item.ms > limit:
                both = over.get(item.relation, item)
                yield _blocking(run, both, "fail", "max_lock_ms",
                                f" (limit {words.span(limit)})")  # fmt: skip
    for lock in run["locks"]:
        if lock["waited_ms"] >= _QUEUE_MS and lock["blocks"] != "ddl":
            behind = _behind(run, lock["relation"])
            text = (
                f"{_by(run, lock['statement'], 'it')} waited {words.span(lock['waited_ms'])} for "
                f"{lock['mode']} on {lock['relation']}"
                + (f" behind {words.one_line(behind[0], 120)}" if behind else "")
                + "; whoever came after queued behind it, so set lock_timeout and try again"
            )
            yield _Finding("warn", "lock-queue", text, lock["relation"], lock["waited_ms"],
                           lock["statement"])  # fmt: skip


def _behind(run: Run, relation: str) -> list[str]:
    """What the strategy waited for there."""
    found = (item["behind"] for item in run["waits"]
             if item["who"] == "strategy" and item["relation"] == relation)  # fmt: skip
    return next((chain for chain in found if chain), [])


def _blocking(run: Run, item: Blocked, level: Level, code: str, more: str) -> _Finding:
    lock = item.lock
    who = "reads and writes" if item.who == "reads" else "writes"
    about = "" if lock["exact"] else "about "
    waited = f" after waiting {words.span(lock['waited_ms'])}" if lock["waited_ms"] >= 1 else ""
    text = (
        f"{who} of {item.relation} were blocked for {about}{words.span(item.ms)}{more}: "
        f"{lock['mode']} held {words.span(lock['held_ms'])}{waited}"
        + (f", {_place(run, lock['statement'])}" if lock["statement"] is not None else "")
        + _why(run, item)
    )
    return _Finding(level, code, text, item.relation, item.ms, lock["statement"])


def _why(run: Run, item: Blocked) -> str:
    """What took so long under the lock, where that is known."""
    if item.relation in run["rewritten"]:
        return ", which wrote it anew"
    if item.ms >= _QUEUE_MS and _read_whole(run, item):
        return ", which read it whole"
    return ""


def _read_whole(run: Run, item: Blocked) -> bool:
    """Some statement read the relation whole in that time."""
    return any(
        item.relation in one["scanned"]
        and one["at_ms"] < item.end_ms
        and one["at_ms"] + one["duration_ms"] > item.begin_ms
        for one in run["statements"]
    )


def _duration(run: Run, limits: Limits) -> Iterator[_Finding]:
    if limits.max_duration is None:
        return
    limit = seconds(limits.max_duration) * 1000
    if run["duration_ms"] > limit:
        slow = max(run["statements"], key=lambda item: item["duration_ms"], default=None)
        text = f"it took {words.span(run['duration_ms'])} (limit {words.span(limit)})"
        if slow is not None:
            text += (
                f", {words.span(slow['duration_ms'])} of it {_place(run, slow['number'])}: "
                + words.one_line(slow["text"], 80)
            )
        yield _Finding("fail", "max_duration", text, "", run["duration_ms"],
                       slow["number"] if slow is not None else None)  # fmt: skip


def _load(run: Run, limits: Limits) -> Iterator[_Finding]:
    load = run["load"]
    if load is None:
        return
    phases: dict[str, Traffic] = {phase["phase"]: phase for phase in load["phases"]}
    before, during, after = (phases.get(name) for name in ("before", "during", "after"))
    limit = limits.max_stall_ms
    if during is not None and limit is not None and during["stall_ms"] > limit:
        text = f"no query of the load was answered for {words.span(during['stall_ms'])}"
        yield _Finding("fail", "max_stall_ms", f"{text} (limit {words.span(limit)})", "",
                       during["stall_ms"])  # fmt: skip
    told = [phase for phase in (during, after) if phase is not None and phase["errors"]]
    if told:
        number = sum(phase["errors"] for phase in told)
        counted = sorted(load["errors"].items(), key=lambda item: -item[1])
        messages = [f"{words.one_line(text, 120)} ({count:,})" for text, count in counted]
        when = " and ".join(phase["phase"] for phase in told) + " it"
        yield _Finding("warn", "load-errors", f"{words.many(number, 'query')} of the load failed "
                       f"{when}: {_first(messages)}", "", number)  # fmt: skip
    if before is None or after is None or before["p95_ms"] is None or after["p95_ms"] is None:
        return
    if after["p95_ms"] > max(before["p95_ms"] * _SLOWER, before["p95_ms"] + _SLOWER_MS):
        yield _Finding("note", "load-slower", "95 % of the load's queries are answered within "
                       f"{words.span(after['p95_ms'])} after it, {words.span(before['p95_ms'])} "
                       "before", "", after["p95_ms"])  # fmt: skip


def _notes(run: Run) -> Iterator[_Finding]:
    for item in blocked(run["locks"], "writes"):
        own = item.relation not in run["rewritten"] and _read_whole(run, item)
        if own and item.ms >= _QUEUE_MS:
            yield _Finding("note", "scan", f"{item.relation} was read whole while writes of it "
                           "were blocked", item.relation)  # fmt: skip
    rate = run["disk"]["wal_bytes_per_second"]
    if rate > _WAL_PER_SECOND:
        yield _Finding("note", "wal", f"{words.per_second(rate)} of WAL in the busiest second: a "
                       "replica may fall behind", "", rate)  # fmt: skip
    gap = run["sampling"]["longest_gap_ms"]
    if gap > max(_GAP_MS, 10 * run["sampling"]["interval_ms"]) and not all(
        lock["exact"] for lock in run["locks"]
    ):
        yield _Finding("note", "sampling", f"locks were not looked at for {words.span(gap)}: "
                       "times that are not exact may be off by that", "", gap)  # fmt: skip


def _level(what: Forbidden, limits: Limits) -> Level | None:
    if what in limits.forbid:
        return "fail"
    return "warn" if what in limits.warn else None


def _place(run: Run, number: int | None) -> str:
    for item in run["statements"]:
        if item["number"] == number:
            return words.place(number, item["file"], item["line"])
    return words.place(number, None, None)


def _by(run: Run, number: int | None, otherwise: str) -> str:
    return _place(run, number) or otherwise


def _first(texts: Sequence[str]) -> str:
    kept = ", ".join(texts[:_LONGEST_ERRORS])
    more = len(texts) - _LONGEST_ERRORS
    return f"{kept} and {more:,} more" if more > 0 else kept
