"""Whether the directories of an attached source hold all that seems to be inside them.

A snapshot or a copy of a directory does not reach into another filesystem mounted beneath it, nor
into a nested subvolume: what is there would be missing, and the database damaged without a word.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from cowdb.errors import StorageError, UnsoundError


def resolved(path: Path) -> Path:
    """The directory that `path` leads to, free of symbolic links; raises StorageError."""
    try:
        real = path.resolve(strict=True)
    except OSError as error:
        raise StorageError(f"directory {path} cannot be reached: {error.strerror}") from error
    if not real.is_dir():
        raise StorageError(f"{path} is not a directory")
    return real


def mount_points() -> list[Path]:
    """Every mount point of this mount namespace."""
    with open("/proc/self/mountinfo", "rb") as file:
        return [Path(os.fsdecode(unescaped(line.split()[4]))) for line in file]


def unescaped(word: bytes) -> bytes:
    """A field of mountinfo as it was before the kernel escaped spaces and the like."""
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), word)


def mounts_beneath(path: Path) -> list[Path]:
    """Mount points inside a directory, the directory itself not counted."""
    return [point for point in mount_points() if point != path and point.is_relative_to(path)]


def refuse_holes(path: Path) -> None:
    """Raise UnsoundError when something mounted or a nested subvolume is inside `path`."""
    # The list of mounts also knows bind mounts, whose device number would give nothing away.
    for point in mounts_beneath(path):
        raise UnsoundError(
            f"{point} is mounted inside {path} and would be missing from a snapshot",
            hint=f"move its content into {path} itself, or attach it as a path of its own",
        )
    device = path.stat().st_dev
    for inner in _directories(path):
        with contextlib.suppress(FileNotFoundError):
            if inner.lstat().st_dev != device:
                raise UnsoundError(
                    f"{inner} is a subvolume of its own inside {path} and would be missing "
                    "from a snapshot",
                    hint=f"stop the server, copy its content into a plain directory with "
                    f"`cp -a --reflink=always`, and put that in the place of {inner}",
                )


def _directories(path: Path) -> Iterator[Path]:
    """All directories beneath, no link followed; those that vanish meanwhile are left out."""
    waiting = [path]
    while waiting:
        here = waiting.pop()
        try:
            fd = os.open(here, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            with os.scandir(fd) as entries:
                names = [item.name for item in entries if item.is_dir(follow_symlinks=False)]
        finally:
            os.close(fd)
        inside = [here / name for name in names]
        yield from inside
        waiting.extend(inside)
