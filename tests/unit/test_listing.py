"""A listing of many branches costs a look at each server, not a query for each record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from cowdb.agent.front.client import FrontClient
from cowdb.agent.host import Host
from cowdb.agent.policy import Caller
from cowdb.agent.processes import Children
from cowdb.agent.secrets import Keyring
from cowdb.agent.service import views
from cowdb.agent.storage.btrfs import BtrfsPool
from cowdb.agent.store import Store
from cowdb.agent.system import user_of
from cowdb.config import Config
from tests.unit.records import BRANCH, SNAPSHOT, SOURCE, cluster


@pytest.fixture
def host(tmp_path: Path) -> Host:
    pool = BtrfsPool(tmp_path, "pool")
    return Host(
        config=Config(), pool=lambda _: pool, keyring=Keyring(tmp_path / "key"),
        children=Children(), user=user_of(0),
        front=cast(FrontClient, None),
    )  # fmt: skip


def test_what_branches_share_is_read_once(tmp_path: Path, host: Host) -> None:
    store = Store(tmp_path / "store.db")
    with store.transaction() as tx:
        tx.sources.put(SOURCE)
        tx.snapshots.put(SNAPSHOT)
        for number in range(50):
            name = f"b{number}"
            tx.branches.put(replace(BRANCH, id=name, name=name, cluster=cluster(name)))
    asked: list[str] = []
    with store.transaction() as tx:
        known, branches = views.Known(tx), tx.branches.all()
        tx.db.set_trace_callback(asked.append)
        found = [views.branch_info(tx, item, host, Caller(0, 1), known) for item in branches]
        tx.db.set_trace_callback(None)
    assert len(asked) == 2, "the snapshot and the source"
    assert {item["snapshot"] for item in found} == {"main@before"}
    assert {item["source"] for item in found} == {"main"}
    assert {item["state"] for item in found} == {"crashed"}
    assert len({item["dsn"] for item in found}) == 50
    store.close()
