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
