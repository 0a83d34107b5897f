"""The text form of a Postgres row, as record_out prints it, taken apart. Pure."""

from __future__ import annotations

import re

from cowdb.errors import CowdbError

# A field is quoted, with "" and \x inside, or runs to the next comma or the end. Nothing at all
# between two commas is null; an empty string is "".
_QUOTED = re.compile(r'"((?:[^"\\]|""|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r'""|\\(.)', re.DOTALL)


def fields(text: str) -> list[str | None]:
    """The fields of record_out's text, None for null.

    :raises CowdbError: it is no such text.
    """
    if len(text) < 2 or text[0] != "(" or text[-1] != ")":
        raise CowdbError("a row came in a form that record_out does not print")
    if '"' not in text:
        return [value or None for value in text[1:-1].split(",")]
    found: list[str | None] = []
    place, end = 1, len(text) - 1
    while True:
        if place < end and text[place] == '"':
            match = _QUOTED.match(text, place, end)
            if match is None:
                raise CowdbError("a row came with a quote that does not end")
            found.append(_ESCAPED.sub(lambda piece: piece[1] or '"', match[1]))
            place = match.end()
        else:
            comma = text.find(",", place, end)
            stop = end if comma < 0 else comma
            found.append(text[place:stop] or None)
            place = stop
        if place >= end:
            return found
        place += 1  # the comma
        if place == end:
            found.append(None)
            return found
