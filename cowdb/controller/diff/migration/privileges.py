"""From one list of privileges to another, with GRANT and REVOKE.

A list tells the distance from the kind's default, as the catalog queries print it:
`reader: INSERT, SELECT with grant option by writer`, `without PUBLIC: EXECUTE`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cowdb.controller.diff.migration.facts import Facts
from cowdb.controller.diff.migration.statement import Statement, about
from cowdb.controller.diff.migration.words import ROUTINES, TYPES, own_name
from cowdb.controller.diff.model import ObjectKey

_LINE = re.compile(
    r'^(without )?("(?:[^"]|"")*"|\(owner\)|[^:"]+): ([A-Z][A-Z, ]*?)( with grant option)?'
    r"(?: by (.+))?$"
)
_OWNER = "(owner)"


@dataclass(frozen=True, order=True)
class Privilege:
    """One privilege of one role. `by` is empty where the owner granted it."""

    who: str
    what: str
    grantable: bool
    by: str


def parsed(lines: Sequence[str]) -> tuple[set[Privilege], set[Privilege]]:
    """What was granted on top of the default, and what of the default was taken away."""
    granted: set[Privilege] = set()
    taken: set[Privilege] = set()
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            raise ValueError(f"not a line of privileges: {line!r}")
        for what in found[3].split(", "):
            one = Privilege(found[2], what, bool(found[4]), found[5] or "")
            (taken if found[1] else granted).add(one)
    return granted, taken


def changed(
    key: ObjectKey, old: Sequence[str], new: Sequence[str], facts: Facts, before: Facts
) -> list[Statement]:
    """:param facts: of the side whose owner holds when the statements run.
    :param before: of the other side.
    """
    had, lacked = parsed(old)
    has, lacks = parsed(new)
    owner = _owner(key, facts)
    if owner != _owner(key, before):
        had, lacked = _as_owned_by(owner, had, lacked)
    away = sorted(had - has | lacks - lacked, key=lambda one: (not one.by, one))
    there = sorted(has - had | lacked - lacks, key=lambda one: (bool(one.by), one))
    return [
        *_spoken(key, facts, owner, away, "REVOKE"),
        *_spoken(key, facts, owner, there, "GRANT"),
    ]


def _owner(key: ObjectKey, facts: Facts) -> str | None:
    owner: str | None = facts.get(key, "owner")
    if owner is None and key in facts.schema and facts.schema[key].inside:
        return _owner(facts.home(key), facts)
    return owner


def _as_owned_by(
    owner: str | None, had: set[Privilege], lacked: set[Privilege]
) -> tuple[set[Privilege], set[Privilege]]:
    """What a change of owner leaves: what the new one had joins what the old one had."""
    joined = {one.what for one in had if one.who == owner}
    return (
        {
            Privilege(one.who, one.what, one.grantable, "" if one.by == owner else one.by)
            for one in had
            if one.who != owner
        },
        {one for one in lacked if not (one.who == _OWNER and one.what in joined)},
    )


def _spoken(
    key: ObjectKey, facts: Facts, owner: str | None, items: Iterable[Privilege], verb: str
) -> list[Statement]:
    groups: dict[tuple[str, bool, str], list[str]] = {}
    for one in items:
        groups.setdefault((one.who, one.grantable, one.by), []).append(one.what)
    found = []
    for (who, grantable, by), rights in groups.items():
        whom = (owner or "CURRENT_USER") if who == _OWNER else who
        sql = f"{verb} {_list(key, facts, rights)} ON {_target(key, facts)}"
        sql += f" TO {whom}" if verb == "GRANT" else f" FROM {whom}"
        if verb == "GRANT" and grantable:
            sql += " WITH GRANT OPTION"
        if verb == "REVOKE" and grantable:
            sql += " CASCADE"
        if by:
            found.append(about(key, f"SET LOCAL ROLE {by}"))
            found.append(about(key, sql))
            found.append(about(key, "RESET ROLE"))
        else:
            found.append(about(key, sql))
    return found


def _list(key: ObjectKey, facts: Facts, rights: Sequence[str]) -> str:
    if key.kind != "column":
        return ", ".join(rights)
    return ", ".join(f"{what} ({own_name(key, facts)})" for what in rights)


def _target(key: ObjectKey, facts: Facts) -> str:
    if key.kind == "column":
        return f"TABLE {facts.home(key).name}"
    if key.kind == "database":
        return f"DATABASE {facts.database}"
    word = key.kind.upper()
    if key.kind in ("view", "materialized view", "foreign table", "table"):
        word = "TABLE"
    elif key.kind in ROUTINES:
        word = "ROUTINE"
    elif key.kind in TYPES:
        word = "TYPE"
    return f"{word} {key.name}"


_DEFAULT = re.compile(
    r'^for role ("(?:[^"]|"")*"|[^ ]+)(?: in schema ("(?:[^"]|"")*"|[^ ]+))? on (.+)$'
)
# What a default is when nothing was altered, by the objects that it is for.
_USUAL = {
    "functions": [("PUBLIC", "EXECUTE")],
    "types": [("PUBLIC", "USAGE")],
}


def default_privileges(
    key: ObjectKey, old: Sequence[str] | None, new: Sequence[str] | None
) -> list[Statement]:
    """ALTER DEFAULT PRIVILEGES from one list to another; None stands for no entry at all.

    For all schemas the list replaces the built-in defaults, so taking the entry away means to
    restore those.
    """
    found = _DEFAULT.match(key.name)
    if found is None:
        return [Statement("", key.kind, key.name, reason="not a name that is understood")]
    role, schema, objects = found.groups()
    start = f"ALTER DEFAULT PRIVILEGES FOR ROLE {role}"
    start += f" IN SCHEMA {schema}" if schema else ""
    words = objects.upper()
    usual = set() if schema else {(who, what, False) for who, what in _USUAL.get(objects, [])}
    owner = _owner_entries(role, old, new) if not schema else set()
    had = _entries(old) if old is not None else usual | owner
    has = _entries(new) if new is not None else usual | owner
    lines = []
    for who, what, _ in sorted(had - has):
        lines.append(about(key, f"{start} REVOKE {what} ON {words} FROM {who}"))
    for who, what, grantable in sorted(has - had):
        end = " WITH GRANT OPTION" if grantable else ""
        lines.append(about(key, f"{start} GRANT {what} ON {words} TO {who}{end}"))
    return lines


def _entries(lines: Sequence[str]) -> set[tuple[str, str, bool]]:
    granted, _ = parsed(lines)
    return {(one.who, one.what, one.grantable) for one in granted}


def _owner_entries(
    role: str, old: Sequence[str] | None, new: Sequence[str] | None
) -> set[tuple[str, str, bool]]:
    """The owner's own privileges, which every entry for all schemas repeats.

    They are taken from the side that has an entry: which ones there are depends on the version.
    """
    some = _entries(old if old is not None else new or [])
    return {entry for entry in some if entry[0] == role}
