"""What a copy-on-write filesystem does for cowdb.

A *volume* is a tree of files with an id that cowdb chose: writable (the data of a managed source
or of a branch) or frozen (a snapshot). The life of a branch, in these words:

    enclose(paths) -> Enclosure            where an attached source lives; refused if not atomic
    snapshot(Enclosure | VolumeId, s)      s is a frozen volume
    clone(s, w); ...; freeze(w)            w is writable, until it becomes a snapshot itself
    destroy(w)

Atomic: a driver with `atomic = True` makes `snapshot` one instant over everything inside the
origin, although its writers go on writing. A driver without it copies file after file, and the
caller must have stopped or bracketed the writers.
Idempotent: `destroy` of what is not there succeeds; `freeze` of what is frozen succeeds.
After a failure: `create`, `snapshot` and `clone` leave nothing, or a volume that `list` shows and
`destroy` removes. An interrupted `destroy` leaves the same.
Truth: `list` reads the disk, never a memory of what was made, and shows only what carries
cowdb's mark; nothing else is ever touched.

Errors are StorageError and its kinds, translated from the native error by code and chained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NewType, Protocol, runtime_checkable

VolumeId = NewType("VolumeId", str)
"""1 to 100 characters of [a-z0-9-], chosen by the agent, unique in the pool for ever."""

Mark = Mapping[str, str]
"""What the volume says about itself on disk (role, name, parent, time), so that a store can be
rebuilt from the pool alone. Holds no secret."""


@dataclass(frozen=True, slots=True)
class Part:
    """One directory of an origin and where it stands inside each volume made from the origin."""

    origin: Path
    inside: PurePosixPath


@dataclass(frozen=True, slots=True)
class Enclosure:
    """Directories that somebody else owns and that one `snapshot` can cover.

    :param root: what is snapshotted (for btrfs the enclosing subvolume).
    :param parts: the directories asked for, in the order asked.
    """

    root: Path
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume as the disk shows it.

    :param complete: False for the remains of an interrupted operation.
    """

    id: VolumeId
    frozen: bool
    complete: bool
    mark: Mark


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of the filesystem that the pool lies on."""

    total: int
    free: int


class Storage(Protocol):
    """A pool on one filesystem. Safe to call from several threads for different volumes."""

    driver: str
    """The name of the driver: "btrfs", "reflink", "zfs"."""

    atomic: bool
    """`snapshot` is one instant (see above)."""

    ordered: bool
    """A snapshot holds a prefix of all write() calls, also of those never fsync'ed. Where it is
    False (btrfs flushes file after file before it commits), a server that writes without fsync
    must be paused for the snapshot."""

    clones_depend: bool
    """A volume cannot be destroyed while another that was made from it is there: `destroy` raises
    ConflictError then, naming those, and changes nothing. Where it is False they go their ways,
    where it is True the driver has the power of Promotes, too."""

    @property
    def volumes(self) -> Path:
        """Where all volumes are; the first component of a path beneath it tells which, but for
        snapshots that are seen inside their origin."""

    def create(self, volume: VolumeId, mark: Mark) -> None:
        """An empty writable volume, root-owned, mode 0755."""

    def snapshot(self, origin: Enclosure | VolumeId, volume: VolumeId, mark: Mark) -> None:
        """A frozen volume with the present content of the origin."""

    def clone(self, snapshot: VolumeId, volume: VolumeId, mark: Mark) -> None:
        """A writable volume with the content of a frozen one, sharing its blocks."""

    def freeze(self, volume: VolumeId) -> None:
        """Make a writable volume frozen, for good."""

    def destroy(self, volume: VolumeId) -> None:
        """Remove a volume; when this returns its path is gone and its id can be listed no more."""

    def list(self) -> Sequence[Volume]:
        """All volumes that carry cowdb's mark for this pool."""

    def path(self, volume: VolumeId) -> Path:
        """Where the volume's tree is; says nothing of whether it exists."""

    def enclose(self, paths: Sequence[Path]) -> Enclosure:
        """How one snapshot can cover all of these directories.

        :raises UnsoundError: they are not inside one atomic snapshot; names the one outside.
        :raises StorageError: they are not on this pool's filesystem.
        """


