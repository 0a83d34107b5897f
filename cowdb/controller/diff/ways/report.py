"""What the report says of three sides and more, and of what changed since an ancestor. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from cowdb.controller.diff.counts import Counted
from cowdb.controller.diff.model import (
    CountSince,
    Matrix,
    ObjectSince,
    Schema,
    Since,
    TableCounts,
)
from cowdb.controller.diff.ways.counts import counts_since, group_counts
from cowdb.controller.diff.ways.objects import group_objects, objects_since
from cowdb.controller.diff.ways.pairs import AllRows, Ways


def matrix(
    ways: Ways, schemas: Sequence[Schema], counts: Sequence[TableCounts], rows: AllRows
) -> Matrix | None:
    """:param schemas: of the sides; empty ones where the schema was not asked for."""
    if len(ways.labels) < 3:
        return None
    return {
        "schema": group_objects(schemas, ways.labels),
        "counts": group_counts(counts, ways.labels),
        "rows": rows.matrix,
    }


def since(ways: Ways, counted: Sequence[Counted], rows: AllRows, *, schema: bool) -> Since | None:
    """:param counted: of the sides and, at its place, of the ancestor.
    :param schema: whether the schema was asked for."""
    if ways.ancestor is None:
        return None
    objects = objects_since(ways.steps, ways.labels) if schema else []
    counts = counts_since(counted[ways.ancestor], counted[: len(ways.labels)], ways.labels)
    return {
        "conflicts": _conflicts(objects, counts, rows),
        "schema": objects,
        "counts": counts,
        "rows": rows.since,
    }


def _conflicts(objects: Sequence[ObjectSince], counts: Sequence[CountSince], rows: AllRows) -> int:
    """What a partition shares with the table that it is of counts once."""
    lines = [line for line in rows.since if line["table"] not in rows.inner]
    against = {line["table"] for line in lines if line["against"]}
    # Rows of a table that another side dropped: once, however they were found.
    against |= {line["table"] for line in counts if line["conflict"]}
    own = sum(line["conflicts"] or 0 for line in lines)
    return sum(item["conflict"] for item in objects) + own + len(against)
