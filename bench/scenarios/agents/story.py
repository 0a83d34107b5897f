"""Tell a run of the agents' workloads: terminal table, docs page, picture. From the JSON alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import chart
from bench.page import filled, terminal
from bench.page import page as framed
from bench.record import Results, look_up, ratios_of, values
from bench.report import bullets, markdown_table, ms_text, plain_table, settings_text, times_text
from bench.scenarios.agents.measure import finished, found_in
from bench.scenarios.agents.workloads import ALL, SEARCH, SIMULATION
from bench.stats import growth, median, medians_along
from bench.ways import ALL as METHODS
from bench.ways import CLONE, COWDB, TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OPERATIONS = ("create", "connect", "ddl", "dml", "query", "compare", "remove", "discard", "step")
_COLORS = {COWDB: chart.COWDB, **dict(zip(METHODS[1:], chart.PEERS, strict=False))}


def _outcomes(results: Results) -> list[dict[str, Any]]:
    """Workloads by ways: how much was finished, and in which time."""
    ratio = ratios_of(results)
    rows = []
    for database in results["databases"]:
        for workload in (item.name for item in ALL):
            ours = found_in(database, workload, COWDB)
            if ours is None:
                continue
            row = {"workload": f"{workload}, {database['label']}", "steps": f"{ours['planned']:,}"}
            for method in METHODS:
                run = found_in(database, workload, method)
                times = ratio.get((database["label"], method, workload))
                row[TITLES[method]] = _outcome(run) + (f", {times_text(times)}" if times else "")
            rows.append(row)
    return rows


def _outcome(run: dict[str, Any] | None) -> str:
    if run is None:
        return "-"
    took = ms_text(run["ms"])
    if finished(run):
        return f"all in {took}"
    failed = f", {run['failed']:,} failed" if run["failed"] else ""
    return f"{run['finished']:,} in {took}{failed}"


def _latencies(results: Results, operations: tuple[str, ...], methods: tuple[str, ...]) -> list[
    dict[str, Any]
]:  # fmt: skip
    """p50, p95 and p99 of each operation, and how it grew from the first tenth to the last."""
    rows = []
    for database in results["databases"]:
        for workload in (item.name for item in ALL):
            for operation in operations:
                for method in methods:
                    measure = f"{workload}.{operation}"
                    found = look_up(results, database["label"], method, measure)
                    if found is None:
                        continue
                    series = values(results["samples"], database["label"], method, measure)
                    grew = growth(series)
                    rows.append({
                        "workload": f"{workload}, {database['label']}", "operation": operation,
                        "by": TITLES[method], "n": f"{found.n:,}", "p50": ms_text(found.median),
                        "p95": ms_text(found.p95), "p99": ms_text(found.p99),
                        "last / first tenth": f"{grew:.2f}" if grew else "-",
                    })  # fmt: skip
    return rows


def _parts(results: Results) -> list[dict[str, Any]]:
    """Where the agent's time of a branch goes, by workload: medians."""
    rows = []
    for database in results["databases"]:
        for workload in (item.name for item in ALL):
            start = f"{workload}.create."
            parts = {item["measure"].removeprefix(start): median(item["ms"])
                     for item in results["samples"]
                     if (item["database"], item["method"]) == (database["label"], COWDB)
                     and item["measure"].startswith(start)}  # fmt: skip
            if parts:
                rows.append({"part of a creation, median": f"{workload}, {database['label']}",
                             **{part: ms_text(ms) for part, ms in sorted(parts.items())}
                             })  # fmt: skip
    return rows


def _trees(results: Results) -> list[dict[str, Any]]:
    rows = []
    for database in results["databases"]:
        for workload in ALL:
            run = found_in(database, workload.name, COWDB)
            if run is not None:
                rows.append({
                    "cowdb": f"{workload.name}, {database['label']}",
                    "most alive at once": f"{run['most_alive']:,}", "deepest": run["deepest"],
                    "leaves compared": f"{run['compared']:,}", "looked at again": run["checked"],
                    "wrong": run["wrong_count"], "all left thrown away in":
                    ms_text(run["discard_ms"]),
                })  # fmt: skip
    return rows


