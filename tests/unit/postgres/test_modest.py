"""Settings that keep an idle branch small."""

from __future__ import annotations

import pytest

from cowdb.agent.engines.postgres.modest import CONNECTIONS, modest


@pytest.mark.parametrize(
    ("source", "chosen"),
    [
        ({}, CONNECTIONS),
        ({"max_connections": "500"}, CONNECTIONS),
        ({"max_connections": "20"}, 20),
        ({"max_connections": "500", "superuser_reserved_connections": "50"}, 70),
        ({"max_connections": "500", "reserved_connections": "60"}, 83),
        ({"max_connections": "30", "superuser_reserved_connections": "25"}, 30),
    ],
)
def test_connections_fit_and_are_no_more_than_the_source_has(
    source: dict[str, str], chosen: int
) -> None:
    assert modest(source, 16)["max_connections"] == str(chosen)


def test_a_source_without_senders_gets_none() -> None:
    """With wal_level = minimal a server with one would not start."""
    found = modest({"max_wal_senders": "0", "wal_level": "minimal"}, 15)
    assert found["max_wal_senders"] == "0"


def test_settings_of_18_are_for_18() -> None:
    assert not {name for name in modest({}, 17) if name.startswith("io_")}
    assert modest({}, 18)["io_method"] == "sync"
