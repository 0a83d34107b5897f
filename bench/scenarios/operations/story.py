"""Tell a run of the operations scenario: table, docs page, picture. From the JSON alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import chart
from bench.page import page as framed
from bench.page import terminal
from bench.record import Results, look_up, ratios_of, values
from bench.report import markdown_table, ms_text, plain_table, settings_text, times_text
from bench.scenarios.operations.measure import OPERATIONS, PARENTS, SPINE
from bench.stats import growth, medians_along
from bench.ways import ALL as METHODS
from bench.ways import CLONE, COWDB, TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = {COWDB: chart.COWDB, **dict(zip(METHODS[1:], chart.PEERS, strict=False))}
_STYLES = ("-", (0, (4, 2)), ":")


def _trees(results: Results) -> list[tuple[str, int]]:
    return [(shape, threads) for threads in results["parameters"]["threads"] for shape in PARENTS]


def _labels(results: Results) -> list[str]:
    return [item["label"] for item in results["databases"]]


def _creations(results: Results) -> list[dict[str, Any]]:
    """Trees by ways: the median time of a branch, and times cowdb's."""
    ratio = ratios_of(results)
    rows = []
    for label in _labels(results):
        for shape, threads in _trees(results):
            measure = f"{shape}.{threads}.create"
            row = {"make a branch, median": f"{shape}, {label}", "threads": threads}
            for method in METHODS:
                found = look_up(results, label, method, measure)
                times = ratio.get((label, method, measure))
                row[TITLES[method]] = (ms_text(found.median) if found else "-") + (
                    f", {times_text(times)}" if times else ""
                )
            rows.append(row)
    return rows


def _operations(results: Results, method: str) -> list[dict[str, Any]]:
    """p50, p95, p99 of every operation, and how it grew along the tree."""
    rows = []
    for label in _labels(results):
        for shape, threads in _trees(results):
            for operation in OPERATIONS:
                measure = f"{shape}.{threads}.{operation}"
                found = look_up(results, label, method, measure)
                if found is None:
                    continue
                grew = growth(values(results["samples"], label, method, measure))
                rows.append({
                    TITLES[method]: f"{shape}, {label}", "threads": threads,
                    "operation": operation, "n": found.n, "p50": ms_text(found.median),
                    "p95": ms_text(found.p95), "p99": ms_text(found.p99),
                    "last / first tenth": f"{grew:.2f}" if grew else "-",
                })  # fmt: skip
    return rows


def _deep(results: Results) -> list[dict[str, Any]]:
    rows = []
    for label in _labels(results):
        for method in METHODS:
            made = values(results["samples"], label, method, "deep.create")
            if look_up(results, label, method, "deep.last.again") is None:
                continue
            grew = growth(made)
            rows.append({
                "deep": f"{TITLES[method]}, {label}", "levels": len(made),
                "point read, root -> end": _ends(results, label, method, ".again"),
                "the first of a row": _ends(results, label, method, ""),
                "making one, last / first tenth": f"{grew:.2f}" if grew else "-",
            })  # fmt: skip
    return rows


def _ends(results: Results, label: str, method: str, again: str) -> str:
    root, last = (look_up(results, label, method, f"deep.{end}{again}") for end in ("root", "last"))
    assert root is not None
    assert last is not None
    return (f"{root.median * 1000:.0f} -> {last.median * 1000:.0f} us = "
            f"{last.median / root.median:.2f} (p99 {root.p99 * 1000:.0f} -> {last.p99 * 1000:.0f})"
            )  # fmt: skip


def table(results: Results) -> str:
    return terminal(
        results,
        plain_table(_creations(results)),
        plain_table(_operations(results, COWDB)),
        plain_table(_deep(results)),
    )


def headline(results: Results) -> str:
    return f"{markdown_table(_creations(results))}\n\n{markdown_table(_deep(results))}"


def page(results: Results) -> str:
    return framed(
        results,
        title="What single operations cost along trees of branches",
        picture="Time to make the n-th branch of a spine, and point reads at its end",
        told=[markdown_table(_creations(results)), "`N x`: how many times as long as cowdb."],
        more={
            "Deep": [markdown_table(_deep(results))],
            "cowdb's operations": [markdown_table(_operations(results, COWDB))],
            "The same by the clone of PostgreSQL 18": [
                markdown_table(_operations(results, CLONE))
            ],
        },
        how=_how(results),
        run=[("operations", "about four minutes"),
             ("operations --sizes 20MB,3GB --branches 100", "")],
        resumes=True,
    )  # fmt: skip


