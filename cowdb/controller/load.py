"""Fill a new managed source from a dump or SQL files, by Postgres's own programs.

This runs as the user who brought the files, never as root's agent: what a user brings is read
and executed with that user's rights only.
"""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cowdb.controller import programs
from cowdb.controller.client import Client
from cowdb.controller.transport import Report, quiet
from cowdb.errors import CommandError, InvalidError
from cowdb.units import major_of
from cowdb.wire import SourceInfo

Format = Literal["custom", "directory", "tar", "plain"]
_TAIL = 12


@dataclass(frozen=True, slots=True)
class Load:
    """What to load: the SQL files first (roles, extensions), in order, then the dump.

    :param own: keep owners and privileges of the dump; its roles must exist.
    """

    sql: tuple[Path, ...] = ()
    dump: Path | None = None
    own: bool = True


def format_of(dump: Path) -> Format:
    """By content, not by name; raises InvalidError when it cannot be read."""
    if dump.is_dir():
        if (dump / "toc.dat").exists():
            return "directory"
        raise InvalidError(
            f"{dump} is a directory without a toc.dat, so it is not a dump",
            hint="make one with pg_dump -Fd, or name a file",
        )
    try:
        with dump.open("rb") as file:
            start = file.read(5)
    except OSError as error:
        raise InvalidError(
            f"{dump} cannot be read: {error.strerror}", hint="this user must be able to read it"
        ) from error
    if start == b"PGDMP":
        return "custom"
    return "tar" if tarfile.is_tarfile(dump) else "plain"


def add_source(
    client: Client,
    name: str,
    load: Load,
    bindirs: Sequence[str],
    *,
    database: str | None = None,
    version: str | None = None,
    port: int | None = None,
    report: Report = quiet,
) -> SourceInfo:
    """Make a managed source with this content, or nothing.

    :raises InvalidError: a file cannot be read.
    :raises CommandError: psql or pg_restore failed; the source is removed again.
    """
    for path in load.sql:
        if not path.is_file():
            raise InvalidError(f"{path} is not a file", hint="--sql names files; give each its own")
    if load.dump is not None and format_of(load.dump) == "plain" and not load.own:
        raise InvalidError(
            f"--no-owner cannot change {load.dump}, which is plain SQL",
            hint="pg_dump --no-owner --no-privileges, or a dump in another format (-Fc)",
        )
    source = client.sources.add(
        name, loading=True, database=database, version=version, port=port, report=report
    )
    try:
        fill(source, load, bindirs, report)
        return client.sources.loaded(name)
    except BaseException:
        client.sources.remove(name)
        raise


def fill(source: SourceInfo, load: Load, bindirs: Sequence[str], report: Report) -> None:
    """Run the files against a source, then vacuum: what is frozen and counted now is not done
    again in every branch."""
    major = major_of(source["pg_version"])
    dsn = source["dsn"] or ""
    psql = [programs.find("psql", major, bindirs), "-X", "-q", "-v", "ON_ERROR_STOP=1"]
    for path in load.sql:
        report(f"running {path.name}", None, None)
        _run([*psql, "-f", str(path)], dsn, f"{path}")
    if load.dump is not None:
        report(f"restoring {load.dump.name}", None, None)
        if format_of(load.dump) == "plain":
            _run([*psql, "-f", str(load.dump)], dsn, f"{load.dump}")
        else:
            _restore(load, programs.find("pg_restore", major, bindirs), dsn)
    report("vacuum and analyze", None, None)
    _run([*psql, "-c", "vacuum (freeze, analyze)"], dsn, "vacuum")


def _restore(load: Load, program: str, dsn: str) -> None:
    assert load.dump is not None
    argv = [program, "--exit-on-error", "-d", programs.environment(dsn)["PGDATABASE"]]
    if not load.own:
        argv += ["--no-owner", "--no-privileges"]
    if format_of(load.dump) != "tar":  # a tar archive can only be read from its beginning
        argv += ["--jobs", "2"]
    _run([*argv, str(load.dump)], dsn, f"{load.dump}")


def _run(argv: Sequence[str], dsn: str, what: str) -> None:
    done = subprocess.run(
        argv, env=programs.environment(dsn), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return
    said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-_TAIL:])
    hint = "mend it and add the source again; nothing of it was kept"
    if 'role "' in said and "does not exist" in said:
        hint = (
            "create the roles first with --sql, or leave owners out with --no-owner (-Fc, -Fd, -Ft)"
        )
    raise CommandError(f"{Path(argv[0]).name} failed on {what}: {said}", hint=hint)
