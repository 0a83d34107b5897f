"""What doctor says, one sentence at a time."""

from __future__ import annotations

from cowdb.wire import Finding


def ok(subject: str, message: str, _: str = "") -> Finding:
    return {"level": "ok", "subject": subject, "message": message, "repair": ""}


def warning(subject: str, message: str, repair: str) -> Finding:
    return {"level": "warning", "subject": subject, "message": message, "repair": repair}


def problem(subject: str, message: str, repair: str) -> Finding:
    return {"level": "problem", "subject": subject, "message": message, "repair": repair}


def fixed(subject: str, message: str, repair: str) -> Finding:
    """It was a problem until now."""
    return {"level": "warning", "subject": subject, "message": message, "repair": repair}
