"""Compares strategies and says in one sentence which to take, with the numbers. Pure.

What users feel comes first, then what the server and its replicas bear: candidates are held
against each other by one criterion after the other, and whoever is clearly worse than the best
falls out. What differs by less than anybody would notice, or by less than the runs of one
strategy differ among themselves, decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from cowdb.controller.lab import words
from cowdb.controller.lab.blocking import longest
from cowdb.controller.lab.model import Ends, Reason, Recommendation, Run, StrategyResult
from cowdb.controller.lab.verdict import typical

_HARMFUL = ("statement-error", "load-errors")
"""Warnings that weigh more than any lock."""
_MIB = 2**20


@dataclass(frozen=True)
class _Criterion:
    """One thing to compare by; less is better.

    :param near: up to which value nobody notices a difference from the best one.
    :param told: how to say it of the best and of others that are worse."""

    name: str
    of: Callable[[StrategyResult], float | None]
    near: Callable[[float], float]
    told: Callable[[StrategyResult, Sequence[StrategyResult]], str]
    cost: str = ""
    """How to say that the best one is the worse one here; empty: not said."""


@dataclass(frozen=True)
class _Fallen:
    criterion: _Criterion
    rivals: list[StrategyResult]


def recommend(strategies: Sequence[StrategyResult], ends: Ends) -> Recommendation:
    candidates = [item for item in strategies if item["expect"] is None]
    able = [item for item in candidates if item["verdict"] != "fail"]
    others = _failed(candidates) + _ways_back(strategies)
    if not candidates:
        back = [item["name"] for item in strategies if item["verdict"] != "fail"]
        if back and not others:
            others = [f"{words.joined(back)} {_verb(back, 'comes', 'come')} back to the checkpoint"]
        none = "there is nothing to recommend, since only ways back were tried"
        return {"strategy": None, "sentence": _sentence([none, *others])}
    if not able:
        none = "none of these can be recommended" if len(candidates) > 1 else "none can be used"
        return {"strategy": None, "sentence": _sentence([none, *others])}
    best, fallen, equal = _best(able)
    parts = _praise(best, fallen, equal, len(candidates))
    if cost := _costs(best, fallen):
        parts[0] += f", although {cost}"
    if best["verdict"] == "warn" and (warning := _warning(best)):
        parts.append(f"mind that {warning}")
    return {"strategy": best["name"],
            "sentence": _sentence([*parts, *others, *_different_ends(ends)])}  # fmt: skip


def _best(
    able: Sequence[StrategyResult],
) -> tuple[StrategyResult, list[_Fallen], list[StrategyResult]]:
    """The best one, who fell out by what, and those that nothing tells from the best."""
    left, fallen = list(able), []
    for criterion in _CRITERIA:
        values = [(item, criterion.of(item)) for item in left]
        known = [value for _, value in values if value is not None]
        if len(left) < 2 or len(known) < len(left):
            continue
        bound = criterion.near(min(known))
        worse = [item for item, value in values if value is not None and value > bound]
        if criterion.name == "duration":
            worse = [item for item in worse if _slower_in_every_run(item, left)]
        if worse:
            fallen.append(_Fallen(criterion, worse))
            left = [item for item in left if item not in worse]
    return left[0], fallen, left[1:]


def _slower_in_every_run(item: StrategyResult, others: Sequence[StrategyResult]) -> bool:
    fastest = min(others, key=lambda other: other["duration_ms"]["median"])
    return item["duration_ms"]["least"] > fastest["duration_ms"]["most"]


def _praise(
    best: StrategyResult, fallen: Sequence[_Fallen], equal: Sequence[StrategyResult], tried: int
) -> list[str]:
    """Which one and why; then what else is to be known of it, as parts of the sentence."""
    name = best["name"]
    if not fallen and not equal:
        only = " is the only one that can be recommended" if tried > 1 else (
            " passes" if best["verdict"] == "pass" else " can be used"
        )  # fmt: skip
        return [f"{name}{only}: {_summary(best)}"]
    decided = {item.criterion.name for item in fallen}
    parts = []
    if fallen:
        why = ", and ".join(item.criterion.told(best, item.rivals) for item in fallen)
        parts.append(f"use {name}: {why}")
    if equal:
        names = words.joined([name, *(item["name"] for item in equal)])
        tie = f"nothing that was measured tells {names} apart"
        tie += f" ({_summary(best)})" if not fallen else ""
        tie += ", and it comes first in the file"
        parts.append(tie if fallen else f"use {name}: {tie}")
    if fallen:
        parts.append(
            _summary(best, decided | ({"locks"} if decided & {"reads", "writes"} else set()))
        )
    return parts


def _summary(item: StrategyResult, told: Collection[str] = ()) -> str:
    """it blocks writes of public.users for 12 ms at the longest, takes 3.2 s and ...

    :param told: criteria that have been told of already."""
    rewritten = typical(item)["rewritten"]
    parts = {
        "locks": _blocks(item),
        "duration": f"takes {words.span(item['duration_ms']['median'])}",
        "rewrites": f"rewrites {words.joined(rewritten[:3]) if rewritten else 'no table'}",
        "wal": f"writes {_size(_wal(item) or 0)} of WAL",
    }
    return "it " + words.joined([text for name, text in parts.items() if name not in told])


def _blocks(item: StrategyResult) -> str:
    reads, writes = (longest(_most_locked(item)["locks"], who) for who in ("reads", "writes"))
    if writes is None:
        return "blocks neither reads nor writes"
    if reads is None:
        return f"blocks no reads, and writes of {writes.relation} for {words.span(writes.ms)}"
    text = f"blocks reads of {reads.relation} for {words.span(reads.ms)} at the longest"
    if writes.ms > 2 * reads.ms + 50:
        text += f" and writes of {writes.relation} for {words.span(writes.ms)}"
    return text


def _costs(best: StrategyResult, fallen: Sequence[_Fallen]) -> str:
    """Where rivals that fell out earlier would have been clearly better."""
    told: list[str] = []
    names = [criterion.name for criterion in _CRITERIA]
    for criterion in _CRITERIA:
        mine = criterion.of(best)
        if not criterion.cost or mine is None or (criterion.name == "writes" and told):
            continue  # who blocks reads blocks writes, too
        better = []
        for one in fallen:
            if names.index(one.criterion.name) < names.index(criterion.name):
                better += [(value, rival["name"]) for rival in one.rivals
                           if (value := criterion.of(rival)) is not None
                           and mine > criterion.near(value)]  # fmt: skip
        if better:
            text = _SHOWN[criterion.name]
            value, name = min(better)
            told.append(f"it {criterion.cost} {text(mine)} against {text(value)} with {name}")
    return words.joined(told) if told else ""


def _warning(item: StrategyResult) -> str:
    return next((reason["text"] for reason in item["reasons"] if reason["level"] == "warn"), "")


def _failed(candidates: Sequence[StrategyResult]) -> list[str]:
    return [f"{item['name']} fails: {_first_failure(item['reasons'])}"
            for item in candidates if item["verdict"] == "fail"]  # fmt: skip


def _first_failure(reasons: Sequence[Reason]) -> str:
    found = [reason["text"] for reason in reasons if reason["level"] == "fail"]
    more = f" (and {words.many(len(found) - 1, 'more reason')})" if len(found) > 1 else ""
    return words.one_line(found[0], 240) + more


def _ways_back(strategies: Sequence[StrategyResult]) -> list[str]:
    """Those that do not come back."""
    told = []
    for item in strategies:
        left = [reason for reason in item["reasons"] if reason["level"] == "fail" or
                reason["code"] in ("schema-left", "rows-left")]  # fmt: skip
        if item["expect"] is not None and left:
            back = any(reason["code"] in ("schema-left", "rows-left") for reason in left)
            how = "does not come back" if back else "fails"
            told.append(f"{item['name']} {how}: {words.one_line(left[0]['text'], 240)}")
    return told


def _different_ends(ends: Ends) -> list[str]:
    where = [name for name, same in (("schema", ends["schema"]), ("rows", ends["rows"]))
             if same is False]  # fmt: skip
    if not where:
        return []
    groups = " | ".join(", ".join(group) for group in ends["groups"])
    return [f"they do not end in the same {' and '.join(where)} ({groups})"]


def _sentence(parts: Sequence[str]) -> str:
    """One sentence; a strategy's name keeps its case."""
    text = "; ".join(parts)
    if text.startswith(("use ", "none ", "there ")):
        text = text[:1].upper() + text[1:]
    return f"{text}."


