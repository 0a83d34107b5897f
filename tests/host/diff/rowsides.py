"""Two databases of one server, and what their rows differ in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.model import Report, RowChanges, Side, Wanted
from tests.plainpg import PlainPostgres


@contextmanager
def two(server: PlainPostgres, *scripts: str) -> Iterator[tuple[str, str]]:
    one = server.database(*scripts)
    other = server.database(template=one)
    try:
        yield one, other
    finally:
        server.drop(one, other)


def rows_of(
    server: PlainPostgres, one: str, other: str, user: str = "postgres", *, sample: int = 20
) -> Report:
    sides = [Side("one", server.dsn(one, user)), Side("other", server.dsn(other, user))]
    return compare(sides, Wanted(schema=False, counts=True, rows=True, sample=sample))


def only(report: Report) -> RowChanges:
    (line,) = report["rows"]
    return line


def numbers(report: Report) -> dict[str, tuple[int, int, int]]:
    """(added, removed, changed) of each table that differs."""
    return {line["table"]: (line["added"], line["removed"], line["changed"])
            for line in report["rows"]}  # fmt: skip
