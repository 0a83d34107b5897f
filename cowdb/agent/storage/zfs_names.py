"""Names on ZFS: of a pool, its datasets, their snapshots, and of the properties that mark them.

    zfs:POOL/DATASET                 how a pool is written in `cowdb init --pool` and in its record
    POOL/DATASET                     local property cowdb:pool: the pool's id
    POOL/DATASET/<id>                a volume; local property cowdb:volume: its id again
    POOL/DATASET/<id>/part<n>        one of the datasets that make up a volume together
    POOL/DATASET/<id>@frozen-<id>    there = the volume is frozen; clones come from it
    POOL/DATASET/<id>@<other>        the frozen volume <other>; local property cowdb:snapshot
    POOL/DATASET/<id>@passing-<hex>  there for a moment; local property cowdb:passing: its name
    ANYTHING@cowdb-<id>              taken of another's dataset for the frozen volume <id>

A volume that was removed while others come from it has the local property cowdb:retired, its id
again (on a snapshot that never was a volume by itself, the snapshot's name).

User properties are inherited by children and by snapshots: a mark counts only where it is local
and names the very thing that it is on.
"""

from __future__ import annotations

import re

from cowdb.agent.storage.protocol import VolumeId
from cowdb.errors import InvalidError, StorageError

SCHEME = "zfs:"
FORMAT = "1"
POOL, FORMAT_OF, VOLUME, SNAPSHOT = "cowdb:pool", "cowdb:format", "cowdb:volume", "cowdb:snapshot"
MARK, PARTS, SET, PLACE = "cowdb:mark", "cowdb:parts", "cowdb:set", "cowdb:place"
PASSING = "cowdb:passing"
RETIRED = "cowdb:retired"
HOLD = "cowdb:"  # and the id of the volume that was cloned from the snapshot
_ID = re.compile(r"[a-z0-9-]{1,100}")
_DATASET = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]*(/[A-Za-z0-9_.:-]+)+")
_LONGEST = 120  # of POOL/DATASET; ZFS allows 255 with all that comes beneath


def is_zfs(path: str) -> bool:
    """Whether a pool's path is a dataset rather than a directory."""
    return path.startswith(SCHEME)


def dataset_of(path: str) -> str:
    """POOL/DATASET of zfs:POOL/DATASET.

    :raises InvalidError: it is no such name.
    """
    name = path.removeprefix(SCHEME)
    if not is_zfs(path) or not _DATASET.fullmatch(name) or len(name) > _LONGEST:
        raise InvalidError(
            f"--pool {path!r} is not zfs:POOL/DATASET",
            hint="for example --pool zfs:tank/cowdb; a whole zpool cannot be one, since other "
            "things live there",
        )
    return name


def checked(volume: VolumeId) -> VolumeId:
    """The id itself; raises StorageError when it could be anything else."""
    if not _ID.fullmatch(volume):
        raise StorageError(f"{volume!r} is not the id of a volume")
    return volume


def frozen(dataset: str, volume: str) -> str:
    """The snapshot that freezes a volume's dataset. It names the volume, since `zfs promote` moves
    it to a clone, which must not look frozen by it."""
    return f"{dataset}@frozen-{volume}"


def zpool_of(name: str) -> str:
    """The zpool of a dataset or snapshot."""
    return re.split("[/@]", name, maxsplit=1)[0]


def holder(tag: str) -> VolumeId | None:
    """The volume that a hold stands for; None for a hold of somebody else."""
    found = tag.removeprefix(HOLD)
    return VolumeId(found) if tag.startswith(HOLD) and _ID.fullmatch(found) else None
