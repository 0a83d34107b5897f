"""The first lines: the sides, their ancestor, and a line each for what was compared. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cowdb.cli.diffview.pen import CHANGES, SIGNS, Pen, joined, many, printable
from cowdb.cli.diffview.ways import is_alike
from cowdb.controller.diff.model import NO_ORIGIN, Report, Since


def summary(report: Report, pen: Pen) -> Iterator[str]:
    yield pen(_head(report), "green" if report["identical"] else None, bold=True)
    since, ancestor = report["since"], report["ancestor"]
    if since is not None:
        yield from _conflicts(since, pen)
    elif len(report["sides"]) > 2 and ancestor["reason"] != NO_ORIGIN.reason:
        yield f"  ancestor   none: {printable(ancestor['reason'])}"
    for name, text in (
        ("schema", _schema(report)), ("counts", _counts(report)), ("rows", _rows(report))
    ):  # fmt: skip
        if text:
            yield f"  {name:<9}  {text}"


def _head(report: Report) -> str:
    ref = report["ancestor"]["ref"]
    sides = joined([side for side in report["sides"] if side != ref])
    if ref is not None:
        sides += f", since {printable(ref)}"
    if report["identical"]:
        return f"{sides}: no difference"
    differ = report["schema"] or report["rows"] or _differing(report)
    return f"{sides}: {'different' if differ else 'not everything could be read'}"


def _conflicts(since: Since, pen: Pen) -> Iterator[str]:
    number = since["conflicts"]
    text = pen(f"{number:,}", "red", bold=True) if number else "none"
    yield f"  conflicts  {text}"


def _schema(report: Report) -> str:
    if not _asked(report, "schema") and not report["schema"]:
        return ""
    since = report["since"]
    if since is not None:
        found = since["schema"]
        if not found:
            return "nobody changed it"
        clash = [item for item in found if item["conflict"]]
        alike = [item for item in found if not item["conflict"] and is_alike(item)]
        return f"{many(len(found), 'object')} changed{_ends(len(clash), len(alike))}"
    matrix = report["matrix"]
    if matrix is not None and matrix["schema"]:
        return f"{many(len(matrix['schema']), 'object')} not the same everywhere"
    changes = [change["change"] for change in report["schema"]]
    if not changes:
        return "the same"
    kinds = [f"{changes.count(word)} {word}" for word in SIGNS if word in changes]
    return f"{many(len(changes), 'difference')} ({', '.join(kinds)})"


def _ends(conflicts: int, alike: int) -> str:
    text = f", {conflicts:,} in conflict" if conflicts else ""
    return text + (f", {alike:,} alike on several sides" if alike else "")


def _counts(report: Report) -> str:
    if not _asked(report, "counts") and not report["counts"]:
        return ""
    total = many(len(report["counts"]), "table")
    different = _differing(report)
    return f"{different} of {total} differ" if different else f"the same in {total}"


def _differing(report: Report) -> int:
    return sum(len(set(line["counts"])) > 1 for line in report["counts"])


def _rows(report: Report) -> str:
    if not _asked(report, "rows"):
        return ""
    since, matrix = report["since"], report["matrix"]
    if since is not None:
        tables = since["rows"]
        if not tables:
            return "nobody changed any"
        clash = sum(line["conflicts"] or 0 for line in tables)
        alike = sum(line["agreed"] or 0 for line in tables)
        return f"changed in {many(len(tables), 'table')}{_ends(clash, alike)}"
    if matrix is not None and matrix["rows"]:
        number = sum(line["different"] for line in matrix["rows"])
        tables_ = many(len(matrix["rows"]), "table")
        return f"{many(number, 'row')} in {tables_} not the same everywhere"
    if not report["rows"]:
        return "the same"
    tables_ = many(len({line["table"] for line in report["rows"]}), "table")
    sums = {word: sum(line[word] for line in report["rows"]) for word in CHANGES}
    told = ", ".join(f"{number:,} {word}" for word, number in sums.items() if number)
    return f"{told} in {tables_}"


def _asked(report: Report, what: str) -> bool:
    return what in report["timings_ms"]
