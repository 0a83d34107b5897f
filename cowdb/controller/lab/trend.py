"""Two kept runs against each other: did it get worse? Pure.

A figure is worse or better only beyond what its runs differ among themselves, and beyond what
nobody would notice: of one run each that is all there is to go by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from cowdb.controller.lab import words
from cowdb.controller.lab.model import LabReport, Run, Spread, StrategyResult, Verdict
from cowdb.controller.lab.verdict import spread_of

Change = Literal["better", "worse", "same"]
_MIB = 2**20
_VERDICTS: tuple[Verdict, ...] = ("pass", "warn", "fail")


class FigureChange(TypedDict):
    """:param figure: duration_ms, locked_ms (of the longest lock), wal_bytes or stall_ms."""

    figure: str
    was: Spread
    now: Spread
    change: Change


class StrategyChange(TypedDict):
    """A strategy that both runs have."""

    name: str
    change: Change
    """worse where anything is, else better where anything is."""
    verdicts: list[Verdict]
    figures: list[FigureChange]
    rewrites: list[str]
    """Tables that are rewritten now and were not."""
    rewrites_gone: list[str]


class Trend(TypedDict):
    runs: list[str]
    started_at: list[str]
    worse: bool
    strategies: list[StrategyChange]
    only: dict[str, list[str]]
    """Strategies that only one run has, by the run's id."""
    differs: list[str]
    """What else is not the same, so that the figures may not be comparable."""


@dataclass(frozen=True)
class _Figure:
    """:param least: by how much it has to differ at least."""

    name: str
    of: Callable[[Run], float | None]
    least: float


def _stall(run: Run) -> float | None:
    phases = run["load"]["phases"] if run["load"] is not None else []
    return next((phase["stall_ms"] for phase in phases if phase["phase"] == "during"), None)


_FACTOR = 1.25
_FIGURES = (
    _Figure("wal_bytes", lambda run: float(run["disk"]["wal_bytes"]), 4 * _MIB),
    _Figure("stall_ms", _stall, 50),
)
_SHOWN: dict[str, tuple[str, Callable[[float], str]]] = {
    "duration_ms": ("duration", words.span),
    "locked_ms": ("longest lock", words.span),
    "wal_bytes": ("WAL", lambda value: words.size_text(round(value))),
    "stall_ms": ("stall of the load", words.span),
}


def trend(was: LabReport, now: LabReport) -> Trend:
    """:param was: the older run."""
    older = {item["name"]: item for item in was["strategies"]}
    newer = {item["name"]: item for item in now["strategies"]}
    strategies = [_strategy(older[name], newer[name]) for name in newer if name in older]
    return {
        "runs": [was["id"], now["id"]],
        "started_at": [was["started_at"], now["started_at"]],
        "worse": any(item["change"] == "worse" for item in strategies),
        "strategies": strategies,
        "only": {
            was["id"]: [name for name in older if name not in newer],
            now["id"]: [name for name in newer if name not in older],
        },
        "differs": _differs(was, now),
    }


def lines(found: Trend) -> list[str]:
    """For people."""
    told = []
    for item in found["strategies"]:
        was, now = item["verdicts"]
        verdict = was if was == now else f"{was}, now {now}"
        told.append(f"{item['name']}: {item['change']} ({verdict})")
        for figure in item["figures"]:
            label, shown = _SHOWN[figure["figure"]]
            told.append(f"  {label:<18}{_range(figure['was'], shown)} -> "
                        f"{_range(figure['now'], shown)}  {figure['change']}")  # fmt: skip
        if item["rewrites"]:
            told.append(f"  now rewrites      {', '.join(item['rewrites'])}")
        if item["rewrites_gone"]:
            told.append(f"  no more rewrites  {', '.join(item['rewrites_gone'])}")
    told += [f"only in {run}: {', '.join(names)}" for run, names in found["only"].items() if names]
    told += [f"not the same: {text}" for text in found["differs"]]
    return told


def _range(spread: Spread, shown: Callable[[float], str]) -> str:
    text = shown(spread["median"])
    if len(spread["values"]) > 1:
        text += f" ({shown(spread['least'])} to {shown(spread['most'])})"
    return text


def _strategy(was: StrategyResult, now: StrategyResult) -> StrategyChange:
    figures = [
        _figure("duration_ms", was["duration_ms"], now["duration_ms"], 100),
        _figure("locked_ms", was["locked_ms"], now["locked_ms"], 20),
    ]
    for figure in _FIGURES:
        old, new = (_spread(side["runs"], figure.of) for side in (was, now))
        if old is not None and new is not None:
            figures.append(_figure(figure.name, old, new, figure.least))
    before, after = _rewritten(was), _rewritten(now)
    changes = {item["change"] for item in figures}
    steps = _VERDICTS.index(now["verdict"]) - _VERDICTS.index(was["verdict"])
    worse = "worse" in changes or steps > 0 or bool(after - before)
    better = "better" in changes or steps < 0 or bool(before - after)
    return {
        "name": now["name"],
        "change": "worse" if worse else "better" if better else "same",
        "verdicts": [was["verdict"], now["verdict"]],
        "figures": figures,
        "rewrites": sorted(after - before),
        "rewrites_gone": sorted(before - after),
    }


def _figure(name: str, was: Spread, now: Spread, least: float) -> FigureChange:
    change: Change = "same"
    if _beyond(was, now, least):
        change = "worse"
    elif _beyond(now, was, least):
        change = "better"
    return {"figure": name, "was": was, "now": now, "change": change}


def _beyond(less: Spread, more: Spread, least: float) -> bool:
    """Every value of one is above every value of the other, and the medians are far apart."""
    bound = max(less["median"] * _FACTOR, less["median"] + least)
    return more["least"] > less["most"] and more["median"] > bound


def _spread(runs: Sequence[Run], of: Callable[[Run], float | None]) -> Spread | None:
    values = [value for run in runs if (value := of(run)) is not None]
    return spread_of(values) if values else None


def _rewritten(result: StrategyResult) -> set[str]:
    return {name for run in result["runs"] for name in run["rewritten"]}


def _differs(was: LabReport, now: LabReport) -> list[str]:
    pairs = (
        ("name", was["name"], now["name"]),
        ("checkpoint", was["checkpoint"], now["checkpoint"]),
        ("database", was["database"], now["database"]),
        ("PostgreSQL", was["pg_version"], now["pg_version"]),
    )
    return [f"{what}: {one}, now {two}" for what, one, two in pairs if one != two]