def _verb(names: Sequence[str], one: str, several: str) -> str:
    return one if len(names) == 1 else several


# Figures: of the run in the middle, so that one odd run decides nothing.


def _most_locked(item: StrategyResult) -> Run:
    """The run whose longest lock is the median one."""
    middle = item["locked_ms"]["median"]
    return min(item["runs"], key=lambda run: abs((_longest(run, "writes")) - middle))


def _longest(run: Run, who: str) -> float:
    found = longest(run["locks"], "reads" if who == "reads" else "writes")
    return found.ms if found is not None else 0.0


def _median(item: StrategyResult, of: Callable[[Run], float | None]) -> float | None:
    """None where a run does not know it."""
    values = [of(run) for run in item["runs"]]
    known = [value for value in values if value is not None]
    return words.median(known) if values and len(known) == len(values) else None


def _reads(item: StrategyResult) -> float | None:
    return _median(item, lambda run: _longest(run, "reads"))


def _writes(item: StrategyResult) -> float | None:
    return _median(item, lambda run: _longest(run, "writes"))


def _stall(item: StrategyResult) -> float | None:
    def during(run: Run) -> float | None:
        phases = run["load"]["phases"] if run["load"] is not None else []
        return next((phase["stall_ms"] for phase in phases if phase["phase"] == "during"), None)

    return _median(item, during)


