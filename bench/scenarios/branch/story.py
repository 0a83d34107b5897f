"""Tell a run of the branch scenario: terminal table, docs page, picture. From the JSON alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import chart, peers
from bench.page import page as framed
from bench.page import terminal
from bench.record import Results, look_up, ratios_of
from bench.report import markdown_table, ms_text, plain_table, settings_text, times_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COWDB = "cowdb"
BAR_MS = 150
OPERATIONS = {
    "agent": "create, agent's own time to its first query",
    "request": "create, a client's round trip",
    "query": "create, until a client's own query is answered",
    "beside": "the same, between the peers' repeats",
    "command": "`cowdb branch create`, the whole command",
    "live": "create from a running branch that has just written 200 rows",
    "reset": "reset, after 200 rows were written",
    "remove": "remove",
}
_SHORT = {"agent": "create,\nin the\nagent", "command": "create,\nwhole\ncommand",
          "live": "create,\nparent\nrunning", "reset": "reset", "remove": "remove"}  # fmt: skip
_TO_ANSWER = {COWDB: "beside"}  # of the same minutes as the peers; others have one series only
_NAMES = {
    peers.TEMPLATE_FILES: "template, FILE_COPY",
    peers.TEMPLATE_WAL: "template, WAL_LOG",
    peers.COPY: "cp -a + start",
    peers.DUMP_FILES: "pg_dump -j2, pg_restore -j2",
    peers.DUMP_PIPE: "pg_dump | pg_restore",
}


def _labels(results: Results) -> list[str]:
    return [item["label"] for item in results["databases"]]


def _against(results: Results) -> list[dict[str, Any]]:
    """Methods by sizes: the median to the first answered query, and how many times cowdb's."""
    ratio = ratios_of(results)
    rows = []
    for method in (COWDB, *peers.ALL):
        row: dict[str, Any] = {"to the first answered query": method}
        for label in _labels(results):
            found = look_up(results, label, method, _TO_ANSWER.get(method, "query"))
            row[label] = ms_text(found.median) if found else "-"
            times = ratio.get((label, method, ""))
            row[f"{label} / cowdb"] = times_text(times) if times else "1" if found else "-"
        rows.append(row)
    return rows


def _operations(results: Results) -> list[dict[str, Any]]:
    """cowdb's operations by sizes: median and p95."""
    rows = []
    for measure, words in OPERATIONS.items():
        row: dict[str, Any] = {"cowdb: median (p95)": words}
        for label in _labels(results):
            found = look_up(results, label, COWDB, measure)
            row[label] = f"{ms_text(found.median)} ({ms_text(found.p95)})" if found else "-"
        rows.append(row)
    return rows


def _parts(results: Results) -> list[dict[str, Any]]:
    """Where the agent's time of a creation goes."""
    names = sorted({item["measure"] for item in results["samples"]
                    if item["measure"].startswith("agent.")})  # fmt: skip
    rows = []
    for name in names:
        row: dict[str, Any] = {"part of a creation, median": name.removeprefix("agent.")}
        for label in _labels(results):
            found = look_up(results, label, COWDB, name)
            row[label] = ms_text(found.median) if found else "-"
        rows.append(row)
    return rows


def table(results: Results) -> str:
    return terminal(
        results,
        plain_table(_against(results)),
        plain_table(_operations(results)).replace("`", ""),
        plain_table(_parts(results)),
    )


def headline(results: Results) -> str:
    return markdown_table(_against(results))


def page(results: Results) -> str:
    return framed(
        results,
        title="What a branch costs",
        picture="Time to the first answered query by database size",
        told=[markdown_table(_against(results))],
        more={"cowdb by itself": [markdown_table(_operations(results)),
                                  markdown_table(_parts(results))]},
        how=_how(results),
        measured_on=markdown_table([_database(item) for item in results["databases"]]),
        run=[("branch", "about ten minutes, 25 GB of disk"),
             ("branch --sizes 100MB,500MB --creations 10", "")],
    )  # fmt: skip


