"""Answers cut to what a model can read, and places in them to ask for the rest. Pure.

A place is a JSON Pointer (RFC 6901), such as /strategies/0/runs/0/locks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cowdb.errors import InvalidError, NotFoundError

CHARACTERS = 20_000
"""Of one answer's bounded part, as JSON."""
_LEVELS = ((100, 4000, 99), (40, 1500, 99), (15, 600, 99), (6, 300, 99), (3, 150, 8), (3, 120, 5),
           (2, 80, 3), (1, 40, 2))  # fmt: skip
"""(items of a list, characters of a text, depth), from generous to harsh."""
_BETWEEN = 2  # characters between two items
_FIELDS = 4
"""An object may have as many fields as a list has items, times this."""


@dataclass(frozen=True)
class Cut:
    """:param place: of a list, object or text that was cut. :param shown: how much of it is there.
    :param of: how much there is: items, fields or characters."""

    place: str
    shown: int
    of: int


def size(value: object) -> int:
    return len(json.dumps(value))


def bounded(value: Any, characters: int = CHARACTERS, place: str = "") -> tuple[Any, list[Cut]]:  # noqa: ANN401 (JSON)
    """The value with as much left of it as has room; an empty list of cuts says that all is there.

    :param place: where the value itself stands, for the places of the cuts."""
    if size(value) <= characters:
        return value, []
    for items, text, depth in _LEVELS:
        cuts: list[Cut] = []
        found = _pruned(value, place, items, text, depth, cuts)
        if size(found) + sum(len(cut.place) + 30 for cut in cuts) <= characters:
            return found, cuts
    length = len(value) if isinstance(value, list | dict | str) else 1
    return None, [Cut(place, 0, length)]


def _pruned(value: Any, place: str, items: int, text: int, depth: int, cuts: list[Cut]) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        if len(value) <= text:
            return value
        cuts.append(Cut(place, text, len(value)))
        return value[:text] + " …"
    if not isinstance(value, list | dict):
        return value
    most = 0 if depth == 0 else items if isinstance(value, list) else items * _FIELDS
    if len(value) > most:
        cuts.append(Cut(place, most, len(value)))
    if isinstance(value, list):
        return [_pruned(item, f"{place}/{number}", items, text, depth - 1, cuts)
                for number, item in enumerate(value[:most])]  # fmt: skip
    return {
        name: _pruned(item, f"{place}/{_escaped(name)}", items, text, depth - 1, cuts)
        for name, item in list(value.items())[:most]
    }


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def at(value: Any, place: str) -> Any:  # noqa: ANN401
    """:raises InvalidError: that is no place. NotFoundError: there is nothing."""
    if place and not place.startswith("/"):
        raise InvalidError(
            f"{place!r} is not a place", hint="such as /schema or /strategies/0/runs"
        )
    for part in place.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            raise NotFoundError(f"the result has nothing at {place!r}", hint=_there(value))
    return value


def _there(value: object) -> str:
    if isinstance(value, dict):
        return f"{part_text(list(value))} are there"
    return f"0 to {len(value) - 1} are there" if isinstance(value, list) else ""


def part_text(names: Sequence[str], most: int = 20) -> str:
    more = ", ..." if len(names) > most else ""
    return ", ".join(names[:most]) + more


@dataclass(frozen=True)
class Part:
    """:param next: what to ask for next; None at the end.
    :param of: items, fields or characters there are in all."""

    value: Any
    next: int | None
    of: int
    cuts: list[Cut]


def part(value: Any, place: str, after: int, most: int, characters: int = CHARACTERS) -> Part:  # noqa: ANN401
    """A piece of what stands at a place: items of a list, fields of an object, characters of a
    text, from number `after` on. At least one is given, however long."""
    found = at(value, place)
    if isinstance(found, str):
        piece = found[after : after + characters]
        end = after + len(piece)
        return Part(piece, end if end < len(found) else None, len(found), [])
    if not isinstance(found, list | dict):
        return Part(found, None, 1, [])
    pairs = (
        list(enumerate(found)) if isinstance(found, list)
        else [(_escaped(name), item) for name, item in found.items()]
    )  # fmt: skip
    chosen: list[tuple[Any, Any]] = []
    cuts: list[Cut] = []
    left = characters
    for name, item in pairs[after : after + most]:
        if chosen and size(item) + _BETWEEN > left:
            break
        given, more = bounded(item, left, f"{place}/{name}")
        chosen.append((name, given))
        cuts += more
        left -= size(given) + _BETWEEN + (size(name) + 1 if isinstance(found, dict) else 0)
    end = after + len(chosen)
    whole: Any = [item for _, item in chosen]
    if isinstance(found, dict):
        whole = dict(zip(list(found)[after:end], whole, strict=True))
    return Part(whole, end if end < len(found) else None, len(found), cuts)
