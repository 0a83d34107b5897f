"""Root's hands inside a directory that somebody else may write to.

Whoever is superuser in a branch can plant links, FIFOs and directories in its data directory, at
any moment, with any name. So every path here is relative, and each of its components is opened
with O_NOFOLLOW from the descriptor of the one before: nothing outside the directory is reached,
however the tree changes meanwhile. A planted link is an UnsoundError, never a path taken.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, Self

from cowdb.agent.system import OsUser
from cowdb.errors import NotFoundError, UnsoundError

Kind = Literal["file", "directory", "link", "other"]
Inside = PurePosixPath | str
"""A path relative to the Beneath's directory, without `..`."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}

_FAULTS = {
    errno.ELOOP: "is a symbolic link planted where a file belongs; it was not followed",
    errno.ENOTDIR: "is or lies beyond a symbolic link planted where a directory belongs; it was "
    "not followed",
    errno.EISDIR: "is a directory where a file belongs",
}
_HINT = "remove it as its owner; Postgres puts no such thing there"


class Beneath:
    """A directory that is never left. A context manager; closes its descriptor on the way out.

    :param root: its parents belong to root; itself it may belong to anybody.
    :raises UnsoundError: `root` is a symbolic link. NotFoundError: it is not there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._fd = -1

    def __enter__(self) -> Self:
        with self._explained(self.root):
            self._fd = os.open(self.root, _DIRECTORY)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        self._fd = -1

    @contextlib.contextmanager
    def directory(self, path: Inside = ".") -> Iterator[int]:
        """A descriptor of the directory at `path`, for calls that take `dir_fd`."""
        here = os.dup(self._fd)
        try:
            for name in _components(path):
                with self._explained(path):
                    below = os.open(name, _DIRECTORY, dir_fd=here)
                os.close(here)
                here = below
            yield here
        finally:
            os.close(here)

    def read_text(self, path: Inside, limit: int) -> str:
        """The text of a regular file; bytes that are not UTF-8 survive as surrogates.

        :param limit: bytes; a longer file is refused.
        """
        return self.read_bytes(path, limit).decode("utf-8", "surrogateescape")

    def read_bytes(self, path: Inside, limit: int) -> bytes:
        """The same as bytes."""
        # O_NONBLOCK: opening a FIFO for reading would otherwise wait for a writer, for ever
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with self._place(path) as (where, name), self._explained(path):
            if self._kind_at(where, name) not in {"file", "link"}:  # opening a device can act
                raise UnsoundError(f"'{self.root / path}' is not a regular file")
            with open(os.open(name, flags, dir_fd=where), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise UnsoundError(f"'{self.root / path}' is not a regular file")
                content = file.read(limit + 1)
        if len(content) > limit:
            raise UnsoundError(f"'{self.root / path}' is longer than {limit} bytes")
        return content

    def write_text(self, path: Inside, text: str, owner: OsUser, mode: int) -> None:
        """Replace whatever file, link or FIFO is at `path`; nothing is written through it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._place(path) as (where, name), self._explained(path):
            temporary = f".cowdb-{secrets.token_hex(8)}"
            try:
                with open(os.open(temporary, flags, 0o600, dir_fd=where), "wb") as file:
                    file.write(text.encode("utf-8", "surrogateescape"))
                    os.fchown(file.fileno(), owner.uid, owner.gid)
                    os.fchmod(file.fileno(), mode)
                os.rename(temporary, name, src_dir_fd=where, dst_dir_fd=where)
            except BaseException:
                _unlink(temporary, where)
                raise

    def unlink(self, path: Inside, *, missing_ok: bool = False) -> bool:
        """Remove a file, a link (not what it points to) or a FIFO; False when none was there."""
        with self._place(path) as (where, name):
            try:
                with self._explained(path):
                    os.unlink(name, dir_fd=where)
            except NotFoundError:
                if not missing_ok:
                    raise
                return False
        return True

    def readlink(self, path: Inside) -> str:
        with self._place(path) as (where, name), self._explained(path):
            return os.readlink(name, dir_fd=where)

    def symlink(self, path: Inside, target: str, owner: OsUser) -> None:
        """Put a symbolic link at `path` in place of whatever file or link is there."""
        with self._place(path) as (where, name), self._explained(path):
            temporary = f".cowdb-{secrets.token_hex(8)}"
            try:
                os.symlink(target, temporary, dir_fd=where)
                os.chown(temporary, owner.uid, owner.gid, dir_fd=where, follow_symlinks=False)
                os.rename(temporary, name, src_dir_fd=where, dst_dir_fd=where)
            except BaseException:
                _unlink(temporary, where)
                raise

    def kind(self, path: Inside) -> Kind | None:
        """What is at `path` itself; None when nothing is, or its parent directory is missing."""
        if not _components(path):
            return "directory"
        try:
            with self._place(path) as (where, name):
                return self._kind_at(where, name)
        except (FileNotFoundError, NotFoundError):
            return None

    def exists(self, path: Inside) -> bool:
        return self.kind(path) is not None

    def names(self, path: Inside = ".") -> list[str]:
        """The names in the directory at `path`, sorted."""
        with self.directory(path) as here:
            return sorted(os.listdir(here))  # noqa: PTH208  (a descriptor)

    def make_directory(self, path: Inside, owner: OsUser, mode: int = 0o700) -> None:
        """A new, empty directory; FileExistsError when something is there."""
        with self._place(path) as (where, name):
            os.mkdir(name, 0o700, dir_fd=where)
        with self.directory(path) as here:
            os.fchown(here, owner.uid, owner.gid)
            os.fchmod(here, mode)

    def remove_tree(self, path: Inside) -> int:
        """Remove all that is in the directory at `path`, not itself; how many entries it had."""
        with self.directory(path) as here:
            found = os.listdir(here)  # noqa: PTH208  (a descriptor)
            for name in found:
                if self._kind_at(here, name) == "directory":
                    shutil.rmtree(name, dir_fd=here)  # follows no link: rmtree by descriptors
                else:
                    _unlink(name, here)
        return len(found)

    @contextlib.contextmanager
    def _place(self, path: Inside) -> Iterator[tuple[int, str]]:
        """The descriptor of the parent directory and the last component."""
        components = _components(path)
        if not components:
            raise ValueError("the directory itself cannot be replaced or removed")
        with self.directory(PurePosixPath(*components[:-1])) as where:
            yield where, components[-1]

    @staticmethod
    def _kind_at(where: int, name: str) -> Kind:
        mode = os.stat(name, dir_fd=where, follow_symlinks=False).st_mode
        return _KINDS.get(stat.S_IFMT(mode), "other")

    @contextlib.contextmanager
    def _explained(self, path: Inside | Path) -> Iterator[None]:
        """Native errors that speak of what is at a path, by code, as ours."""
        full = self.root / path
        try:
            yield
        except FileNotFoundError as error:
            raise NotFoundError(f"'{full}' does not exist") from error
        except OSError as error:
            # a link opened with O_NOFOLLOW gives ELOOP, together with O_DIRECTORY ENOTDIR
            fault = _FAULTS.get(error.errno or 0)
            if fault is None:
                raise
            raise UnsoundError(f"'{full}' {fault}", hint=_HINT) from error


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link, by its path beneath the root, and what it says."""

    path: PurePosixPath
    target: str


def links(beneath: Beneath, path: Inside) -> Iterator[Link]:
    """Every symbolic link in the tree at `path`, at any depth, following none."""
    waiting = [PurePosixPath(path)]
    while waiting:
        here = waiting.pop()
        with contextlib.suppress(NotFoundError):  # a running server removes directories meanwhile
            found, below = _scan(beneath, here)
            waiting += below
            yield from found


def _scan(beneath: Beneath, here: PurePosixPath) -> tuple[list[Link], list[PurePosixPath]]:
    found, below = [], []
    with beneath.directory(here) as descriptor, os.scandir(descriptor) as entries:
        for entry in entries:
            if entry.is_symlink():
                with contextlib.suppress(FileNotFoundError):
                    target = os.readlink(entry.name, dir_fd=descriptor)
                    found.append(Link(here / entry.name, target))
            elif entry.is_dir(follow_symlinks=False):
                below.append(here / entry.name)
    return found, below


def own(beneath: Beneath, path: Inside, owner: OsUser) -> bool:
    """Give the tree at `path` to `owner` unless its top is theirs already.

    The top goes last, so that it stands for the whole: a run that was interrupted is repeated.
    :return: whether anything was to be done.
    """
    with beneath.directory(path) as top:
        status = os.fstat(top)
        if (status.st_uid, status.st_gid) == (owner.uid, owner.gid):
            return False
        # fwalk lstats each directory, opens it and compares, so a swapped link is not entered
        for _, names, files, here in os.fwalk(".", dir_fd=top, follow_symlinks=False):
            for name in (*names, *files):
                os.chown(name, owner.uid, owner.gid, dir_fd=here, follow_symlinks=False)
        os.fchown(top, owner.uid, owner.gid)
    return True


def _components(path: Inside) -> tuple[str, ...]:
    parts = PurePosixPath(path).parts
    if ".." in parts or PurePosixPath(path).is_absolute():
        raise ValueError(f"{str(path)!r} is not a path beneath the directory")
    return parts


def _unlink(name: str, where: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=where)
