"""Where a running server stands, so that two looks tell whether anything was committed between."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

_OF_THE_PROCESS = frozenset({"postmaster.pid", "postmaster.opts", "current_logfiles"})


class Standing(NamedTuple):
    """:param position: the end of the WAL that was inserted, all of it handed to the kernel.
    :param files: of the settings beside the directory's subdirectories, which are in no WAL:
        (name, inode, size, nanoseconds of its change)."""

    position: str
    files: tuple[tuple[str, int, int, int], ...]


def standing(db: psycopg.Connection[Any], datadir: Path) -> Standing | None:
    """None where two such looks would tell nothing: WAL is still in the server's buffers, or it
    is in recovery.

    Equal ones of one and the same process mean that nothing was committed or set in between:
    whatever recovery would bring back is in the WAL up to `position`."""
    if db.execute("select pg_is_in_recovery()").fetchone() != (False,):
        return None
    inserted = db.execute("select pg_current_wal_insert_lsn()").fetchone()
    assert inserted is not None
    # Asked afterwards, so that it may only be further than it was.
    written = db.execute("select pg_current_wal_lsn() >= %s::pg_lsn", inserted).fetchone()
    return Standing(inserted[0], _files(datadir)) if written == (True,) else None


def _files(datadir: Path) -> tuple[tuple[str, int, int, int], ...]:
    found = []
    with os.scandir(datadir) as entries:
        for entry in entries:
            if entry.name not in _OF_THE_PROCESS and not entry.is_dir(follow_symlinks=False):
                stat = entry.stat(follow_symlinks=False)
                found.append((entry.name, stat.st_ino, stat.st_size, stat.st_ctime_ns))
    return tuple(sorted(found))
