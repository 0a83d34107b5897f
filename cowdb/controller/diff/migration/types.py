"""What a change of a column's type means: whether the table is rewritten, values may be lost."""

from __future__ import annotations

import re

_MODIFIED = re.compile(r"^(.*?)(?:\(([\d, -]+)\))?( with(?:out)? time zone)?((?:\[\])*)$")

_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
_WIDER = {
    ("smallint", "integer"), ("smallint", "bigint"), ("smallint", "numeric"),
    ("smallint", "real"), ("smallint", "double precision"), ("integer", "bigint"),
    ("integer", "numeric"), ("integer", "double precision"), ("bigint", "numeric"),
    ("real", "double precision"),
}  # fmt: skip
_TEXTS = ("text", "character varying", "character")
_TIMES = ("date", "timestamp without time zone", "timestamp with time zone")
_JSON = ("json", "jsonb")


def parts(kind: str) -> tuple[str, tuple[int, ...]]:
    """`numeric(5,2)` as `numeric` and (5, 2); an array keeps its brackets."""
    found = _MODIFIED.match(kind)
    if found is None:
        return kind, ()
    modifier = tuple(int(item) for item in found[2].split(",")) if found[2] else ()
    return f"{found[1]}{found[3] or ''}{found[4]}", modifier


def rewrites(old: str, new: str) -> bool:
    """Whether Postgres writes the table anew. False only where that is known."""
    (one, had), (two, has) = parts(old), parts(new)
    if one == two and had == has:
        return False
    if one == "character varying" and two in ("text", "character varying"):
        return bool(has) and (not had or has[0] < had[0])
    if one == "text" and two == "character varying":
        return bool(has)
    if one == two == "numeric":
        return bool(has) and (not had or has[0] < had[0] or has[1:] != had[1:])
    if one == two and one.startswith(("timestamp", "time ")):
        return bool(has) and (not had or has[0] < had[0])
    return True


def narrows(old: str, new: str) -> bool:
    """Whether a value of the old type may not fit the new one. False only where that is known."""
    (one, had), (two, has) = parts(old), parts(new)
    if two == "text" or (two == "character varying" and not has):
        return False
    if (one, two) in _WIDER:
        return bool(has)
    if one == two == "numeric" and had and has and len(had) == len(has) == 2:
        return has[1] < had[1] or has[0] - has[1] < had[0] - had[1]
    if one == two:
        return bool(has) and (not had or has < had)
    return True


def conversion(column: str, old: str, new: str, again: bool) -> str:
    """The USING clause, or nothing where assignment does: it refuses what does not fit, where an
    explicit cast to varchar(3) would cut it off in silence.

    :param again: the type was made again under the same name.
    """
    one, two = parts(old)[0], parts(new)[0]
    if not again:
        if (
            one == two
            or two in _TEXTS
            or _in_one_group(one, two, (_NUMBERS, _TEXTS, _TIMES, _JSON))
        ):
            return ""
        if {one, two} == {"boolean", "integer"}:
            return f" USING {column}::{new}"
    return f" USING {column}::text::{new}"


def related(old: str, new: str) -> bool:
    """Whether an expression over the old type means the same over the new one."""
    one, two = parts(old)[0], parts(new)[0]
    return one == two or _in_one_group(one, two, (_NUMBERS, _TEXTS, _TIMES))


def _in_one_group(one: str, two: str, groups: tuple[tuple[str, ...], ...]) -> bool:
    """Arrays belong together where their elements do."""
    if one.endswith("[]") != two.endswith("[]"):
        return False
    one, two = one.removesuffix("[]"), two.removesuffix("[]")
    return any(one in group and two in group for group in groups)
