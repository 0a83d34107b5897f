"""The pools of this host, opened when first used."""

from __future__ import annotations

import threading
from pathlib import Path

from cowdb.agent.storage import pools as drivers
from cowdb.agent.storage.protocol import Enclosure, Pool
from cowdb.agent.storage.zfs_origin import zpool_beneath
from cowdb.agent.store import Store
from cowdb.errors import CowdbError, NotFoundError, PoolFullError, StorageError, UnsoundError
from cowdb.model import PoolRecord


class Pools:
    def __init__(self, store: Store, min_free_bytes: int) -> None:
        self._store, self._min_free = store, min_free_bytes
        self._open: dict[str, Pool] = {}
        self._lock = threading.Lock()

    def get(self, pool_id: str) -> Pool:
        """The open pool; raises NotFoundError, PoolMissingError."""
        with self._lock:
            if pool_id not in self._open:
                with self._store.transaction() as tx:
                    record = tx.pools.get(pool_id)
                if record is None:
                    raise NotFoundError(f"there is no pool {pool_id}", hint="cowdb init")
                self._open[pool_id] = drivers.open_pool(record)
            return self._open[pool_id]

    def forget(self, pool_id: str) -> None:
        with self._lock:
            self._open.pop(pool_id, None)

    def records(self) -> list[PoolRecord]:
        with self._store.transaction() as tx:
            return tx.pools.all()

    def default(self) -> PoolRecord:
        """The pool for managed sources: the first one made."""
        records = self.records()
        if not records:
            raise NotFoundError("this host has no pool yet", hint="cowdb init")
        return records[0]

    def require_present(self, pool_id: str) -> None:
        """:raises PoolMissingError: it is unmounted, or another one is in its place."""
        self.get(pool_id).space()

    def require_room(self, pool_id: str) -> None:
        """:raises PoolFullError: less room than `min_free_bytes` is left."""
        free = self.get(pool_id).space().free
        if free < self._min_free:
            raise PoolFullError(
                f"the pool has {free // 2**20} MiB left, less than the {self._min_free // 2**20} "
                "MiB that must stay free",
                hint="remove branches or snapshots, or enlarge the pool",
            )

    def for_paths(self, paths: tuple[Path, ...]) -> tuple[PoolRecord, Enclosure]:
        """The pool on whose filesystem an attached source lies, and how one snapshot covers it.

        :raises UnsoundError: no single snapshot covers it.
        :raises StorageError: no pool is on its filesystem.
        """
        zpool = zpool_beneath(paths[0])
        place = f"zfs:{zpool}/cowdb" if zpool else f"{paths[0].parent}/.cowdb"
        refusal: CowdbError = StorageError(
            f"no pool lies on the filesystem of {paths[0]}", hint=f"cowdb init --pool {place}"
        )
        for record in self.records():
            try:
                return record, self.get(record.id).enclose(paths)
            except UnsoundError:
                raise
            except StorageError as error:
                refusal = error
        raise refusal