def _how(results: Results) -> list[str]:
    parameters, conditions = results["parameters"], results["conditions"]
    return [
        "The operations of BranchBench (arXiv 2604.17180) on tables of our own. spine: each branch "
        "of the one before; bushy: each branch has three children; fan-out: each of the root. A "
        "parent other than the root is running, and for cowdb a snapshot of it is taken each time.",
        f"{parameters['branches']} branches in a tree. On each, when it is made: connect; 5 point "
        f"reads and a range read of {parameters['range_rows']} rows, by key; an update of "
        f"{parameters['updated_rows']} rows all over the table; a new column with a default. All "
        "stay until the tree is complete, then all are removed.",
        "Several threads grow a tree each; together they make as many branches.",
        f"Deep: {parameters['deep']} branches, each of the one before, with "
        f"{parameters['changes_a_level']} rows changed in each; then "
        f"{parameters['deep_reads']:,} point reads of the same rows at its end and in a new "
        "branch of the root, in turns of 100, each twice: the first time no page of the branch is "
        "in memory. Client and servers are on one processor meanwhile.",
        f"A peer stops making branches of a tree after {parameters['peer_budget']:.0f} s; WAL_LOG "
        "and the copy are measured with one thread. Peers work on cowdb's filesystem, with its "
        "major of PostgreSQL, over a Unix socket without a password (cowdb over TCP with one).",
        f"The server's settings: {settings_text(conditions['server_settings'])}; a copy's: "
        f"{settings_text(conditions['copy_settings'])}; a branch's: "
        f"{settings_text(conditions['branch_settings'])}.",
        f"Page cache: {conditions['page_cache']}.",
    ]  # fmt: skip


def draw(results: Results) -> Figure | None:
    """The n-th branch of a spine on the left, reads at the end of the deep one on the right."""
    made, (left, right) = chart.figure(
        "The n-th branch, and reading at the end of a long line of them",
        "Left: making the n-th branch of a spine, each of the one before, one thread.   Right: "
        "point reads at the root and "
        f"{results['parameters']['deep']} deep, median; the line reaches to p95.",
        (1.5, 1), (14, 6.4),
    )  # fmt: skip
    _draw_spine(left, results)
    _draw_deep(right, results)
    return chart.finish(made, results, left=0.06, bottom=0.15, wspace=0.18)


def _draw_spine(ax: Axes, results: Results) -> None:
    heights: list[float] = []
    for label, style in zip(_labels(results), _STYLES, strict=False):
        for method in METHODS:
            series = values(results["samples"], label, method, f"{SPINE}.1.create")
            points = medians_along(series, min(10, len(series)))
            if points:
                ax.plot(*zip(*points, strict=True), color=_COLORS[method], linestyle=style,
                        marker="o", markersize=4, linewidth=2.8 if method == COWDB else 1.8,
                        label=f"{TITLES[method]}, {label}")  # fmt: skip
                heights += [point[1] for point in points]
    chart.times(ax, min(heights) / 2, max(heights) * 6)
    ax.set(xlabel="branches made before", ylabel="time to make one")
    ax.legend(frameon=False, fontsize=8.5, loc="upper left", ncols=2, handlelength=3.4)


def _draw_deep(ax: Axes, results: Results) -> None:
    groups = [(label, method) for label in _labels(results) for method in (COWDB, CLONE)
              if look_up(results, label, method, "deep.last.again")]  # fmt: skip
    top = 0.0
    for place, (label, method) in enumerate(groups):
        for offset, end, shade in ((-0.2, "root", 0.45), (0.2, "last", 1.0)):
            found = look_up(results, label, method, f"deep.{end}.again")
            if found is None:
                continue
            height = found.median * 1000
            ax.bar(place + offset, height, 0.37, color=_COLORS[method], alpha=shade,
                   yerr=[[0.0], [(found.p95 - found.median) * 1000]],
                   error_kw=chart.REACH)  # fmt: skip
            top = max(top, height)
            ax.annotate(f"{height:.0f}", (place + offset, 0), xytext=(0, 4), ha="center",
                        textcoords="offset points", fontsize=9, color="white")  # fmt: skip
    ax.set_ylim(0, top * 2 or 1)  # what reaches further is cut off
    ax.set_xticks(range(len(groups)),
                  [f"{TITLES[method].replace(', ', chr(10))}\n{label}\nroot | deep"
                   for label, method in groups], fontsize=9)  # fmt: skip
    ax.set_ylabel("a point read, microseconds")
