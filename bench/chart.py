"""Pictures of results: a light page, few lines, the same look for every scenario.

matplotlib comes with the extra `bench` and is imported when something is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COWDB = "#0b7a4b"
PEERS = ("#c2410c", "#e0972f", "#7c5cbf", "#3b6fb6", "#5b6472")
INK, FAINT = "#1f2328", "#d5dae0"


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
    made.text(0.012, 0.905, subtitle, fontsize=10, color="#57606a", va="top")
    for ax in axes[0]:
        ax.set_facecolor("white")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color=FAINT, linewidth=0.8)
        ax.set_axisbelow(True)
        ax.tick_params(length=0)
    return made, list(axes[0])


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
