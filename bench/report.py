"""Words and tables for people, from results; no scenario's own. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill
from typing import Any

from tabulate import tabulate

from bench.record import Results


def ms_text(ms: float | None) -> str:
    if ms is None:
        return "-"
    if ms < 10:
        return f"{ms:.1f} ms"
    if ms < 1000:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.1f} s" if ms < 100_000 else f"{ms / 1000:.0f} s"


def times_text(ratio: float) -> str:
    if ratio < 0.1:
        return f"{ratio:.2g} x"
    return f"{ratio:,.1f} x" if ratio < 10 else f"{ratio:,.0f} x"


def plain_table(rows: list[dict[str, Any]]) -> str:
    return tabulate(rows, headers="keys", disable_numparse=True)


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """For a page; a bar within a cell would end it."""
    safe = [{name: str(value).replace("|", "\\|") for name, value in row.items()} for row in rows]
    return tabulate(safe, headers="keys", tablefmt="github", disable_numparse=True)


def bullet(text: str) -> str:
    """An item of a Markdown list, filled to 100 columns."""
    return fill(" ".join(text.split()), 100, initial_indent="- ", subsequent_indent="  ",
                break_long_words=False, break_on_hyphens=False)  # fmt: skip


def bullets(texts: Iterable[str]) -> str:
    return "\n".join(bullet(text) for text in texts)


def machine_line(machine: dict[str, Any]) -> str:
    """One line under a picture."""
    memory = machine["memory_bytes"] / 2**30
    load = machine["load_average_at_start"][0]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {memory:.0f} GiB, kernel "
        f"{machine['kernel']}, PostgreSQL {machine.get('postgres', '?')}, load at start {load}"
    )


def machine_table(results: Results) -> str:
    machine = dict(results["machine"])
    machine["memory"] = f"{machine.pop('memory_bytes') / 2**30:.1f} GiB"
    for name in ("load_average_at_start", "load_average_at_end"):
        machine[name] = ", ".join(map(str, machine.get(name, ["unknown"])))
    dirty = " and uncommitted changes" if machine.pop("git_dirty") else ""
    machine["git_commit"] = f"`{machine['git_commit']}`{dirty}"
    rows = [{"": name.replace("_", " "), "value": value} for name, value in machine.items()]
    return markdown_table(rows)


def settings_text(settings: dict[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in settings.items())


def busy_note(machine: dict[str, Any]) -> str:
    """A warning when others used the machine at the same time; else empty."""
    load = machine["load_average_at_start"][0]
    if load < machine["cores"] / 4:
        return ""
    return (
        f"Busy machine: load average {load} on {machine['cores']} cores before the run began, so "
        "these figures are noisy and higher than on a quiet one."
    )


def claim_lines(results: Results) -> list[str]:
    return [
        f"{'holds' if claim['holds'] else 'DOES NOT HOLD'}: {claim['claim']}: {claim['details']}"
        for claim in results["claims"]
    ]
