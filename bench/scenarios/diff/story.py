"""Tell a run of the diff scenario: terminal table, docs page, picture. From the JSON alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import chart
from bench.page import page as framed
from bench.page import terminal
from bench.record import Results, look_up, ratios_of
from bench.report import markdown_table, ms_text, plain_table, times_text
from bench.scenarios.diff import peers
from bench.scenarios.diff.measure import AT, BAR_MS, COWDB, FULL, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHODS = (COWDB, FULL, *peers.ALL)


def _compared(results: Results) -> list[dict[str, Any]]:
    """Every way by sizes, with AT changes: median of the whole command, and times cowdb's."""
    ratio = ratios_of(results)
    rows = []
    for method in METHODS:
        row: dict[str, Any] = {f"{AT:,} scattered changes": method}
        for item in _scattered(results, AT):
            found = look_up(results, item["label"], method, "command")
            times = ratio.get((item["label"], method, ""))
            row[f"{shown(item['rows'])} rows"] = ms_text(found.median) if found else "-"
            row[f"{shown(item['rows'])} / cowdb"] = (
                times_text(times) if times else "1" if found else "-"
            )
        rows.append(row)
    return rows


def _scattered(results: Results, changes: int) -> list[dict[str, Any]]:
    return [item for item in results["databases"]
            if item["changes"] == changes and not item["together"]]  # fmt: skip


def _cells(results: Results) -> list[dict[str, Any]]:
    """cowdb by itself, for each size and each amount of change."""
    rows = []
    for item in results["databases"]:
        row: dict[str, Any] = {"cowdb diff A B --rows": item["label"], "by": item["method"]}
        for name, measure in (("median", "command"), ("first", "first"),
                              ("of it rows", "command.rows")):  # fmt: skip
            found = look_up(results, item["label"], COWDB, measure)
            row[name] = ms_text(found.median) if found else "-"
        found = look_up(results, item["label"], COWDB, "command")
        row["p95"] = ms_text(found.p95) if found else "-"
        row["peak memory"] = f"{item['peak_bytes'][COWDB] / 1e6:.0f} MB"
        rows.append(row)
    return rows


def table(results: Results) -> str:
    return terminal(results, plain_table(_compared(results)), plain_table(_cells(results)))


def headline(results: Results) -> str:
    return markdown_table(_compared(results))


def page(results: Results) -> str:
    return framed(
        results,
        title="What a row diff costs",
        picture="Time to find the rows that differ, by rows in the table and by rows changed",
        told=[markdown_table(_compared(results))],
        more={"cowdb by itself": [
            markdown_table(_cells(results)),
            "`first` is the first comparison after the change, whose pages it has to wait for; "
            "`p95` and `median`\nare of those that follow.",
        ]},
        how=_how(results),
        run=[("diff", "1 and 10 million rows"),
             ("diff --rows 1M,10M,100M", "45 GB of disk")],
        resumes=True,
        stays="; reladiff stays in ~/.cache",
    )  # fmt: skip


def _how(results: Results) -> list[str]:
    conditions, parameters = results["conditions"], results["parameters"]
    split = conditions.get("reladiff_split")
    tried = ", ".join(f"{one} and {two} in {ms / 1000:.1f} s"
                      for one, two, ms in conditions.get("reladiff_tried_ms", []))  # fmt: skip
    size = max(results["databases"], key=lambda item: item["rows"])
    return [
        "One table of seven columns (bigint key, int, text, numeric, timestamp, boolean, text that "
        f"is null in a fifth of the rows), {size['table_bytes'] / size['rows']:.0f} bytes a row, "
        "vacuumed with freeze; two branches of its snapshot, one of which updates a column of some "
        "rows. Unless they are said to lie side by side, these are spread over the whole table.",
        "cowdb: `cowdb diff a b --rows --json` as a process, from its start to its end; "
        f"{parameters['repeats']} times after the first (at least 2, where they take long).",
        f"\"{FULL}\": the same command with the branches' URLs in place of their names, so that it "
        "cannot know what they share.",
        f"reladiff {conditions['reladiff']} from PyPI, as a process, on the same two servers: "
        f"hashdiff, all columns, {conditions['reladiff_threads']} threads for each database, "
        "`--assume-unique-key --skip-sort-results`"
        + (f"; segments and threshold {split[0]} and {split[1]}, the fastest on the smallest "
           f"table of {tried}." if split else "."),
        "EXCEPT both ways in one database, which is what it needs: the second table is copied "
        "there beforehand, frozen and analysed, and that is not counted; with "
        + ", ".join(f"{name} = {value}" for name, value in conditions["except_settings"].items())
        + ".",
        "count(*) of both tables at once, on both servers; it finds nothing of this change.",
        "Every answer is checked: each way found exactly the rows that were changed"
        + _missed(conditions.get("reladiff_missed", [])) + ".",
        f"Peers: up to {parameters['peer_repeats']} repeats. Page cache: "
        f"{conditions['page_cache']}.",
    ]  # fmt: skip


