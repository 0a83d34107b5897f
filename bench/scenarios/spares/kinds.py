"""Ways to get a database that was prepared: cowdb's spares, a pool of databases that waits to be
renamed, and the same made on demand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

import psycopg

from bench import command, ground
from bench.clock import since
from bench.command import Words
from bench.ground import Ground
from bench.host import btrfs_used
from bench.peers import Server
from bench.shop import Session

SPARE, COLD, POOL = "spare", "cold", "pool"
CLONE, WAL_LOG = "createdb_clone", "createdb_wal_log"
ALL = (SPARE, COLD, POOL, CLONE, WAL_LOG)
OURS = (SPARE, COLD)
AHEAD = (SPARE, POOL)
"""These have some at hand."""
TITLES = {
    SPARE: "cowdb, from a spare", COLD: "cowdb, no spare",
    POOL: "pool of databases, ALTER DATABASE ... RENAME",
    CLONE: "createdb -T, clone", WAL_LOG: "createdb -T, WAL_LOG",
}  # fmt: skip
COLD_REF = f"{ground.SOURCE}@cold"
_PATIENCE = 60.0


class Kind(Protocol):
    def prepare(self) -> None:
        """Returns when as many are at hand as there shall be."""

    def take(self, name: str) -> Mapping[str, float]:
        """One, by a client that is there already; returns what the taker knows of its time."""

    def words(self, name: str) -> tuple[Words, Mapping[str, str] | None]:
        """The command that takes one, and its environment."""

    def taken(self, name: str, said: str) -> None:
        """By that command, which said this."""

    def connect(self, name: str) -> Session: ...

    def remove(self, name: str) -> None: ...


class Branches:
    """:param ref: the snapshot. :param spares: how many of it are at hand; 0 for none."""

    def __init__(self, place: Ground, ref: str, spares: int) -> None:
        self._place, self._ref, self._spares = place, ref, spares
        self._dsns: dict[str, str] = {}
        self._told = False

    def prepare(self) -> None:
        if not self._told:
            self._place.client.snapshots.warm(self._ref, self._spares)
            self._told = True
        begun = time.perf_counter()
        while (ready := self._place.client.snapshots.show(self._ref)["spares"]["ready"]) < (
            self._spares
        ):
            if since(begun) > _PATIENCE * 1000:
                raise RuntimeError(f"{ready} spares of {self._spares} are ready")
            time.sleep(0.005)

    def take(self, name: str) -> Mapping[str, float]:
        made = self._place.client.branches.create(name, self._ref)
        self._note(name, made["dsn"], spare=made["spare"])
        parts = {f"agent.{part}": ms for part, ms in made["timings_ms"].items() if part != "total"}
        return {"agent": made["timings_ms"]["total"], **parts}

    def words(self, name: str) -> tuple[Words, Mapping[str, str] | None]:
        words = command.cowdb("branch", "create", name, "--from", self._ref, "--json")
        return words, command.environment(self._place.host)

    def taken(self, name: str, said: str) -> None:
        made = self._place.client.branches.show(name)
        self._note(name, made["dsn"], spare=made["spare"])

    def _note(self, name: str, dsn: str, *, spare: bool) -> None:
        if spare != bool(self._spares):
            raise RuntimeError(f"{name} was {'' if spare else 'not '}taken from a spare")
        self._dsns[name] = dsn

    def connect(self, name: str) -> Session:
        return psycopg.connect(self._dsns[name], autocommit=True)

    def remove(self, name: str) -> None:
        self._place.client.branches.remove(name)


class Databases:
    """Databases of one server, from a template that nobody is connected to.

    :param strategy: of CREATE DATABASE. :param pool: how many are at hand, made by that strategy
    and then taken by a new name; 0 to make each on demand."""

    def __init__(self, server: Server, template: str, strategy: str, pool: int) -> None:
        self._server, self._template, self._strategy = server, template, strategy
        self._wanted, self._pool, self._made = pool, list[str](), 0
        self._session = server.connect("postgres")

    def prepare(self) -> None:
        while len(self._pool) < self._wanted:
            self._made += 1
            self._create(f"pool_{self._made}")
            self._pool.append(f"pool_{self._made}")

    def _create(self, name: str) -> None:
        self._ask(f'create database "{name}" template "{self._template}"'
                  f" strategy {self._strategy}")  # fmt: skip

    def take(self, name: str) -> Mapping[str, float]:
        if self._wanted:
            self._ask(self._rename(name))
        else:
            self._create(name)
        return {}

    def _rename(self, name: str) -> str:
        return f'alter database "{self._pool.pop()}" rename to "{name}"'

    def words(self, name: str) -> tuple[Words, Mapping[str, str] | None]:
        if self._wanted:
            return self._server.client("psql", "-X", "-q", "-c", self._rename(name),
                                       "postgres"), None  # fmt: skip
        return self._server.client("createdb", "-T", self._template,
                                   f"--strategy={self._strategy}", name), None  # fmt: skip

    def taken(self, name: str, said: str) -> None:
        pass

    def connect(self, name: str) -> Session:
        return self._server.connect(name)

    def remove(self, name: str) -> None:
        self._ask(f'drop database "{name}" with (force)')

    def _ask(self, statement: str) -> None:
        self._session.execute(statement.encode())

    def close(self) -> None:
        for name in self._pool:
            self.remove(name)
        self._session.close()


def space_of(place: Ground, kind: Kind, count: int) -> float:
    """Bytes of the filesystem that each of those at hand takes: measured as they are made."""
    place.settle()
    before = btrfs_used(place.host.mountpoint)
    kind.prepare()
    place.settle()
    return (btrfs_used(place.host.mountpoint) - before) / count
