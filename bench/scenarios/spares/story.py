"""Tell a run of the spares scenario: terminal table, docs page, picture. From the JSON alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import chart
from bench.page import page as framed
from bench.page import terminal
from bench.record import Results, look_up, ratios_of
from bench.report import markdown_table, ms_text, plain_table, settings_text, times_text
from bench.scenarios.spares.kinds import AHEAD, ALL, COLD, POOL, SPARE, TITLES
from bench.scenarios.spares.measure import AGENT_BAR, COMMAND_BAR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MEASURES = {
    "agent": "in the agent", "request": "asked by a process that runs",
    "answer": "the same, to an answered query", "command": "as a whole command",
}  # fmt: skip
_COLORS = dict(zip(ALL, (chart.COWDB, chart.SHADES[0], *chart.PEERS), strict=False))


def _labels(results: Results) -> list[str]:
    return [item["label"] for item in results["databases"]]


def _taken(results: Results) -> list[dict[str, Any]]:
    """Ways by measures: the median, and times a spare's."""
    ratio = ratios_of(results)
    rows = []
    for label in _labels(results):
        for method in ALL:
            row = {"a database of one's own": TITLES[method], "size": label}
            for measure, words in _MEASURES.items():
                found = look_up(results, label, method, measure)
                times = ratio.get((label, method, measure))
                row[words] = (ms_text(found.median) if found else "-") + (
                    f", {times_text(times)}" if found and times else ""
                )
            if look_up(results, label, method, "request"):
                rows.append(row)
    return rows


def _ready(results: Results) -> list[dict[str, Any]]:
    """What it costs to have one at hand."""
    rows = []
    for database in results["databases"]:
        for method in AHEAD:
            found = look_up(results, database["label"], method, "again")
            if found is not None:
                each = database["bytes_each"][method] / 2**20
                rows.append({
                    "at hand": TITLES[method], "size": database["label"],
                    "the next one is ready after (p95)": f"{ms_text(found.median)} "
                    f"({ms_text(found.p95)})", "disk, each": f"{each:.1f} MiB",
                })  # fmt: skip
    return rows


def _own(results: Results) -> list[dict[str, Any]]:
    """cowdb's two ways: p50, p95, p99 of each measure and of the parts of the agent's time."""
    rows = []
    for item in results["summary"]:
        if item["method"] in (SPARE, COLD):
            rows.append({"cowdb": TITLES[item["method"]].removeprefix("cowdb, "),
                         "size": item["database"],
                         "measure": item["measure"], "n": item["n"],
                         "p50": ms_text(item["median"]), "p95": ms_text(item["p95"]),
                         "p99": ms_text(item["p99"])})  # fmt: skip
    return rows


def table(results: Results) -> str:
    return terminal(results, plain_table(_taken(results)), plain_table(_ready(results)),
                    plain_table(_own(results)))  # fmt: skip


def headline(results: Results) -> str:
    return markdown_table(_taken(results))


def page(results: Results) -> str:
    return framed(
        results,
        title="What a branch costs that was ready before",
        picture="Time to get a database that is at hand, and one that is made on demand",
        told=[headline(results),
              "`N x`: how many times as long as a branch from a spare by the same measure."],
        more={"To have one at hand": [markdown_table(_ready(results))],
              "cowdb by itself": [markdown_table(_own(results))]},
        how=_how(results),
        run=[("spares", "about two minutes, 8 GB of disk"),
             ("spares --sizes 20MB,3GB --spares 8", "")],
    )  # fmt: skip


def _how(results: Results) -> list[str]:
    asked, conditions = results["parameters"], results["conditions"]
    strategies = sorted({item["pool_strategy"] for item in results["databases"]})
    return [
        f"`cowdb snapshot warm shop@loaded --spares {asked['spares']}`: so many started clones of "
        "a settled snapshot wait, each with a port of its own. The same snapshot, taken once more "
        "and told to have none, is where branches are made cold.",
        "A pool of databases is what one keeps without cowdb: copies of a template that are made "
        "ahead of time and taken by a new name, in one server that runs "
        f"(`CREATE DATABASE ... STRATEGY {', '.join(strategies).upper()}`; from PostgreSQL 18 on "
        "with `file_copy_method = clone`). A database of a server shares its settings, roles, "
        "WAL, memory and restarts with all others, which a branch does not.",
        "In the agent: from the request's arrival to the answer, by its own clock; a cold branch "
        "has then answered a query of the agent's, and a spare had when it was made. Asked by a "
        "process that runs: a call of Python's over the agent's socket, or a statement in a session"
        " that is open. To an answered query: a new connection and one query more. As a whole "
        "command: `cowdb branch create`, `psql -c 'alter database ...'` and `createdb`, each a "
        "process from its start to its end.",
        f"{asked['repeats']} times each, {asked['commands']} the commands, all ways in turn, with "
        "everything at hand again and what was written on the disk before each; no further one of "
        f"a peer after {asked['peer_budget']:.0f} s. Each database has then answered a query, and "
        "the agent has said of each branch whether it was a spare.",
        "The next one is ready: from the answered query on, by a client that asks every 5 ms. The "
        "agent makes spares in the background at low priority; the pool's is made at once by the "
        "client.",
        "Disk: what the filesystem counts as used, metadata included, when all of them are made.",
        f"The server's settings: {settings_text(conditions['server_settings'])}; a branch's: "
        f"{settings_text(conditions['branch_settings'])}. Peers are reached over a Unix socket "
        "without a password, cowdb over TCP with one.",
        f"Page cache: {conditions['page_cache']}.",
    ]  # fmt: skip


def draw(results: Results) -> Figure | None:
    """Ways by measures on the left, for the largest database; what stands ready on the right."""
    label = _labels(results)[-1]
    made, (left, right) = chart.figure(
        "A branch that was ready before it was asked for",
        f"Left: median time to get one of {label}, logarithmic; line: to p95.   Right: "
        "until the next one is ready, by size.",
        (2.1, 1), (14, 6.2),
    )  # fmt: skip
    _draw_taken(left, results, label)
    _draw_ready(right, results)
    return chart.finish(made, results, left=0.06, wspace=0.18)


def _draw_taken(ax: Axes, results: Results, label: str) -> None:
    found = {method: [look_up(results, label, method, measure) for measure in _MEASURES]
             for method in ALL}  # fmt: skip
    chart.groups(ax, {method: times for method, times in found.items() if any(times)}, _COLORS,
                 TITLES)  # fmt: skip
    for place, bar in ((0, AGENT_BAR), (len(_MEASURES) - 1, COMMAND_BAR)):
        ax.plot([place - 0.48, place + 0.48], [bar, bar], color=chart.BAR, linewidth=1.2,
                linestyle=(0, (5, 3)))  # fmt: skip
    ax.set_xticks(range(len(_MEASURES)), ["in the agent\n(dashed: 5 ms)", "by a process\nthat runs",
                                          "to an\nanswered query",
                                          "whole command\n(dashed: 100 ms)"])  # fmt: skip
    ax.set_ylabel("time to get one (numbers: ms)")


def _draw_ready(ax: Axes, results: Results) -> None:
    labels = _labels(results)
    chart.groups(ax, {method: [look_up(results, label, method, "again") for label in labels]
                      for method in AHEAD}, _COLORS,
                 {SPARE: "a spare", POOL: "a database of the pool"})  # fmt: skip
    ax.set_xticks(range(len(labels)), labels)
    ax.set_ylabel("until the next one is ready (numbers: ms)")
