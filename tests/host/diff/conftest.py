"""One plain server for all the tests of the diff engine, and one of each major for its catalog."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from cowdb.agent.engines.postgres import binaries
from tests.loopfs import missing
from tests.plainpg import PlainPostgres, running

MAJORS = (14, 15, 16, 17, 18)
_NAMED = [item for item in os.environ.get("COWDB_TEST_BINDIRS", "").split(":") if item]


@pytest.fixture(scope="session")
def server() -> Iterator[PlainPostgres]:
    with running() as server:
        yield server


@pytest.fixture(
    scope="session",
    params=MAJORS,
)
def each_major(request: pytest.FixtureRequest) -> Iterator[PlainPostgres]:
    """A server of each major; its tests run one after another, and then it is gone."""
    found = binaries.find([*_NAMED, "/usr/lib/postgresql/*/bin"]).get(request.param)
    if found is None:
        missing(f"needs PostgreSQL {request.param}")
        raise AssertionError("unreachable")
    with running(found.directory) as server:
        spare = server.directory / "spare"
        spare.mkdir()
        shutil.chown(spare, server.directory.owner(), server.directory.group())
        server.run(f"CREATE TABLESPACE spare LOCATION '{spare}'")
        yield server
