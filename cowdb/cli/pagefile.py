"""A page in a file that is replaced as a whole: a reader sees the old page or the new one."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from cowdb.errors import CowdbError, InvalidError


class PageFile:
    """Where a page will be written; checked before the work that fills it begins.

    :param example: of the option that names it.
    :raises InvalidError: nothing can be written there.
    """

    def __init__(self, name: str, example: str = "--html diff.html") -> None:
        if name == "-":
            raise InvalidError(
                "a page cannot go to stdout, which has the comparison itself",
                hint=f"name a file: {example}",
            )
        # A link stays one: what it leads to is replaced.
        self._path = Path(os.path.realpath(name))
        self._name = name
        try:
            self._check()
        except OSError as error:
            raise InvalidError(
                f"cannot write the page {name!r}: {error.strerror}",
                hint="name a file in a directory that you may write to",
            ) from error

    def _check(self) -> None:
        if self._path.is_dir():
            raise IsADirectoryError(0, "it is a directory")
        if self._path.exists() and not self._path.is_file():
            raise OSError(0, "it is no regular file")
        if self._path.exists() and not os.access(self._path, os.W_OK):
            raise PermissionError(0, "it is read-only")
        # As Linux makes it, this file never has a name, so that nothing can be left of it.
        with tempfile.TemporaryFile(dir=self._path.parent):
            pass

    def write(self, text: str) -> None:
        """:raises CowdbError: the disk is full, or the directory has gone."""
        try:
            self._replace(text.encode())
        except OSError as error:
            raise CowdbError(f"cannot write the page {self._name!r}: {error.strerror}") from error

    def _replace(self, data: bytes) -> None:
        handle, name = tempfile.mkstemp(
            dir=self._path.parent, prefix=f".{self._path.name[:200]}."
        )  # fmt: skip
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                os.fchmod(stream.fileno(), self._mode())
            temporary.replace(self._path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            raise

    def _mode(self) -> int:
        """What the file has, or what the shell's `>` would give it."""
        with contextlib.suppress(FileNotFoundError):
            return stat.S_IMODE(self._path.stat().st_mode)
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
