"""How SQL names things: the phrase for an object, literals, lists of options."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cowdb.controller.diff.migration.facts import Facts
from cowdb.controller.diff.model import ObjectKey

_PHRASES = {
    "enum": "TYPE", "composite type": "TYPE", "range type": "TYPE", "base type": "TYPE",
    "foreign server": "SERVER", "window function": "FUNCTION", "aggregate": "ROUTINE",
}  # fmt: skip

ON_TABLE = frozenset({"constraint", "trigger", "rule", "policy"})
RELATIONS = frozenset({"table", "foreign table", "view", "materialized view"})
TYPES = frozenset({"enum", "composite type", "range type", "base type", "domain"})
ROUTINES = frozenset({"function", "procedure", "window function", "aggregate"})

# Options that hold a secret, or may: their values are never printed.
_SECRET = re.compile(r"pass|secret|token|key|credential|auth", re.IGNORECASE)
PLACEHOLDER = "(put the value here)"

_OPTION_NAME = re.compile(r"^[a-z_][a-z0-9_]*$")


def literal(text: str) -> str:
    """As an SQL string constant, whatever standard_conforming_strings says."""
    quoted = text.replace("'", "''")
    if "\\" in quoted:
        doubled = quoted.replace("\\", "\\\\")
        return f"E'{doubled}'"
    return f"'{quoted}'"


def own_name(key: ObjectKey, facts: Facts) -> str:
    """The last part of the name of something on a table or domain, quoted as it is in the key."""
    return key.name[len(facts.home(key).name) + 1 :]


def phrase(key: ObjectKey, facts: Facts) -> str:
    """What follows COMMENT ON, and ALTER or DROP for what has a statement of its own."""
    if key.kind in ON_TABLE:
        return f"{key.kind.upper()} {own_name(key, facts)} ON {facts.home(key).name}"
    if key.kind == "domain constraint":
        return f"CONSTRAINT {own_name(key, facts)} ON DOMAIN {facts.home(key).name}"
    if key.kind == "cast":
        return f"CAST ({key.name})"
    if key.kind == "database":
        return f"DATABASE {facts.database}"
    return f"{_PHRASES.get(key.kind, key.kind.upper())} {key.name}"


def alter_table(key: ObjectKey, only: bool = False) -> str:
    """ALTER and the relation's kind and name."""
    word = "FOREIGN TABLE" if key.kind == "foreign table" else "TABLE"
    if key.kind in ("view", "materialized view"):
        word = key.kind.upper()
    return f"ALTER {word} {'ONLY ' if only and key.kind == 'table' else ''}{key.name}"


def split_option(item: str) -> tuple[str, str]:
    name, _, value = item.partition("=")
    return name, value


def is_secret(name: str) -> bool:
    return bool(_SECRET.search(name))


def option_name(name: str) -> str:
    return name if _OPTION_NAME.match(name) else '"' + name.replace('"', '""') + '"'


def storage_options(items: Sequence[str], prefix: str = "") -> str:
    """Storage parameters inside the parentheses of SET: `fillfactor='70'`."""
    pairs = (split_option(item) for item in items)
    return ", ".join(f"{prefix}{option_name(name)}={literal(value)}" for name, value in pairs)


def changed_options(old: Sequence[str], new: Sequence[str], prefix: str = "") -> tuple[str, str]:
    """What to SET and what to RESET, each as text for the parentheses, or empty."""
    had = dict(map(split_option, old))
    now = dict(map(split_option, new))
    to_set = [f"{name}={value}" for name, value in now.items() if had.get(name) != value]
    to_reset = [prefix + option_name(name) for name in had if name not in now]
    return storage_options(to_set, prefix), ", ".join(to_reset)


def outside_options(items: Sequence[str], hide: bool = False) -> tuple[str, list[str]]:
    """The list for OPTIONS (...) of something foreign, and the names whose values are hidden."""
    pairs = [split_option(item) for item in items]
    hidden = [name for name, _ in pairs if hide or is_secret(name)]
    return ", ".join(
        f"{option_name(name)} {literal(PLACEHOLDER if name in hidden else value)}"
        for name, value in pairs
    ), hidden


def changed_outside_options(
    old: Sequence[str], new: Sequence[str], hide: bool = False
) -> tuple[str, list[str]]:
    """The same for a change, with ADD, SET and DROP."""
    had = dict(map(split_option, old))
    now = dict(map(split_option, new))
    parts = [f"DROP {option_name(name)}" for name in had if name not in now]
    hidden = []
    for name, value in now.items():
        if had.get(name) == value:
            continue
        if hide or is_secret(name):
            hidden.append(name)
            value = PLACEHOLDER
        word = "SET" if name in had else "ADD"
        parts.append(f"{word} {option_name(name)} {literal(value)}")
    return ", ".join(parts), hidden


def setting(name: str, value: str) -> str:
    """`name TO value` for SET; lists of names come from the server quoted already."""
    lists = {
        "search_path", "local_preload_libraries", "session_preload_libraries",
        "shared_preload_libraries", "temp_tablespaces", "unix_socket_directories",
    }  # fmt: skip
    return f"{option_setting(name)} TO {value if name in lists and value else literal(value)}"


def option_setting(name: str) -> str:
    return ".".join(option_name(part) for part in name.split("."))


_LAST = re.compile(r'("(?:[^"]|"")*"|[^".]+)$')


def last_part(name: str) -> str:
    """The last identifier of a qualified name, still quoted."""
    found = _LAST.search(name)
    return found[1] if found else name
