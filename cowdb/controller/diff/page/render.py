"""Fills the page. Nothing from outside it is needed to show it, and nothing may be fetched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast

from jinja2 import Environment

from cowdb.controller.diff.model import MOST_SAMPLE, Report
from cowdb.controller.diff.page.frame import TEMPLATES, environment, frame, read
from cowdb.controller.diff.page.matrix import agreements
from cowdb.controller.diff.page.migration import migration
from cowdb.controller.diff.page.numbers import (
    SIGNS,
    count_lines,
    count_methods,
    duration,
    facts,
    many,
    methods,
    verdict,
)
from cowdb.controller.diff.page.objects import schema_kinds
from cowdb.controller.diff.page.portions import portions
from cowdb.controller.diff.page.rows import row_tables
from cowdb.controller.diff.page.since import since_told

_OF_ROWS = {
    "unchanged-blocks": "No block differs, so no row does; nothing was read.",
    "changed-blocks": "Only rows in blocks that differ were read.",
    "full-scan": "Every row was read.",
}
_OF_COUNTS = {
    "unchanged-blocks": "Not written since the common snapshot, which has been counted.",
    "changed-blocks": "The common snapshot has been counted; only blocks written since were read.",
    "full-scan": "Every row was counted.",
}
_MORE = f" (more: --sample N, up to {MOST_SAMPLE:,})"


def page(report: Report, made_at: datetime) -> str:
    """The whole page.

    :param made_at: when the comparison was made, with a time zone; shown in UTC.
    """
    css = read(TEMPLATES, "page.css")
    js = read(TEMPLATES, "frame.js") + read(TEMPLATES, "page.js")
    text = _environment().get_template("page.html")
    return text.render(
        **_values(report),
        made_at=made_at.astimezone(UTC).replace(microsecond=0),
        **frame(css, js),
    )


def _values(report: Report) -> Mapping[str, Any]:
    kinds = schema_kinds(report)
    different, equal = count_lines(report)
    tables = row_tables(report)
    since = since_told(report)
    timings = report["timings_ms"]
    objects = [item for kind in kinds for item in kind.objects]
    # A report that was kept as JSON may be older than these fields.
    fields: Mapping[str, Any] = cast(Mapping[str, Any], report)
    return {
        "report": report,
        "sides": report["sides"],
        "signs": {**SIGNS, "conflict": "!"},
        "chips": [*SIGNS, "conflict"] if since is not None and since.conflicts else list(SIGNS),
        "verdict": verdict(report),
        "facts": facts(report),
        "kinds": kinds,
        "objects": objects,
        "schema_same": "schema" in timings and not kinds,
        "different": different,
        "equal": equal,
        "tables": tables,
        "rows_same": "rows" in timings and not tables,
        "more": _MORE,
        "since": since,
        "matrix": agreements(report),
        "migration": migration(report),
        "methods": [
            ("Numbers of rows", _OF_COUNTS, count_methods(report), {}),
            ("Rows", _OF_ROWS, methods(report), fields.get("why_full_scan", {})),
        ],
        "renamed": fields.get("renamed", []),
    }


@cache
def _environment() -> Environment:
    return environment(TEMPLATES, {"many": many, "duration": duration, "portions": portions})
