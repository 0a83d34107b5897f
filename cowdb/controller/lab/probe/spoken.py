"""Locks that a statement's own words tell of: TRUNCATE and LOCK TABLE, for which event triggers do
not fire and which may be far too short for samples. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from cowdb.controller.lab.probe.events import Held
from cowdb.controller.lab.probe.statements import Ran, Told
from cowdb.controller.lab.steps.lexer import plain, tokens

_LONGEST = 5000  # characters of a statement that is looked into
_TRUNCATE = re.compile(r"truncate (?:table )?(?P<names>.+)", re.IGNORECASE)
_LOCK = re.compile(
    r"lock (?:table )?(?P<names>.+?)(?: in (?P<mode>[a-z ]+) mode)?(?: nowait)?", re.IGNORECASE
)
_AFTER_NAMES = frozenset({"restart", "continue", "cascade", "restrict"})


def locks(told: Told, relations: Mapping[int, str]) -> Iterator[Held]:
    """What each statement that went through held when it ended.

    :param relations: names by oid, qualified and quoted as SQL needs it."""
    oids = {name: oid for oid, name in relations.items()}
    for ran in told.statements:
        if ran.error or ran.ended is None or len(ran.text) > _LONGEST:
            continue
        names, mode = _asked(ran)
        for name in names:
            oid = _found(name, oids)
            if oid is not None:
                yield Held(ran.pid, ran.vxid, oid, mode, ran.ended, ran)


def _asked(ran: Ran) -> tuple[list[str], str]:
    if ran.text.lstrip()[:1] not in "tTlL-/":  # most statements need no closer look
        return [], ""
    text = plain(ran.text)
    if found := _TRUNCATE.fullmatch(text):
        return _names(found["names"]), "AccessExclusiveLock"
    if found := _LOCK.fullmatch(text):
        words = (found["mode"] or "access exclusive").title().replace(" ", "")
        return _names(found["names"]), f"{words}Lock"
    return [], ""


def _names(text: str) -> list[str]:
    """Of a list such as `only a, "B".c *`: as they are written, in lower case where not quoted."""
    names = [""]
    for token in tokens(text):
        word = token.text.lower()
        if token.kind == "word" and word in _AFTER_NAMES:
            break
        if word == ",":
            names.append("")
        elif token.kind == "word" and word != "only":
            names[-1] += word
        elif token.kind == "name" or word == ".":
            names[-1] += token.text
    return [name for name in names if name]


def _found(name: str, oids: Mapping[str, int]) -> int | None:
    """Without a schema: public's, else the only one of that name."""
    bare = re.sub(r'"([a-z_][a-z0-9_]*)"', r"\1", name)  # quotes that quote_ident would leave out
    if "." in bare:
        return oids.get(bare)
    if f"public.{bare}" in oids:
        return oids[f"public.{bare}"]
    several = [oid for full, oid in oids.items() if full.endswith(f".{bare}")]
    return several[0] if len(several) == 1 else None
