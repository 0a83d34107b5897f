"""Tell a run of the lab scenario: table, docs page, picture. From the JSON alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import chart
from bench.page import filled, terminal
from bench.page import page as framed
from bench.record import Results, look_up, values
from bench.report import (
    markdown_table,
    ms_text,
    plain_table,
    settings_text,
    times_text,
)
from bench.scenarios.lab import serial, watched
from bench.scenarios.lab.measure import AT_ONCE, COWDB, LABEL
from bench.stats import median

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PARTS = {"make": "fresh databases", "migrate": "migrations", "validate": "validation",
          "compare": "comparison"}  # fmt: skip
_COLORS = {"make": chart.PEERS[0], "migrate": chart.PEERS[3], "validate": chart.PEERS[2],
           "compare": chart.PEERS[1], "rest": chart.COWDB}  # fmt: skip
_FINDS = [
    ("how long it takes", "yes", "yes"),
    ("validation queries", "yes", "yes"),
    ("the schema", "object by object, property by property", "as text, line by line"),
    ("numbers of rows", "yes", "yes"),
    ("the rows themselves", "each row and column that differs", "no: a row changed is not seen"),
    ("is the way back really back", "to the row", "schema and numbers only"),
    ("whom it blocks, for how long, by which line", "yes", "no"),
    ("tables rewritten or read whole", "yes", "no"),
    ("WAL, disk, temporary files", "yes", "no"),
    ("what is lost or left half done", "yes", "no"),
    ("do the strategies end alike", "in schema and rows", "each against the original only"),
]


def _ways(results: Results) -> list[str]:
    return list(results["parameters"]["ways"])


def _totals(results: Results) -> list[dict[str, Any]]:
    """Ways by parts: medians; how many times the lab's."""
    ratio = {row["method"]: row for row in results["ratios"] if row["measure"] == "total"}
    rows = []
    for way in _ways(results):
        total = look_up(results, LABEL, way, "total")
        assert total is not None
        parts = _parts(results, way)
        times = ratio.get(way)
        rows.append({
            "three strategies": way,
            "in all (least to most)":
                f"{ms_text(total.median)} ({ms_text(total.min)} to {ms_text(total.max)})",
            "fresh databases": ms_text(parts.get("make")),
            "migrations": ms_text(parts["migrate"]),
            "all else": ms_text(parts.get("rest", parts.get("validate", 0)
                                          + parts.get("compare", 0)) or None),
            "/ the lab": f"{times_text(times['ratio'])} ({times['low']:.1f} to "
                         f"{times['high']:.1f})" if times else "1",
        })  # fmt: skip
    return rows


def _parts(results: Results, way: str) -> dict[str, float]:
    """Medians of the parts; `rest` is all that the lab does beside the migrations, where these
    were not at once."""
    found = {part: median(times) for part in serial.PARTS
             if (times := values(results["samples"], LABEL, way, part))}  # fmt: skip
    if AT_ONCE.get(way) == 1:
        pairs = zip(values(results["samples"], LABEL, way, "total"),
                    values(results["samples"], LABEL, way, "migrate"), strict=True)  # fmt: skip
        found["rest"] = median([total - migrate for total, migrate in pairs])
    return found


def _strategies(results: Results) -> list[dict[str, Any]]:
    """Strategies by ways: how long the migration itself takes."""
    names = [item["strategy"] for item in results["databases"][0]["found"][COWDB][0]]
    rows = []
    for way in _ways(results):
        row: dict[str, Any] = {"the migration itself, median": way}
        for name in names:
            found = look_up(results, LABEL, way, f"migrate.{name}")
            row[name] = ms_text(found.median if found else None)
        rows.append(row)
    return rows


def _watched(results: Results) -> list[dict[str, Any]]:
    """Migrations: bare and watched, and what the lab says that its looking took."""
    ratio = {row["measure"]: row for row in results["ratios"] if row["method"] == watched.LAB}
    rows = []
    for item in results["databases"][0]["migrations"]:
        bare, lab = (look_up(results, LABEL, way, item["name"])
                     for way in (watched.BARE, watched.LAB))  # fmt: skip
        assert bare is not None
        assert lab is not None
        found = ratio[item["name"]]
        rows.append({
            "migration": item["says"], "bare": ms_text(bare.median),
            "watched": ms_text(lab.median),
            "ratio (95 % interval)":
                f"{found['ratio']:.2f} ({found['low']:.2f} to {found['high']:.2f})",
            "longer by": ms_text(lab.median - bare.median) if lab.median > bare.median else "0",
            "the lab reports, of a core": f"{median(item['reported_overhead']) * 100:.1f} %",
        })  # fmt: skip
    return rows


