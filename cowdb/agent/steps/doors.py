"""Steps on the ports of servers that may sleep, which the front holds."""

from __future__ import annotations

from cowdb.agent.steps.step import Server, Step


class HoldPort(Step, frozen=True, kw_only=True):
    """Have the front hold a server's port; undone by giving it up."""

    server: Server

    def describe(self) -> str:
        return f"hold port {self.server.cluster.port} for {self.server.name}"


class ReleasePort(Step, frozen=True, kw_only=True):
    """:param why: for clients that wait there."""

    server: Server
    why: str

    def describe(self) -> str:
        return f"give up port {self.server.cluster.port} of {self.server.name}"
