"""Tell the runs of the storage scenario: one table with a column for each driver, page, picture.
From the JSON alone.

Times of an emulated machine are shown as parts of that machine's own plain copy, never in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench import chart
from bench.page import page as framed
from bench.record import Results, look_up
from bench.report import bullets, claim_lines, markdown_table, ms_text, plain_table, settings_text
from bench.stats import Summary, median

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Facts = dict[str, Any]
_OPERATIONS = {
    "snapshot": "snapshot, source at rest",
    "snapshot_unwritten": "snapshot, 64 MiB just written",
    "clone": "clone",
    "destroy": "destroy of a clone",
    "destroy_snapshot": "destroy of a snapshot",
    "start": "clone + start, to an answered query",
}
_COLORS = {"btrfs": chart.COWDB, "reflink": chart.PEERS[0], "zfs": chart.PEERS[3]}
_NAMES = {"btrfs": "btrfs", "reflink": "reflink on XFS", "zfs": "ZFS"}
_DEPTHS = (1, 10, 50)


def _name(facts: Facts) -> str:
    return _NAMES[facts["label"]] + (" (emulated)" if facts["emulated"] else "")


def _found(results: Results, facts: Facts, method: str, measure: str) -> Summary:
    found = look_up(results, facts["label"], method, measure)
    assert found is not None, (facts["label"], method, measure)
    return found


def _copy(results: Results, facts: Facts) -> float:
    return _found(results, facts, "copy", "start").median


def _part(ratio: float) -> str:
    """A part of a plain copy, with two digits that count."""
    return f"{ratio:.2g} of a copy" if ratio < 100 else f"{ratio:.0f} copies"


def _time(results: Results, facts: Facts, method: str, measure: str) -> str:
    """Median (p95), and the median as a part of a copy; of an emulated machine only parts."""
    found, copy = _found(results, facts, method, measure), _copy(results, facts)
    if facts["emulated"]:
        return f"{_part(found.median / copy)} (p95 {found.p95 / copy:.2g})"
    return f"{ms_text(found.median)} ({ms_text(found.p95)}), {_part(found.median / copy)}"


def _copied(results: Results, facts: Facts) -> str:
    return "1" if facts["emulated"] else f"{ms_text(_copy(results, facts))}, 1"


def _directory(_: Results, facts: Facts) -> str:
    return f"{facts['datadir_bytes'] / 1e6:,.0f} MB, {facts['files']:,} files"


def _kib(size: float) -> str:
    if abs(size) >= 10 * 2**20:
        return f"{size / 2**20:,.0f} MiB"
    return f"{size / 2**10:,.0f} KiB"


def _clones(_: Results, facts: Facts) -> str:
    space = facts["space"]
    each = space["clones_bytes"] / space["clones"]
    return f"{_kib(space['clones_bytes'])}, {_kib(each)} each"


def _free(_: Results, facts: Facts) -> str:
    space = facts["space"]
    return " -> ".join(f"{space[name] / 2**20:,.0f} MiB" for name in ("free_before", "free_after"))


def _started(_: Results, facts: Facts) -> str:
    return f"{_kib(facts['space']['started_bytes'] / facts['space']['started'])} each"


def _tps(mode: str) -> Callable[[Results, Facts], str]:
    def cell(_: Results, facts: Facts) -> str:
        source, branch = (median(facts["tps"][mode][side]) for side in ("source", "branch"))
        if facts["emulated"]:
            return f"{branch / source:.2f}"
        return f"{branch:,.0f} / {source:,.0f} = {branch / source:.2f}"

    return cell


def _depths(results: Results, facts: Facts) -> list[float]:
    """The times of the chain's creations, the first first."""
    for item in results["samples"]:
        if (item["database"], item["method"]) == (facts["label"], "chain"):
            return item["ms"]
    return []


def _chain(results: Results, facts: Facts) -> str:
    times = _depths(results, facts)
    chosen = [times[depth - 1] for depth in _DEPTHS if depth <= len(times)]
    if facts["emulated"]:
        return ", ".join(f"{time / _copy(results, facts):.2g}" for time in chosen) + " of a copy"
    return ", ".join(ms_text(time) for time in chosen)


def _chain_half(results: Results, facts: Facts) -> str:
    """The later half against the earlier: what a single figure says badly."""
    times = _depths(results, facts)
    half = len(times) // 2
    return f"{median(times[half:]) / median(times[:half]):.2f}"


