"""What the pool alone says after a crash, as a store that was lost then would be made from it."""

from __future__ import annotations

from datetime import UTC, datetime

from cowdb.agent.remains import Remains, gather
from cowdb.agent.storage.pools import find_pool, open_pool
from cowdb.model import PoolRecord
from tests.crash.world import World


def remains(world: World) -> Remains:
    """What a store made from the pool as it is would know."""
    facts = find_pool(world.host.pool)
    pool = open_pool(PoolRecord(id=facts.id, driver=facts.driver, path=str(facts.path),
                                created_at=datetime.now(UTC)))  # fmt: skip
    return gather([(facts.id, item) for item in pool.list()], lambda branch: False)


def child_is_known(world: World) -> None:
    found = remains(world)
    assert "child" in [branch.name for branch in found.branches], found.orphans


def check_rebuildable(world: World) -> None:
    """A store made from the pool as it is would know the same."""
    found = remains(world)
    assert not found.orphans, found.orphans
    origins = {item.id: item for item in found.snapshots}
    for branch in found.branches:
        origin = origins[branch.snapshot]
        shown = world.client.branches.show(branch.name)
        reference = "" if origin.removed else f"{origin.parent_name}@{origin.name}"
        assert shown["snapshot"] == reference
        assert shown["removed_snapshot"] == (origin.removed or None)


def check_marked(world: World, name: str) -> None:
    """The branch, which was a spare, says on disk whose it is now."""
    found = {branch.name: branch for branch in remains(world).branches}
    assert found[name].owner_uid == 0
    assert found[name].cluster.port == world.client.branches.show(name)["port"]
