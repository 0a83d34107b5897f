"""Many sides in one matrix, a column for each: who has what, or, with an ancestor, who did what;
then what collides. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cowdb.cli.diffview.pen import Pen, limited, more_rows, printable, value_text
from cowdb.controller.diff.model import (
    Against,
    Matrix,
    ObjectSince,
    Report,
    RowSince,
    Since,
    TableSince,
    Value,
)

_SHOWN_OBJECTS = 20
_SHOWN_ROWS = 5
_PATTERNS = 6


def matrix_lines(report: Report, pen: Pen, *, details: bool) -> Iterator[list[str]]:
    """Blocks of lines: the matrix, and the conflicts."""
    since, matrix = report["since"], report["matrix"]
    if since is not None:
        ref = report["ancestor"]["ref"] or ""
        # Where the ancestor is itself a side, nothing has changed on that.
        sides = [side for side in report["sides"] if side != ref]
        yield _since_table(f"since {printable(ref)}", sides, since, pen, details=details)
        yield list(_conflict_lines(since, pen, details=details))
    elif matrix is not None:
        yield _group_table(report["sides"], matrix, pen, details=details)


def _group_table(sides: Sequence[str], matrix: Matrix, pen: Pen, *, details: bool) -> list[str]:
    """Sides with the same letter agree; "-" where there is no such thing."""
    rows: list[list[str]] = []
    for item in matrix["schema"]:
        lacking = {side for group in item["groups"] if group["values"] is None
                   for side in group["sides"]}  # fmt: skip
        groups = [group["sides"] for group in item["groups"]]
        name = f"{item['kind']} {printable(item['name'])}"
        rows.append([name, *_letters(sides, groups, lacking)])
    for line in matrix["rows"]:
        patterns = line["patterns"] if details else line["patterns"][:_PATTERNS]
        lacking = set(sides) - set(line["sides"])
        for pattern in patterns:
            name = f"{pattern['rows']:,} of {printable(line['table'])}"
            rows.append([name, *_letters(sides, pattern["groups"], lacking)])
    if not rows:
        return []
    headers = ["the same letter: alike", *map(printable, sides)]
    lines = pen.table(headers, rows, [None] * len(rows))
    return limited(lines, None if details else 2 + _SHOWN_OBJECTS, "line")


def _letters(sides: Sequence[str], groups: Sequence[Sequence[str]], lacking: set[str]) -> list[str]:
    found = dict.fromkeys(lacking, "-")
    present = [group for group in groups if group[0] not in lacking]
    for number, group in enumerate(present):
        letter = "abcdefghijklmnopqrstuvwxyz"[number] if number < 26 else str(number)
        found |= dict.fromkeys(group, letter)
    return [found.get(side, "-") for side in sides]


def _since_table(
    title: str, sides: Sequence[str], since: Since, pen: Pen, *, details: bool
) -> list[str]:
    """What each side did, "+" added, "-" removed, "~" changed; conflicts stand out."""
    rows: list[tuple[list[str], bool]] = []
    for item in since["schema"]:
        cells = [_object_cell(item, side) for side in sides]
        name = f"{item['kind']} {printable(item['name'])}"
        rows.append(([name, *cells, _object_verdict(item)], item["conflict"]))
    for line in since["rows"]:
        cells = [_tally(line, side) for side in sides]
        rows.append(([f"rows of {printable(line['table'])}", *cells, _row_verdict(line)],
                     bool(line["conflict"])))  # fmt: skip
    if not rows:
        return []
    rows.sort(key=lambda row: not row[1])
    headers = [title, *map(printable, sides), ""]
    hues = ["red" if clash else None for _, clash in rows]
    lines = pen.table(headers, [row for row, _ in rows], hues, left=len(headers))
    return limited(lines, None if details else 2 + _SHOWN_OBJECTS, "line")


def _object_verdict(item: ObjectSince) -> str:
    if item["against"]:
        return f"against {', '.join(map(_against, item['against']))}"
    if item["conflict"]:
        return f"in conflict{_in(item['collide'])}"
    return "alike" if is_alike(item) else ""


def is_alike(item: ObjectSince) -> bool:
    """Whether several sides made the same change; that of a sequence's position may differ."""
    first, *others = item["became"].values()
    return bool(others) and all(end == first for end in others)


