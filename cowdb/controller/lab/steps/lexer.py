"""SQL text taken apart as far as it takes to find where statements begin and end, and which of
it are literals. Pure.

It follows psql's rules: quotes, dollar quotes, nested comments, parentheses, the body of a routine
between BEGIN ATOMIC and END, the data of COPY ... FROM STDIN, and commands that begin with a
backslash. A mistake costs a statement its line in a report, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["space", "comment", "literal", "name", "word", "semicolon", "backslash", "other"]

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>--[^\n]*)
  | (?P<block>/\*)
  | (?P<literal>[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z) | '(?:[^']|'')*(?:'|\Z))
  | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
  | (?P<name>"(?:[^"]|"")*(?:"|\Z))
  | (?P<word>[^\W\d][\w$]*)
  | (?P<semicolon>;)
  | (?P<backslash>\\[^\n]*)
  | (?P<other>\d[\w.]*|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_NESTING = re.compile(r"/\*|\*/")
_ROUTINE = re.compile(r"create (or replace )?(function|procedure)\b")
_COPY_IN = re.compile(r"copy .* from stdin\b", re.DOTALL)
_COPY_END = re.compile(r"^\\\.\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Written:
    """A statement as it stands in a file.

    :param plain: without comments and with single spaces, to be found again in a server's log.
    :param line: of its first word, from 1."""

    plain: str
    line: int


def tokens(text: str, at: int = 0) -> Iterator[Token]:
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found is not None
        kind, end = str(found.lastgroup), found.end()
        if kind == "block":
            kind, end = "comment", _end_of_comment(text, end)
        elif kind == "dollar":
            close = text.find(found[0], end)
            kind, end = "literal", len(text) if close < 0 else close + len(found[0])
        yield Token(kind, text[at:end], at)  # type: ignore[arg-type]
        at = end


def _end_of_comment(text: str, at: int) -> int:
    depth = 1
    while depth:
        found = _NESTING.search(text, at)
        if found is None:
            return len(text)
        depth, at = depth + (1 if found[0] == "/*" else -1), found.end()
    return at


def plain(text: str) -> str:
    """Without comments, outer spaces and semicolons; every run of spaces is one."""
    return _joined(list(tokens(text)))


def _joined(parts: list[Token]) -> str:
    words = (" " if part.kind in ("space", "comment") else part.text for part in parts)
    return re.sub(r" +", " ", "".join(words)).strip(" ;")


def statements(text: str) -> list[Written]:
    """Those of an SQL file, in order."""
    found: list[Written] = []
    at = 0
    while at < len(text):
        parts: list[Token] = []
        at = _one(text, at, parts)
        words = _joined([part for part in parts if part.kind != "backslash"])
        first = next((part for part in parts if part.kind not in ("space", "comment")), None)
        if words and first is not None:
            found.append(Written(words, text.count("\n", 0, first.at) + 1))
            if _COPY_IN.match(words.lower()):
                end = _COPY_END.search(text, at)
                at = len(text) if end is None else end.end()
    return found


@dataclass(frozen=True, slots=True)
class Piece:
    """A statement as it was written, without its semicolon. :param line: of its first word."""

    text: str
    line: int


def pieces(text: str) -> list[Piece]:
    """The statements of a text that holds nothing but SQL, each to be sent as it is."""
    found: list[Piece] = []
    at = 0
    while at < len(text):
        parts: list[Token] = []
        at = _one(text, at, parts)
        first = next((part for part in parts if part.kind not in ("space", "comment")), None)
        if first is not None:
            whole = "".join(part.text for part in parts).strip()
            found.append(Piece(whole, text.count("\n", 0, first.at) + 1))
    return found


def _one(text: str, at: int, parts: list[Token]) -> int:
    """Read up to the end of a statement; returns where the next begins."""
    depth = body = 0
    words: list[str] = []
    for token in tokens(text, at):
        at = token.at + len(token.text)
        if token.kind == "backslash":
            if token.text.startswith("\\g") or not _joined(parts):
                return at
            continue
        if token.kind == "semicolon" and depth == 0 and body == 0:
            return at
        parts.append(token)
        if token.kind == "word":
            words.append(token.text.lower())
            body = _in_body(words, body)
        elif token.text in ("(", ")"):
            depth = max(0, depth + (1 if token.text == "(" else -1))
    return at


def _in_body(words: list[str], body: int) -> int:
    """How deep inside BEGIN ATOMIC ... END of a routine, where CASE has an END of its own."""
    if not _ROUTINE.match(" ".join(words[:4])):
        return 0
    if words[-1] == "atomic" and words[-2] == "begin":
        return body + 1
    if body and words[-1] == "case":
        return body + 1
    return max(0, body - 1) if words[-1] == "end" else body
