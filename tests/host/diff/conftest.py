"""One plain server for all the tests of the diff engine, and one of each major for its catalog.

COWDB_DIFF_MAJOR=17       the one server is of this major of those installed, and not the newest of
                          Debian's; what is tried on some majors only is tried on this one, too
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cowdb.agent.engines.postgres import binaries
from tests.loopfs import missing
from tests.plainpg import PlainPostgres, running

MAJORS = (14, 15, 16, 17, 18)
CHOSEN = int(os.environ.get("COWDB_DIFF_MAJOR") or 0)
_NAMED = [item for item in os.environ.get("COWDB_TEST_BINDIRS", "").split(":") if item]


@pytest.fixture(scope="session")
def server() -> Iterator[PlainPostgres]:
    with running(_programs(CHOSEN) if CHOSEN else None) as server:
        yield server


def _programs(major: int) -> Path:
    found = binaries.find([*_NAMED, "/usr/lib/postgresql/*/bin"]).get(major)
    if found is None:
        missing(f"needs PostgreSQL {major}")
        raise AssertionError("unreachable")
    return found.directory


@pytest.fixture(
    scope="session",
    params=MAJORS,
)
def each_major(request: pytest.FixtureRequest) -> Iterator[PlainPostgres]:
    """A server of each major; its tests run one after another, and then it is gone."""
    with running(_programs(request.param)) as server:
        spare = server.directory / "spare"
        spare.mkdir()
        shutil.chown(spare, server.directory.owner(), server.directory.group())
        server.run(f"CREATE TABLESPACE spare LOCATION '{spare}'")
        yield server
