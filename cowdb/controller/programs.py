"""Postgres's client programs, run as the caller; the password travels in the environment."""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cowdb.errors import CommandError


def find(program: str, major: int, bindirs: Sequence[str]) -> str:
    """The program of the server's own major where it is installed, else the one on PATH.

    :raises CommandError: there is none.
    """
    for pattern in bindirs:
        for directory in sorted(glob.glob(pattern)):  # noqa: PTH207 (absolute patterns)
            candidate = Path(directory, program)
            if re.search(rf"(^|\D){major}(\D|$)", directory) and os.access(candidate, os.X_OK):
                return str(candidate)
    found = shutil.which(program)
    if found is None:
        raise CommandError(f"{program} is not installed", hint="apt-get install postgresql-client")
    return found


def environment(dsn: str) -> dict[str, str]:
    """The caller's environment with DATABASE_URL and PG* leading to a server of cowdb's."""
    parts = urlsplit(dsn)
    own: Mapping[str, str] = {
        "DATABASE_URL": dsn,
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or ""),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")),
    }
    # A service file or host address of the caller's own would lead elsewhere.
    inherited = {name: value for name, value in os.environ.items()
                 if name not in ("PGSERVICE", "PGHOSTADDR", "PGPASSFILE", "PGOPTIONS")}  # fmt: skip
    return inherited | {name: value for name, value in own.items() if value}
