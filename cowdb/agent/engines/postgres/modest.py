"""What a branch runs with so that an idle one costs little; values only, no I/O.

A server touches all of its lock tables and WAL buffers when it starts, whether they are ever used:
with production's `max_connections = 500` that alone is 15 MB. Each process is another megabyte.
None of it changes what a query returns (docs/decisions/crowd.md has what each is worth).
"""

from __future__ import annotations

from typing import Final

from cowdb.agent.engines.postgres.settings import Settings

CONNECTIONS: Final = 40
_SPARE: Final = 20  # connections beside those that are reserved


def modest(kept: Settings, major: int) -> dict[str, str]:
    """Settings that go before a source's own, and after `branch_settings` of the configuration.

    :param kept: what the branch keeps of its source's.
    """
    reserved = sum(
        _number(kept, name, default)
        for name, default in (("superuser_reserved_connections", 3), ("reserved_connections", 0))
    )
    most = max(CONNECTIONS, reserved + _SPARE)
    chosen = {
        "max_connections": str(min(_number(kept, "max_connections", 100), most)),
        "wal_buffers": "128kB",  # WAL goes to the page cache, not to a disk that is waited for
        "max_wal_senders": str(min(_number(kept, "max_wal_senders", 10), 2)),
        "max_replication_slots": str(min(_number(kept, "max_replication_slots", 10), 4)),
        "autovacuum_max_workers": "1",
    }
    if major >= 18:
        chosen["io_method"] = "sync"  # as in 17, without three processes that wait for work
        chosen["io_max_concurrency"] = "8"  # room for each connection, used by the others only
        chosen["autovacuum_worker_slots"] = "1"
    return chosen


def _number(settings: Settings, name: str, default: int) -> int:
    value = settings.get(name, "")
    return int(value) if value.isdigit() else default
