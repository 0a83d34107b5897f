"""A real MCP client of `cowdb mcp`, for tests: its calls, and the user who sits at it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import mcp_types
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.agenthost import COWDB, AgentHost

Story = Callable[["Driver"], Awaitable[None]]


class Driver:
    """A client, with the answers that a test wants."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(self, tool: str, progress: Any = None, **arguments: Any) -> Any:
        """The structured answer of a call that succeeds; its text says the same."""
        found = await self.client.call_tool(tool, arguments, progress_callback=progress)
        assert isinstance(found, mcp_types.CallToolResult)
        (block,) = found.content
        assert isinstance(block, mcp_types.TextContent)
        assert not found.is_error, block.text
        assert json.loads(block.text) == found.structured_content
        return found.structured_content

    async def error(self, tool: str, **arguments: Any) -> str:
        found = await self.client.call_tool(tool, arguments)
        assert isinstance(found, mcp_types.CallToolResult)
        assert found.is_error, found
        (block,) = found.content
        assert isinstance(block, mcp_types.TextContent)
        return block.text

    async def sql(self, branch: str, sql: str, **more: Any) -> Any:
        """The rows of the last statement."""
        done = await self.call("db_execute_sql", branch=branch, sql=sql, **more)
        last = done["statements"][-1]["rows"]
        return last["rows"] if last else None


def drive(
    host: AgentHost, story: Story, *, before: tuple[str, ...] = (), **options: Any
) -> str:  # fmt: skip
    """Runs a story with a client of a server on stdio; what that printed on stderr.

    :param before: words in front of the server's command."""
    log = host.base / "mcp.log"
    command, *words = [*before, *COWDB, "mcp"]
    server = StdioServerParameters(command=command, args=words, env=host.environment)

    async def run() -> None:
        with log.open("w") as stream:
            async with Client(stdio_client(server, errlog=stream), **options) as client:
                await story(Driver(client))

    asyncio.run(asyncio.wait_for(run(), 240))
    return log.read_text()


@contextlib.contextmanager
def configured(host: AgentHost, **values: object) -> Iterator[None]:
    host.configure(**values)
    try:
        yield
    finally:
        host.configure()


class Answers:
    """A user at the client, who says what the test wants."""

    def __init__(self, action: Any, apply: bool = True) -> None:
        self._action, self._apply = action, apply
        self.asked: list[str] = []

    async def __call__(self, context: Any, params: Any) -> mcp_types.ElicitResult:
        self.asked.append(params.message)
        content = {"apply": self._apply} if self._action == "accept" else None
        return mcp_types.ElicitResult(action=self._action, content=content)
