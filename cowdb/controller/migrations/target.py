"""Where a migration is applied: a source's own server, reached with what belongs to the caller.

A managed source's owner has its DSN from the agent. Of every other source the user says the DSN,
in a file of their own that nobody else may read:

    $XDG_CONFIG_HOME/cowdb/sources.toml      mode 0600
      main = "postgresql://me@db.example/app"
"""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from cowdb.controller.diff.session import reason
from cowdb.errors import ConflictError, InvalidError, NotFoundError, NotPermittedError, ServerError
from cowdb.wire import SourceInfo

_WHO = """
SELECT (SELECT system_identifier FROM pg_control_system())::text, current_database(),
       pg_is_in_recovery()
"""


def file() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".config"
    return base / "cowdb" / "sources.toml"


def dsn_of(source: SourceInfo) -> str:
    """:raises NotFoundError: the user has not said it. NotPermittedError: others may read it."""
    given = source["dsn"]
    if source["kind"] == "managed" and given is not None and urlsplit(given).password is not None:
        return given
    path = file()
    named = _read(path).get(source["name"])
    if named is None:
        raise NotFoundError(
            f"no DSN of yours is known for source {source['name']!r}, which is not yours to run",
            hint=f'write it into {path}, mode 0600: {source["name"]} = "postgresql://..."',
        )
    if not isinstance(named, str):
        raise InvalidError(f"{path}: {source['name']} is not a string")
    return named


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            info = os.fstat(stream.fileno())
            if info.st_uid != os.geteuid() or stat.S_IMODE(info.st_mode) & 0o077:
                raise NotPermittedError(f"{path} can be read by others, or belongs to another user",
                                        hint=f"chmod 600 {path}")  # fmt: skip
            return tomllib.load(stream)
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError:
        raise InvalidError(f"{path} is not TOML",
                           hint='a line of it: main = "postgresql://..."') from None  # fmt: skip
    except OSError as error:
        raise InvalidError(f"{path} cannot be read: {error.strerror}") from error


def check(conn: psycopg.Connection[Any], identifier: str, database: str) -> None:
    """That the DSN leads to the very server that the checkpoint was taken of.

    :raises ConflictError: it does not. ServerError: it does not say."""
    try:
        row = conn.execute(_WHO).fetchone()
    except psycopg.Error as error:
        raise ServerError(f"the source does not say which server it is: {reason(error)}") from None
    assert row is not None
    found, name, standby = row
    if found != identifier:
        raise ConflictError("the DSN leads to another server than the checkpoint was taken of",
                            hint=f"see {file()}")  # fmt: skip
    if name != database:
        raise ConflictError(f"the DSN leads to database {name!r}, and the migration was prepared "
                            f"for {database!r}", hint=f"see {file()}")  # fmt: skip
    if standby:
        raise ConflictError("the DSN leads to a standby", hint="name the primary")
