"""The files of a volume beside the files of the same paths in another one.

Both trees may be hostile (a branch's superuser can write what the server's OS user can): no link
is followed, no other filesystem entered, and no more than DEPTH directories gone down.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cowdb.agent.storage.fiemap import DEPTH

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class FilePair:
    """A regular file, and what has its path in the other tree.

    :param path: relative to the tree.
    :param folder: an open directory, for the turn of the loop; `old_folder` the other tree's.
    :param old_inode: None where the other tree has no such regular file.
    """

    path: str
    name: str
    inode: int
    folder: int
    old_inode: int | None
    old_folder: int | None

    def size(self) -> int | None:
        """Bytes of the file; None when it has gone meanwhile."""
        try:
            return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False).st_size
        except FileNotFoundError:
            return None

    def open(self) -> int | None:
        """A descriptor for the caller to close; None when the file has gone meanwhile."""
        return _opened(self.name, self.folder)

    def old_open(self) -> int | None:
        return None if self.old_inode is None else _opened(self.name, self.old_folder)


def _opened(name: str, folder: int | None) -> int | None:
    try:
        return os.open(name, _FILE, dir_fd=folder)
    except FileNotFoundError:
        return None


def opened_directory(path: Path, stack: contextlib.ExitStack) -> int:
    """A descriptor that `stack` closes; no link is followed at the end of the path."""
    fd = os.open(path, _DIRECTORY)
    stack.callback(os.close, fd)
    return fd


def file_pairs(tree: int, old: int, wanted: Callable[[str], bool]) -> Iterator[FilePair]:
    """The wanted regular files beneath `tree`, each with its counterpart beneath `old`."""
    devices = os.fstat(tree).st_dev, os.fstat(old).st_dev
    yield from _beneath(tree, old, "", devices, wanted, DEPTH)


def _beneath(
    here: int, old: int | None, prefix: str, devices: tuple[int, int],
    wanted: Callable[[str], bool], depth: int,
) -> Iterator[FilePair]:  # fmt: skip
    files, folders = _listed(here)
    theirs = _listed(old)[0] if old is not None else {}
    for name, inode in files.items():
        path = prefix + name
        if wanted(path):
            yield FilePair(path, name, inode, here, theirs.get(name), old)
    for name in folders if depth else ():
        with contextlib.ExitStack() as stack:
            below = _entered(name, here, devices[0], stack)
            if below is None:
                continue
            beside = _entered(name, old, devices[1], stack) if old is not None else None
            yield from _beneath(below, beside, f"{prefix}{name}/", devices, wanted, depth - 1)


def _listed(folder: int) -> tuple[dict[str, int], list[str]]:
    """Regular files with their inodes, and directories."""
    files, folders = {}, []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                files[entry.name] = entry.inode()
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
    return files, folders


def _entered(name: str, folder: int, device: int, stack: contextlib.ExitStack) -> int | None:
    """A directory of the same filesystem; None when it is none, or has gone."""
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=folder)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return None  # gone, or a link or a file by now
        raise
    stack.callback(os.close, fd)
    return fd if os.fstat(fd).st_dev == device else None
