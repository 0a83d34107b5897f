"""How many branches a caller may have, and how much each may use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from cowdb.agent.cgroups import Groups
from cowdb.agent.front.client import FrontClient
from cowdb.agent.host import Host
from cowdb.agent.policy import Caller
from cowdb.agent.processes import Children
from cowdb.agent.requests import CreateBranch
from cowdb.agent.secrets import Keyring
from cowdb.agent.service import fairness
from cowdb.agent.storage.reflink import ReflinkPool
from cowdb.agent.store import Store
from cowdb.agent.system import user_of
from cowdb.config import Config
from cowdb.errors import LimitsUnavailableError, NotPermittedError, TooManyError
from cowdb.model import Limits
from tests.unit.records import BRANCH, SNAPSHOT

ROOT, ANN, BOB = Caller(0, 1), Caller(4242, 1), Caller(4243, 1)
BOTH = Groups(Path("/nowhere"), frozenset({"memory", "cpu"}), "")
NONE = Groups(reason="it has no cgroup v2")
GIB = 2**30


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two branches of Ann's, one of them hidden, and one of Bob's."""
    made = Store(tmp_path / "store.db")
    with made.transaction() as tx:
        tx.snapshots.put(SNAPSHOT)
        for name, caller, hidden in (("a", ANN, False), ("_a", ANN, True), ("b", BOB, False)):
            tx.branches.put(
                replace(BRANCH, id=name, name=name, owner_uid=caller.uid, hidden=hidden)
            )
    yield made
    made.close()


@pytest.mark.parametrize("caller", [ROOT, ANN, BOB])
@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("most", [0, 1, 2])
def test_each_user_has_a_share_and_root_has_no_limit(
    store: Store, caller: Caller, hidden: bool, most: int
) -> None:
    refused = most == 1 and (caller is ANN or (caller is BOB and not hidden))
    with store.transaction() as tx:
        host = _host(Config(branches_per_user=most), NONE, Path("/nowhere"))
        if not refused:
            fairness.require_share(tx, host, caller, hidden=hidden)
            return
        with pytest.raises(TooManyError, match=re.escape("(branches_per_user)")) as error:
            fairness.require_share(tx, host, caller, hidden=hidden)
    assert hidden or error.value.message.startswith(f"user '{caller.uid}' has 1 branch,")
    assert hidden or "cowdb branch rm" in error.value.hint


def _limits(
    caller: Caller, config: Config, groups: Groups, tmp_path: Path, **wanted: float
) -> Limits:
    request = CreateBranch(name="a", origin="main", **wanted)  # type: ignore[arg-type]
    return fairness.limits_of(_host(config, groups, tmp_path), "pool", request, caller)


def _host(config: Config, groups: Groups, path: Path) -> Host:
    pool = ReflinkPool(path, "pool", allow_copy=False, shares_blocks=True)
    return Host(
        config=config, pool=lambda _: pool, keyring=cast(Keyring, None), children=Children(),
        user=user_of(0), groups=groups, front=cast(FrontClient, None),
    )  # fmt: skip


def test_what_is_asked_for_goes_before_the_default(tmp_path: Path) -> None:
    config = Config(branch_memory=2 * GIB, branch_cpus=2.0)
    assert _limits(ANN, config, BOTH, tmp_path) == Limits(memory=2 * GIB, cpus=2.0)
    assert _limits(ANN, config, BOTH, tmp_path, memory_bytes=GIB) == Limits(memory=GIB, cpus=2.0)
    assert _limits(ROOT, config, BOTH, tmp_path, cpus=8.0) == Limits(memory=2 * GIB, cpus=8.0)
    for wanted in ({"memory_bytes": 3 * GIB}, {"cpus": 2.5}):
        with pytest.raises(NotPermittedError, match="may have 2"):
            _limits(ANN, config, BOTH, tmp_path, **wanted)


def test_a_limit_that_cannot_be_had_is_refused_and_a_default_is_not(tmp_path: Path) -> None:
    config = Config(branch_memory=2 * GIB, branch_cpus=2.0, branch_disk=GIB)
    assert _limits(ANN, config, NONE, tmp_path) == Limits()
    with pytest.raises(LimitsUnavailableError, match="reflink driver has no quotas"):
        _limits(ANN, config, BOTH, tmp_path, disk_bytes=GIB // 2)
    assert _limits(ANN, config, replace(BOTH, controllers=frozenset({"cpu"})), tmp_path) == Limits(
        cpus=2.0
    )
    for wanted in ({"memory_bytes": GIB}, {"cpus": 1.5}):
        with pytest.raises(LimitsUnavailableError, match="it has no cgroup v2"):
            _limits(ANN, config, NONE, tmp_path, **wanted)
