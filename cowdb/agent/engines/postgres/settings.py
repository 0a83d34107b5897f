"""What of a source's configuration a branch may keep; values only, no I/O.

`parse` and `render` speak the syntax of postgresql.conf; `carry` takes out every setting that
acts on the world outside the branch, writes outside its data directory, or would make it hang;
`pins` names what the server's command line forces besides, where ALTER SYSTEM cannot reach.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cowdb.errors import InvalidError

Settings = Mapping[str, str]
"""Names in lower case to values as text, units included; no file, no line, no quoting."""

# --- syntax ------------------------------------------------------------------------------------

INCLUDES: Final = frozenset({"include", "include_if_exists", "include_dir"})
_NAME: Final = r"[A-Za-z_\x80-\U0010ffff][A-Za-z_0-9$\x80-\U0010ffff]*"
# One line, as guc-file.l reads it: the equals sign may be missing, a string may hold '' and \',
# and no string spans lines.
_LINE: Final = re.compile(
    rf"[ \t\r]*(?P<name>{_NAME}(?:\.{_NAME})?)(?:[ \t\r]*=[ \t\r]*|[ \t\r]+|(?='))"
    r"(?:'(?P<quoted>(?:[^'\\]|\\.|'')*)'|(?P<plain>[^\s'#=]+))[ \t\r]*(?:\#.*)?"
)
_BLANK: Final = re.compile(r"[ \t\r]*(?:\#.*)?")
_ESCAPE: Final = re.compile(rb"\\([0-7]{1,3})|\\(.)|''", re.DOTALL)
_LETTERS: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """:param includes: (directive, argument), never opened.
    :param unreadable: numbers of the lines that Postgres would not accept; never their text,
        which may hold a password."""

    settings: Settings
    includes: tuple[tuple[str, str], ...] = ()
    unreadable: tuple[int, ...] = ()


def parse(text: str) -> ConfigFile:
    """The content of a postgresql.conf; of a setting given twice the last counts."""
    settings: dict[str, str] = {}
    includes: list[tuple[str, str]] = []
    unreadable: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if _BLANK.fullmatch(line):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            unreadable.append(number)
            continue
        name, quoted = match["name"].lower(), match["quoted"]
        value = match["plain"] if quoted is None else _unescaped(quoted)
        if name in INCLUDES:
            includes.append((name, value))
        else:
            settings[name] = value
    return ConfigFile(settings, tuple(includes), tuple(unreadable))


def _unescaped(quoted: str) -> str:
    r"""A string's content; on bytes, since \ooo is one byte and not one character."""

    def plain(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes([int(match[1], 8) & 0xFF])
        return _LETTERS.get(match[2], match[2]) if match[2] else b"'"

    raw = _ESCAPE.sub(plain, quoted.encode("utf-8", "surrogateescape"))
    return raw.decode("utf-8", "surrogateescape")


def render(settings: Settings, header: Sequence[str] = ()) -> str:
    """A postgresql.conf that `parse` and Postgres read back to exactly these settings.

    :param header: lines of comment, without the `#`.
    :raises InvalidError: a name is not one that Postgres reads, or a value holds a NUL.
    """
    lines = [f"# {line}".rstrip() for line in header]
    for name in sorted(settings):
        if not re.fullmatch(rf"{_NAME}(?:\.{_NAME})?", name) or name in INCLUDES:
            raise InvalidError(f"{name!r} is not the name of a Postgres setting")
        if "\0" in settings[name]:
            raise InvalidError(f"the value of the Postgres setting {name!r} holds a NUL")
        value = settings[name].replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n")
        lines.append(f"{name} = '{value}'")
    return "".join(f"{line}\n" for line in lines)


# --- policy ------------------------------------------------------------------------------------

_ARCHIVE = "it writes to production's archive"
_REPLICA = "it ties a standby to production"
_CONNECT = "a branch listens on an address and a port of its own"
_SSL = "a branch is reached on this host only, and the files belong to production"
_LOGIN = "it concerns production's logins and may name files outside the branch"
_LOG = "it writes to production's logs"
_FILES = "it names a file outside the branch"
_LOAD = "it loads code or control files from outside the installation"
_WAIT = "it would make the branch wait"
_MEMORY = "it reserves memory meant for production"

# Reasons by exact name; read against `postgres --describe-config` of 14 to 18 and the developer
# options, which it hides.
_DENIED: Final[Mapping[str, str]] = {
    "restore_command": "it reads from production's archive",
    "promote_trigger_file": _FILES,
    "hot_standby": _REPLICA,
    "hot_standby_feedback": _REPLICA,
    "max_standby_archive_delay": _REPLICA,
    "max_standby_streaming_delay": _REPLICA,
    "wal_retrieve_retry_interval": _REPLICA,
    "standby_mode": _REPLICA,
    "trigger_file": _FILES,
    "sync_replication_slots": _REPLICA,
    "synchronous_standby_names": "every commit would wait for a standby that is not there",
    "synchronized_standby_slots": "decoding would wait for a standby that is not there",
    "max_logical_replication_workers": "subscriptions of a branch must not connect",
    "wal_keep_size": "it keeps WAL for standbys that a branch does not have",
    "wal_keep_segments": "it keeps WAL for standbys that a branch does not have",
    "summarize_wal": "it keeps WAL summaries for backups that a branch does not have",
    "listen_addresses": _CONNECT,
    "port": _CONNECT,
    "ssl": _SSL,
    "db_user_namespace": "it changes the names that roles log in by",
    "log_destination": _LOG,
    "logging_collector": _LOG,
    "log_directory": _LOG,
    "log_filename": _LOG,
    "log_file_mode": _LOG,
    "log_truncate_on_rotation": _LOG,
    "log_hostname": "it asks the name server about every connection",
    "event_source": _LOG,
    "cluster_name": "it is production's name",
    "external_pid_file": _FILES,
    "data_directory": _FILES,
    "config_file": _FILES,
    "hba_file": _FILES,
    "ident_file": _FILES,
    "stats_temp_directory": _FILES,
    "extension_destdir": _LOAD,  # Debian's own
    "extension_control_path": _LOAD,
    "jit_provider": _LOAD,
    "jit_profiling_support": "it writes profiles into a home directory",
    "debug_io_direct": "it depends on production's filesystem",
    "pre_auth_delay": _WAIT,
    "post_auth_delay": _WAIT,
    "min_dynamic_shared_memory": _MEMORY,
    "huge_page_size": _MEMORY,
}
# What a server reports but accepts from no file: with one of them it would not start.
_REPORTED: Final = frozenset(
    """block_size data_checksums data_directory_mode debug_assertions effective_wal_level
    huge_pages_status in_hot_standby integer_datetimes is_superuser lc_collate lc_ctype
    max_function_args max_identifier_length max_index_keys num_os_semaphores role seed
    segment_size server_encoding server_version server_version_num session_authorization
    shared_memory_size shared_memory_size_in_huge_pages ssl_library transaction_deferrable
    transaction_isolation transaction_read_only wal_block_size wal_segment_size""".split()  # noqa: SIM905
)
_DENIED_PREFIXES: Final[Mapping[str, str]] = {
    "archive_": _ARCHIVE,
    "recovery_": "it belongs to a recovery of production",
    "primary_": _REPLICA,
    "standby_": _REPLICA,
    "wal_receiver_": _REPLICA,
    "unix_socket_": _CONNECT,
    "bonjour": "it announces the server on the network",
    "ssl_": _SSL,
    "krb_": _LOGIN,
    "gss": _LOGIN,
    "oauth_": _LOGIN,
    "log_rotation": _LOG,
    "syslog_": _LOG,
    "include": "files outside the branch are not read",
}

PRELOADS: Final = frozenset(
    {"shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"}
)
# Libraries that only watch, check or define types: no worker of theirs runs a user's job, calls
# a network or writes outside the data directory.
PASSIVE: Final = frozenset(
    """auto_explain anon citext credcheck hstore hypopg ltree orafce passwordcheck pg_bigm
    pg_hint_plan pg_ivm pg_qualstats pg_show_plans pg_stat_kcache pg_stat_monitor
    pg_stat_statements pg_store_plans pg_trgm pg_wait_sampling pgaudit pgaudit_set_user pgcrypto
    pgextwlist plperl plpgsql plpgsql_check plprofiler plpython3 plugin_debugger plv8 postgis-3
    safeupdate set_user vector""".split()  # noqa: SIM905
)
# Whose settings go with them, where the prefix is not the library's own name.
_PREFIX_OF: Final[Mapping[str, str]] = {"pg_cron": "cron", "pgautofailover": "pgautofailover"}
# Dropped even when the library is not preloaded: their workers would start with the first load.
_ACTING: Final = frozenset(
    """pg_cron pg_timetable pglogical bdr spock citus pg_partman_bgw timescaledb pg_squeeze pg_net
    repmgr powa pg_prewarm auth_delay basic_archive pg_failover_slots pgautofailover pgsodium
    pg_tle pgagent http""".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Carried:
    """:param kept: what a branch may run with.
    :param dropped: a sentence for each setting taken out, without its value: it may be secret."""

    kept: Settings
    dropped: tuple[str, ...]


def carry(settings: Settings, keep_preload: Sequence[str] = ()) -> Carried:
    """Take out of a source's settings what reaches beyond a branch.

    :param keep_preload: libraries to keep besides those known to be passive; a library given by
        an absolute path is kept only if that path is listed here.
    """
    settings = {name.lower(): value for name, value in settings.items()}
    allowed = PASSIVE | set(keep_preload)
    kept: dict[str, str] = {}
    dropped: list[str] = []
    acting = set(_ACTING) - set(keep_preload)
    for name in sorted(PRELOADS & settings.keys()):
        stay, go = _split_libraries(settings[name], allowed)
        acting.update(go)
        if stay:
            kept[name] = render_list(stay)
        dropped += [f"{name}: {library} (not known to be passive)" for library in go]
    prefixes = {_PREFIX_OF.get(_stem(library), _stem(library)) for library in acting}
    for name in sorted(settings.keys() - PRELOADS - _REPORTED):
        reason = denial(name)
        prefix = name.partition(".")[0] if "." in name else ""
        if reason is None and prefix in prefixes:
            reason = "its library does not run in a branch"
        if name == "dynamic_library_path":
            kept[name], reason = "$libdir", None if settings[name] == "$libdir" else _LOAD
        elif reason is None:
            kept[name] = settings[name]
        if reason and settings[name] not in {"", "off", "(disabled)"}:  # what did nothing is silent
            dropped.append(f"{name} ({reason})")
    return Carried(kept, tuple(dropped))


def denial(name: str) -> str | None:
    """Why a branch never keeps the setting of that (lower case) name; None when it may."""
    if name in _DENIED:
        return _DENIED[name]
    found = (reason for start, reason in _DENIED_PREFIXES.items() if name.startswith(start))
    return next(found, None)


def _split_libraries(value: str, allowed: set[str] | frozenset[str]) -> tuple[list[str], list[str]]:
    stay: list[str] = []
    go: list[str] = []
    for library in parse_list(value):
        (stay if library in allowed or _plain(library) in allowed else go).append(library)
    return stay, go


def _plain(library: str) -> str:
    """The library's name when it comes from the installation; else the path as it is."""
    inside = library.removeprefix("$libdir/plugins/").removeprefix("$libdir/")
    return library if "/" in inside else inside.removesuffix(".so")


def _stem(library: str) -> str:
    return library.rpartition("/")[2].removesuffix(".so")


def parse_list(value: str) -> tuple[str, ...]:
    """A comma-separated list as SplitDirectoriesString reads it: double quotes keep commas."""
    items = re.findall(r'\s*("(?:[^"]|"")*"|[^,"]*)\s*(?:,|$)', value)
    plain = (
        item[1:-1].replace('""', '"') if item.startswith('"') else item.strip() for item in items
    )
    return tuple(item for item in plain if item)


def render_list(items: Sequence[str]) -> str:
    quoted = (
        '"' + item.replace('"', '""') + '"' if set(item) & set(', "') else item for item in items
    )
    return ", ".join(quoted)


def pins(version_major: int) -> dict[str, str]:
    """Settings for the command line of every branch's server (`-c name=value`), 14 or later.

    The command line beats postgresql.conf, postgresql.auto.conf and ALTER SYSTEM, so that what
    a branch's superuser changes later does not plug the wires in again.
    """
    forced = {
        "archive_mode": "off",
        "archive_command": "",
        "restore_command": "",
        "archive_cleanup_command": "",
        "recovery_end_command": "",
        "primary_conninfo": "",
        "primary_slot_name": "",
        "synchronous_standby_names": "",
        # without an apply launcher no subscription's worker can connect to its publisher
        "max_logical_replication_workers": "0",
        "ssl": "off",
        "bonjour": "off",
        "logging_collector": "off",
        "log_destination": "stderr",
        "external_pid_file": "",
    }
    if version_major <= 15:
        forced["promote_trigger_file"] = ""
    if version_major >= 15:
        forced["archive_library"] = ""
    if version_major >= 17:
        forced |= {"sync_replication_slots": "off", "summarize_wal": "off"}
        forced["synchronized_standby_slots"] = ""
    return forced
