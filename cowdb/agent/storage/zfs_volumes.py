"""What the datasets and snapshots beneath a pool's dataset mean as volumes. Values, no I/O.

A volume is one dataset, or one snapshot of a volume, or a dataset with parts: what was spread
over several datasets stays so, mounted one inside the other. A *set* is the frozen volume that
was taken of datasets which somebody else owns (or of a volume with parts): its parts are
read-only clones to look at, and further clones come from the snapshots that the parts came from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from cowdb.agent.storage.protocol import Mark, Volume, VolumeId
from cowdb.agent.storage.zfs_command import Entry
from cowdb.agent.storage.zfs_names import (
    MARK,
    PARTS,
    PASSING,
    RETIRED,
    SET,
    SNAPSHOT,
    VOLUME,
    frozen,
)

CARRIED = ("recordsize", "compression", "logbias", "primarycache")
"""Properties that a clone takes along: ZFS lets it inherit from its parent, not its origin."""

WANTED = (
    VOLUME, SNAPSHOT, RETIRED, MARK, PARTS, SET, PASSING, "origin", "readonly", *CARRIED
)  # fmt: skip
_ID = re.compile(r"[a-z0-9-]{1,100}")


@dataclass(frozen=True, slots=True)
class Piece:
    """A dataset with content of a volume.

    :param place: where it is mounted in the volume's tree.
    :param source: the snapshot that clones of it come from; None while it can be written.
    :param origin: the snapshot that it was cloned from itself.
    :param carried: CARRIED as set on it itself.
    """

    dataset: str
    place: PurePosixPath
    source: str | None
    origin: str | None
    carried: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """A volume and what it consists of.

    :param head: its dataset; for a snapshot of a volume, that.
    :param pieces: parents before what is mounted in them.
    :param taken: for a set, the snapshots that were taken for it.
    :param strangers: datasets and snapshots beneath the head that are no part of this volume.
    :param passing: snapshots of ours that nobody needs any more.
    :param retired: it was removed; what comes from it keeps it on the disk.
    """

    volume: Volume
    head: str
    pieces: tuple[Piece, ...]
    taken: tuple[str, ...]
    strangers: tuple[str, ...]
    passing: tuple[str, ...] = ()
    retired: bool = False

    @property
    def is_snapshot(self) -> bool:
        return "@" in self.head

    @property
    def has_parts(self) -> bool:
        return any(piece.dataset != self.head for piece in self.pieces) and not self.is_snapshot

    @property
    def datasets(self) -> list[str]:
        """All of its own datasets, parents first."""
        inside = [piece.dataset for piece in self.pieces if piece.dataset != self.head]
        return [] if self.is_snapshot else [self.head, *inside]

    @property
    def origins(self) -> list[str]:
        """Snapshots of its own that others can be clones of; they need not be there."""
        if self.is_snapshot:
            return [self.head]
        return [*(frozen(dataset, self.volume.id) for dataset in self.datasets), *self.taken]

    @property
    def tree(self) -> PurePosixPath:
        """Where its content is, beneath the mount point of the pool."""
        if self.is_snapshot:
            dataset, _, name = self.head.partition("@")
            return PurePosixPath(dataset.rpartition("/")[2], ".zfs", "snapshot", name)
        alone = len(self.taken) == 1  # the tree of a clone of it is its only part
        return (
            PurePosixPath(self.volume.id, part_name(0)) if alone else PurePosixPath(self.volume.id)
        )


def part_name(number: int) -> str:
    return f"part{number}"


def parts_text(parts: Sequence[tuple[PurePosixPath, str]]) -> str:
    """The property that says, before the parts are made, which there will be.

    :param parts: where it is in the tree, and which snapshot it comes from.
    """
    return json.dumps([[str(place), snapshot] for place, snapshot in parts])


def _parts(entry: Entry) -> list[tuple[PurePosixPath, str]]:
    text = entry.local(PARTS)
    try:
        return [
            (PurePosixPath(place), str(snapshot)) for place, snapshot in json.loads(text or "[]")
        ]
    except (ValueError, TypeError):
        return []


def _mark(entry: Entry) -> Mark:
    try:
        words = json.loads(entry.local(MARK) or "{}")
    except ValueError:
        return {}
    return {str(key): str(word) for key, word in words.items()} if isinstance(words, dict) else {}


def _carried(entry: Entry) -> dict[str, str]:
    return {name: value for name in CARRIED if (value := entry.local(name)) is not None}


def survey(root: str, entries: Iterable[Entry]) -> dict[VolumeId, Found]:
    """The volumes among all that is beneath the dataset `root`."""
    known = {entry.name: entry for entry in entries}
    beneath: dict[str, list[str]] = {}
    for name in known:
        if name.startswith(root + "/"):
            head = re.split("[/@]", name[len(root) + 1 :], maxsplit=1)[0]
            beneath.setdefault(f"{root}/{head}", []).append(name)
    found: dict[VolumeId, Found] = {}
    for head, names in beneath.items():
        entry = known.get(head)
        if entry is None or not _is_own(entry, VOLUME, head.rpartition("/")[2]):
            continue
        for each in (_dataset(entry, names, known), *_snapshots(entry, names, known)):
            found[each.volume.id] = each
    return found


def _is_own(entry: Entry, key: str, name: str) -> bool:
    return entry.local(key) == name and _ID.fullmatch(name) is not None


def _dataset(entry: Entry, names: Sequence[str], known: Mapping[str, Entry]) -> Found:
    head, volume = entry.name, VolumeId(entry.name.rpartition("/")[2])
    promised, is_set = _parts(entry), entry.local(SET) is not None
    if promised:
        pieces = [
            _piece(known[name], place, snapshot if is_set else frozen(name, volume), known)
            for number, (place, snapshot) in enumerate(promised)
            if (name := f"{head}/{part_name(number)}") in known
        ]
    else:
        pieces = [_piece(entry, PurePosixPath("."), frozen(head, volume), known)]
    is_frozen = is_set or frozen(head, volume) in known
    # Read-only and not yet frozen: freezing was interrupted, or its destruction.
    whole = len(pieces) == max(1, len(promised)) and (is_frozen or entry.local("readonly") != "on")
    own = {head, *(piece.dataset for piece in pieces)}
    own |= {frozen(name, volume) for name in own}
    passing = tuple(name for name in names if is_passing(known[name]))
    return Found(
        volume=Volume(volume, is_frozen, whole, _mark(entry)),
        head=head,
        pieces=tuple(pieces),
        taken=tuple(snapshot for _, snapshot in promised) if is_set else (),
        strangers=tuple(name for name in names if name not in own and name not in passing),
        passing=passing,
        retired=_is_own(entry, RETIRED, volume),
    )


def is_passing(entry: Entry) -> bool:
    """Whether it is a snapshot that cowdb took for a moment."""
    _, _, last = entry.name.partition("@")
    return bool(last) and entry.local(PASSING) == last


def _piece(entry: Entry, place: PurePosixPath, source: str, known: Mapping[str, Entry]) -> Piece:
    """:param source: what clones would come from; need not be known when not of this dataset."""
    origin = entry.value("origin")
    elsewhere = source.partition("@")[0] != entry.name
    return Piece(
        dataset=entry.name,
        place=place,
        source=source if elsewhere or source in known else None,
        origin=origin if "@" in origin else None,
        carried=_carried(entry),
    )


def _snapshots(entry: Entry, names: Sequence[str], known: Mapping[str, Entry]) -> Iterator[Found]:
    for name in names:
        dataset, _, last = name.partition("@")
        retired = _is_own(known[name], RETIRED, last)
        if dataset == entry.name and (retired or _is_own(known[name], SNAPSHOT, last)):
            piece = Piece(dataset, PurePosixPath("."), name, None, _carried(entry))
            volume = Volume(VolumeId(last), True, True, _mark(known[name]))
            yield Found(volume, name, (piece,), (), (), retired=retired)
