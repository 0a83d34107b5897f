"""Tell a run of the sleep scenario, from its JSON alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import chart
from bench.page import filled, terminal
from bench.page import page as framed
from bench.record import Results, look_up
from bench.report import markdown_table, ms_text, plain_table
from bench.scenarios.sleep.measure import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WHAT = {
    "query_1": "a query, 1 client (pgbench -S, prepared)",
    "query_4": "a query, 4 clients",
    "query_16": "a query, 16 clients",
    "copy_in": "COPY of 100 MB into it",
    "copy_out": "COPY of 100 MB out of it",
    "first_answer": "connect, ask once",
}


def _rows(results: Results) -> list[dict[str, Any]]:
    label = results["databases"][0]["label"]
    ratios = {item["measure"]: item for item in results["ratios"]}
    rows = []
    for measure, what in _WHAT.items():
        direct, front = (look_up(results, label, way, measure) for way in ("direct", "front"))
        asleep = look_up(results, label, "asleep", measure)
        if direct is None or front is None:
            continue
        cpu = look_up(results, label, "front cpu", measure)
        ratio = ratios[measure]
        text = _precise if measure.startswith("query") else ms_text
        rows.append({
            "": what, "direct": text(direct.median), "through the front": text(front.median),
            "ratio": f"{ratio['ratio']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})",
            "of that the front's CPU": f"{cpu.median * 1000:.0f} µs" if cpu else "",
            "asleep": f"{ms_text(asleep.median)} (p95 {ms_text(asleep.p95)})" if asleep else "",
        })  # fmt: skip
    return rows


def _precise(ms: float) -> str:
    return f"{ms:.3f} ms"


def _memory(results: Results) -> str:
    found = results["conditions"]["memory"]
    return (
        f"Of {found['sleepers']} sleeping branches each costs the host "
        f"{shown(found['asleep_bytes_each'])} of memory, of {found['awake']} "
        f"that do not sleep {shown(found['awake_bytes_each'])}; the front is one process "
        f"for all of them, of {found['front_pss_bytes'] / 2**20:.1f} MiB, in which each has "
        f"{found['front_bytes_each'] / 1024:.1f} KiB."
    )


def table(results: Results) -> str:
    return terminal(results, plain_table(_rows(results)), filled(_memory(results)))


def headline(results: Results) -> str:
    """For docs/benchmarks.md."""
    return f"{markdown_table(_rows(results))}\n\n{filled(_memory(results))}"


def page(results: Results) -> str:
    return framed(
        results,
        title="What sleep and wake cost",
        picture="Ways to one server with and without the front, the first answer, and memory",
        told=[headline(results)],
        how=_how(results),
        run=[("sleep", "about four minutes"),
             ("sleep --sleepers 1000 --rounds 1", "2 GB of disk")],
    )  # fmt: skip


def _how(results: Results) -> list[str]:
    asked, conditions = results["parameters"], results["conditions"]
    return [
        "One branch that may sleep, of a snapshot of pgbench's tables at scale 10. Its server "
        "listens on 127.0.0.2, the front on 127.0.0.1; \"direct\" goes around the front to the "
        "same server. Both ways in turn, so that what else the machine does falls on both.",
        f"A query: `pgbench -S -M prepared` for {asked['seconds']} s with each number of clients, "
        f"{asked['rounds']} times each way; clients, front and server share the machine's "
        "processors. The front's CPU time comes from the kernel's account of it and is the same on "
        "a busy machine. Without the front is how every other branch is reached.",
        "Connect, ask once: a new connection with a password over TCP, and one short query. "
        f"Asleep: the same for a branch whose server is down, {asked['wakes']} times; at last "
        f"{conditions['crowd']} clients that come in the same moment.",
        "Memory: what MemAvailable of the host loses when the branches are made, page cache "
        "counted as free, and with what processes of others took or gave meanwhile taken off; "
        f"the median of {asked['rounds']} rounds.",
    ]  # fmt: skip


def draw(results: Results) -> Figure | None:
    """What the front costs on the left, then the first answer, then the memory of a branch."""
    made, (left, middle, right) = chart.figure(
        "A branch that sleeps costs next to nothing, and its next client wakes it",
        "Left: through the front, where directly is 1; line: 95 % interval.   Middle: connect and "
        "ask once, median; line: to p95.   Right: the host's memory, logarithmic.",
        (1.9, 1, 0.8), (14.5, 6),
    )  # fmt: skip
    _draw_ways(left, results)
    _draw_answers(middle, results)
    _draw_memory(right, results)
    return chart.finish(made, results, left=0.05, top=0.82, wspace=0.24)


def _draw_ways(ax: Axes, results: Results) -> None:
    short = {"query_1": "query,\n1 client", "query_4": "query,\n4 clients",
             "query_16": "query,\n16 clients", "copy_in": "COPY in", "copy_out": "COPY out",
             "first_answer": "connect,\nask once"}  # fmt: skip
    ratios = {item["measure"]: item for item in results["ratios"]}
    found = [ratios[measure] for measure in short]
    heights = [item["ratio"] for item in found]
    reach = [[max(0.0, item["ratio"] - item["low"]) for item in found],
             [max(0.0, item["high"] - item["ratio"]) for item in found]]  # fmt: skip
    bars = ax.bar(range(len(short)), heights, 0.6, color=chart.COWDB, yerr=reach,
                  error_kw=chart.REACH)  # fmt: skip
    ax.bar_label(bars, [f"{height:.2f}" for height in heights], label_type="center",
                 color="white", fontsize=10)  # fmt: skip
    chart.dashed(ax, 1, chart.INK)
    ax.set_xticks(range(len(short)), list(short.values()))
    ax.set_ylabel("times as long as directly (dashed: 1)")


def _draw_answers(ax: Axes, results: Results) -> None:
    label = results["databases"][0]["label"]
    ways = {"direct": "directly", "front": "through\nthe front", "asleep": "asleep:\nit wakes"}
    found = [look_up(results, label, way, "first_answer") for way in ways]
    heights = [item.median if item else 0.0 for item in found]
    reach = [item.p95 - item.median if item else 0.0 for item in found]
    bars = ax.bar(range(len(ways)), heights, 0.6, yerr=[[0.0] * len(reach), reach],
                  color=chart.SHADES[1:4], error_kw=chart.REACH)  # fmt: skip
    ax.bar_label(bars, [ms_text(height) for height in heights], label_type="center",
                 color="white", fontsize=10)  # fmt: skip
    ax.set_xticks(range(len(ways)), list(ways.values()))
    ax.set_ylabel("first answer, ms")


def _draw_memory(ax: Axes, results: Results) -> None:
    found = results["conditions"]["memory"]
    # Noise of other work can be larger than what a sleeper costs; a logarithm has no zero.
    each = [found[name] for name in ("awake_bytes_each", "asleep_bytes_each")]
    heights = [max(size / 1024, 1.0) for size in each]
    bars = ax.bar(range(2), heights, 0.6, color=[chart.SHADES[1], chart.SHADES[2]])
    ax.bar_label(bars, [shown(size).replace(" that", "\nthat") for size in each], padding=3,
                 fontsize=10)  # fmt: skip
    ax.set_yscale("log")
    ax.set_ylim(1, max(heights) * 3)
    ax.minorticks_off()
    ax.set_xticks(range(2), ["awake,\nidle", "asleep"])
    ax.set_ylabel("KiB for each branch")
