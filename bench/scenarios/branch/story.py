"""Tell a run of the branch scenario: terminal table, docs page, picture. From the JSON alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import chart, peers
from bench.record import Results, look_up
from bench.report import (
    bullets,
    busy_note,
    claim_lines,
    machine_line,
    machine_table,
    markdown_table,
    ms_text,
    plain_table,
    settings_text,
    times_text,
)

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
    ratio = {(row["database"], row["method"]): row["ratio"] for row in results["ratios"]}
    rows = []
    for method in (COWDB, *peers.ALL):
        row: dict[str, Any] = {"to the first answered query": method}
        for label in _labels(results):
            found = look_up(results, label, method, _TO_ANSWER.get(method, "query"))
            row[label] = ms_text(found.median) if found else "-"
            times = ratio.get((label, method))
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
    return "\n\n".join([
        plain_table(_against(results)),
        plain_table(_operations(results)).replace("`", ""),
        plain_table(_parts(results)),
        "\n".join(claim_lines(results)),
        f"{machine_line(results['machine'])}\n{busy_note(results['machine'])}",
    ])  # fmt: skip


def headline(results: Results) -> str:
    return markdown_table(_against(results))


def page(results: Results) -> str:
    return f"""# What a branch costs

![Time to the first answered query by database size](branch.svg)

Made by `bench/branch.py` from
[bench/results/branch.json](../../bench/results/branch.json), which holds every sample; do not edit
it by hand. Figures depend on the machine, ratios much less.
{busy_note(results["machine"])}

{markdown_table(_against(results))}

{bullets(claim_lines(results))}

## cowdb by itself

{markdown_table(_operations(results))}

{markdown_table(_parts(results))}

## How it was measured

{_how(results)}

{markdown_table([_database(item) for item in results["databases"]])}

## The machine

{machine_table(results)}

## Run it

    pip install -e '.[test,bench]'
    sudo .venv/bin/python -m bench branch             # about ten minutes, 25 GB of disk
    sudo .venv/bin/python -m bench branch --sizes 100MB,500MB --creations 10
    .venv/bin/python -m bench branch --report-only    # this page again, from the JSON

Everything that it makes lies in a loop file under /var/tmp and is removed at the end, also after
Ctrl-C. The exit status is 3 when a claim does not hold.
"""


def _how(results: Results) -> str:
    parameters, conditions = results["parameters"], results["conditions"]
    return bullets([
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
    ])  # fmt: skip


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
    made.text(0.012, 0.018, machine_line(results["machine"]), fontsize=8.5, color="#57606a")
    made.subplots_adjust(left=0.066, right=0.985, top=0.815, bottom=0.155, wspace=0.66)
    return made


def _draw_sizes(ax: Axes, results: Results) -> None:
    from math import log10

    sizes = [item["database_bytes"] / 1e6 for item in results["databases"]]
    labels = _labels(results)
    ratio = {(row["database"], row["method"]): row["ratio"] for row in results["ratios"]}
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
        times = ratio.get((labels[-1], method))
        name = f"cowdb: {ms_text(points[-1][1])}" if ours else _NAMES[method]
        ends.append((points[-1][1], f"{name}  {times_text(times)}" if times else name, color))
    ax.set(xscale="log", yscale="log", xlabel="size of the database",
           ylabel="time to the first answered query")  # fmt: skip
    low = min(end[0] for end in ends) / 2.2
    high = max(end[0] for end in ends) * 2.2
    ax.set_ylim(low, high)
    ticks = [tick for tick in (10, 30, 100, 300, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5) if low < tick < high]
    ax.set_yticks(ticks, [ms_text(tick).replace(".0 s", " s") for tick in ticks])
    ax.set_xticks(sizes, labels)
    ax.minorticks_off()
    gap = (log10(high) - log10(low)) * 0.058
    places = chart.apart([log10(end[0]) for end in ends], gap)
    for (_, text, color), place in zip(ends, places, strict=True):
        ax.annotate(text, (1.0, 10**place), xycoords=("axes fraction", "data"), xytext=(4, 0),
                    textcoords="offset points", va="center", color=color, fontsize=10,
                    fontweight="bold" if text.startswith(COWDB) else "normal",
                    annotation_clip=False)  # fmt: skip


def _draw_operations(ax: Axes, results: Results) -> None:
    labels, shades = _labels(results), ("#8fd0b3", "#2f9e6e", "#0b5d3b", "#06351f")
    width = 0.78 / len(labels)
    top = 0.0
    for index, label in enumerate(labels):
        found = [look_up(results, label, COWDB, measure) for measure in _SHORT]
        places = [place + (index - (len(labels) - 1) / 2) * width for place in range(len(_SHORT))]
        heights = [item.median if item else 0.0 for item in found]
        reach = [item.p95 - item.median if item else 0.0 for item in found]
        ax.bar(places, heights, width * 0.92, color=shades[index % len(shades)], label=label,
               yerr=[[0.0] * len(reach), reach],
               error_kw={"ecolor": chart.INK, "elinewidth": 0.9, "capsize": 2})  # fmt: skip
        top = max(top, *(height + more for height, more in zip(heights, reach, strict=True)))
    top = max(top, BAR_MS)
    ax.axhline(BAR_MS, color="#b42318", linewidth=1, linestyle=(0, (5, 3)))
    ax.text(len(_SHORT) - 0.5, top * 1.1, "dashed: 150 ms, the bar for\ncreate in the agent",
            color="#b42318", fontsize=8.5, ha="right", va="top")  # fmt: skip
    ax.set_ylim(0, top * 1.12)
    ax.set_xticks(range(len(_SHORT)), list(_SHORT.values()), fontsize=9)
    ax.set_ylabel("cowdb's operations, ms (line: to p95)")
    ax.legend(frameon=False, fontsize=9, loc="upper left", ncols=len(labels),
              bbox_to_anchor=(0, 1.09))  # fmt: skip
