"""The pools of this host: made, listed, and taken away with everything that cowdb keeps in them."""

from __future__ import annotations

import shutil
from pathlib import Path

from cowdb.agent.policy import Caller, require_root
from cowdb.agent.requests import InitPool
from cowdb.agent.service import views
from cowdb.agent.service.context import Context
from cowdb.agent.storage import pools as drivers
from cowdb.errors import ConflictError, InvalidError, StorageError
from cowdb.model import PoolRecord
from cowdb.wire import PoolInfo

_MOUNT, _IMAGE = "pool", "pool.img"
_HEADROOM = 2**30  # bytes that a sparse image leaves to the filesystem beneath it


def default_image(state: Path) -> Path:
    """The loop file that `cowdb init` makes when it is told no place."""
    return state / _IMAGE


def default_pool(state: Path) -> Path:
    """The pool inside it."""
    return state / _MOUNT / "cowdb"


class HostPools:
    def __init__(self, context: Context) -> None:
        self._context = context

    def init(self, request: InitPool, caller: Caller) -> PoolInfo:
        """Make a pool, or find that it is there; harmless to repeat.

        :raises StorageError: the filesystem cannot serve, or the directory is not empty.
        """
        require_root(caller, "make a pool")
        if request.path is not None:
            if not request.path.startswith(("/", "zfs:")):
                raise InvalidError(
                    f"--pool {request.path!r} is neither an absolute path nor zfs:POOL/DATASET",
                    hint="begin it with / or with zfs:",
                )
            return self._remember(Path(request.path), None, request)
        state = self._context.host.config.state_dir
        mountpoint, image = default_pool(state).parent, default_image(state)
        if not image.exists():
            drivers.make_image(image, mountpoint, self._affordable(state, request.size))
        drivers.attach_image(image, mountpoint)
        return self._remember(default_pool(state), image, request)

    def _affordable(self, folder: Path, size: int) -> int:
        """The size asked for, or what the disk beneath can hold: the image is sparse, and a pool
        that outgrows its disk ends in I/O errors rather than in "pool full"."""
        room = shutil.disk_usage(folder).free - _HEADROOM
        if room < 2**28:
            raise StorageError(f"{folder} has no room for a pool", hint="name one: --pool PATH")
        return min(size, room // 2**20 * 2**20)

    def _remember(self, path: Path, image: Path | None, request: InitPool) -> PoolInfo:
        facts = drivers.make_pool(path, request.driver, request.allow_copy)
        with self._context.store.transaction() as tx:
            record = tx.pools.get(facts.id) or PoolRecord(
                id=facts.id,
                driver=facts.driver,
                path=str(path),
                image=str(image) if image else None,
                created_at=self._context.now(),
            )
            tx.pools.put(record)
        return views.pool_info(record, self._context.pools)

    def listing(self) -> list[PoolInfo]:
        return [
            views.pool_info(item, self._context.pools) for item in self._context.pools.records()
        ]

    def remove_all(self, caller: Caller) -> None:
        """Forget every pool, and take away those that cowdb made itself.

        :raises ConflictError: a branch, snapshot or managed source is left in one.
        """
        require_root(caller, "remove the pools")
        with self._context.store.transaction() as tx:
            left = [item.name for item in tx.branches.all()]
            left += [f"{item.parent_name}@{item.name}" for item in tx.snapshots.all()]
            left += [item.name for item in tx.sources.all() if item.cluster]
        if left:
            raise ConflictError(
                f"{left[0]} is still in the pool",
                hint="remove it first, or everything at once: cowdb init --undo --everything",
            )
        for record in self._context.pools.records():
            self._context.pools.forget(record.id)
            drivers.remove_pool(Path(record.path), record.id)
            if record.image:
                drivers.remove_image(Path(record.image), Path(record.path).parent)
            with self._context.store.transaction() as tx:
                for source in tx.sources.all():
                    if source.pool == record.id:
                        tx.sources.delete(source.id)
                        tx.release(source.id)
                tx.pools.delete(record.id)