def _harm(item: StrategyResult) -> float | None:
    return float(sum(reason["code"] in _HARMFUL for reason in item["reasons"]))


def _rewritten(item: StrategyResult) -> float | None:
    return _median(item, lambda run: float(len(run["rewritten"])))


def _warnings(item: StrategyResult) -> float | None:
    """Rewrites and locks are criteria of their own."""
    own = ("rewrite", "blocked-reads", "blocked-writes", "lock-queue", *_HARMFUL)
    return float(sum(reason["level"] == "warn" and reason["code"] not in own
                     for reason in item["reasons"]))  # fmt: skip


def _duration(item: StrategyResult) -> float | None:
    return item["duration_ms"]["median"]


def _wal(item: StrategyResult) -> float | None:
    return _median(item, lambda run: float(run["disk"]["wal_bytes"]))


def _disk(item: StrategyResult) -> float | None:
    return _median(item, lambda run: (
        None if run["disk"]["cow_bytes"] is None else float(run["disk"]["cow_bytes"])
    ))  # fmt: skip


def _size(value: float) -> str:
    return words.size_text(round(value))


_SHOWN: dict[str, Callable[[float], str]] = {
    "stall": words.span, "reads": words.span, "writes": words.span, "duration": words.span,
    "wal": _size, "disk": _size,
}  # fmt: skip


def _against(
    of: Callable[[StrategyResult], float | None], rivals: Sequence[StrategyResult],
    shown: Callable[[float], str],
) -> str:  # fmt: skip
    return "against " + words.joined(
        [f"{shown(of(item) or 0)} with {item['name']}" for item in rivals]
    )


def _tell_harm(best: StrategyResult, rivals: Sequence[StrategyResult]) -> str:
    told = []
    for item in rivals:
        text = next(reason["text"] for reason in item["reasons"] if reason["code"] in _HARMFUL)
        told.append(f"with {item['name']} {words.one_line(text, 160)}")
    return f"nothing fails with it, while {words.joined(told)}"


