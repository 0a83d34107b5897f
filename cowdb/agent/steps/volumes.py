"""Steps on volumes of a pool."""

from __future__ import annotations

from cowdb.agent.steps.step import Step
from cowdb.units import size_text


class CreateVolume(Step, frozen=True, kw_only=True):
    pool: str
    volume: str
    mark: dict[str, str]

    def describe(self) -> str:
        return f"create volume {self.volume}"


class CloneVolume(Step, frozen=True, kw_only=True):
    pool: str
    snapshot: str
    volume: str
    mark: dict[str, str]

    def describe(self) -> str:
        return f"clone {self.snapshot} as {self.volume}"


class SnapshotVolume(Step, frozen=True, kw_only=True):
    pool: str
    origin: str
    volume: str
    mark: dict[str, str]

    def describe(self) -> str:
        return f"snapshot volume {self.origin} as {self.volume}"


class ForkVolume(Step, frozen=True, kw_only=True):
    """SnapshotVolume and CloneVolume in one, of a volume that nobody writes to for the moment."""

    pool: str
    origin: str
    snapshot: str
    mark: dict[str, str]
    volume: str
    clone_mark: dict[str, str]

    def describe(self) -> str:
        return f"snapshot volume {self.origin} as {self.snapshot}, cloned as {self.volume}"


class LimitVolume(Step, frozen=True, kw_only=True):
    """:param size: bytes that a clone may take beyond what it shares."""

    pool: str
    volume: str
    size: int

    def describe(self) -> str:
        return f"limit volume {self.volume} to {size_text(self.size)}"


class FreezeVolume(Step, frozen=True, kw_only=True):
    pool: str
    volume: str

    def describe(self) -> str:
        return f"freeze volume {self.volume}"


class DestroyVolume(Step, frozen=True, kw_only=True):
    """:param promote: what comes from it stays, also where volumes depend on each other; else
    the volume must have no dependents there."""

    pool: str
    volume: str
    promote: bool = False

    def describe(self) -> str:
        return f"destroy volume {self.volume}"


class NoteMark(Step, frozen=True, kw_only=True):
    """A volume's mark written anew; undone by writing the one that it had.

    :param change: what the mark says from then on, for people.
    """

    pool: str
    volume: str
    mark: dict[str, str]
    before: dict[str, str]
    change: str

    def describe(self) -> str:
        return self.change


class ReadControl(Step, frozen=True, kw_only=True):
    """Note what pg_control in a volume says."""

    pool: str
    volume: str
    data: str
    version: str

    def describe(self) -> str:
        return f"read pg_control of {self.volume}"
