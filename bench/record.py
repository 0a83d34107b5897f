"""What a run measured, and the JSON that it becomes. Times are milliseconds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from bench.stats import Summary, summarise

FORMAT = 1


class Claim(TypedDict):
    """Something that is said of cowdb, and whether this run bears it out."""

    claim: str
    holds: bool
    value: float
    bar: float
    details: str


class Series(TypedDict):
    """:param database: which of `databases`; :param method: "cowdb" or a peer;
    :param measure: which of the times of one repeat this is."""

    database: str
    method: str
    measure: str
    ms: list[float]


class Results(TypedDict):
    """RESULTS/<scenario>.json. Fields may be added, never renamed."""

    format: int
    scenario: str
    quick: bool
    machine: dict[str, Any]
    parameters: dict[str, Any]
    conditions: dict[str, Any]
    databases: list[dict[str, Any]]
    samples: list[Series]
    summary: list[dict[str, Any]]
    ratios: list[dict[str, Any]]
    claims: list[Claim]


Key = tuple[str, str, str]


@dataclass
class Record:
    """Samples as they come, by (database, method, measure)."""

    samples: dict[Key, list[float]] = field(default_factory=dict)

    def add(self, database: str, method: str, **measures: float) -> None:
        """One repeat, with each of its times."""
        for measure, value in measures.items():
            self.samples.setdefault((database, method, measure), []).append(round(value, 3))

    def forget(self, database: str, method: str, prefix: str) -> None:
        """What a run that was interrupted in the middle of a part has left of it."""
        for key in list(self.samples):
            if key[:2] == (database, method) and key[2].startswith(prefix):
                del self.samples[key]

    def series(self) -> list[Series]:
        return [
            {"database": key[0], "method": key[1], "measure": key[2], "ms": values}
            for key, values in self.samples.items()
        ]


def summary(samples: list[Series]) -> list[dict[str, Any]]:
    """One row for each series: n, median, p95, p99, min, max."""
    rows = []
    for item in samples:
        found = summarise(item["ms"])
        named = {"database": item["database"], "method": item["method"], "measure": item["measure"]}
        rows.append({**named, **found.as_json()})
    return rows


def values(samples: list[Series], database: str, method: str, measure: str) -> list[float]:
    """One series; empty when it was not measured."""
    wanted = (database, method, measure)
    found = (item["ms"] for item in samples
             if (item["database"], item["method"], item["measure"]) == wanted)  # fmt: skip
    return next(found, [])


def claim(said: str, value: float, bar: float, holds: bool, details: str) -> Claim:
    return {"claim": said, "holds": holds, "value": round(value, 2), "bar": bar,
            "details": details}  # fmt: skip


def look_up(results: Results, database: str, method: str, measure: str) -> Summary | None:
    """The summary of one series; None when it was not measured."""
    found = values(results["samples"], database, method, measure)
    return summarise(found) if found else None


def measured(
    scenario: str, *, quick: bool, machine: dict[str, Any], samples: list[Series],
    parameters: dict[str, Any], conditions: dict[str, Any], databases: list[dict[str, Any]],
    ratios: list[dict[str, Any]], claims: list[Claim],
) -> Results:  # fmt: skip
    """A run's results, with the summary of its samples."""
    return {
        "format": FORMAT, "scenario": scenario, "quick": quick, "machine": machine,
        "parameters": parameters, "conditions": conditions, "databases": databases,
        "samples": samples, "summary": summary(samples), "ratios": ratios, "claims": claims,
    }  # fmt: skip


def ratios_of(results: Results) -> dict[Key, float]:
    """By (database, method, measure); the measure is empty where there is one only."""
    return {(row["database"], row["method"], row.get("measure", "")): row["ratio"]
            for row in results["ratios"]}  # fmt: skip


def merged(parts: Sequence[Results]) -> Results:
    """The results of a scenario's parts as one; machine, parameters and conditions are the first
    part's, and what differs is in each of the `databases`."""
    if not parts:
        raise ValueError("no results to merge")
    return {
        **parts[0],
        "databases": [item for part in parts for item in part["databases"]],
        "samples": [item for part in parts for item in part["samples"]],
        "summary": [item for part in parts for item in part["summary"]],
        "ratios": [item for part in parts for item in part["ratios"]],
        "claims": [item for part in parts for item in part["claims"]],
    }
