"""Measure the five workloads, on databases of several sizes, by cowdb and by its peers.

    for each size: a host of its own, with the shop in it
        for each workload: cowdb, then each peer, on the same filesystem

The larger databases are for growth: only the workloads that are asked for run there, and only by
ways that do not copy every byte, of which ten workers at once would write without end.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

from bench import ground, machine
from bench.kept import Kept
from bench.record import Claim, Results, claim, measured
from bench.scenarios import Say
from bench.scenarios.agents import run as runs
from bench.scenarios.agents.tree import Shape
from bench.scenarios.agents.workloads import ALL, SEARCH, SIMULATION, Workload
from bench.sizes import bytes_of
from bench.ways import ALL as METHODS
from bench.ways import COWDB, PEERS, TITLES, WHOLE

SEED = 20260417
GROWTH_BAR = 1.25
_NAMES = ("sizes", "workloads", "grown", "scale", "peer_budget", "copy_budget", "pg_version",
          "peers", "spares", "roots", "keep_sessions")  # fmt: skip


def run(options: argparse.Namespace, say: Say) -> Results:
    if options.quick:
        options.sizes, options.grown, options.peer_budget = ("10MB",), (), 20.0
        options.copy_budget = 20.0
    described = machine.describe()
    kept = Kept.resumed(options, _NAMES, say)
    methods = ground.usable([COWDB, *options.peers], options.pg_version)
    for size in options.sizes:
        fit = [method for method in methods if size == options.sizes[0] or method not in WHOLE]
        wanted = [(workload, method) for workload in _workloads(options, size)
                  for method in fit
                  if _cell(size, workload, method) not in kept.done]  # fmt: skip
        if wanted:
            _measure_size(options, kept, size, wanted, say)
    described |= kept.conditions.get("machine", {})
    described["load_average_at_end"] = machine.load()
    results = _results(options, kept, described)
    kept.forget()
    return results


def _workloads(options: argparse.Namespace, size: str) -> list[Workload]:
    names = options.workloads if size == options.sizes[0] else options.grown
    return [workload for workload in ALL if workload.name in names]


def _cell(size: str, workload: Workload, method: str) -> str:
    return f"{size}/{workload.name}/{method}"


def _measure_size(
    options: argparse.Namespace, kept: Kept, size: str, wanted: list[tuple[Workload, str]], say: Say
) -> None:
    with ground.prepared(size, options.pg_version, say) as place:
        kept.cells[size] = place.facts
        kept.conditions["machine"] = {
            name: place.facts[name] for name in ("postgres", "filesystem")
        }  # fmt: skip
        for workload, method in wanted:
            cell = _cell(size, workload, method)
            kept.record.forget(size, method, f"{workload.name}.")
            kept.cells[cell] = _measure(options, kept, place, workload, method, say)
            kept.finish(cell)


def _measure(
    options: argparse.Namespace, kept: Kept, place: ground.Ground, workload: Workload, method: str,
    say: Say,
) -> dict[str, Any]:  # fmt: skip
    shape = workload.shape.scaled(options.scale)
    if options.quick:
        shape = Shape(2, 2, shape.fanout, shape.depth, shape.prune, min(1, shape.compares),
                      shape.ends_empty)  # fmt: skip
    workload = Workload(workload.name, shape, workload.step, workload.check, workload.running)
    running = workload.running and options.roots == "running"
    budget = options.copy_budget if method in WHOLE else options.peer_budget
    budget = math.inf if method == COWDB else budget
    place.settle()
    with ground.opened(place, method, running=running,
                       spares=0 if running else options.spares) as way:  # fmt: skip
        found = runs.run(
            workload, way, kept.record, place.label, method, budget=budget, seed=SEED,
            prefix=workload.name[:3], keep_sessions=options.keep_sessions, say=say,
        )  # fmt: skip
    say(f"{place.label}, {method}: {workload.name}: {found['finished']} of {found['planned']} in "
        f"{found['ms'] / 1000:.1f} s")  # fmt: skip
    return {"database": place.label, **found}


def _results(options: argparse.Namespace, kept: Kept, described: dict[str, Any]) -> Results:
    samples = kept.record.series()
    databases = [
        {**kept.cells[size], "runs": [
            kept.cells[cell] for workload in _workloads(options, size) for method in METHODS
            if (cell := _cell(size, workload, method)) in kept.cells
        ]}
        for size in options.sizes if size in kept.cells
    ]  # fmt: skip
    shapes = {workload.name: vars(workload.shape) for workload in ALL}
    return measured(
        "agents",
        quick=options.quick,
        machine=described,
        parameters={**kept.options, "seed": SEED, "shapes": shapes},
        conditions={
            "server_settings": ground.SERVER_SETTINGS, "copy_settings": ground.COPY_SETTINGS,
            "branch_settings": ground.branch_settings(),
            "spares": options.spares, "first_branches_of": options.roots,
            "sessions_kept": options.keep_sessions,
            "page_cache": "warm for all",
        },
        databases=databases,
        samples=samples,
        ratios=ratios(databases),
        claims=claims(databases),
    )  # fmt: skip


def found_in(database: dict[str, Any], workload: str, method: str) -> dict[str, Any] | None:
    """One run, if there was one."""
    wanted = (workload, method)
    return next((item for item in database["runs"]
                 if (item["workload"], item["method"]) == wanted), None)  # fmt: skip


def finished(run: dict[str, Any]) -> bool:
    return bool(run["finished"] == run["planned"])


def ratios(databases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times longer each peer took than cowdb for a step that it finished."""
    rows = []
    for database in databases:
        for item in database["runs"]:
            ours = found_in(database, item["workload"], COWDB)
            if item["method"] == COWDB or ours is None or not item["finished"]:
                continue
            theirs = item["ms"] / item["finished"]
            ratio = theirs / (ours["ms"] / max(1, ours["finished"]))
            rows.append({"database": database["label"], "method": item["method"],
                         "measure": item["workload"], "ratio": round(ratio, 2)})  # fmt: skip
    return rows


