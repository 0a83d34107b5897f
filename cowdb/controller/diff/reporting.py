"""What was found, as the report has it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from cowdb.controller.diff import renames
from cowdb.controller.diff.catalog.quarantined import NOTE, alike, apart
from cowdb.controller.diff.counts import compare_counts
from cowdb.controller.diff.members import unequal_extensions
from cowdb.controller.diff.model import Method, Renamed, Report, Schema, Wanted
from cowdb.controller.diff.reading import Read
from cowdb.controller.diff.schema import compare_sides
from cowdb.controller.diff.scope import chosen_part
from cowdb.controller.diff.ways import report as ways_report
from cowdb.controller.diff.ways.pairs import AllRows, Ways

_SERVER = (
    "what belongs to the running server and not to a schema: its configuration files, replication"
    " slots, gathered statistics, and which passwords roles have"
)


def report_of(
    ways: Ways, what: Wanted, reads: Sequence[Read], rows: AllRows, renamed: Sequence[Renamed]
) -> Report:
    labels = ways.labels
    renamed = [item for item in renamed if item["side"] in labels]
    sides = reads[: len(labels)]
    schemas = [chosen_part(schema, what.tables) if what.schema else {}
               for schema in comparable_schemas(sides)]  # fmt: skip
    changes = renames.with_names(compare_sides(schemas, labels), renamed)
    counts = compare_counts([read.counted for read in sides])
    unread = any(read.counted.failed for read in sides) or any(item.failed for item in rows.direct)
    same = all(len(set(line["counts"])) == 1 for line in counts)
    lines = [line for item in rows.direct for line in item.rows]
    method: dict[str, Method] = {line["table"]: line["method"] for line in counts}
    method |= rows.method()
    counted = [read.counted for read in reads]
    timings = _slowest(reads)
    if not what.schema:  # read for the ancestor's sake
        timings.pop("schema", None)
    return {
        "sides": list(labels),
        "identical": not changes and same and not unread and not lines,
        "schema": changes,
        "counts": counts,
        "rows": lines,
        "method": method,
        "why_full_scan": rows.why_full_scan(),
        "renamed": list(renamed),
        "not_compared": _not_compared(what, reads, rows, len(labels)),
        "timings_ms": timings,
        "matrix": ways_report.matrix(ways, schemas, counts, rows),
        "ancestor": {"ref": None, "reason": ""},
        "since": ways_report.since(ways, counted, rows, schema=what.schema),
    }


def _not_compared(what: Wanted, reads: Sequence[Read], rows: AllRows, sides: int) -> list[str]:
    lines = ["schema: not asked for"] if not what.schema else []
    lines += ["numbers of rows: not asked for"] if not what.counts else []
    lines += ["row contents: not asked for"] if not what.rows else []
    labels = [read.instant.side.label for read in reads]
    pairs = [(labels[rank], item) for rank, item in enumerate(rows.direct, 1)]
    pairs += [(f"{labels[two]} since {labels[one]}", item) for one, two, item in rows.further]
    for label, item in pairs:
        lines += [f"{label}: rows of {name}: {why}" for name, why in sorted(item.failed.items())]
        lines += [f"{label}: {note}" for note in item.partly]
    if what.tables:
        lines.append(f"whatever does not belong to a table that matches {', '.join(what.tables)}")
    majors = sorted({read.major for read in reads})
    if what.schema and len(majors) > 1:
        lines.append(
            f"wording: PostgreSQL {' and '.join(map(str, majors))} print some definitions"
            " differently, which shows as changes"
        )
    if what.schema:
        lines += _of_schemas(labels, reads)
    lines += _merged(labels, [_side_notes(read) for read in reads])
    return [*lines, _SERVER]


def _of_schemas(labels: Sequence[str], reads: Sequence[Read]) -> list[str]:
    """What two sides have so unlike that parts of it were not compared."""
    lines = [NOTE] if apart([read.instant.side for read in reads]) else []
    for label, read in zip(labels[1:], reads[1:], strict=True):
        lines += [
            f"{label}: members of extension {name}: versions or schemas differ"
            for name in unequal_extensions(reads[0].schema, read.schema)
        ]
    return lines


def _side_notes(read: Read) -> list[str]:
    counted = read.counted
    return [
        *(f"table {name}: not counted: {why}" for name, why in sorted(counted.failed.items())),
        *(f"rows of {name}: {why}" for name, why in sorted(counted.left_out.items())),
        *read.notes,
    ]


def _merged(labels: Sequence[str], notes: Sequence[Sequence[str]]) -> list[str]:
    """What is true of every side once, the rest with the side's label."""
    everywhere = set(notes[0]).intersection(*notes[1:])
    lines = [note for note in notes[0] if note in everywhere]
    for label, own in zip(labels, notes, strict=True):
        lines += [f"{label}: {note}" for note in own if note not in everywhere]
    return lines


def _slowest(reads: Sequence[Read]) -> dict[str, float]:
    """The sides are read side by side: a phase lasts as long as its slowest side."""
    names = dict.fromkeys(name for read in reads for name in read.timings_ms)
    return {name: max(read.timings_ms.get(name, 0.0) for read in reads) for name in names}


def comparable_schemas(reads: Sequence[Read]) -> list[Schema]:
    """Comparable with each other: without what cowdb sets on a branch where not all are one."""
    return alike([read.instant.side for read in reads], [read.schema for read in reads])