def _how(results: Results) -> list[str]:
    parameters, conditions = results["parameters"], results["conditions"]
    return [
        "One run, one filesystem for everybody; pgbench's tables, loaded once into a managed "
        "source of cowdb's. The peers work on a copy of that source's data directory.",
        "Each time ends when a fresh connection has had the right answer to "
        f"`{parameters['query']}`; only \"the agent's own time\" ends with the agent's own first "
        "query, over the server's socket.",
        f"cowdb: {parameters['creations']} creations from a settled snapshot for each size, one "
        f"after the other, each removed afterwards ({parameters['commands']} for the whole "
        "command). The sizes take turns, so that noise falls on all of them alike.",
        "The table above, and every ratio, takes further creations instead, one after each repeat "
        "of a peer, so that the same noise falls on both sides.",
        f"Peers: up to {parameters['repeats']} repeats, no further one after "
        f"{parameters['peer_budget_s']:.0f} s.",
        f"Peers run with {settings_text(conditions['peer_settings'])}; branches with "
        f"{settings_text(conditions['branch_settings'])}. Nobody waits for the disk at a commit.",
        "In the peers' favour: dumps are not compressed, autovacuum is off, spare WAL segments are "
        "not copied, readiness is looked for every 2 ms, connections go over a Unix socket without "
        "a password (cowdb's over TCP with one).",
        f"Page cache: {conditions['page_cache']}.",
    ]  # fmt: skip


def _database(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "database": facts["label"],
        "pgbench scale": facts["pgbench_scale"],
        "MB in the database": f"{facts['database_bytes'] / 1e6:,.0f}",
        "MB in the data directory": f"{facts['datadir_bytes'] / 1e6:,.0f}",
        "snapshot taken in": ms_text(facts["snapshot_ms"]["total"]),
    }


def draw(results: Results) -> Figure | None:
    """Time by size on the left, cowdb's operations on the right."""
    title = "Your own copy of a PostgreSQL database: how long until it answers"
    if all(claim["holds"] for claim in results["claims"]):
        title = "A branch takes the same time at any size; a copy takes longer the larger it is"
    made, (left, right) = chart.figure(
        title,
        "Left: median time from the request to the first answered query, both axes logarithmic; "
        "at the right of each line, how many times cowdb's.   Right: cowdb's own operations.",
        (1.55, 1), (13.5, 6.4),
    )  # fmt: skip
    _draw_sizes(left, results)
    _draw_operations(right, results)
    return chart.finish(made, results, wspace=0.66)


def _draw_sizes(ax: Axes, results: Results) -> None:
    sizes = [item["database_bytes"] / 1e6 for item in results["databases"]]
    labels = _labels(results)
    ratio = ratios_of(results)
    ends: list[tuple[float, str, str]] = []
    for method, color in zip((COWDB, *peers.ALL), (chart.COWDB, *chart.PEERS), strict=True):
        measure = _TO_ANSWER.get(method, "query")
        found = [look_up(results, label, method, measure) for label in labels]
        points = [(size, item.median) for size, item in zip(sizes, found, strict=True) if item]
        if not points:
            continue
        ours = method == COWDB
        ax.plot(*zip(*points, strict=True), color=color, marker="o", markersize=7 if ours else 5,
                linewidth=3.2 if ours else 1.8, zorder=5 if ours else 3)  # fmt: skip
        times = ratio.get((labels[-1], method, ""))
        name = f"cowdb: {ms_text(points[-1][1])}" if ours else _NAMES[method]
        ends.append((points[-1][1], f"{name}  {times_text(times)}" if times else name, color))
    ax.set(xscale="log", xlabel="size of the database", ylabel="time to the first answered query")
    ax.set_xticks(sizes, labels)
    chart.times(ax, min(end[0] for end in ends) / 2.2, max(end[0] for end in ends) * 2.2)
    chart.name_ends(ax, ends)


def _draw_operations(ax: Axes, results: Results) -> None:
    labels, shades = _labels(results), chart.SHADES
    width = 0.78 / len(labels)
    top = 0.0
    for index, label in enumerate(labels):
        found = [look_up(results, label, COWDB, measure) for measure in _SHORT]
        places = [place + (index - (len(labels) - 1) / 2) * width for place in range(len(_SHORT))]
        heights = [item.median if item else 0.0 for item in found]
        reach = [item.p95 - item.median if item else 0.0 for item in found]
        ax.bar(places, heights, width * 0.92, color=shades[index % len(shades)], label=label,
               yerr=[[0.0] * len(reach), reach],
               error_kw=chart.REACH)  # fmt: skip
        top = max(top, *(height + more for height, more in zip(heights, reach, strict=True)))
    top = max(top, BAR_MS)
    chart.dashed(ax, BAR_MS)
    ax.text(len(_SHORT) - 0.5, top * 1.1, "dashed: 150 ms, the bar for\ncreate in the agent",
            color=chart.BAR, fontsize=8.5, ha="right", va="top")  # fmt: skip
    ax.set_ylim(0, top * 1.12)
    ax.set_xticks(range(len(_SHORT)), list(_SHORT.values()), fontsize=9)
    ax.set_ylabel("cowdb's operations, ms (line: to p95)")
    ax.legend(frameon=False, fontsize=9, loc="upper left", ncols=len(labels),
              bbox_to_anchor=(0, 1.09))  # fmt: skip
