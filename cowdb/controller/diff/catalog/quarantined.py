"""What cowdb itself changes in a server of its own, which is no difference that anybody made.

A branch's subscriptions cannot connect, its superuser may log in with a password of its own, and
its tablespaces lie in its own tree. A source that cowdb holds has such a superuser, too. Two
branches are alike in all of that. A branch and another server are not, nor a held source and a
server that is not cowdb's: there these properties are left out, and a note says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from cowdb.controller.diff.model import Described, Schema, Side

NOTE = (
    "what cowdb itself sets on a server of its own: connection, slot and state of subscriptions,"
    " places of tablespaces, and its superuser's login, password and validity"
)

_OWN = {
    "subscription": frozenset({"enabled", "slot", "connection"}),
    "tablespace": frozenset({"location"}),
}
_OWN_OF_SUPERUSER = frozenset({"login", "password", "valid_until"})


def apart(sides: Sequence[Side]) -> bool:
    """Whether a server is compared with one that cowdb has set up otherwise."""
    return len({(side.branch is None, side.held) for side in sides}) > 1


def alike(sides: Sequence[Side], schemas: Sequence[Schema]) -> list[Schema]:
    """The schemas of these sides as they can be compared with each other."""
    return [without_own(schema) for schema in schemas] if apart(sides) else list(schemas)


def without_own(schema: Schema) -> Schema:
    """The schema without what cowdb sets on a branch."""
    left = {}
    for key, described in schema.items():
        own = _OWN.get(key.kind, frozenset())
        if key.kind == "role" and described.properties.get("bootstrap"):
            own = _OWN_OF_SUPERUSER
        left[key] = (
            Described(
                {name: value for name, value in described.properties.items() if name not in own},
                described.inside,
            )
            if own
            else described
        )
    return left