def _reads(turn: str) -> Callable[[Results, Facts], str]:
    def cell(_: Results, facts: Facts) -> str:
        root, last = (facts["reads_ms"][f"{end}_{turn}"]["median"] for end in ("root", "last"))
        if facts["emulated"]:
            return f"{last / root:.2f}"
        return f"{last * 1000:.0f} / {root * 1000:.0f} us = {last / root:.2f}"

    return cell


def _rows(results: Results) -> list[dict[str, Any]]:
    cells: dict[str, Callable[[Results, Facts], str]] = {
        "data directory": _directory,
        "plain copy + start (the yardstick)": _copied,
    }
    for measure, words in _OPERATIONS.items():
        cells[f"{words}: median (p95)"] = _bound(measure)
    cells |= {
        "space of 100 clones": _clones,
        "free before -> after": _free,
        "space of a branch that was started": _started,
        "TPS branch / source, pgbench -S": _tps("read"),
        "TPS branch / source, pgbench": _tps("write"),
        "chain: the 1st, 10th, 50th creation": _chain,
        "chain: its later half / its earlier": _chain_half,
        "chain: first point reads, 50th / root": _reads("first"),
        "chain: the same again, 50th / root": _reads("again"),
    }
    return [
        {"": words, **{_name(facts): cell(results, facts) for facts in results["databases"]}}
        for words, cell in cells.items()
    ]


def _bound(measure: str) -> Callable[[Results, Facts], str]:
    return lambda results, facts: _time(results, facts, "cowdb", measure)


def table(results: Results) -> str:
    return "\n\n".join([plain_table(_rows(results)), "\n".join(claim_lines(results)),
                        "\n".join(_notes(results))])  # fmt: skip


def _notes(results: Results) -> list[str]:
    found = []
    for facts in results["databases"]:
        if facts["emulated"]:
            found.append(
                f"{_name(facts)}: in a QEMU guest without hardware virtualization, on a smaller "
                "database. Its seconds say nothing, so its times are given as parts of its own "
                "plain copy with a start. Processor work weighs more there than disk work does."
            )
        load = facts["machine"]["load_average_at_start"][0]
        if load >= facts["machine"]["cores"] / 4:
            found.append(
                f"{_name(facts)}: busy machine, load average {load} on "
                f"{facts['machine']['cores']} cores before the run began; figures are noisy and "
                "higher than on a quiet one."
            )
    return found


def headline(results: Results) -> str:
    return markdown_table(_rows(results))


def page(results: Results) -> str:
    return framed(
        results,
        title="What each storage driver costs",
        picture="Operations as parts of a plain copy, and a chain of branches",
        opening="Made by `python -m bench storage` from bench/results/storage-btrfs.json, "
        "storage-reflink.json and\nstorage-zfs.json, which hold every sample; do not edit it by "
        "hand. What the drivers guarantee is in\n[docs/storage.md](../storage.md).",
        told=[bullets(_notes(results)), markdown_table(_rows(results))],
        how=_how(results),
        machine=("The machines", markdown_table(_machines(results))),
        run=[("storage --driver btrfs", "two minutes; reflink alike"),
             ("storage --driver zfs", "in a guest where ZFS is missing")],
        ending="Each run replaces its own column and leaves the others. Everything that it makes "
        "lies in a loop file under /var/tmp and is removed at the end.",
    )  # fmt: skip


def _how(results: Results) -> list[str]:
    settings = results["conditions"]
    return [
        "The drivers' own calls, without an agent: one volume with a data directory that initdb "
        "and pgbench made, on a new filesystem of 6 GiB in a sparse file.",
        "A *copy* is `cp -a --reflink=never` of that directory on the same filesystem, a start "
        "and an answered query: what every other figure is compared with, since the ratio says "
        "more than the time. Nobody waits for the disk at its end, so a filesystem that writes "
        "out late has a quick copy, and its parts of a copy look large.",
        "Snapshot and the rest: one after the other, the source's server stopped. \"Just "
        'written" are random bytes in a file of the source, which the snapshot must write out.',
        "Space is what the filesystem counts as used after a sync, metadata included, twice where "
        "it keeps two copies; \"free\" is what the driver tells the agent, in which btrfs rounds "
        "by chunks. Started branches: started, asked one thing, stopped; where that "
        "is 16 MiB more, each probably had to begin a new segment of WAL.",
        f"TPS: pgbench with two clients on the source, which has a snapshot, and on a clone, "
        f"taking turns, {settings_text(settings['tps_settings'])}, fsync on: both write to blocks "
        "that are shared, so both pay for copy-on-write.",
        "Chain: each branch is a snapshot of the one before and a clone of that. It comes after "
        "the TPS runs, whose random writes have left the root's files in many extents: a reflink "
        "copies their records one by one, so that on XFS each link of the chain costs much more "
        "than the snapshot and the clone above, which were of files freshly loaded. "
        + "; ".join(_written(facts) for facts in results["databases"])
        + ". Point reads: the same random rows by primary key, at both ends of the chain, by a "
        "server just started; \"first\" after the files were dropped from the page cache (ZFS "
        "keeps its own cache, so there both are warm).",
        f"All other servers run with {settings_text(settings['settings'])}.",
    ]  # fmt: skip


