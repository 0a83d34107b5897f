"""Branches as copies of the data directory, each with a server: cp where the parent is at rest,
pg_basebackup where it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.peers import Server, copy_tree
from bench.shop import Session


class Copies:
    """:param origin: the root's data directory; no server runs on it.
    :param place: a directory of the server's user, for all copies.
    :param settings: by which the copies run."""

    lonely = False

    def __init__(self, bindir: Path, origin: Path, place: Path, database: str,
                 settings: Mapping[str, str]) -> None:  # fmt: skip
        self._bindir, self._origin, self._place = bindir, origin, place
        self._database, self._settings = database, settings
        self._owner = (origin.stat().st_uid, origin.stat().st_gid)
        self._servers: dict[str | None, Server] = {}
        self.create("root", None)
        self._servers[None] = self._servers.pop("root")

    def create(self, name: str, parent: str | None) -> Mapping[str, float]:
        home = self._place / name
        room = home / "room"
        for folder in (home, room):
            folder.mkdir()
            os.chown(folder, *self._owner)
        server = Server(self._bindir, home / "data", room, settings=self._settings)
        if parent is None:
            copy_tree(self._origin, server.datadir)
        else:
            self._back_up(self._servers[parent], server.datadir)
        self._servers[name] = server
        server.start()
        return {}

    def _back_up(self, parent: Server, target: Path) -> None:
        words = parent.client("pg_basebackup", "-D", str(target), "-c", "fast", "-X", "stream",
                              "--no-sync", "--no-manifest")  # fmt: skip
        made = parent.spawn(words, cwd=self._place, stderr=subprocess.PIPE)
        _, error = made.communicate(timeout=600)
        if made.returncode:
            raise RuntimeError(f"pg_basebackup: {(error or b'').decode().strip()[-300:]}")

    def connect(self, name: str | None) -> Session:
        return self._servers[name].connect(self._database)

    def remove(self, name: str) -> None:
        self._servers.pop(name).kill()
        shutil.rmtree(self._place / name)

    def close(self) -> None:
        for server in self._servers.values():
            server.kill()
        self._servers.clear()