def _object_cell(item: ObjectSince, side: str) -> str:
    if side not in item["became"]:
        return ""
    if item["became"][side] is None:
        return "-"
    return "+" if item["was"] is None else "~"


def _tally(line: TableSince, side: str) -> str:
    tally = line["changes"].get(side)
    if tally is None:
        gone = any(item["side"] == side and item["change"] == "removed"
                   and item["kind"] != "column" for item in line["against"])  # fmt: skip
        return "dropped" if gone else ""
    parts = (("+", tally["added"]), ("-", tally["removed"]), ("~", tally["changed"]))
    return " ".join(f"{sign}{number:,}" for sign, number in parts if number)


def _row_verdict(line: TableSince) -> str:
    parts = []
    if line["conflicts"]:
        parts.append(f"{line['conflicts']:,} in conflict{_in(list(line['columns']))}")
    if line["against"]:
        parts.append(f"against {', '.join(map(_against, line['against']))}")
    if line["agreed"]:
        parts.append(f"{line['agreed']:,} alike")
    if line["conflict"] is None and len(line["by"]) > 1:
        parts.append("no key: conflicts cannot be told")
    return "; ".join(parts)


def _in(names: Sequence[str]) -> str:
    return f" ({', '.join(map(printable, names))})" if names else ""


def _against(item: Against) -> str:
    return f"{item['kind']} {printable(item['name'])} {item['change']} by {printable(item['side'])}"


def _conflict_lines(since: Since, pen: Pen, *, details: bool) -> Iterator[str]:
    """What it was and became; without `details` of conflicts only, and the first of them."""
    objects = [item for item in since["schema"] if item["conflict"] or details]
    for item in objects if details else objects[:_SHOWN_OBJECTS]:
        head = f"{item['kind']} {printable(item['name'])}"
        yield _headline(head, item["conflict"], pen)
        yield from _ends(item["was"], item["became"], pen)
        yield from (f"    {_against(against)}" for against in item["against"])
        if details and item["contains"]:
            yield f"    with {', '.join(map(printable, item['contains']))}"
    for line in since["rows"]:
        rows = [row for row in line["sample"] if row["conflict"] or details]
        shown = rows if details else rows[:_SHOWN_ROWS]
        for row in shown:
            key = ", ".join(f"{printable(name)}={value_text(value)}"
                            for name, value in row["key"].items())  # fmt: skip
            yield _headline(f"{printable(line['table'])} {key}", bool(row["conflict"]), pen)
            yield from _row_ends(row, pen)
        # Conflicts come first in a sample: what is not among them is no conflict.
        more = (line["conflicts"] or 0) - sum(bool(row["conflict"]) for row in shown)
        if more > 0:
            hint = more_rows(len(shown), len(rows))
            yield f"... {more:,} more of {printable(line['table'])} in conflict{hint}"


def _headline(text: str, conflict: bool, pen: Pen) -> str:
    return pen(f"! {text}", "red", bold=True) if conflict else f"  {text}"


def _row_ends(row: RowSince, pen: Pen) -> Iterator[str]:
    if "more" in row:
        for side, number in row["more"].items():
            yield f"    {printable(side)}: {number:+,}"
    else:
        yield from _ends(row["was"], row["became"], pen)


def _ends(
    was: Mapping[str, Value] | None, became: Mapping[str, Mapping[str, Value] | None], pen: Pen
) -> Iterator[str]:
    if was is not None:
        yield f"    was {_values(was)}"
    for side, end in became.items():
        text = "removed it" if end is None else _values(end)
        yield f"    {printable(side)}: {pen(text, 'red' if end is None else 'green')}"


def _values(values: Mapping[str, Value]) -> str:
    """Without what says nothing: empty lists, and properties that are off."""
    told = {name: value for name, value in values.items() if value not in ([], False)}
    return ", ".join(f"{printable(name)}={value_text(value)}" for name, value in told.items())
