"""Fills the page. Nothing from outside it is needed to show it, and nothing may be fetched."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cowdb import __version__
from cowdb.controller.diff.model import MOST_SAMPLE, Report
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
from cowdb.controller.diff.page.text import plain, shown

_HERE = Path(__file__).parent / "template"
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
_MARK = (
    '<svg viewBox="0 0 16 16" width="18" height="18" aria-hidden="true" focusable="false">'
    '<path d="M4.5 2v12M4.5 5.5c0 3 7 1.5 7 5V14" fill="none" stroke="currentColor"'
    ' stroke-width="2" stroke-linecap="round"/><circle cx="4.5" cy="3" r="2" fill="currentColor"/>'
    "</svg>"
)
_ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><path d='M4.500 2v12M4.500 5.500c0"
    " 3 7 1.5 7 5V14' fill='none' stroke='#2f74b5' stroke-width='2' stroke-linecap='round'/>"
    "<circle cx='4.500' cy='3' r='2' fill='#2f74b5'/></svg>"
)


def page(report: Report, made_at: datetime) -> str:
    """The whole page.

    :param made_at: when the comparison was made, with a time zone; shown in UTC.
    """
    css, js = _file("page.css"), _file("page.js")
    text = _environment().get_template("page.html")
    return text.render(
        **_values(report),
        made_at=made_at.astimezone(UTC).replace(microsecond=0),
        css=Markup(css),  # noqa: S704  # a file of this package
        js=Markup(js),  # noqa: S704
        policy=_policy(css, js),
        icon="data:image/svg+xml;base64," + base64.b64encode(_ICON.encode()).decode(),
        mark=Markup(_MARK),  # noqa: S704
        version=__version__,
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
    """Escapes everything that is not markup of this package's making."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {"shown": shown, "many": many, "duration": duration,
                                             "portions": portions}  # fmt: skip
    environment.filters.update(filters)
    return environment


def _finalize(item: object) -> object:
    """What the template prints without a filter may still come from a database."""
    if item is None:
        return ""
    return plain(item) if type(item) is str else item


def _policy(css: str, js: str) -> str:
    """Allows the one style sheet and the one script by their digests, and nothing else."""
    return (
        f"default-src 'none'; style-src {_digest(css)}; script-src {_digest(js)};"
        " img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _file(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
