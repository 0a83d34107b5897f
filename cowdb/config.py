"""Settings of one host: where things are, which ports, which Postgres binaries.

Read from the TOML file that COWDB_CONFIG names, else /etc/cowdb/config.toml, else defaults.
`parse` is pure; a key it does not know is an error, so that a typing mistake is not a silence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from cowdb.errors import InvalidError
from cowdb.units import parse_size

DEFAULT_PATH = Path("/etc/cowdb/config.toml")

BRANCH_SETTINGS: Mapping[str, str] = {
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "wal_init_zero": "off",  # zero-filling a segment only helps filesystems that overwrite
    "wal_recycle": "off",
    "huge_pages": "off",
}


@dataclass(frozen=True, slots=True)
class Config:
    state_dir: Path = Path("/var/lib/cowdb")
    """The store, the journal, the secret key and the servers' logs; outside every pool."""
    run_dir: Path = Path("/run/cowdb")
    """The agent's socket and the servers' sockets; may be emptied by a reboot."""
    log_dir: Path = Path("/var/log/cowdb")
    group: str = "cowdb"
    """Members may talk to the agent."""
    server_user: str = "cowdb-pg"
    """Branches and managed sources run as this OS user, never as production's."""
    ports: tuple[int, int] = (15500, 17499)
    """First and last TCP port for servers; outside the kernel's ephemeral range."""
    bindirs: tuple[str, ...] = ("/usr/lib/postgresql/*/bin",)
    """Where Postgres server binaries are looked for (globs), after `pg_config --bindir`."""
    branch_settings: Mapping[str, str] = field(default_factory=lambda: dict(BRANCH_SETTINGS))
    """postgresql.conf settings that branches run with in place of their source's."""
    keep_preload_libraries: tuple[str, ...] = ()
    """Preload libraries that branches keep in addition to those known to be passive."""
    min_free_bytes: int = 64 * 2**20
    """Below this much room in the pool nothing new is made."""
    start_timeout: float = 60.0
    """Seconds a server may take to answer its first query, recovery not counted."""
    sleep_after: int = 0
    """Seconds without a client after which a branch made without --sleep sleeps; 0: never."""
    reap_interval: float = 1.0
    """Seconds between two looks for expired branches."""
    auto_spares: int = 2
    """Spares that a snapshot gets by itself; 0 for none."""
    auto_spares_snapshots: int = 2
    """How many snapshots get some: those that branches were made of most recently."""
    auto_spares_seconds: float = 600.0
    """For how long after the latest branch of it a snapshot counts as in use."""
    spares_memory: int = 0
    """Bytes that all spares together may take; 0 for 1/32 of the host's memory."""
    branches_per_user: int = 1000
    """How many branches a user other than root may have; 0 is any number. The default leaves half
    of the ports to others."""
    branch_memory: int | None = None
    """Bytes of memory for a branch whose maker names none, and the most for all but root."""
    branch_cpus: float | None = None
    """Processors for a branch, likewise."""
    branch_disk: int | None = None
    """Bytes of the pool for a branch, likewise."""
    complete_migrations: tuple[str, ...] = ()
    """Sources to which `cowdb mcp` may apply a prepared migration, at its user's word."""
    cgroup: str = ""
    """A control group (cgroup v2) that is cowdb's alone, for branches with limits; empty: see
    agent/cgroups.py."""

    @property
    def socket(self) -> Path:
        return self.run_dir / "agent.sock"

    @property
    def store(self) -> Path:
        return self.state_dir / "store.db"


def _tuple_of(kind: type, value: object, key: str) -> tuple[object, ...]:
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise InvalidError(f"config key {key!r} must be a list of {kind.__name__} values")
    return tuple(value)


def parse(values: Mapping[str, object]) -> Config:
    """A Config from TOML values; raises InvalidError naming the key."""
    known = {item.name for item in fields(Config)}
    changes: dict[str, object] = {}
    for key, value in values.items():
        if key not in known:
            raise InvalidError(
                f"unknown config key {key!r}", hint=f"known keys: {', '.join(sorted(known))}"
            )
        changes[key] = _value(key, value)
    return replace(Config(), **changes)  # type: ignore[arg-type]


def _value(key: str, value: object) -> object:
    if key in {"state_dir", "run_dir", "log_dir"}:
        if not isinstance(value, str) or not value.startswith("/"):
            raise InvalidError(f"config key {key!r} must be an absolute path")
        return Path(value)
    if key == "ports":
        ports = _tuple_of(int, value, key)
        first, last = ports if len(ports) == 2 else (0, 0)
        if not (isinstance(first, int) and isinstance(last, int) and 1024 <= first <= last < 65536):
            raise InvalidError("config key 'ports' must be [first, last] within 1024 to 65535")
        return ports
    if key in {"bindirs", "keep_preload_libraries", "complete_migrations"}:
        return _tuple_of(str, value, key)
    if key == "branch_settings":
        if not isinstance(value, dict):
            raise InvalidError("config key 'branch_settings' must be a table")
        return {**BRANCH_SETTINGS, **{str(name): str(item) for name, item in value.items()}}
    if key in {"start_timeout", "reap_interval", "auto_spares_seconds"}:
        if not isinstance(value, int | float) or value <= 0:
            raise InvalidError(f"config key {key!r} must be a number of seconds above 0")
        return float(value)
    if key in {"min_free_bytes", "spares_memory", "branches_per_user", "sleep_after"}:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InvalidError(f"config key {key!r} must be a whole number, not below 0")
        return value
    if key in {"auto_spares", "auto_spares_snapshots"}:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 100:
            raise InvalidError(f"config key {key!r} must be a number from 0 to 100")
        return value
    if key in {"branch_memory", "branch_disk"}:
        try:
            return parse_size(str(value))
        except InvalidError:
            raise InvalidError(f"config key {key!r} must be a size", hint='such as "2G"') from None
    if key == "branch_cpus":
        if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
            raise InvalidError(f"config key {key!r} must be a number of processors above 0")
        return float(value)
    if not isinstance(value, str) or not value:
        raise InvalidError(f"config key {key!r} must be a string")
    return value


def load(path: Path | None = None) -> Config:
    """The host's settings; a missing file means the defaults unless it was named."""
    named = path or (Path(os.environ["COWDB_CONFIG"]) if os.environ.get("COWDB_CONFIG") else None)
    target = named or DEFAULT_PATH
    try:
        text = target.read_text()
    except FileNotFoundError:
        if named:
            raise InvalidError(f"config file {target} does not exist") from None
        return Config()
    except PermissionError:
        raise InvalidError(f"config file {target} cannot be read by this user") from None
    import tomllib  # 4 ms that a host without the file does not pay

    try:
        return parse(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidError(f"config file {target} is not TOML: {error}") from error
