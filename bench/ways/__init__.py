"""Ways to have branches of a database: cowdb's, and what a user would do instead.

Every way starts from one loaded database, its root, on one filesystem; a branch is a database that
can be connected to, and may be the parent of further ones.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Protocol

import psycopg

from bench.shop import Session
from cowdb.errors import CowdbError

COWDB, CLONE, WAL_LOG, COPY = "cowdb", "clone", "wal_log", "copy"
PEERS = (CLONE, WAL_LOG, COPY)
ALL = (COWDB, *PEERS)
TITLES = {
    COWDB: "cowdb", CLONE: "CREATE DATABASE, clone", WAL_LOG: "CREATE DATABASE, WAL_LOG",
    COPY: "copy + start",
}  # fmt: skip
WHOLE = (WAL_LOG, COPY)
"""These copy every byte for each branch."""
CLONE_SINCE = 18  # the major that learned file_copy_method

REFUSED = (psycopg.Error, CowdbError, subprocess.CalledProcessError, RuntimeError)
"""How a way says that it cannot: the step fails, the run goes on."""


class Way(Protocol):
    """Used by several threads at once."""

    lonely: bool
    """A session at the parent, also one's own, is in the way of making a branch of it."""

    def create(self, name: str, parent: str | None) -> Mapping[str, float]:
        """A branch of a branch as it is now, or of the root; raises one of REFUSED. Returns the
        parts of the time, in milliseconds, where the way knows them."""

    def connect(self, name: str | None) -> Session:
        """In autocommit; to the root where there is no name."""

    def remove(self, name: str) -> None:
        """It has no children any more."""

    def close(self) -> None:
        """Nothing of it runs afterwards; branches that are left may stay on the disk."""
