"""Clones to be quarantined."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cowdb.agent.system import OsUser, run, user_named
from cowdb.errors import InvalidError
from tests.contract.engine.quarantined import PRODUCTION, ROOM, SERVER, Clone


@pytest.fixture(scope="session")
def owner() -> OsUser:
    """The branches' OS user; stays, as hostprep would have made it."""
    try:
        return user_named("cowdb-pg")
    except InvalidError:
        options = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
        subprocess.run(["useradd", *options, "cowdb-pg"], check=True)
        return user_named("cowdb-pg")


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    """A data directory that belongs to somebody else, as a source's does."""
    place = Path(tempfile.mkdtemp(prefix="cowdb-test-", dir=ROOM))
    user = user_named(PRODUCTION)
    os.chown(place, user.uid, user.gid)
    try:
        options = ["-U", "postgres", "-E", "UTF8", "--no-sync", "--wal-segsize=1"]
        run([SERVER[-1].with_name("initdb"), "-D", place / "data", *options], user=user)
        yield place / "data"
    finally:
        shutil.rmtree(place)


@pytest.fixture
def clone(template: Path, owner: OsUser) -> Iterator[Clone]:
    place = Path(tempfile.mkdtemp(prefix="cowdb-test-", dir=ROOM))
    place.chmod(0o711)
    (place / "tree").mkdir()
    (place / "origin/pg").mkdir(parents=True)
    shutil.chown(place / "tree", PRODUCTION)
    (place / "tree/pg").mkdir(mode=0o700)
    shutil.chown(place / "tree/pg", PRODUCTION)
    subprocess.run(["cp", "-a", "--reflink=auto", template, place / "tree/pg/data"], check=True)
    yield Clone(place / "tree", place / "origin", owner)
    shutil.rmtree(place)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of root's that nothing may change."""
    path = tmp_path / "victim"
    path.write_text("work_mem = '77MB'\n")
    path.chmod(0o600)
    return path