def table(results: Results) -> str:
    return terminal(results, plain_table(_totals(results)), plain_table(_strategies(results)),
                          plain_table(_watched(results)))  # fmt: skip


def headline(results: Results) -> str:
    return f"{markdown_table(_totals(results))}\n\n{markdown_table(_watched(results))}"


def page(results: Results) -> str:
    facts = results["databases"][0]
    finds = [{"": what, "cowdb lab run": lab, "serially, by hand": hand}
             for what, lab, hand in _FINDS]  # fmt: skip
    return framed(
        results,
        title="What the migration lab costs",
        picture="Three strategies by the lab and by hand; migrations watched and bare",
        told=[
            filled(
                f"Three ways to add a column to {facts['users']:,} users, in a database of "
                f"{facts['database_bytes'] / 2**20:,.0f} MiB: the file that `cowdb lab init` "
                "writes, as it stands."
            ),
            markdown_table(_totals(results)),
            _template(results),
        ],
        more={
            "What each finds out": [
                markdown_table(finds),
                f'The lab\'s word at the end: "{facts["recommendation"]}"',
            ],
            "What being watched costs a migration": [
                markdown_table(_watched(results)),
                filled(
                    "What the lab reports is the share of one core that its looking at locks took "
                    "on the server; the rest of what watching costs is the server's log, by the "
                    "statement, and the event triggers, by the DDL command."
                ),
            ],
            "How many at once": [
                markdown_table(_strategies(results)),
                filled(
                    "With `parallel` strategies run beside each other and are in each other's "
                    "times: what is gained in all is lost in what the durations say."
                ),
            ],
        },
        how=_how(results),
        run=[("lab", "about half an hour, 10 GB of disk"), ("lab --scale 0.1", "a tenth of it")],
    )


def _template(results: Results) -> str:
    """Fair is fair: where a copy on the same server is quicker in all."""
    (row,) = [row for row in results["ratios"] if row["method"] == serial.TEMPLATE]
    if row["ratio"] >= 1:
        return ""
    return filled(
        "A template on the same server is quicker than the lab at this size: it does not look at "
        "rows, which the lab compares with the checkpoint's and between the strategies, nor at "
        "locks. The copy takes longer the larger the database is, a branch does not "
        "([branch](branch.md))."
    )


def _how(results: Results) -> list[str]:
    parameters, conditions, facts = (
        results["parameters"], results["conditions"], results["databases"][0],
    )  # fmt: skip
    return [
        f"Rounds through all ways: {parameters['repeats']}; medians. Dirty pages are written "
        "out before each. One filesystem for everybody.",
        "The lab: the whole command, from its start to its end: its branches made and removed, "
        "every strategy run and watched, validated, compared with the checkpoint to the row, and "
        "with the others; its report kept. The snapshot is there, and settled.",
        "By hand: for each strategy a fresh database, the same command by the same psql, the same "
        "validation queries, the text of `pg_dump --schema-only` held against the original's, and "
        "`count(*)` of all tables. What to hold them against is there already: of the template the "
        "original, of a restore another one, since a restore by itself changes "
        f"{facts['lines_changed_by_restore']} lines of that text. So is the dump to restore: "
        f"{facts['dump_bytes'] / 2**20:,.0f} MiB, made in {ms_text(facts['dump_ms'])} by "
        "`pg_dump -Fd -j2`.",
        "Restored by `pg_restore -j2`, a worker for each core; the dump is not compressed. The "
        "template needs the original in the same server, with nobody connected to it. Dropping "
        "the fresh database is not counted, nor an ANALYZE of it.",
        f"The server by hand: {settings_text(conditions['peer_settings'])}; a branch: "
        f"{settings_text(conditions['branch_settings'])}. Nobody waits for the disk at a commit.",
        f"Watched and bare: {parameters['watched']} times each, in turns, each time on a fresh "
        "branch, after a CHECKPOINT and one look at the catalogs; from the start of psql to its "
        "end. Watched: the duration in the report of `cowdb lab run`, of a file with this one "
        "strategy.",
        "Bars: the lab tells strategies apart by a quarter of their duration, or 50 ms of a lock, "
        "at the least. What watching adds has to be small beside that: a tenth, and 20 ms. 0.2 ms "
        "for each statement is as much as a statement takes over a network.",
    ]  # fmt: skip


