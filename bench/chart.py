"""Pictures of results: a light page, few lines, the same look for every scenario.

matplotlib comes with the extra `bench` and is imported when something is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING

from bench.record import Results
from bench.report import machine_line, ms_text
from bench.stats import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COWDB = "#0b7a4b"
PEERS = ("#c2410c", "#e0972f", "#7c5cbf", "#3b6fb6", "#5b6472")
SHADES = ("#8fd0b3", "#2f9e6e", "#0b5d3b", "#06351f")
"""Of cowdb's own colour, where it is compared with itself."""
BAR = "#b42318"
INK, FAINT, PALE = "#1f2328", "#d5dae0", "#57606a"
REACH = {"ecolor": INK, "elinewidth": 0.9, "capsize": 2}
"""How the line from a median to a p95 looks: `error_kw` of bars."""


def figure(title: str, subtitle: str, columns: Sequence[float], size: tuple[float, float]) -> tuple[
    Figure, list[Axes]
]:  # fmt: skip
    """A figure with axes side by side.

    :param columns: relative widths.
    """
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("agg")
    matplotlib.rcParams.update({
        "font.family": "DejaVu Sans", "font.size": 10.5, "svg.hashsalt": "cowdb",
        "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
        "axes.edgecolor": INK,
    })  # fmt: skip
    made, axes = pyplot.subplots(1, len(columns), figsize=size, squeeze=False,
                                 gridspec_kw={"width_ratios": list(columns)})  # fmt: skip
    made.patch.set_facecolor("white")
    made.text(0.012, 0.965, title, fontsize=15, fontweight="bold", va="top")
    made.text(0.012, 0.905, subtitle, fontsize=10, color=PALE, va="top")
    for ax in axes[0]:
        ax.set_facecolor("white")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color=FAINT, linewidth=0.8)
        ax.set_axisbelow(True)
        ax.tick_params(length=0)
    return made, list(axes[0])


def finish(made: Figure, told: Results | str, *, left: float = 0.066, top: float = 0.815,
           bottom: float = 0.155, wspace: float = 0.2) -> Figure:  # fmt: skip
    """Margins, and a line below: of the machine, or the one that is given."""
    note = told if isinstance(told, str) else machine_line(told["machine"])
    made.text(0.012, 0.018, note, fontsize=8.5, color=PALE)
    made.subplots_adjust(left=left, right=0.985, top=top, bottom=bottom, wspace=wspace)
    return made


def times(ax: Axes, low: float, high: float) -> None:
    """A logarithmic axis of milliseconds, upwards."""
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    known = [step * 10.0**power for power in range(-3, 7) for step in (1, 3)]
    ticks = [tick for tick in known if low < tick < high]
    ax.set_yticks(ticks, [ms_text(tick).replace(".0 ", " ") for tick in ticks])
    ax.minorticks_off()


def groups(ax: Axes, found: Mapping[str, Sequence[Summary | None]], colors: Mapping[str, str],
           titles: Mapping[str, str]) -> None:  # fmt: skip
    """Bars side by side, of milliseconds, logarithmic: in each group one for each way, with a line
    from its median to its p95 and the median above.

    :param found: the groups' times, by way; None where there is none."""
    width, heights = 0.82 / len(found), [item for own in found.values() for item in own if item]
    for index, (way, own) in enumerate(found.items()):
        shift = (index - (len(found) - 1) / 2) * width
        bars = [(place + shift, item) for place, item in enumerate(own) if item]
        ax.bar([place for place, _ in bars], [item.median for _, item in bars], width * 0.92,
               color=colors[way], label=titles[way], error_kw=REACH,
               yerr=[[0.0] * len(bars), [item.p95 - item.median for _, item in bars]],
               )  # fmt: skip
        for place, item in bars:
            ax.annotate(ms_text(item.median).removesuffix(" ms"), (place, item.p95), xytext=(0, 3),
                        textcoords="offset points", ha="center", fontsize=8)  # fmt: skip
    low, high = min(item.median for item in heights), max(item.p95 for item in heights)
    times(ax, low / 3, high * 12)
    ax.legend(frameon=False, fontsize=9, loc="upper left", ncols=2)


def dashed(ax: Axes, at: float, color: str = BAR) -> None:
    """A line across, as of a bar that is to be kept."""
    ax.axhline(at, color=color, linewidth=1, linestyle=(0, (5, 3)))


def name_ends(ax: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names at the right of lines, apart from each other; the axis upwards is a logarithm.

    :param ends: (where the line ends, its name, its colour)."""
    low, high = (log10(end) for end in ax.get_ylim())
    places = apart([log10(end[0]) for end in ends], (high - low) * 0.058)
    for (_, text, color), place in zip(ends, places, strict=True):
        ax.annotate(text, (1.0, 10**place), xycoords=("axes fraction", "data"), xytext=(6, 0),
                    textcoords="offset points", va="center", color=color, fontsize=10,
                    fontweight="bold" if color == COWDB else "normal",
                    annotation_clip=False)  # fmt: skip


def apart(places: Sequence[float], gap: float) -> list[float]:
    """The same places, moved as little as labels of height `gap` need; order is kept. Pure."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = list(places)
    for _ in range(200):
        close = False
        for low, high in pairwise(order):
            lack = gap - (moved[high] - moved[low])
            if lack > 1e-9:
                moved[low] -= lack / 2
                moved[high] += lack / 2
                close = True
        if not close:
            break
    return moved


def save(drawn: Figure | None, stem: Path) -> list[Path]:
    """STEM.svg and STEM.png, the same bytes for the same results."""
    if drawn is None:
        return []
    svg, png = stem.with_suffix(".svg"), stem.with_suffix(".png")
    drawn.savefig(svg, metadata={"Date": None})
    drawn.savefig(png, dpi=160, metadata={"Software": None})
    return [svg, png]
