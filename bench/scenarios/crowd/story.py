"""Tell a run of the crowd scenario: terminal table, docs page, picture. From the JSON alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import chart
from bench.page import page as framed
from bench.page import terminal
from bench.record import Results, look_up
from bench.report import markdown_table, ms_text, plain_table, settings_text
from bench.scenarios.crowd.measure import (
    BARE,
    HELP,
    HELP_BAR,
    LIST_BAR,
    LISTS,
    MEMORY_BAR,
    PSQL,
    PYTHON,
    THEIRS,
    each,
)
from bench.ways import CLONE, COWDB, TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = {COWDB: chart.COWDB, CLONE: chart.PEERS[0], PSQL: chart.PEERS[0],
           PYTHON: chart.PEERS[4]}  # fmt: skip
_COMMANDS = (*((COWDB, said) for said in (HELP, *LISTS)), (PYTHON, BARE),
             *((PSQL, said) for said in THEIRS))  # fmt: skip


def _facts(results: Results) -> dict[str, Any]:
    found: dict[str, Any] = results["databases"][0]
    return found


def _commands(results: Results) -> list[dict[str, Any]]:
    facts = _facts(results)
    many = f"{sum(facts['branches'].values()):,} branches"
    rows = []
    for method, said in _COMMANDS:
        few, found = (look_up(results, facts["label"], method, f"{when}.{said}")
                      for when in ("few", "many"))  # fmt: skip
        if found is None:
            continue
        bar = f"{HELP_BAR:.0f} ms" if said == HELP else f"{LIST_BAR:.0f} ms" if (
            said in LISTS) else ""  # fmt: skip
        among = f", among {facts['databases']:,} databases" if said in THEIRS[1:] else ""
        rows.append({
            "whole command, median (p95)": f"{said}{among}",
            "1 branch": f"{ms_text(few.median)} ({ms_text(few.p95)})" if few else "",
            many: f"{ms_text(found.median)} ({ms_text(found.p95)})", "bar": bar,
        })  # fmt: skip
    return rows


def _memory(results: Results) -> list[dict[str, Any]]:
    facts = _facts(results)
    start = facts["memory"][0]
    rows = []
    for item in facts["memory"][1:]:
        lost, own = each({"memory": [start, item]})
        rows.append({"live branches": f"{item['live']:,}",
                     "the host lost": f"{(start['alone'] - item['alone']) / 1e6:,.0f} MB",
                     "each": f"{lost / 1e6:.1f} MB",
                     "of it accounted to processes": f"{own / 1e6:.1f} MB"})  # fmt: skip
    return rows


def _rates(results: Results) -> list[dict[str, Any]]:
    facts = _facts(results)
    rows = []
    for method in (COWDB, CLONE):
        for threads, rate in facts["rates"].get(method, {}).items():
            found = look_up(results, facts["label"], method, f"create.{threads}")
            assert found is not None
            rows.append({"made at once": TITLES[method], "threads": threads,
                         "a second": f"{rate:.1f}", "p50": ms_text(found.median),
                         "p95": ms_text(found.p95), "p99": ms_text(found.p99)})  # fmt: skip
    return rows


def table(results: Results) -> str:
    return terminal(results, plain_table(_commands(results)), plain_table(_memory(results)),
                    plain_table(_rates(results)))  # fmt: skip


def headline(results: Results) -> str:
    return "\n\n".join(
        markdown_table(rows) for rows in (_commands(results), _memory(results), _rates(results))
    )


def page(results: Results) -> str:
    return framed(
        results,
        title="A thousand branches on one host",
        picture="Whole commands among many branches, memory of live ones, how many a second",
        told=[markdown_table(_commands(results))],
        more={"Memory of a live branch": [markdown_table(_memory(results))],
              "Made by several at once": [markdown_table(_rates(results))]},
        how=_how(results),
        run=[("crowd", "about three minutes, 6 GB of memory"),
             ("crowd --live 1000", "11 GB of memory")],
    )  # fmt: skip


def _how(results: Results) -> list[str]:
    facts, asked, conditions = _facts(results), results["parameters"], results["conditions"]
    states = ", ".join(f"{count:,} {state}" for state, count in facts["branches"].items() if count)
    return [
        f"{states} branches, all made by the agent on btrfs as any other, of {facts['snapshots']} "
        f"settled snapshots of a database of {facts['label']}. Those that are stopped had been "
        "started when they were made.",
        f"Commands: each a process from its start to its end, {asked['repeats']} times in turn "
        "after a first time that is not counted, first with one branch, then with all. "
        f"`{BARE}` is what Python itself takes of it. psql asks one server about "
        f"{facts['databases']:,} databases that were cloned in it, over a Unix socket.",
        f"Memory: {asked['live']} branches stay started, with no client. What the host lost is of "
        "MemAvailable, page cache counted as free, with what processes of others took or gave "
        "meanwhile taken off. Accounted to processes are their own memory, shared memory, page "
        "tables and stacks; what is missing to the loss is the kernel's structures and the noise "
        "of others.",
        f"Made by several at once: as many threads as said make {asked['live']} branches between "
        "them, in equal parts, and none is removed; each is live and has answered a query when "
        "it counts. The peer makes databases of one server, each by the clone of PostgreSQL 18.",
        f"The server's settings: {settings_text(conditions['server_settings'])}; a branch's: "
        f"{settings_text(conditions['branch_settings'])}, and the modest ones of "
        "[decisions/crowd.md](../decisions/crowd.md).",
    ]  # fmt: skip


def draw(results: Results) -> Figure | None:
    """Commands on the left, memory in the middle, creations a second on the right."""
    many = sum(_facts(results)["branches"].values())
    made, (left, middle, right) = chart.figure(
        f"One host, {many:,} branches",
        "Left: whole commands, median; line: to p95; dashed: the bar.   Middle: memory of the host "
        "for live branches; dashed: 10 MB each.   Right: made by several threads.",
        (1.9, 1, 1), (15, 6.4),
    )  # fmt: skip
    _draw_commands(left, results)
    _draw_memory(middle, results)
    _draw_rates(right, results)
    return chart.finish(made, results, left=0.145, wspace=0.27)


def _draw_commands(ax: Axes, results: Results) -> None:
    label = _facts(results)["label"]
    found = [(method, said, item) for method, said in _COMMANDS
             if (item := look_up(results, label, method, f"many.{said}"))]  # fmt: skip
    places = list(range(len(found)))[::-1]
    bars = ax.barh(places, [item.median for _, _, item in found], 0.66,
                   color=[_COLORS[method] for method, _, _ in found],
                   xerr=[[0.0] * len(found), [item.p95 - item.median for _, _, item in found]],
                   error_kw=chart.REACH)  # fmt: skip
    ax.bar_label(bars, [ms_text(item.median) for _, _, item in found], padding=4, fontsize=9)
    for place, (_, said, _) in zip(places, found, strict=True):
        bar = HELP_BAR if said == HELP else LIST_BAR if said in LISTS else None
        if bar:
            ax.plot([bar, bar], [place - 0.45, place + 0.45], color=chart.BAR, linewidth=1.4,
                    linestyle=(0, (3, 2)))  # fmt: skip
    ax.set_xlim(0, 1.12 * max(LIST_BAR, *(item.p95 for _, _, item in found)))
    ax.set_yticks(places, [said for _, said, _ in found])
    ax.set_xlabel("ms")
    ax.grid(visible=False, axis="y")
    ax.grid(axis="x", color=chart.FAINT, linewidth=0.8)


def _draw_memory(ax: Axes, results: Results) -> None:
    looks = _facts(results)["memory"]
    live = [item["live"] for item in looks]
    lost = [(looks[0]["alone"] - item["alone"]) / 1e9 for item in looks]
    own = [(item["accounted"] - looks[0]["accounted"]) / 1e9 for item in looks]
    ax.plot(live, lost, color=chart.COWDB, marker="o", linewidth=2.6, label="the host lost")
    ax.plot(live, own, color=chart.SHADES[0], marker="o", linewidth=2,
            label="accounted to\nits processes")  # fmt: skip
    ax.plot(live, [count * MEMORY_BAR / 1e9 for count in live], color=chart.BAR, linewidth=1.2,
            linestyle=(0, (5, 3)))  # fmt: skip
    ax.set(xlabel="live branches", ylabel="GB")
    ax.set_ylim(min(0.0, *lost), None)
    ax.legend(frameon=False, fontsize=9, loc="upper left")


def _draw_rates(ax: Axes, results: Results) -> None:
    rates = _facts(results)["rates"]
    for method in (COWDB, CLONE):
        if method in rates:
            ax.plot(list(rates[method]), list(rates[method].values()), color=_COLORS[method],
                    marker="o", linewidth=2.6 if method == COWDB else 2,
                    label=TITLES[method])  # fmt: skip
    ax.set_ylim(0, None)
    ax.set_xticks(range(len(rates[COWDB])), list(rates[COWDB]))
    ax.set(xlabel="threads", ylabel="made in a second")
    ax.legend(frameon=False, fontsize=9, loc="best")