def _tell_stall(best: StrategyResult, rivals: Sequence[StrategyResult]) -> str:
    return (f"the load waits {words.span(_stall(best) or 0)} for an answer at the longest, "
            + _against(_stall, rivals, words.span))  # fmt: skip


def _tell_locks(who: str) -> Callable[[StrategyResult, Sequence[StrategyResult]], str]:
    of = _reads if who == "reads" else _writes

    def tell(best: StrategyResult, rivals: Sequence[StrategyResult]) -> str:
        mine = longest(_most_locked(best)["locks"], "reads" if who == "reads" else "writes")
        others = "against " + words.joined(
            [f"{words.span(of(item) or 0)} with {item['name']}{_because(item, who)}"
             for item in rivals])  # fmt: skip
        if mine is None:
            return f"it blocks no {who}, {others}"
        return (f"it blocks {who} of {mine.relation} for {words.span(of(best) or 0)} at the "
                f"longest, {others}")  # fmt: skip

    return tell


def _because(item: StrategyResult, who: str) -> str:
    """Why a rival's lock took so long, where that is plain."""
    tables = typical(item)["rewritten"]
    if tables:
        return f", which rewrites {words.joined(tables[:3])}"
    found = longest(_most_locked(item)["locks"], "reads" if who == "reads" else "writes")
    if found is not None and found.lock["waited_ms"] > found.ms / 2:
        return ", most of it waiting for the lock"
    return ""


def _tell_rewrites(best: StrategyResult, rivals: Sequence[StrategyResult]) -> str:
    told = [f"{item['name']} rewrites {words.joined(typical(item)['rewritten'][:3])}"
            for item in rivals]  # fmt: skip
    mine = typical(best)["rewritten"]
    own = f"it rewrites only {words.joined(mine)}" if mine else "it rewrites no table"
    return f"{own}, while {words.joined(told)}"


def _tell_warnings(best: StrategyResult, rivals: Sequence[StrategyResult]) -> str:
    told = []
    own = ("rewrite", "blocked-reads", "blocked-writes", "lock-queue")
    for item in rivals:
        text = next(reason["text"] for reason in item["reasons"]
                    if reason["level"] == "warn" and reason["code"] not in own)  # fmt: skip
        told.append(f"{item['name']} comes with a warning ({words.one_line(text, 160)})")
    return words.joined([f"its locks are as short, and {told[0]}", *told[1:]])


def _tell_duration(best: StrategyResult, rivals: Sequence[StrategyResult]) -> str:
    return (f"it takes {words.span(best['duration_ms']['median'])}, "
            + _against(_duration, rivals, words.span))  # fmt: skip


def _tell_wal(best: StrategyResult, rivals: Sequence[StrategyResult]) -> str:
    return f"it writes {_size(_wal(best) or 0)} of WAL, {_against(_wal, rivals, _size)}"


def _tell_disk(best: StrategyResult, rivals: Sequence[StrategyResult]) -> str:
    return f"it takes {_size(_disk(best) or 0)} of disk, {_against(_disk, rivals, _size)}"


def _up_to(factor: float, floor: float) -> Callable[[float], float]:
    return lambda best: max(best * factor, best + floor)


_CRITERIA = (
    _Criterion("harm", _harm, _up_to(1, 0), _tell_harm),
    _Criterion("stall", _stall, _up_to(1.5, 50), _tell_stall),
    _Criterion("reads", _reads, _up_to(2, 50), _tell_locks("reads"), "blocks reads for"),
    _Criterion("writes", _writes, _up_to(2, 50), _tell_locks("writes"), "blocks writes for"),
    _Criterion("rewrites", _rewritten, _up_to(1, 0), _tell_rewrites),
    _Criterion("warnings", _warnings, _up_to(1, 0), _tell_warnings),
    _Criterion("duration", _duration, _up_to(1.25, 250), _tell_duration, "takes"),
    _Criterion("wal", _wal, _up_to(1.5, 16 * _MIB), _tell_wal, "writes WAL of"),
    _Criterion("disk", _disk, _up_to(1.5, 16 * _MIB), _tell_disk, "takes disk of"),
)