def table(results: Results) -> str:
    return terminal(
        results,
        plain_table(_outcomes(results)),
        plain_table(_latencies(results, ("create",), METHODS)),
        plain_table(_parts(results)),
        plain_table(_trees(results)),
    )


def headline(results: Results) -> str:
    return markdown_table(_outcomes(results))


def page(results: Results) -> str:
    parameters = results["parameters"]
    return framed(
        results,
        title="What agents can do with branches",
        picture="Time of a step by workload, and of the n-th branch of the tree search",
        told=[
            markdown_table(_outcomes(results)),
            filled("`N x`: how many times as long as cowdb a step takes that is finished. The "
                   f"clone is stopped after {parameters['peer_budget']:.0f} s of a workload, the "
                   f"ways that copy every byte after {parameters['copy_budget']:.0f} s; cowdb "
                   "never is."),
        ],
        more={
            "Making a branch": [markdown_table(_latencies(results, ("create",), METHODS)),
                                "What the agent itself says of cowdb's:",
                                markdown_table(_parts(results))],
            "cowdb's operations": [markdown_table(_latencies(results, OPERATIONS, (COWDB,))),
                                   markdown_table(_trees(results))],
            "Steps that failed": [_failures(results)],
        },
        how=_how(results),
        run=[("agents", "about 20 minutes, 14 GB of memory, 40 GB of disk"),
             ("agents --scale 0.1", "a tenth of the steps")],
        resumes=True,
    )  # fmt: skip


def _failures(results: Results) -> str:
    said = []
    for database in results["databases"]:
        for run in database["runs"]:
            for what, times in run["refusals"].items():
                said.append(f"{run['workload']}, {database['label']}, {TITLES[run['method']]}: "
                            f"{times:,} times {what}")  # fmt: skip
    return bullets(said or ["None of any way's."])


def _how(results: Results) -> list[str]:
    parameters, conditions = results["parameters"], results["conditions"]
    shapes = parameters["shapes"]
    search, future = shapes[SEARCH], shapes[SIMULATION]
    spares = conditions["spares"]
    return [
        "The workloads follow BranchBench (arXiv 2604.17180): as many workers, steps, children and "
        "levels, as many schema changes, statements and queries in a step, and as many branches "
        "thrown away. Tables and statements are our own; agents think no time at all.",
        "software development: 5 workers, 20 steps each, two new columns of a table of 3,000 rows, "
        "filled and checked; failure reproduction: 10 replays of 50 recorded statements; data "
        "curation: 10 workers, 20 steps each, every branch kept, all leaves compared twice.",
        f"tree search: {search['workers']} workers, {search['steps']} steps each, at most "
        f"{search['fanout'][1]} children and {search['depth']} levels, a tenth thrown away; "
        f"simulation: {future['workers'] * future['steps']:,} branches of one database, 50 "
        "statements on each, all alive until they have been compared, then all thrown away.",
        "A step: make a branch, connect, see that it has what its ancestors wrote and nothing "
        "else, change it, query it. The trees are drawn beforehand from a seed, so that every way "
        "makes the same ones. A worker keeps its session until it has the next one"
        + ("." if conditions["sessions_kept"] else "; with CREATE DATABASE, whose template may "
           "have none, it ends it with the step, which favours these peers."),
        "In tree search and simulation the first branches come of "
        + ("a running branch" if conditions["first_branches_of"] == "running" else "a snapshot")
        + ", and all others of running branches everywhere: cowdb takes a snapshot of the parent "
        "for each. "
        + (f"{spares} spares of the snapshot were held ready." if spares else "No spares."),
        "Peers: one server whose databases are the branches, with the clone of PostgreSQL 18 "
        "(`STRATEGY FILE_COPY`, `file_copy_method = clone`) and with `STRATEGY WAL_LOG`; and a "
        "copy of the data directory with a server each (cp of the root, pg_basebackup of a parent "
        "that runs). All on cowdb's filesystem and of its major. A step that is "
        "refused counts as failed, and what should have come of it comes of the nearest ancestor.",
        "Only one table grows with the database, and no workload reads all of it. The larger "
        "ones are for growth: ways that copy every byte are left out there (see operations.md).",
        f"The server's settings: {settings_text(conditions['server_settings'])}; a copy's: "
        f"{settings_text(conditions['copy_settings'])}; a branch's: "
        f"{settings_text(conditions['branch_settings'])}. Peers are reached over a Unix socket "
        "without a password, cowdb over TCP with one.",
        f"Page cache: {conditions['page_cache']}.",
    ]  # fmt: skip


