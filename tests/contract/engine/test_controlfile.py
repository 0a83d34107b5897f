"""pg_control and WAL, read here, say what Postgres's own tools say of them; or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cowdb.agent.engines.postgres import controlfile
from cowdb.agent.engines.postgres.binaries import Binaries
from cowdb.agent.engines.postgres.control import ask_for_control, read_control
from cowdb.agent.engines.postgres.replay import refuse_tablespaces
from cowdb.agent.engines.postgres.walscan import surely_no_tablespace
from cowdb.agent.system import OsUser, user_of
from cowdb.errors import UnsoundError
from tests.plainpg import PlainPostgres, installed, running


@dataclass
class Cluster:
    server: PlainPostgres

    @property
    def binaries(self) -> Binaries:
        return Binaries(self.server.bin, "0")

    @property
    def data(self) -> Path:
        return self.server.directory / "data"

    @property
    def file(self) -> Path:
        return self.data / "global/pg_control"

    @property
    def asked(self) -> controlfile.Control:
        return ask_for_control(self.data, self.binaries, self.owner)

    @property
    def owner(self) -> OsUser:
        return user_of(self.data.stat().st_uid)

    def clear(self) -> bool:
        now = self.asked
        return surely_no_tablespace(self.data, now.redo, now.timeline)


@pytest.fixture(scope="module", params=installed(), ids=lambda path: path.parent.name)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with running(request.param) as server:
        yield Cluster(server)


def test_it_says_what_pg_controldata_says(cluster: Cluster) -> None:
    for _ in range(2):
        content = cluster.file.read_bytes()
        assert controlfile.parse(content) == cluster.asked
        assert cluster.asked.state == "in production"
        cluster.server.run("create table if not exists t (i int); checkpoint")


def test_every_state_has_its_name(cluster: Cluster) -> None:
    """Those of a file whose state was changed, with a right sum, as the tool words them."""
    content = bytearray(cluster.file.read_bytes())
    sums = {place: int.from_bytes(content[place : place + 4], "little")
            for place in range(200, 512, 4)}  # fmt: skip
    size = next(place for place, found in sums.items() if found == _crc(content[:place]))
    for number, name in enumerate(controlfile.STATES):
        content[16:20] = number.to_bytes(4, "little")
        content[size : size + 4] = _crc(content[:size]).to_bytes(4, "little")
        found = controlfile.parse(bytes(content))
        assert found is not None
        assert found.state == name
    assert replace(found, state="in production") == cluster.asked


def test_what_is_damaged_has_no_answer(cluster: Cluster) -> None:
    content = cluster.file.read_bytes()
    for place in (0, 16, 24, 40, 100, 200, 260):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        assert controlfile.parse(bytes(damaged)) is None, place
    assert controlfile.parse(content[:-1]) is None
    assert controlfile.parse(bytes(8192)) is None


def _crc(content: bytes) -> int:
    """CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_wal_with_a_new_tablespace_is_never_clear(cluster: Cluster) -> None:
    place = cluster.server.directory / "space"
    place.mkdir()
    owner = cluster.data.stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    cluster.server.run("create table if not exists w (i int, t text)")
    cluster.server.run("checkpoint")
    cluster.server.run("insert into w values (1, 'one')")
    assert cluster.clear(), "a few records with nothing of the kind"
    for rows in (0, 10, 5000):  # where the record stands among others, and on which page
        cluster.server.run(
            f"insert into w select i, md5(i::text) from generate_series(1, {rows}) i"
        )
        cluster.server.run(f"create tablespace s location '{place}'")
        assert not cluster.clear()
        with pytest.raises(UnsoundError, match="tablespace was created"):
            refuse_tablespaces(cluster.data, cluster.binaries, cluster.owner)
        cluster.server.run("drop tablespace s")
        assert not cluster.clear()
        cluster.server.run("checkpoint")
    refuse_tablespaces(cluster.data, cluster.binaries, cluster.owner)


def test_read_control_asks_the_tool_for_what_it_cannot_read(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controlfile, "_VERSIONS", range(0))
    found = read_control(cluster.data, cluster.binaries, cluster.owner)
    assert found == cluster.asked
