"""Migrations that were prepared, kept in the user's state directory.

    $XDG_STATE_HOME/cowdb/migrations/     mode 0700
      ID.json                             a Prepared, 0600: its SQL may hold a password
      ID.lock                             held by the process that completes it

A record is replaced as a whole, and says "applying" on disk before the first statement is sent.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypedDict, cast

from cowdb.controller.lab import kept
from cowdb.controller.lab.model import Verdict
from cowdb.errors import BusyError, CowdbError, NotFoundError

State = Literal["prepared", "applying", "applied", "failed"]
_ID = re.compile(r"[0-9a-f]{12}")


class Prepared(TypedDict):
    """:param checkpoint: the snapshot that the source's schema is compared with.
    :param sql: what was tried and what would be applied, to the letter.
    :param lab_run: the evidence, for `cowdb lab show`.
    :param branch: where it was tried; kept to be looked at."""

    id: str
    source: str
    checkpoint: str
    database: str
    sql: str
    statements: int
    verdict: Verdict
    sentence: str
    lab_run: str
    branch: str
    prepared_at: str
    state: State
    completed_at: str | None
    error: str | None


def directory() -> Path:
    return kept.directory().parent / "migrations"


class Records:
    """:param root: see `directory`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def save(self, record: Prepared) -> None:
        """:raises CowdbError: it cannot be written."""
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{record['id']}-", dir=self._root)  # 0600
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as stream:
                    json.dump(record, stream, indent=1)
                    stream.flush()
                    os.fsync(stream.fileno())
                Path(name).rename(self._path(record["id"]))
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise CowdbError(
                f"the migration cannot be kept in {self._root}: {error.strerror}",
                hint="set XDG_STATE_HOME to a directory that you may write to",
            ) from error

    def read(self, migration: str) -> Prepared:
        """:raises NotFoundError: there is no such migration."""
        path = self._path(migration)
        try:
            return cast(Prepared, json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise _none(migration) from None
        except (OSError, ValueError) as error:
            raise CowdbError(f"migration {migration} cannot be read: {error}") from error

    @contextlib.contextmanager
    def held(self, migration: str) -> Iterator[Prepared]:
        """The record, which nobody else completes for the length of a block.

        :raises BusyError: somebody does. NotFoundError: there is no such migration."""
        self.read(migration)
        handle = os.open(self._root / f"{migration}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(f"migration {migration} is being completed right now") from None
            yield self.read(migration)
        finally:
            os.close(handle)

    def _path(self, migration: str) -> Path:
        if not _ID.fullmatch(migration):
            raise _none(migration)
        return self._root / f"{migration}.json"


def _none(migration: str) -> NotFoundError:
    return NotFoundError(f"there is no prepared migration {migration!r}",
                         hint="prepare_migration returns its id")  # fmt: skip
