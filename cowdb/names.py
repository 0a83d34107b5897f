"""Names and references, validated once at the edge and typed from there on.

A *reference* is what a user writes: `main@before-v2` (a snapshot) or `main` (a source or branch).
Sources and branches share one namespace, so that a bare name means one thing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NewType

from cowdb.errors import InvalidError

SourceName = NewType("SourceName", str)
BranchName = NewType("BranchName", str)
SnapshotName = NewType("SnapshotName", str)

LONGEST = 63
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_RULE = "a name is 1 to 63 letters, digits, '.', '_' or '-', and starts with a letter or digit"


def _check(kind: str, text: str) -> str:
    if not _NAME.fullmatch(text):
        raise InvalidError(f"{text!r} is not a {kind} name", hint=_RULE)
    return text


def source_name(text: str) -> SourceName:
    return SourceName(_check("source", text))


def branch_name(text: str) -> BranchName:
    return BranchName(_check("branch", text))


def snapshot_name(text: str) -> SnapshotName:
    return SnapshotName(_check("snapshot", text))


@dataclass(frozen=True, slots=True)
class Ref:
    """`parent@snapshot`, or a bare `parent` when `snapshot` is None."""

    parent: str
    snapshot: SnapshotName | None = None

    def __str__(self) -> str:
        return self.parent if self.snapshot is None else f"{self.parent}@{self.snapshot}"


def parse_ref(text: str, *, implicit: bool = False) -> Ref:
    """`main@before-v2` or `main`; raises InvalidError for anything else.

    :param implicit: also the name of a snapshot that cowdb took by itself, which begins with "_".
    """
    parent, at, snapshot = text.partition("@")
    _check("source or branch", parent)
    if not at:
        return Ref(parent)
    snapshot_name(snapshot.removeprefix("_") if implicit else snapshot)
    return Ref(parent, SnapshotName(snapshot))


def parse_snapshot_ref(text: str) -> tuple[str, SnapshotName]:
    """`main@before-v2` taken apart; raises InvalidError when the snapshot part is missing."""
    ref = parse_ref(text)
    if ref.snapshot is None:
        raise InvalidError(
            f"{text!r} does not name a snapshot", hint=f"write PARENT@NAME, such as {text}@before"
        )
    return ref.parent, ref.snapshot