def _written(facts: Facts) -> str:
    every = facts.get("write_every", 1)
    return f"{_name(facts)}: {'every' if every == 1 else f'every {every}th'} one changes 100 rows"


def _machines(results: Results) -> list[dict[str, Any]]:
    names = ("date", "cpu", "cores", "virtualization", "kernel", "postgres", "filesystem",
             "git_commit", "load_average_at_start", "load_average_at_end")  # fmt: skip
    rows = []
    for name in names:
        row: dict[str, Any] = {"": name.replace("_", " ")}
        for facts in results["databases"]:
            value = facts["machine"].get(name, "unknown")
            row[_name(facts)] = ", ".join(map(str, value)) if isinstance(value, list) else value
        rows.append(row)
    scales = {_name(facts): facts["pgbench_scale"] for facts in results["databases"]}
    return [*rows, {"": "pgbench scale", **scales}]


def draw(results: Results) -> Figure | None:
    """Operations as parts of a copy on the left, the chain on the right."""
    made, (left, right) = chart.figure(
        "What a snapshot, a clone and a branch cost on each filesystem",
        "Left: median time as a part of a plain copy with a start on the same filesystem, "
        "less is better.   Right: a chain of branches of branches. Both logarithmic.",
        (1.45, 1), (13.5, 6.2),
    )  # fmt: skip
    _draw_operations(left, results)
    _draw_chain(right, results)
    note = "; ".join(
        f"{_name(facts)}: {facts['datadir_bytes'] / 1e6:.0f} MB, load "
        f"{facts['machine']['load_average_at_start'][0]}"
        for facts in results["databases"]
    )
    return chart.finish(made, note, top=0.80, bottom=0.17, wspace=0.22)


def _draw_operations(ax: Axes, results: Results) -> None:
    short = {"snapshot": "snapshot", "snapshot_unwritten": "snapshot,\n64 MiB\nwritten",
             "clone": "clone", "destroy": "destroy", "start": "clone\n+ start"}  # fmt: skip
    width = 0.8 / len(results["databases"])
    for index, facts in enumerate(results["databases"]):
        copy = _copy(results, facts)
        heights = [_found(results, facts, "cowdb", name).median / copy for name in short]
        shift = (index - (len(results["databases"]) - 1) / 2) * width
        bars = ax.bar([place + shift for place in range(len(short))], heights, width * 0.92,
                      color=_COLORS[facts["label"]], label=_name(facts))  # fmt: skip
        ax.bar_label(bars, [f"{height:.2g}" for height in heights], fontsize=8, padding=2)
    ax.set_yscale("log")
    ax.minorticks_off()
    low, high = ax.get_ylim()
    ax.set_ylim(low / 1.5, max(high, 1.5) * 1.2)
    ticks = [tick for tick in (1e-4, 1e-3, 1e-2, 0.1, 1.0) if tick > low / 1.5]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    chart.dashed(ax, 1, chart.INK)
    ax.set_xticks(range(len(short)), list(short.values()))
    ax.set_ylabel("part of a plain copy with a start (dashed: 1)")
    ax.legend(frameon=False, fontsize=9, loc="upper left", ncols=3, bbox_to_anchor=(0, 1.1))


def _draw_chain(ax: Axes, results: Results) -> None:
    for facts in results["databases"]:
        times, copy = _depths(results, facts), _copy(results, facts)
        smooth = [median(times[max(0, at - 2) : at + 3]) / copy for at in range(len(times))]
        color = _COLORS[facts["label"]]
        depths = list(range(1, len(times) + 1))
        ax.plot(depths, [time / copy for time in times], color=color, linewidth=0, marker="o",
                markersize=3, alpha=0.35)  # fmt: skip
        ax.plot(depths, smooth, color=color, linewidth=2.2)
    ax.set_yscale("log")
    ax.minorticks_off()
    low, high = ax.get_ylim()
    ticks = [tick for tick in (1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0, 3.0) if low < tick < high]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xlabel("depth in the chain")
    ax.set_ylabel("snapshot + clone, part of a plain copy with a start")
