"""A sound copy of a running server on a filesystem that copies file after file.

    pg_backup_start -> copy -> pg_backup_stop -> backup_label, and the WAL up to the stop

is Postgres's own recipe for a copy that is not one instant: a clone replays from the label's
checkpoint to the backup's end before it is consistent.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from cowdb.agent.beneath import Beneath
from cowdb.agent.system import OsUser, acting_as
from cowdb.errors import UnsoundError

_LABEL = "cowdb snapshot"
_CHUNK = 2**24


def bracket(
    connection: psycopg.Connection[Any],
    copy: Callable[[], Path],
    wal: Path,
    copied_wal: Path | None,
    owner: OsUser,
) -> None:
    """Run `copy` between start and stop of a base backup and complete what it returns.

    :param copy: makes the copy, returns its data directory.
    :param wal: the source's WAL directory.
    :param copied_wal: where its copy is, when pg_wal is a link; None when it is inside.
    :raises UnsoundError: wal_level is minimal, or WAL was recycled meanwhile.
    """
    new = connection.info.server_version >= 150000
    start = "pg_backup_start(%s, true)" if new else "pg_start_backup(%s, true, false)"
    stop = "pg_backup_stop(false)" if new else "pg_stop_backup(false, false)"
    try:
        first = connection.execute(f"select {start}::text", (_LABEL,)).fetchone()
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        raise UnsoundError(
            "the source cannot be copied while it runs: "
            f"{str(error).strip().splitlines()[0].lower()}",
            hint="set wal_level = replica, or use --mode stop",
        ) from error
    assert first is not None
    data = copy()
    row = connection.execute(f"select lsn::text, labelfile from {stop}").fetchone()
    assert row is not None
    stopped, label = row
    timeline, segment = _wal_facts(connection)
    copied = copied_wal or data / "pg_wal"
    _complete(data, wal, copied, owner, label)
    _check(copied, timeline, segment, first[0], stopped)


def _wal_facts(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    row = connection.execute(
        "select (select timeline_id from pg_control_checkpoint()), "
        "pg_size_bytes(current_setting('wal_segment_size'))"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _complete(data: Path, wal: Path, copied: Path, owner: OsUser, label: str) -> None:
    """Bring the copy's WAL up to date and give it the backup label."""
    with Beneath(data) as directory:
        directory.write_text("backup_label", label, owner, 0o600)
    with acting_as(owner):
        for segment in sorted(wal.iterdir()):
            if segment.is_file():
                with contextlib.suppress(FileNotFoundError):  # recycled: _check will say so
                    _copy(segment, copied / segment.name)


def _copy(origin: Path, target: Path) -> None:
    """Copy a file by reference where the filesystem can (copy_file_range)."""
    with origin.open("rb") as source, target.open("wb") as sink:
        while os.copy_file_range(source.fileno(), sink.fileno(), _CHUNK):
            pass


def _check(wal: Path, timeline: int, segment: int, first: str, last: str) -> None:
    """Every segment from the backup's start to its end must be there."""
    have = {item.name for item in wal.iterdir()}
    for number in range(_position(first) // segment, (_position(last) - 1) // segment + 1):
        per_id = 0x100000000 // segment
        name = f"{timeline:08X}{number // per_id:08X}{number % per_id:08X}"
        if name not in have:
            raise UnsoundError(
                f"WAL segment {name} was recycled while the copy was taken",
                hint="take the snapshot again, or raise wal_keep_size on the source",
            )


def _position(lsn: str) -> int:
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)
