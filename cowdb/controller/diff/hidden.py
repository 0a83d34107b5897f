"""What a report must not show: values that may hold a password are compared and then hidden."""

from __future__ import annotations

import re

from cowdb.controller.diff.model import Value

HIDDEN = "(hidden)"

WHOLE = frozenset({("user mapping", "options"), ("subscription", "connection")})
"""Kinds and properties of which nothing is shown but that they are there."""

_OPTIONS = frozenset({"options", "server_options", "settings"})
_SETTING = ("role setting", "setting")
_SECRET = re.compile(r"pass(word|wd|phrase|file)?$|secret|token|key$|credential|pwd", re.I)


def shown(kind: str, name: str, value: Value) -> Value:
    """A property's value as a report may show it."""
    if not value:
        return value
    if (kind, name) in WHOLE:
        return HIDDEN
    if name in _OPTIONS:
        return [_without_secret(item) for item in value] if isinstance(value, list) else value
    return _without_secret(str(value)) if (kind, name) == _SETTING else value


def _without_secret(item: str) -> str:
    """:param item: `name=value`; a database's settings put `role x: ` in front for a role."""
    name, equals, _ = item.partition("=")
    return f"{name}={HIDDEN}" if equals and _SECRET.search(name) else item
