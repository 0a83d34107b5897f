"""Who may do what. A caller is who the socket says it is.

Members of the group may look at everything and make snapshots and branches; what a branch or
source is, only its owner or root changes; what names a path on the host, or a pool, only root.
"""

from __future__ import annotations

from dataclasses import dataclass

from cowdb.agent.system import user_of
from cowdb.errors import NotPermittedError


@dataclass(frozen=True, slots=True)
class Caller:
    uid: int
    pid: int

    @property
    def name(self) -> str:
        return user_of(self.uid).name

    @property
    def is_root(self) -> bool:
        return self.uid == 0


def owns(caller: Caller, owner_uid: int) -> bool:
    return caller.is_root or caller.uid == owner_uid


def require_root(caller: Caller, what: str) -> None:
    if not caller.is_root:
        raise NotPermittedError(f"only root may {what}", hint="run it as root, or with sudo")


def require_owner(caller: Caller, owner_uid: int, what: str) -> None:
    if not owns(caller, owner_uid):
        raise NotPermittedError(
            f"user {caller.name!r} may not {what}: it belongs to {user_of(owner_uid).name!r}",
            hint="ask its owner, or run it as root",
        )
