"""Tell a run of the sleep scenario, from its JSON alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.record import Results, look_up
from bench.report import (
    bullet,
    busy_note,
    claim_lines,
    machine_table,
    markdown_table,
    ms_text,
    plain_table,
)

if TYPE_CHECKING:
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
        f"{found['asleep_bytes_each'] / 1024:.0f} KiB (loss of MemAvailable), of {found['awake']} "
        f"that do not sleep {found['awake_bytes_each'] / 2**20:.1f} MiB; the front is one process "
        f"for all of them, of {found['front_pss_bytes'] / 2**20:.1f} MiB, in which each has "
        f"{found['front_bytes_each'] / 1024:.1f} KiB."
    )


def table(results: Results) -> str:
    return "\n".join([plain_table(_rows(results)), "", _memory(results), "", *claim_lines(results)])


def headline(results: Results) -> str:
    """For docs/benchmarks.md."""
    return f"{markdown_table(_rows(results))}\n\n{_memory(results)}"


def page(results: Results) -> str:
    lines = [
        "# Sleep and wake", "", "Made by `python -m bench sleep` from its JSON; medians.", "",
        busy_note(results["machine"]), "", markdown_table(_rows(results)), "",
        bullet(_memory(results)), "",
        *[bullet(line) for line in claim_lines(results)], "", "## The machine", "",
        machine_table(results), "",
    ]  # fmt: skip
    return "\n".join(lines)


def draw(results: Results) -> Figure | None:
    """A table says it."""
    return None
