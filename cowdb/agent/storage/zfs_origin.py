"""Where the directories of an attached source lie on ZFS, and how one snapshot covers them.

A snapshot of several datasets of one zpool is one instant over all of them. Each dataset has a
place in the volumes made from it: one that is mounted inside another's directory keeps its place
there, the others stand side by side as part0, part1, ...; a single one is the volume itself.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cowdb.agent.storage.origin import resolved, unescaped
from cowdb.agent.storage.protocol import Enclosure, Part
from cowdb.agent.storage.zfs_names import zpool_of
from cowdb.agent.storage.zfs_volumes import part_name
from cowdb.errors import StorageError, UnsoundError


@dataclass(frozen=True, slots=True)
class Mounted:
    """A mount.

    :param within: the directory of the filesystem that is seen there; not / for a bind mount.
    :param dataset: of ZFS; empty for another filesystem.
    """

    point: Path
    within: PurePosixPath
    dataset: str


@dataclass(frozen=True, slots=True)
class ZfsEnclosure(Enclosure):
    """:param members: (dataset, its place), parents before what is mounted in them."""

    members: tuple[tuple[str, PurePosixPath], ...]


def mounts() -> list[Mounted]:
    """All mounts of this mount namespace, the later ones on top."""
    found = []
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            fields = line.split()
            end = fields.index(b"-")
            zfs = fields[end + 1] == b"zfs"
            found.append(
                Mounted(
                    Path(os.fsdecode(unescaped(fields[4]))),
                    PurePosixPath(os.fsdecode(unescaped(fields[3]))),
                    os.fsdecode(unescaped(fields[end + 2])) if zfs else "",
                )
            )
    return found


def zpool_beneath(path: Path) -> str | None:
    """The zpool that a directory lies on; None when it is on something else."""
    dataset = _home(path.resolve(), mounts()).dataset
    return zpool_of(dataset) if dataset else None


def enclose(paths: Sequence[Path], zpool: str) -> ZfsEnclosure:
    """How one snapshot can cover all of these directories; see Storage.enclose."""
    if not paths:
        raise StorageError("no directory to enclose was given")
    real, table = [resolved(path) for path in paths], mounts()
    homes = [_home(path, table) for path in real]
    for path, home in zip(paths, homes, strict=True):
        _refuse_foreign(path, home, zpool, paths[0])
    inner = [mount for path in real for mount in _inside(path, table, zpool)]
    places = _places(homes, inner)
    parts = [
        Part(path, _normal(places[home.dataset] / _relative(there, home)))
        for path, there, home in zip(paths, real, homes, strict=True)
    ]
    members = sorted(places.items(), key=lambda item: (len(item[1].parts), item[1]))
    return ZfsEnclosure(homes[0].point, tuple(parts), tuple(members))


def _home(path: Path, table: Sequence[Mounted]) -> Mounted:
    """The mount that a directory is on: the deepest, of those the latest."""
    above = [mount for mount in table if path.is_relative_to(mount.point)]
    return max(reversed(above), key=lambda mount: len(mount.point.parts))


def _refuse_foreign(path: Path, home: Mounted, zpool: str, first: Path) -> None:
    if not home.dataset or zpool_of(home.dataset) != zpool:
        if path == first:
            raise StorageError(
                f"{path} is not on the filesystem of the pool, the zpool {zpool}",
                hint="make a pool on that filesystem: cowdb init --pool PATH, or zfs:POOL/DATASET",
            )
        raise UnsoundError(
            f"{path} lies outside the zpool {zpool} that holds {first}; one snapshot cannot cover "
            "both",
            hint=f"stop the server and move {path} into a dataset of {zpool}",
        )
    if home.point == Path("/"):
        raise StorageError(
            f"{path} is in the dataset {home.dataset} that is mounted at /, and a snapshot would "
            "clone the whole operating system",
            hint=f"give it a dataset of its own: stop the server, then mv {path} {path}.old && "
            f"zfs create -o mountpoint={path} {zpool}/postgres && cp -a {path}.old/. {path}/",
        )


def _inside(path: Path, table: Sequence[Mounted], zpool: str) -> list[Mounted]:
    """Datasets mounted inside a directory, which belong to it; anything else there is a hole."""
    found = []
    for mount in table:
        if mount.point == path or not mount.point.is_relative_to(path):
            continue
        if "@" in mount.dataset:
            continue  # a snapshot that somebody looked at under .zfs
        if mount.dataset and zpool_of(mount.dataset) == zpool and str(mount.within) == "/":
            found.append(mount)
            continue
        raise UnsoundError(
            f"{mount.point} is mounted inside {path} and would be missing from a snapshot",
            hint=f"move its content into {path} itself, or into a dataset of the zpool {zpool}",
        )
    return found


def _places(homes: Sequence[Mounted], inner: Sequence[Mounted]) -> dict[str, PurePosixPath]:
    """Where each dataset stands in the volume."""
    distinct = {mount.dataset: mount for mount in (*homes, *inner)}
    nested = {mount.dataset: mount for mount in inner}
    tops = [name for name in distinct if name not in nested]
    if len(distinct) == 1:
        return {tops[0]: PurePosixPath(".")}
    places = {name: PurePosixPath(part_name(number)) for number, name in enumerate(tops)}
    for mount in sorted(nested.values(), key=lambda item: len(item.point.parts)):
        around = _home(mount.point.parent, list(distinct.values()))
        places[mount.dataset] = places[around.dataset] / _relative(mount.point, around)
    return places


def _relative(path: Path, home: Mounted) -> PurePosixPath:
    """A directory as seen from the root of the dataset that it is on."""
    return _normal(home.within.relative_to("/") / PurePosixPath(path.relative_to(home.point)))


def _normal(path: PurePosixPath) -> PurePosixPath:
    return PurePosixPath(os.path.normpath(path))
