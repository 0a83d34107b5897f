"""Branches by cowdb, asked of the agent over its socket as any user's process asks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import psycopg

from bench.shop import Session
from cowdb.controller.client import Client
from cowdb.errors import CowdbError

_ROOT = "root"


class Cowdb:
    """:param origin: a snapshot. The first branches come of it, or, with `running`, of a running
    branch of it: then each takes a snapshot of that branch by itself."""

    lonely = False

    def __init__(self, client: Client, origin: str, *, running: bool) -> None:
        self._client, self._origin = client, origin
        self._dsns: dict[str, str] = {}
        self.create(_ROOT, None)
        if running:
            self._origin = _ROOT

    def create(self, name: str, parent: str | None) -> Mapping[str, float]:
        made = self._client.branches.create(name, parent or self._origin)
        self._dsns[name] = made["dsn"]
        return made["timings_ms"]

    def connect(self, name: str | None) -> Session:
        return psycopg.connect(self._dsns[name or _ROOT], autocommit=True)

    def remove(self, name: str) -> None:
        self._client.branches.remove(name)

    def close(self) -> None:
        # What could not be removed goes with the host.
        with contextlib.suppress(CowdbError):
            self._client.branches.remove(_ROOT)
