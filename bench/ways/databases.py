"""Branches as databases of one server: CREATE DATABASE with the parent as its template.

A template may have no session; the server waits five seconds for one to end, then refuses.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from bench.peers import Server
from bench.shop import Session


class Databases:
    """:param server: runs. :param template: the root database.
    :param strategy: of CREATE DATABASE."""

    lonely = True

    def __init__(self, server: Server, template: str, strategy: str) -> None:
        self._server, self._template, self._strategy = server, template, strategy
        self._own, self._opened = threading.local(), list[Session]()

    def create(self, name: str, parent: str | None) -> Mapping[str, float]:
        template = parent or self._template
        self._ask(f'create database "{name}" template "{template}" strategy {self._strategy}')
        return {}

    def connect(self, name: str | None) -> Session:
        return self._server.connect(name or self._template)

    def remove(self, name: str) -> None:
        self._ask(f'drop database "{name}" with (force)')

    def _ask(self, statement: str) -> None:
        """Each thread keeps its session, as a program would that makes many."""
        if not hasattr(self._own, "session"):
            self._own.session = self._server.connect("postgres")
            self._opened.append(self._own.session)
        self._own.session.execute(statement.encode())

    def close(self) -> None:
        for session in self._opened:
            session.close()
        self._server.stop()
