"""Every kind that a migration can express."""

from __future__ import annotations

from collections.abc import Mapping

from cowdb.controller.diff.migration.attached import ATTACHED_KINDS
from cowdb.controller.diff.migration.cluster import CLUSTER_KINDS
from cowdb.controller.diff.migration.columns import COLUMN_KINDS
from cowdb.controller.diff.migration.datatypes import DATATYPE_KINDS
from cowdb.controller.diff.migration.outward import OUTWARD_KINDS
from cowdb.controller.diff.migration.routines import ROUTINE_KINDS
from cowdb.controller.diff.migration.sequences import SEQUENCE_KINDS
from cowdb.controller.diff.migration.tables import TABLE_KINDS
from cowdb.controller.diff.migration.world import Kind
from cowdb.controller.diff.model import ObjectKey

KINDS: Mapping[str, Kind] = {
    **CLUSTER_KINDS,
    **OUTWARD_KINDS,
    **DATATYPE_KINDS,
    **TABLE_KINDS,
    **COLUMN_KINDS,
    **SEQUENCE_KINDS,
    **ATTACHED_KINDS,
    **ROUTINE_KINDS,
}

# Kinds that are compared, and that a migration does not touch.
_LEFT_ALONE = {
    "tablespace": "tablespaces belong to the whole server and its disks",
    "large object": "large objects are rows rather than schema",
    "replication origin": "an origin tells how far this server has followed another",
    "system object": "the server's own objects belong to the server",
}


def left_alone(key: ObjectKey) -> str:
    """The reason under `not done` for a kind without statements."""
    for kind, reason in _LEFT_ALONE.items():
        if key.kind.startswith(kind):
            return f"left alone: {reason}"
    return "left alone: no statements are known for this kind"