def _missed(runs: list[list[Any]]) -> str:
    """:param runs: (database, segments, threshold, rows) of each run of reladiff's that printed
    fewer rows than differ."""
    told = "; ".join(f"{rows:,} of {database} with {one} and {two}"
                     for database, one, two, rows in runs)  # fmt: skip
    return f", except reladiff, which missed rows and is counted all the same ({told})" * bool(runs)


def draw(results: Results) -> Figure | None:
    """Time by size for everybody on the left, cowdb's time by changes on the right."""
    title = "Which rows differ between two databases: how long until it is known"
    made, (left, right) = chart.figure(
        title,
        f"Left: {AT:,} scattered changes; whole command, median, both axes logarithmic; behind each"
        " name, how many times cowdb's.   Right: cowdb by the number of changes.",
        (1.4, 1), (13.5, 6.4),
    )  # fmt: skip
    _draw_sizes(left, results)
    _draw_changes(right, results)
    return chart.finish(made, results, wspace=0.98)


def _draw_sizes(ax: Axes, results: Results) -> None:
    ratio = ratios_of(results)
    items = _scattered(results, AT)
    ends: list[tuple[float, str, str]] = []
    for method, color in zip(METHODS, (chart.COWDB, *chart.PEERS), strict=False):
        points, last = [], ""
        for item in items:
            if found := look_up(results, item["label"], method, "command"):
                points.append((item["rows"], found.median))
                last = item["label"]
        if not points:
            continue
        ours = method == COWDB
        ax.plot(*zip(*points, strict=True), color=color, marker="o", markersize=7 if ours else 5,
                linewidth=3.2 if ours else 1.8, zorder=5 if ours else 3)  # fmt: skip
        times = ratio.get((last, method, ""))
        name = f"{method}: {ms_text(points[-1][1])}"
        ends.append((points[-1][1], f"{name}  {times_text(times)}" if times else name, color))
    ax.set(xscale="log", xlabel="rows in the table", ylabel="time")
    _scales(ax, [item["rows"] for item in items], min(end[0] for end in ends) / 2.2,
            max(end[0] for end in ends) * 2.2)  # fmt: skip
    chart.name_ends(ax, ends)


def _draw_changes(ax: Axes, results: Results) -> None:
    sizes = sorted({item["rows"] for item in results["databases"]})
    heights = [BAR_MS]
    for rows, color in zip(sizes, chart.SHADES, strict=False):
        for together in (False, True):
            points = []
            for item in results["databases"]:
                found = look_up(results, item["label"], COWDB, "command")
                if found and (item["rows"], item["together"]) == (rows, together):
                    points.append((item["changes"], found.median))
            if points:
                heights += [point[1] for point in points]
                label = f"{shown(rows)} rows" + (", side by side" if together else "")
                ax.plot(*zip(*sorted(points), strict=True), color=color, linewidth=2.4,
                        marker="s" if together else "o", label=label)  # fmt: skip
    chart.dashed(ax, BAR_MS)
    ax.set(xscale="log", xlabel="rows changed", ylabel="cowdb, whole command")
    _scales(ax, sorted({item["changes"] for item in results["databases"]}), min(heights) / 2,
            max(heights) * 2)  # fmt: skip
    ax.legend(frameon=False, fontsize=9, loc="upper left")


def _scales(ax: Axes, places: list[int], low: float, high: float) -> None:
    ax.set_xticks(places, [shown(place) for place in places])
    chart.times(ax, low, high)
