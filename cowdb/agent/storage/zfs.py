"""Volumes as ZFS datasets and snapshots (names: zfs_names.py, their meaning: zfs_volumes.py).

    create      POOL/DATASET/<id>, mounted beneath where POOL/DATASET is
    snapshot    <origin>@<id>, seen under <origin>/.zfs/snapshot; of what is spread over several
                datasets, or belongs to somebody else: <id>, with read-only clones to look at
    clone       a clone of the snapshot, held by the name of the clone; part by part if need be
    freeze      <id> made read-only, and <id>@frozen-<id>

The properties that describe a volume are set by the same call that makes it. A snapshot is one
instant, over all datasets of one call. ZFS puts writes into transaction groups in their order, and
a snapshot holds the groups up to one: a prefix of all writes, hence `ordered = True`.

A clone depends on its origin for ever (`clones_depend`): what others come from cannot go, only be
retired (zfs_retired.py), and nothing is ever destroyed recursively. The holds tell (`zfs holds`)
for which volumes a snapshot is kept, and keep it also from somebody else's `zfs destroy -R`, which
takes clones without asking.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from cowdb.agent.storage import zfs_changed, zfs_origin, zfs_removal, zfs_retired, zfs_volumes
from cowdb.agent.storage import zfs_command as command
from cowdb.agent.storage import zfs_core as core
from cowdb.agent.storage.kernel import translated
from cowdb.agent.storage.protocol import (
    ChangedRange,
    Descent,
    Enclosure,
    Mark,
    Space,
    Volume,
    VolumeId,
)
from cowdb.agent.storage.zfs_names import (
    FORMAT,
    FORMAT_OF,
    HOLD,
    MARK,
    PARTS,
    POOL,
    SET,
    SNAPSHOT,
    VOLUME,
    checked,
    frozen,
    zpool_of,
)
from cowdb.agent.storage.zfs_origin import ZfsEnclosure
from cowdb.agent.storage.zfs_volumes import CARRIED, Found, Piece, part_name, parts_text
from cowdb.errors import CommandError, CowdbError, PoolMissingError, StorageError

_LIST_ATTEMPTS = 3
_MARK_LIMIT = 8000  # bytes that ZFS takes as the value of a property
Member = tuple[str, PurePosixPath]


class ZfsPool:
    """A pool on ZFS; see Pool and Promotes in protocol.py."""

    driver = "zfs"
    atomic = True
    ordered = True
    clones_depend = True

    def __init__(self, dataset: str, pool: str, root: Path) -> None:
        """:param dataset: POOL/DATASET; :param root: where it is mounted."""
        self.dataset, self.root, self._pool = dataset, root, pool
        self._lock = threading.Lock()
        self._seen: dict[VolumeId, Found] = {}  # a frozen volume never changes
        self._going = threading.Lock()  # what is retired may move from one dataset to another

    @property
    def volumes(self) -> Path:
        return self.root

    def create(self, volume: VolumeId, mark: Mark) -> None:
        with self._making(volume) as head:
            core.create(head, {VOLUME: volume, MARK: _mark_text(mark)})
            command.mount(head)

    def snapshot(self, origin: Enclosure | VolumeId, volume: VolumeId, mark: Mark) -> None:
        if isinstance(origin, Enclosure):
            if not isinstance(origin, ZfsEnclosure):
                origin = self.enclose([part.origin for part in origin.parts])
            self._take_set(origin.members, volume, mark)
            return
        found = self._found(origin)
        if found.is_snapshot or found.taken:
            raise StorageError(f"volume {origin!r} is a snapshot already")
        if found.has_parts:
            self._take_set([(piece.dataset, piece.place) for piece in found.pieces], volume, mark)
            return
        name = f"{found.head}@{checked(volume)}"
        if core.exists(name):
            raise StorageError(f"volume {volume!r} cannot be made: there is one of that name")
        core.snapshot([name], {SNAPSHOT: volume, MARK: _mark_text(mark)})

    def _take_set(self, members: Sequence[Member], volume: VolumeId, mark: Mark) -> None:
        """One instant of several datasets, or of one that is not ours."""
        parts = [(place, f"{dataset}@cowdb-{checked(volume)}") for dataset, place in members]
        if len(members) == 1:
            parts = [(PurePosixPath("."), parts[0][1])]
        with self._making(volume) as head:
            named = {VOLUME: volume, SET: volume, PARTS: parts_text(parts)}
            core.create(head, {**named, MARK: _mark_text(mark)})
            command.mount(head)
            core.snapshot([snapshot for _, snapshot in parts], {SET: volume})
            core.hold([snapshot for _, snapshot in parts], HOLD + volume)
            for number, (place, snapshot) in enumerate(parts):
                seen = place if len(parts) > 1 else PurePosixPath(part_name(0))
                carried = _chosen(members[number][0])
                self._clone_part(head, number, snapshot, seen, {**carried, "readonly": "on"})

    def clone(self, snapshot: VolumeId, volume: VolumeId, mark: Mark) -> None:
        found = self._frozen(snapshot)
        sources = [piece.source for piece in found.pieces if piece.source]
        named = {VOLUME: volume, MARK: _mark_text(mark)}
        with self._making(volume) as head:
            try:
                core.hold(sources, HOLD + volume)
                if len(sources) == 1:
                    self._clone_whole(head, found.pieces[0], named)
                else:
                    parts = [(piece.place, piece.source or "") for piece in found.pieces]
                    core.create(head, {**named, PARTS: parts_text(parts)})
                    command.mount(head)
                    for number, piece in enumerate(found.pieces):
                        self._clone_part(head, number, sources[number], piece.place, piece.carried)
            except BaseException:
                if not core.exists(head):
                    core.release(sources, [HOLD + volume])
                raise

    def _clone_whole(self, head: str, piece: Piece, named: dict[str, str]) -> None:
        assert piece.source
        core.clone(head, piece.source, named)
        if piece.carried:
            command.set_properties(head, piece.carried)
        command.mount(head)

    def _clone_part(
        self, head: str, number: int, source: str, place: PurePosixPath, carried: Mark
    ) -> None:
        dataset = f"{head}/{part_name(number)}"
        where = self.root / head.rpartition("/")[2] / place
        named = {} if str(place) == part_name(number) else {"mountpoint": str(where)}
        core.clone(dataset, source, named)
        if carried:
            command.set_properties(dataset, carried)
        command.mount(dataset)

    def freeze(self, volume: VolumeId) -> None:
        found = self._found(volume)
        if found.volume.frozen:
            return
        command.set_properties(found.head, {"readonly": "on"})  # its parts inherit it
        core.snapshot([frozen(dataset, volume) for dataset in found.datasets], {})

    def refuses_limits(self) -> str:
        return ""

    def slowed_by(self) -> tuple[str, str] | None:
        return None

    def limit(self, volume: VolumeId, size: int) -> None:
        """By `quota`, which counts what a clone has for itself, and snapshots of it, but nothing
        that it shares with its origin."""
        command.set_properties(self._found(volume).head, {"quota": str(size)})

    def destroy(self, volume: VolumeId) -> None:
        """:raises ConflictError: other volumes come from it; nothing was changed."""
        checked(volume)
        with self._going:
            volumes = self._swept(self._survey())
            self._destroy(volume, volumes.get(volume))
            if any(each.retired for each in volumes.values()):
                self._sweep()

    def _destroy(self, volume: VolumeId, found: Found | None) -> None:
        if found is not None and found.retired:
            return
        if found is None:
            if core.exists(f"{self.dataset}/{volume}"):
                raise StorageError(
                    f"dataset {self.dataset}/{volume} does not carry the mark of this pool",
                    hint="cowdb did not make it and will not remove it",
                )
            return
        self._forget(volume)
        zfs_removal.remove(found, self.dataset, self.root, self._known_to)

    def retire(self, volume: VolumeId) -> None:
        checked(volume)
        with self._going:
            found = self._survey().get(volume)
            if found is None:
                return
            self._forget(volume)
            zfs_retired.retire(found, self._known_to)
            self._sweep()

    def _sweep(self) -> None:
        zfs_retired.sweep(self._survey, self.dataset, self.root, self._known_to)

    def _swept(self, volumes: dict[VolumeId, Found]) -> dict[VolumeId, Found]:
        """What is there when what an interrupted sweep left is gone."""
        if not any(each.retired for each in volumes.values()):
            return volumes
        self._sweep()
        return self._survey()

    def _known_to(self, name: str) -> bool:
        """Whether a snapshot beneath a volume is, or was taken for, a volume of this pool."""
        last = name.rpartition("@")[2].removeprefix("cowdb-")
        return "@" in name and VolumeId(last) in self._survey()

    def list(self) -> Sequence[Volume]:
        found = self._survey()
        return [found[name].volume for name in sorted(found) if not found[name].retired]

    def path(self, volume: VolumeId) -> Path:
        """Of a snapshot, where its origin's `.zfs` shows it; the kernel mounts it on the way."""
        checked(volume)
        found = self._seen.get(volume)
        if found is None and not (self.root / volume).is_dir():
            with contextlib.suppress(StorageError):
                found = self._survey().get(volume)
        elif found is None and (self.root / volume / part_name(0)).is_dir():
            with contextlib.suppress(StorageError):  # the only part of a set, or a directory
                found = self._survey().get(volume)
        return self.root / (found.tree if found else volume)

    def set_mark(self, volume: VolumeId, mark: Mark) -> None:
        command.set_properties(self._found(volume).head, {MARK: _mark_text(mark)})

    def space(self) -> Space:
        """What a quota on the pool's dataset, or above it, leaves."""
        (entry,) = self._get(["used", "available"])
        used, free = int(entry.value("used")), int(entry.value("available"))
        return Space(total=used + free, free=free)

    def used_bytes(self, volume: VolumeId) -> int:
        """As ZFS counts: what is shared with clones is charged to their origin alone."""
        self._require()
        core.write_out(self.dataset)  # what no transaction group has written is not counted yet
        found = self._found(volume)
        if found.is_snapshot:
            return _measured([found.head], "used")
        own = [frozen(dataset, volume) for dataset in found.datasets]
        snapshots = [name for name in (*own, *found.taken) if core.exists(name)]
        return _measured(found.datasets, "usedbydataset") + _measured(snapshots, "used")

    def changed(self, descent: Descent, wanted: Callable[[str], bool]) -> Sequence[ChangedRange]:
        """By the ancestor's snapshots; `first` is not needed for that."""
        found = self._survey()
        ends = [self._of(found, each) for each in (descent.volume, descent.ancestor)]
        parts = zfs_changed.steps(*ends)
        with translated(f"volume {descent.volume!r} cannot be searched"):
            tree, ancestor = (self.root / end.tree for end in ends)
            return zfs_changed.changed_ranges(tree, ancestor, parts, wanted)

    def enclose(self, paths: Sequence[Path]) -> ZfsEnclosure:
        self._require()
        return zfs_origin.enclose(paths, zpool_of(self.dataset))

    # --- what is there -------------------------------------------------------------------------

    def _require(self) -> None:
        """:raises PoolMissingError: the dataset is gone, exported, or not mounted."""
        if not core.exists(self.dataset):
            raise self._missing("is not there", f"zpool import {zpool_of(self.dataset)}")
        if not self.root.is_mount():
            raise self._missing("is not mounted", f"zfs mount {self.dataset}")

    def _missing(self, why: str, hint: str) -> PoolMissingError:
        return PoolMissingError(
            f"there is no pool at {self.root}: dataset {self.dataset} {why}", hint=hint
        )

    def _get(self, properties: Sequence[str], *, beneath: bool = False) -> Sequence[command.Entry]:
        for left in reversed(range(_LIST_ATTEMPTS)):
            self._require()
            try:
                return command.get(self.dataset, properties, beneath=beneath)
            except CommandError:
                if not left:  # else something may have been destroyed while it was listed
                    raise
        raise AssertionError

    def _survey(self) -> dict[VolumeId, Found]:
        entries = self._get([POOL, FORMAT_OF, *zfs_volumes.WANTED], beneath=True)
        there = entries[0].local(POOL)
        if there != self._pool:
            raise self._missing(f"is {there or 'no pool of cowdb'}, not {self._pool}", "zfs list")
        if entries[0].local(FORMAT_OF) != FORMAT:
            raise StorageError(
                f"the pool has format {entries[0].local(FORMAT_OF)}, this cowdb knows {FORMAT}",
                hint="use the cowdb that made it, or a newer one",
            )
        found = zfs_volumes.survey(self.dataset, entries)
        with self._lock:
            self._seen = {name: each for name, each in found.items()
                          if each.volume.frozen and not each.retired}  # fmt: skip
        return found

    def _found(self, volume: VolumeId) -> Found:
        return self._of(self._survey(), volume)

    def _of(self, survey: Mapping[VolumeId, Found], volume: VolumeId) -> Found:
        found = survey.get(checked(volume))
        if found is None or found.retired or not found.volume.complete:
            raise StorageError(f"volume {volume!r} is not in the pool at {self.root}")
        return found

    def _frozen(self, volume: VolumeId) -> Found:
        """A frozen volume, without asking for all that there is where it was seen before."""
        self._require()
        seen = self._seen.get(checked(volume))
        if seen and all(piece.source and core.exists(piece.source) for piece in seen.pieces):
            return seen
        found = self._found(volume)
        if not found.volume.frozen:
            raise StorageError(f"volume {volume!r} is writable; only a frozen one is cloned")
        return found

    def _forget(self, volume: VolumeId) -> None:
        with self._lock:
            self._seen.pop(volume, None)

    @contextlib.contextmanager
    def _making(self, volume: VolumeId) -> Iterator[str]:
        """The name of a new volume's dataset, for the block to make; undone if it fails."""
        self._require()
        head, what = f"{self.dataset}/{checked(volume)}", f"volume {volume!r} cannot be made"
        if core.exists(head):
            raise StorageError(f"{what}: there is one of that name")
        place = self.root / volume
        try:
            with translated(what):
                place.mkdir(exist_ok=True)  # by us: a full pool is then told from its code
            yield head
        except BaseException as error:
            try:
                self.destroy(volume)
                with contextlib.suppress(FileNotFoundError):
                    place.rmdir()
            except (OSError, CowdbError) as second:
                error.add_note(f"what was made of it is still there: {second}")
            raise


def _mark_text(mark: Mark) -> str:
    text = json.dumps(dict(mark), sort_keys=True)
    if len(text) > _MARK_LIMIT:
        raise StorageError(f"a mark of {len(text)} bytes does not fit into a property of ZFS")
    return text


def _chosen(dataset: str) -> dict[str, str]:
    """CARRIED of somebody else's dataset, as far as anybody chose them."""
    (entry,) = command.get(dataset, CARRIED)
    return {name: value for name in CARRIED if (value := entry.chosen(name)) is not None}


def _measured(names: Sequence[str], name: str) -> int:
    values = [command.get(each, [name])[0].value(name) for each in names]
    return sum(int(value) for value in values if value != "-")
