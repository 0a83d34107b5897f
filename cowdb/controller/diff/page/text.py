"""Text from databases as markup: escaped, and nothing in it invisible.

A name or value may hold anything: markup, control characters, characters that turn the direction
of what follows. Whatever Python calls unprintable is shown as its escape, so that two values that
differ look different.
"""

from __future__ import annotations

from markupsafe import Markup, escape

from cowdb.controller.diff.model import Value

LONGEST = 10_000
"""Characters of one value on the page; the JSON has all of them."""


def plain(text: str) -> str:
    """For attributes and titles, where no markup can be: escapes instead of odd characters."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def shown(text: str, *, code: bool = False, edges: bool = False) -> Markup:
    """For the body of the page. A line break is shown and made.

    :param code: keep tabs as they are, as program text has them.
    :param edges: make spaces at the start and the end visible.
    """
    if edges:
        return _edges(text)
    if text.isprintable():
        return escape(text)
    parts = []
    for c in text:
        if c.isprintable() or (code and c == "\t"):
            parts.append(escape(c))
        else:
            parts.append(Markup("<i class=x>{}</i>").format(_escape(c)))
            if c == "\n":
                parts.append(Markup("\n"))
    return Markup("").join(parts)


def cut(text: str) -> tuple[str, int]:
    """What fits on the page, and how many characters do not."""
    return text[:LONGEST], max(0, len(text) - LONGEST)


def value(item: Value, *, null: str = "none") -> Markup:
    """One value of any type.

    :param null: what to say where there is nothing: a property is not set, a cell is NULL.
    """
    if item is None:
        return Markup("<i class=nil>{}</i>").format(null)
    if isinstance(item, bool):
        return Markup("yes") if item else Markup("no")
    if isinstance(item, list):
        return Markup("<br>").join(value(part) for part in item) if item else value(None)
    return long(str(item))


def long(text: str) -> Markup:
    """A text as a value: the empty one is named, a very long one is cut, and says so."""
    if not text:
        return Markup("<i class=nil>empty</i>")
    kept, missing = cut(text)
    return shown(kept) + rest(missing)


def rest(missing: int) -> Markup:
    """What stands where a text was cut."""
    if not missing:
        return Markup("")
    return Markup(" <i class=nil>… {} characters more, see --json</i>").format(f"{missing:,}")


def _edges(text: str) -> Markup:
    body = text.strip(" ")
    if not body:
        return _spaces(len(text))
    start = len(text) - len(text.lstrip(" "))
    return _spaces(start) + shown(body) + _spaces(len(text) - start - len(body))


def _spaces(number: int) -> Markup:
    return Markup("<i class=x>{}</i>").format("\N{OPEN BOX}" * number) if number else Markup("")


def _escape(c: str) -> str:
    return ascii(c)[1:-1]
