"""A route: what a request must look like, what answers it, and with which types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

from cowdb.agent.host import Report
from cowdb.agent.policy import Caller
from cowdb.agent.requests import Request
from cowdb.errors import InvalidError

VERSION = "v1"
Method = Literal["GET", "POST", "DELETE"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, taken apart. `names` are the parts of the path, `query` the rest."""

    caller: Caller
    names: tuple[str, ...]
    query: Mapping[str, str]
    body: Any
    report: Report

    @property
    def sizes(self) -> bool:
        return self.query.get("sizes") == "1"

    @property
    def promote(self) -> bool:
        return self.query.get("promote") == "1"

    def number(self, name: str) -> int | None:
        """:raises InvalidError: it is no number of bytes."""
        text = self.query.get(name)
        if text is None:
            return None
        if not re.fullmatch(r"[0-9]{1,15}", text):
            raise InvalidError(f"{name}={text[:20]!r} is not a number of bytes")
        return int(text)


@dataclass(frozen=True, slots=True)
class Route:
    """:param path: below /v1, with `{name}` for each name.
    :param request: the type of the body, None for no body.
    :param response: the type of the answer, None for none.
    :param planned: it runs one plan and nothing else, so that `?dry_run=1` can show it.
    :param switches: words that take `=1` in the query, and what they do.
    :param numbers: words that take a number of bytes there."""

    method: Method
    path: str
    summary: str
    request: type[Request] | None
    response: Any
    handler: Callable[[Call], object]
    planned: bool = False
    switches: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, str] = field(default_factory=dict)

    def match(self, path: str) -> tuple[str, ...] | None:
        pattern = re.sub(r"\{\w+\}", "([^/]+)", self.path)
        found = re.fullmatch(pattern, path)
        return tuple(unquote(part) for part in found.groups()) if found else None
