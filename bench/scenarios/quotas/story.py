"""Tell a run of the quotas scenario: terminal table, docs page, picture. From the JSON alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import chart
from bench.page import page as framed
from bench.page import terminal
from bench.record import Results, look_up, ratios_of
from bench.report import markdown_table, ms_text, plain_table, settings_text
from bench.scenarios.quotas.measure import FULL, MODES, OFF, PARTS, SIMPLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLES = {OFF: "no quotas", SIMPLE: "--disk, simple quotas", FULL: "full accounting"}
_WORDS = {
    "create": "create", "write": "write 2,000 rows", "write_out": "write out to the disk",
    "remove": "remove", "clean_up": "space given back", "life": "all of it",
}  # fmt: skip
_COLORS = {OFF: chart.SHADES[0], SIMPLE: chart.COWDB, FULL: chart.PEERS[0]}


def _counts(results: Results) -> list[int]:
    return list(results["parameters"]["snapshots"])


def _lives(results: Results) -> list[dict[str, Any]]:
    """Parts of a branch's life by ways, for each number of snapshots."""
    ratio = ratios_of(results)
    rows = []
    for count in map(str, _counts(results)):
        for measure, words in _WORDS.items():
            row = {"snapshots": count, "a branch, median (p95)": words}
            for mode in MODES:
                found = look_up(results, count, mode, measure)
                times = ratio.get((count, mode, measure))
                row[_TITLES[mode]] = (
                    f"{ms_text(found.median)} ({ms_text(found.p95)})" if found else "-"
                ) + (f", {times:.2f} x" if times else "")
            rows.append(row)
    return rows


def table(results: Results) -> str:
    return terminal(results, plain_table(_lives(results)))


def headline(results: Results) -> str:
    whole = (_WORDS["create"], _WORDS["remove"], _WORDS["life"])
    return markdown_table([row for row in _lives(results)
                           if row["a branch, median (p95)"] in whole])  # fmt: skip


def page(results: Results) -> str:
    return framed(
        results,
        title="What a limit of disk costs on btrfs",
        picture="A branch's life with and without quotas, and by the number of snapshots",
        told=[markdown_table(_lives(results)), "`N x`: how many times as long as without quotas."],
        how=_how(results),
        run=[("quotas", "about three minutes, 4 GB of disk"),
             ("quotas --snapshots 0 1000 --rounds 2", "")],
    )  # fmt: skip


def _how(results: Results) -> list[str]:
    asked, facts = results["parameters"], results["databases"][0]
    volumes = ", ".join(f"{volumes} beside {count} snapshots"
                        for count, volumes in facts["volumes"].items())  # fmt: skip
    return [
        f"A branch of the newest snapshot of a database of {facts['label']}: made, "
        f"{asked['written_rows']:,} rows all over a table changed, written out (syncfs), removed, "
        "and waited for until btrfs has given its space back, which it does by itself afterwards. "
        "All times are a client's.",
        f"Each further snapshot is of one and the same branch, in which {asked['changed_rows']} "
        "rows were changed since the one before, and is settled; so all of them share most "
        f"blocks with each other. Volumes in the pool: {volumes}.",
        "Simple quotas are what `cowdb branch create --disk` uses: they note who wrote a block. "
        f"Each branch then has a limit of {asked['limit_bytes'] // 2**30} GiB. Full accounting "
        "(`btrfs quota enable`) finds out at each commit who shares what; it is turned on there, "
        "and no branch has a limit.",
        f"{asked['rounds']} rounds through the three in turn, {asked['repeats']} branches in each "
        "after a first one that is not counted, so that what else the machine does falls on all. "
        f"Full accounting gets no further branch after {asked['full_budget']:.0f} s beside one "
        "number of snapshots, and the snapshots are taken without it.",
        f"A branch's settings: {settings_text(results['conditions']['branch_settings'])}.",
    ]  # fmt: skip


def draw(results: Results) -> Figure | None:
    """Parts of a life on the left, with the most snapshots; the whole by their number, right."""
    most = _counts(results)[-1]
    made, (left, right) = chart.figure(
        "A limit of disk, and what the accounting for it costs",
        f"Left: the parts of a branch's life beside {most} snapshots, median; line: to p95.   "
        "Right: all of it, by the number of snapshots.",
        (1.7, 1), (13.5, 6.2),
    )  # fmt: skip
    _draw_parts(left, results, str(most))
    _draw_growth(right, results)
    return chart.finish(made, results, left=0.06, wspace=0.18)


def _draw_parts(ax: Axes, results: Results, most: str) -> None:
    chart.groups(ax, {mode: [look_up(results, most, mode, part) for part in PARTS]
                      for mode in MODES}, _COLORS, _TITLES)  # fmt: skip
    ax.set_xticks(range(len(PARTS)), [_WORDS[part].replace(" ", "\n", 1) for part in PARTS])
    ax.set_ylabel("time (numbers: ms)")


def _draw_growth(ax: Axes, results: Results) -> None:
    heights = []
    for mode in MODES:
        points = [(count, found.median) for count in _counts(results)
                  if (found := look_up(results, str(count), mode, "life"))]  # fmt: skip
        ax.plot(*zip(*points, strict=True), color=_COLORS[mode], marker="o", linewidth=2.4,
                label=_TITLES[mode])  # fmt: skip
        heights += [height for _, height in points]
    chart.times(ax, min(heights) / 3, max(heights) * 3)
    ax.set_xticks(_counts(results))
    ax.set(xlabel="snapshots", ylabel="a branch's life")
    ax.legend(frameon=False, fontsize=9, loc="upper left")
