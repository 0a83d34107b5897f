"""What a client may ask, as the agent reads it: validated here, strange fields refused.

Names travel, never paths or commands; the exceptions (an attached directory, a pool) are root's.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cowdb.wire import Durability, Mode

Name = Annotated[str, msgspec.Meta(max_length=200)]
RelationFile = Annotated[str, msgspec.Meta(pattern=r"^base/[0-9]{1,10}/[0-9]{1,10}$")]
Rows = Annotated[int, msgspec.Meta(ge=0, lt=2**48)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=366 * 86400)]
Rest = Annotated[int, msgspec.Meta(ge=0, le=366 * 86400)]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request's body."""


class InitPool(Request, frozen=True, kw_only=True):
    """:param path: a directory on a copy-on-write filesystem, or zfs:POOL/DATASET; None makes a
        loop file.
    :param size: bytes of the loop file.
    :param allow_copy: accept a filesystem that copies every block."""

    path: str | None = None
    size: Annotated[int, msgspec.Meta(ge=2**28)] = 20 * 2**30
    driver: Literal["btrfs", "reflink", "zfs"] | None = None
    allow_copy: bool = False


class RemovePools(Request, frozen=True, kw_only=True):
    """Everything that cowdb made on this host goes: branches, snapshots, sources, pools."""


class AddSource(Request, frozen=True, kw_only=True):
    """:param attach: a data directory that somebody else runs.
    :param dsn: another server, to be copied by pg_basebackup.
    :param loading: the caller will load it now; it is removed when the caller dies first.
    :param superuser: for `attach`, the role that the OS user maps to when not its own name."""

    name: Name
    attach: str | None = None
    dsn: str | None = None
    loading: bool = False
    database: Name | None = None
    superuser: Name | None = None
    version: Name | None = None
    port: int | None = None


class CreateSnapshot(Request, frozen=True, kw_only=True):
    """:param settle: wait until branches of it start without recovery.
    :param freeze: settle it with its rows frozen."""

    ref: Name
    mode: Mode = "checkpoint"
    settle: bool = False
    freeze: bool = False
    protected: bool = False


class WarmSnapshot(Request, frozen=True, kw_only=True):
    """:param spares: how many it is to have; null leaves that to the agent."""

    spares: Annotated[int, msgspec.Meta(ge=0, le=1000)] | None


class CreateBranch(Request, frozen=True, kw_only=True):
    """:param origin: a snapshot, or a bare source or branch.
    :param durability: "fast" runs without fsync; "full" keeps what was committed when the host
        goes down.
    :param sleep_seconds: without a client, after which it sleeps; 0: never; None: the host's.
    :param memory_bytes: at most this much memory; None is what the host gives by default.
    :param cpus: at most this many processors' worth of time, likewise.
    :param disk_bytes: at most this much of the pool beyond its snapshot, likewise."""

    name: Name
    origin: Name
    port: int | None = None
    ttl_seconds: Seconds | None = None
    sleep_seconds: Rest | None = None
    hidden: bool = False
    durability: Durability = "fast"
    memory_bytes: Annotated[int, msgspec.Meta(ge=64 * 2**20, lt=2**60)] | None = None
    cpus: Annotated[float, msgspec.Meta(ge=0.01, le=10_000)] | None = None
    disk_bytes: Annotated[int, msgspec.Meta(ge=16 * 2**20, lt=2**60)] | None = None


class Changes(Request, frozen=True, kw_only=True):
    """Two branches whose changed blocks are wanted."""

    first: Name
    other: Name


class Written(Request, frozen=True, kw_only=True):
    """Branches of which is asked what they have written since their common snapshot.

    :param search: False asks for no more than what the snapshot is."""

    branches: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=100)]
    search: bool = True


class KeepCounts(Request, frozen=True, kw_only=True):
    """Numbers of rows in a snapshot.

    :param ancestor: as it was told with what branches have written since.
    :param counts: by relation file."""

    ancestor: Name
    counts: Annotated[dict[RelationFile, Rows], msgspec.Meta(max_length=10_000)]


class Ancestor(Request, frozen=True, kw_only=True):
    """Branches, sources and snapshots whose nearest common snapshot is wanted."""

    names: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=100)]


class Protect(Request, frozen=True, kw_only=True):
    protected: bool = True


class Empty(Request, frozen=True, kw_only=True):
    """No field."""


class Repair(Request, frozen=True, kw_only=True):
    repair: bool = False


class Rebuild(Request, frozen=True, kw_only=True):
    """:param pools: where to look, each a directory or zfs:POOL/DATASET; none for the pool that
    `cowdb init` makes when it is told no place."""

    pools: list[str] = []