class Measures(Protocol):
    """What a driver can say about space; every driver so far can."""

    def space(self) -> Space:
        """Room in the pool; raises PoolMissingError when the pool is not there."""

    def used_bytes(self, volume: VolumeId) -> int:
        """Bytes that would come back if this volume alone were destroyed now, as well as the
        filesystem can say."""


@dataclass(frozen=True, slots=True)
class ChangedRange:
    """Bytes of one file that were written.

    :param path: relative to the volume's tree.
    """

    path: PurePosixPath
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Descent:
    """How a volume comes from a frozen one.

    :param volume: whose files are of interest.
    :param first: the clone of `ancestor` that it is, or descends from through snapshots and clones.
    :param ancestor: a frozen volume that is still there.
    """

    volume: VolumeId
    first: VolumeId
    ancestor: VolumeId


@runtime_checkable
class ReportsChangedBlocks(Protocol):
    """A power that not every driver needs to have: what differs, without reading it."""

    def changed(self, descent: Descent, wanted: Callable[[str], bool]) -> Sequence[ChangedRange]:
        """Where files of the volume can differ from the ancestor's files of the same paths.

        :param wanted: whether a file is of interest, by its path relative to the volume's tree.

        May report too much, never too little: every byte that the ancestor's file of that path
        has otherwise, or has not, is reported. What only the ancestor has (a file that was
        removed, the part beyond a file's end) is not there and so not reported. What the
        volume's writers have not given to the kernel is not seen; what they have is flushed first.
        """


@runtime_checkable
class Promotes(Protocol):
    """A power of drivers whose clones depend on their origin: what others come from can go."""

    def retire(self, volume: VolumeId) -> None:
        """Remove a volume, what comes from it staying as it is: `list` shows it no more.

        What a writable one was given since its latest snapshot is gone at once. What others come
        from leaves the disk when they do, without being asked again. Idempotent; an interrupted
        one leaves a volume that `list` shows or nothing, and what is missing is done by the next
        `retire` of the same volume. Where nothing depends it is the same as `destroy`.

        :raises ConflictError: there is something in it that cowdb did not make.
        """


@runtime_checkable
class Forks(Protocol):
    """A power of drivers that make a snapshot and a clone of it at the price of one."""

    def fork(
        self, origin: VolumeId, snapshot: VolumeId, mark: Mark, volume: VolumeId, clone_mark: Mark
    ) -> None:
        """A frozen volume with the present content of the origin, and a clone of that.

        Nobody may write into the origin meanwhile, since it may happen in two steps. After a
        failure there is neither, or what `list` shows and `destroy` removes.
        """


@runtime_checkable
class LimitsDisk(Protocol):
    """A power of drivers whose filesystem can have quotas for single volumes."""

    def refuses_limits(self) -> str:
        """Why this pool cannot limit a volume as it is now; empty where it can."""

    def slowed_by(self) -> tuple[str, str] | None:
        """What accounting somebody has turned on that every volume pays for, and the way out."""

    def limit(self, volume: VolumeId, size: int) -> None:
        """Let a fresh clone take `size` bytes of the pool at most beyond what it shares with its
        origin. Its writers get EDQUOT or ENOSPC then; no other volume notices, and it can be
        destroyed. Goes with the volume.

        :raises LimitsUnavailableError: `refuses_limits` says why.
        """


class Describes(Protocol):
    """What a volume says of itself can change with its record; every driver so far can that."""

    def set_mark(self, volume: VolumeId, mark: Mark) -> None:
        """Replace the mark of a volume that is there, frozen or not: after a crash it has the old
        one or the new one, whole."""


class Pool(Storage, Measures, Describes, Protocol):
    """What the agent asks of a pool."""
