"""What becomes of each column of each system catalog of Postgres 14 to 18: proof of completeness.

The tests hold the table in `decided` against the catalogs of every major, and against what the
queries give; at run time a newer major's catalogs and columns that it lacks are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from cowdb.controller.diff.catalog.decided import DECIDED
from cowdb.controller.diff.catalog.decided_more import DECIDED_MORE

_LINE = re.compile(r"([\w ]+?) ([=~-]) (.+)")


@dataclass(frozen=True)
class Decision:
    """Of one column.

    :param properties: what it is compared as; empty where it is not compared itself.
    :param derived: another property that is compared says the same.
    :param reason: why it is not compared itself.
    """

    properties: tuple[str, ...] = ()
    derived: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Catalog:
    kinds: tuple[str, ...]
    """The kinds of objects that its columns are properties of; `*` for all of them."""
    columns: Mapping[str, Decision]


@cache
def decisions() -> Mapping[str, Catalog]:
    """Each catalog by its name."""
    return {catalog: _catalog(block) for catalog, block in _blocks()}


def undecided(columns: Iterable[tuple[str, str]]) -> list[str]:
    """:param columns: catalogs and their columns; those that nobody decided on are given back."""
    known = decisions()
    return [
        f"{catalog}.{column}"
        for catalog, column in columns
        if catalog not in known or column not in known[catalog].columns
    ]


def _blocks() -> Iterable[tuple[str, list[str]]]:
    """A block: its catalog's name, then its lines, the first of which names the kinds."""
    for block in f"{DECIDED.strip()}\n\n{DECIDED_MORE.strip()}".split("\n\n"):
        head, *lines = block.split("\n")
        catalog, _, kinds = head.partition(":")
        yield catalog, [kinds.strip(), *lines]


def _catalog(block: list[str]) -> Catalog:
    kinds, *lines = block
    columns = {"oid": Decision(reason="differs from load to load")}
    for line in lines:
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise ValueError(f"no decision: {line!r}")
        names, sign, rest = found.groups()
        decision = (
            Decision(properties=tuple(rest.split(", ")))
            if sign == "="
            else Decision(derived=sign == "~", reason=rest)
        )
        columns |= dict.fromkeys(names.split(), decision)
    return Catalog(tuple(kinds.split(", ")) if kinds else (), columns)