def claims(databases: list[dict[str, Any]]) -> list[Claim]:
    ours = [(database, item) for database in databases for item in database["runs"]
            if item["method"] == COWDB]  # fmt: skip
    planned = sum(item["planned"] for _, item in ours)
    done = sum(item["finished"] for _, item in ours)
    refused = sum(sum(item["refusals"].values()) for _, item in ours)
    wrong = sum(item["wrong_count"] for _, item in ours)
    checks = sum(item["finished"] + item["compared"] + item["checked"] for _, item in ours)
    found = [
        claim("cowdb finishes every step of every workload", done / max(1, planned), 1.0,
              done == planned and not refused,
              f"{done:,} of {planned:,} steps, {refused} operations refused"),
        claim("a branch has its ancestors' changes and nobody else's", wrong, 0.0, not wrong,
              f"{wrong} wrong answers in {checks:,} looks at branches"),
    ]  # fmt: skip
    for peer in PEERS:
        for database in databases:
            rows = [row for row in ratios([database]) if row["method"] == peer]
            if rows:
                least = min(rows, key=lambda row: float(row["ratio"]))
                found.append(claim(f"quicker than {TITLES[peer]} on {database['label']}",
                                   least["ratio"], 1.0, least["ratio"] > 1,
                                   f"a step that is finished takes {least['ratio']:.2f} times as "
                                   f"long there at the least ({least['measure']})"))  # fmt: skip
    return [*found, *_growth(databases)]


def _growth(databases: list[dict[str, Any]]) -> list[Claim]:
    least = min(databases, key=lambda item: bytes_of(item["label"]))
    most = max(databases, key=lambda item: bytes_of(item["label"]))
    grown = []
    for workload in (SEARCH, SIMULATION, *(item.name for item in ALL)):
        pair = [found_in(database, workload, COWDB) for database in (most, least)]
        if least is not most and pair[0] and pair[1]:
            grown.append((pair[0]["ms"] / pair[1]["ms"], workload))
    if not grown:
        return []
    ratio, workload = max(grown)
    return [claim("a workload takes the same whatever the size of the database", ratio, GROWTH_BAR,
                  ratio <= GROWTH_BAR,
                  f"{workload} on {most['label']} takes {ratio:.2f} times as long as on "
                  f"{least['label']}, the most of {len(set(grown))}")]  # fmt: skip
