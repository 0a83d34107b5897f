"""What every page of cowdb's is made with: templates that escape, a policy that lets nothing in,
the style sheet's base and the script for colours and boxes that scroll."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cowdb import __version__
from cowdb.controller.diff.page.text import plain, shown

TEMPLATES = Path(__file__).parent / "template"
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


def environment(folder: Path, filters: Mapping[str, Callable[..., Any]]) -> Environment:
    """Escapes everything that is not markup of this package's making."""
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({"shown": shown, **filters})
    return made


def frame(css: str, js: str) -> dict[str, object]:
    """The values that a page's head and foot need."""
    return {
        "css": Markup(css),  # noqa: S704  # a file of this package
        "js": Markup(js),  # noqa: S704
        "policy": _policy(css, js),
        "icon": "data:image/svg+xml;base64," + base64.b64encode(_ICON.encode()).decode(),
        "mark": Markup(_MARK),  # noqa: S704
        "version": __version__,
    }


def read(folder: Path, name: str) -> str:
    return (folder / name).read_text(encoding="utf-8")


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