def draw(results: Results) -> Figure | None:
    """What the three strategies take on the left, what being watched costs on the right."""
    made, (left, right) = chart.figure(
        "Three ways to change a million users, tried and compared"
        if results["parameters"]["scale"] == 1 else "Three ways to change a table",
        "Left: what it takes in all, median; the lab also compares every row and sees every lock."
        "   Right: the same migration\nwatched by the lab over bare, with the 95 % interval.",
        (1.5, 1), (14, 6.4),
    )  # fmt: skip
    _draw_totals(left, results)
    _draw_watched(right, results)
    return chart.finish(made, results, left=0.19, wspace=0.62)


def _draw_totals(ax: Axes, results: Results) -> None:
    ways, seen = _ways(results), set[str]()
    names = {**_PARTS, "rest": "all else of the lab"}
    for place, way in enumerate(reversed(ways)):
        total = look_up(results, LABEL, way, "total")
        assert total is not None
        parts, left = _parts(results, way), 0.0
        if AT_ONCE.get(way, 1) > 1:  # side by side: no sum of parts
            parts = {"rest": total.median}
        for part in ("make", "migrate", "validate", "compare", "rest"):
            if part not in parts:
                continue
            whole = AT_ONCE.get(way, 1) > 1
            ax.barh(place, parts[part] / 1000, 0.6, left=left, color=_COLORS[part],
                    alpha=0.45 if whole else 1.0,
                    label=None if part in seen or whole else names[part])  # fmt: skip
            left += parts[part] / 1000
            if not whole:
                seen.add(part)
        ax.annotate(ms_text(total.median), (left, place), xytext=(5, 0), va="center",
                    textcoords="offset points", fontsize=10,
                    fontweight="bold" if way == COWDB else "normal")  # fmt: skip
    ax.set_yticks(range(len(ways)), [way.replace(", ", ",\n") for way in reversed(ways)])
    ax.set_xlabel("seconds for all three")
    ax.set_xlim(0, ax.get_xlim()[1] * 1.08)
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", color=chart.FAINT, linewidth=0.8)
    ax.legend(frameon=False, fontsize=9, loc="lower center", ncols=5, columnspacing=1,
              bbox_to_anchor=(0.4, 1.0))  # fmt: skip


def _draw_watched(ax: Axes, results: Results) -> None:
    ratio = {row["measure"]: row for row in results["ratios"] if row["method"] == watched.LAB}
    items = list(reversed(results["databases"][0]["migrations"]))
    for place, item in enumerate(items):
        row = ratio[item["name"]]
        ax.plot([row["low"], row["high"]], [place, place], color=chart.COWDB, linewidth=2)
        ax.plot([row["ratio"]], [place], color=chart.COWDB, marker="o", markersize=8)
        ax.annotate(f"{row['ratio']:.2f}", (row["ratio"], place), xytext=(0, 9), ha="center",
                    textcoords="offset points", fontsize=10)  # fmt: skip
    ax.axvline(1, color=chart.INK, linewidth=1)
    labels = {watched.BACKFILL: "backfill in batches", watched.CHECK: "default + check",
              watched.DDL: "one ALTER TABLE",
              watched.STATEMENTS: f"{results['parameters']['statements']:,} updates"}  # fmt: skip
    bare = {item["name"]: look_up(results, LABEL, watched.BARE, item["name"]) for item in items}
    ax.set_yticks(
        range(len(items)),
        [f"{labels[item['name']]}\n({ms_text(found.median if found else None)} bare)"
         for item in items for found in [bare[item["name"]]]],
    )  # fmt: skip
    ax.set_ylim(-0.5, len(items) - 0.3)
    ax.set_xlabel("watched / bare")
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", color=chart.FAINT, linewidth=0.8)
