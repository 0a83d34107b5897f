"""What a step is, and what steps are about."""

from __future__ import annotations

import msgspec

from cowdb.model import Cluster


class Step(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One effect on the host."""

    def describe(self) -> str:
        raise NotImplementedError


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A server of cowdb's own.

    :param branch: its settings are a branch's, not a source's.
    :param private: no TCP port; reached through its Unix socket by the agent alone.
    :param spare: it is nobody's yet: it lets nobody in over TCP, and starts behind everything else.
    """

    name: str
    cluster: Cluster
    branch: bool
    private: bool = False
    spare: bool = False


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """An attached source: somebody else's server."""

    name: str
    datadir: str
    superuser: str
