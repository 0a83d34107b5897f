"""A clone of a production server, before and after its quarantine."""

from __future__ import annotations

import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psycopg

from cowdb.agent.engines.postgres.quarantine import quarantine
from cowdb.agent.storage.protocol import Part
from cowdb.agent.system import OsUser

SERVER = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


DATA = PurePosixPath("pg/data")


ROOM = "/dev/shm" if Path("/dev/shm").is_dir() else None  # forty copies of a cluster


PRODUCTION = "nobody"  # any OS user who is not the branches'


@dataclass(frozen=True)
class Clone:
    """A volume's tree, and beside it the origin that it was cloned from."""

    tree: Path
    origin: Path
    owner: OsUser

    @property
    def data(self) -> Path:
        return self.tree / DATA

    @property
    def parts(self) -> list[Part]:
        return [Part(self.origin / "pg", PurePosixPath("pg"))]

    def quarantine(
        self, settings: dict[str, str] | None = None, parts: list[Part] | None = None
    ) -> tuple[str, ...]:
        return quarantine(
            self.tree,
            DATA,
            parts=self.parts if parts is None else parts,
            settings=settings,
            branch_settings={"shared_buffers": "1MB"},
            keep_preload=(),
            owner=self.owner,
        )


def unchanged(victim: Path) -> bool:
    status = victim.lstat()
    return (status.st_uid, stat.S_IMODE(status.st_mode), victim.read_text()) == (
        0,
        0o600,
        "work_mem = '77MB'\n",
    )


def owners(tree: Path) -> set[str]:
    paths = [tree, *tree.rglob("*")]
    return {pwd.getpwuid(path.lstat().st_uid).pw_name for path in paths}


def link(path: Path, target: str | Path) -> None:
    """Plant a link in place of whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def show(socket: Path, *names: str) -> dict[str, str]:
    with psycopg.connect(f"host={socket} user=postgres") as connection:
        rows = connection.execute(
            "select name, current_setting(name) from pg_settings where name = any(%s)", [[*names]]
        )
        return dict(rows.fetchall())
