"""The Postgres installations of this host, found by path or by `pg_config`."""

from __future__ import annotations

import glob
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cowdb.agent import system
from cowdb.errors import CommandError, InvalidError, ServerError
from cowdb.units import major_of

OLDEST, NEWEST = 14, 18
_VALID = re.compile(r"\d+(\.\d+)?")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class Binaries:
    """:param version: as the server says it, such as "15.18"."""

    directory: Path
    version: str

    @property
    def major(self) -> int:
        return major_of(self.version)

    def __getitem__(self, program: str) -> Path:
        return self.directory / program


def _version_of(directory: Path) -> str | None:
    program = directory / "postgres"
    try:
        stamp = program.stat()
    except OSError:
        return None
    return _ask(str(program), stamp.st_mtime_ns)


@lru_cache(maxsize=64)
def _ask(program: str, _modified: int) -> str | None:
    """`postgres --version`, once for each state of the file."""
    try:
        text = system.run([program, "--version"], timeout=10).stdout
    except CommandError:
        return None
    match = _VERSION.search(text)
    return ".".join(part for part in match.groups() if part) if match else None


def _named_by(config: str) -> Path | None:
    try:
        return _ask_for_bindir(config, Path(config).stat().st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=64)
def _ask_for_bindir(config: str, _modified: int) -> Path | None:
    """`pg_config --bindir`, once for each state of the file: as a wrapper it takes 6 ms. Debian's
    fails where no development package is installed; what it chooses from, `bindirs` has too."""
    try:
        return Path(system.run([config, "--bindir"], timeout=10).stdout.strip())
    except CommandError:
        return None


def find(patterns: Sequence[str]) -> dict[int, Binaries]:
    """By major, the newest minor of each; those that `patterns` (globs) name go before
    `pg_config --bindir` when they are equal."""
    directories = [Path(name) for pattern in patterns for name in sorted(glob.glob(pattern))]  # noqa: PTH207 (absolute patterns)
    if (config := shutil.which("pg_config")) and (named := _named_by(config)):
        directories.append(named)
    found: dict[int, Binaries] = {}
    for directory in directories:
        version = _version_of(directory)
        if version is None:
            continue
        binaries = Binaries(directory, version)
        known = found.get(binaries.major)
        if known is None or _key(version) > _key(known.version):
            found[binaries.major] = binaries
    return found


_LATELY = 1.0  # seconds for which nobody looks again
_found: dict[tuple[str, ...], tuple[float, dict[int, Binaries]]] = {}


def _lately_found(patterns: tuple[str, ...], major: int | None) -> dict[int, Binaries]:
    """Looking takes 1 ms, and making a branch asks five times. What was removed or replaced
    meanwhile is looked for at once."""
    since, found = _found.get(patterns, (-_LATELY, {}))
    known = found.get(major) if major else None
    late = time.monotonic() - since > _LATELY
    if late or known is None or _version_of(known.directory) != known.version:
        since, found = time.monotonic(), find(patterns)
        _found[patterns] = since, found
    return found


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def pick(patterns: Sequence[str], version: str | None = None) -> Binaries:
    """Binaries of the same major as `version` ("15", "15.18"), or the newest of the host.

    :raises ServerError: none is installed.
    :raises InvalidError: the version is no version.
    """
    if version is not None and not _VALID.fullmatch(version):
        raise InvalidError(f"{version!r} is not a PostgreSQL version", hint="such as 15")
    major = None if version is None else major_of(version)
    installed = _lately_found(tuple(patterns), major)
    usable = {item.major: item for item in installed.values() if OLDEST <= item.major <= NEWEST}
    if major is None:
        if not usable:
            raise ServerError(
                "no PostgreSQL server binaries are installed on this host",
                hint="apt-get install postgresql, or set 'bindirs' in /etc/cowdb/config.toml",
            )
        return usable[max(usable)]
    if major not in usable:
        have = ", ".join(str(item) for item in sorted(usable)) or "none"
        raise ServerError(
            f"PostgreSQL {major} is needed and not installed (installed: {have})",
            hint=f"install the PostgreSQL {major} server, or name its folder under 'bindirs' in "
            "/etc/cowdb/config.toml",
        )
    return usable[major]
