"""Steps on attached sources: servers that somebody else runs."""

from __future__ import annotations

from cowdb.agent.steps.step import Foreign, Step
from cowdb.wire import Mode


class SnapshotSource(Step, frozen=True, kw_only=True):
    """The directories of an attached source, in one atomic snapshot; where the driver copies
    file by file, between pg_backup_start and pg_backup_stop."""

    pool: str
    source: Foreign
    volume: str
    mark: dict[str, str]
    mode: Mode

    def describe(self) -> str:
        return f"snapshot {self.source.datadir} as {self.volume}"


class StopSource(Step, frozen=True, kw_only=True):
    """Stop an attached source through what runs it; undone by starting it again.

    :param snapshot: the volume under whose name its settings are noted while it still runs.
    """

    source: Foreign
    snapshot: str

    def describe(self) -> str:
        return f"stop source {self.source.name}"


class StartSource(Step, frozen=True, kw_only=True):
    source: Foreign

    def describe(self) -> str:
        return f"start source {self.source.name}"