def draw(results: Results) -> Figure | None:
    """Time of a finished step on the left, time of the n-th branch of a tree on the right."""
    title = "Agents that branch: software development, repair, curation, search, simulation"
    made, (left, right) = chart.figure(
        title,
        "Left: time for a finished step, logarithmic; above it, how much of the workload was "
        "finished.   Right: making the n-th branch of the tree search.",
        (1.7, 1), (14.5, 6.6),
    )  # fmt: skip
    _draw_steps(left, results)
    _draw_growth(right, results)
    return chart.finish(made, results, left=0.06, bottom=0.15, wspace=0.16)


def _draw_steps(ax: Axes, results: Results) -> None:
    groups = [(database, workload.name) for database in results["databases"] for workload in ALL
              if found_in(database, workload.name, COWDB)]  # fmt: skip
    width = 0.8 / len(METHODS)
    heights = []
    for index, method in enumerate(METHODS):
        named = False
        for place, (database, workload) in enumerate(groups):
            run = found_in(database, workload, method)
            if run is None or not run["finished"]:
                continue
            height = run["ms"] / run["finished"]
            at = place + (index - (len(METHODS) - 1) / 2) * width
            ax.bar(at, height, width * 0.92, color=_COLORS[method],
                   label=None if named else TITLES[method])  # fmt: skip
            share = run["finished"] / run["planned"]
            text = "all" if share == 1 else f"{min(share * 100, 99.9):.3g} %"
            ax.annotate(text, (at, height), xytext=(0, 3), textcoords="offset points", ha="center",
                        fontsize=8 if share == 1 else 7.5,
                        color=chart.INK if share == 1 else chart.BAR)  # fmt: skip
            heights.append(height)
            named = True
    chart.times(ax, min(heights) / 2, max(heights) * 3)
    ax.set_xticks(range(len(groups)),
                  [f"{workload.replace(' ', chr(10))}\n{database['label']}"
                   for database, workload in groups], fontsize=9)  # fmt: skip
    ax.set_ylabel("time for a finished step")
    ax.legend(frameon=False, fontsize=9, loc="upper left", ncols=len(METHODS))


def _draw_growth(ax: Axes, results: Results) -> None:
    styles = ("-", (0, (4, 2)), ":")
    top = 0.0
    for database, style in zip(results["databases"], styles, strict=False):
        for method in (COWDB, CLONE):
            series = values(results["samples"], database["label"], method, f"{SEARCH}.create")
            points = medians_along(series, 20)
            if points:
                ax.plot(*zip(*points, strict=True), color=_COLORS[method], linestyle=style,
                        linewidth=2.6 if method == COWDB else 2,
                        label=f"{TITLES[method]}, {database['label']}")  # fmt: skip
                top = max(top, *(point[1] for point in points))
    ax.set_ylim(0, top * 1.4 or 1)
    ax.set(xlabel="branches made before", ylabel="time to make one, 10 workers, ms")
    ax.legend(frameon=False, fontsize=9, loc="upper left")
