"""A server that somebody else runs on ZFS, spread over datasets as such servers are."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cowdb.agent.system import user_named
from tests.agenthost import AgentHost
from tests.loopfs import command, filesystems

pytestmark = pytest.mark.skipif(
    "zfs" not in filesystems(), reason="no ZFS here: hostprep/test zfs runs these in a guest"
)
PORT = 5599


@pytest.fixture
def zfs(zfs_host: AgentHost) -> Iterator[AgentHost]:
    yield zfs_host
    zfs_host.wipe()
    assert zfs_host.remains()["datasets"] == []


@pytest.fixture
def datadir(zfs: AgentHost) -> Iterator[Path]:
    """A running server: data, pg_wal and a tablespace are datasets of their own."""
    base = zfs.mountpoint / "pg"
    data, wal, space = base / "data", base / "wal", base / "space"
    command("zfs", "create", f"{zfs.zpool}/pg")
    for path in (data, wal, space):
        command("zfs", "create", f"{zfs.zpool}/pg/{path.name}")
        shutil.chown(path, "postgres", "postgres")
    bin_dir = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))))
    user = user_named("postgres")

    def as_postgres(*words: str | Path) -> None:
        subprocess.run(
            [str(word) for word in words], check=True, user=user.uid, group=user.gid,
            extra_groups=[], stdout=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip

    as_postgres(bin_dir / "initdb", "-D", data / "main", "-X", wal / "main", "-A", "trust", "-N")
    options = f"-p {PORT} -k {base} -c listen_addresses="
    base.chmod(0o777)
    log = data / "log"
    as_postgres(bin_dir / "pg_ctl", "-D", data / "main", "-l", log, "-o", options, "-w", "start")
    yield data / "main"
    zfs.wipe()  # our snapshots are on its datasets
    as_postgres(bin_dir / "pg_ctl", "-D", data / "main", "-m", "immediate", "stop")
    for name in ("pg/data", "pg/wal", "pg/space", "pg"):
        command("zfs", "destroy", f"{zfs.zpool}/{name}")


def test_a_server_on_three_datasets(zfs: AgentHost, datadir: Path) -> None:
    host, base = zfs, datadir.parent.parent
    local = f"host={base} port={PORT} user=postgres dbname=postgres"
    host.sql(
        local,
        f"create tablespace fast location '{base}/space'",
        "create table t (n int)",
        "create table s (n int) tablespace fast",
        "insert into t select generate_series(1, 1000)",
        "insert into s select generate_series(1, 1000)",
    )
    host.json("source", "add", "prod", "--attach", str(datadir))
    taken = host.json("snapshot", "create", "prod@one", "--settle")
    assert taken["settled"]
    host.sql(local, "truncate t, s")
    branch = host.json("branch", "create", "b", "--from", "prod@one")
    both = "select (select count(*) from t), (select count(*) from s)"
    assert host.sql(branch["dsn"], both) == [(1000, 1000)]
    host.sql(branch["dsn"], "insert into s values (0)", "checkpoint")
    child = host.json("branch", "create", "c", "--from", "b")
    assert host.sql(child["dsn"], both) == [(1000, 1001)]
    assert host.sql(local, both) == [(0, 0)]
    assert host.error("snapshot", "rm", "prod@one", status=5)
    refused = host.error("branch", "reset", "b", status=5)
    assert "cannot be reset: branch c" in refused["message"]
    host.run("branch", "rm", "c")
    host.run("branch", "reset", "b")
    assert host.sql(branch["dsn"], both) == [(1000, 1000)]
    with host.client() as client:
        child = client.branches.create("d", "b")
        client.branches.remove("b", promote=True)
        client.snapshots.remove("prod@one")  # d needs its datasets, and nobody its name
        assert client.snapshots.list() == []
        assert host.sql(str(client.branches.reset("d")["dsn"]), both) == [(1000, 1000)]
        assert client.branches.show("d")["dsn"] == child["dsn"]
    assert not [item for item in host.json("doctor") if item["level"] == "problem"]
