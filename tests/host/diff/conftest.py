"""One plain server for all the tests of the diff engine."""

from collections.abc import Iterator

import pytest

from tests.plainpg import PlainPostgres, running


@pytest.fixture(scope="session")
def server() -> Iterator[PlainPostgres]:
    with running() as server:
        yield server
