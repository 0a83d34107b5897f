"""A function as a tool: what its caller sees of it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from mcp import Client
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

from cowdb.config import Config
from cowdb.errors import ConflictError
from cowdb.mcp.answers import RemovedAnswer
from cowdb.mcp.calling import Call, Desk, tool
from cowdb.mcp.results import Results

BEGAN, ENDED = threading.Event(), threading.Event()


def fails(call: Call, how: str) -> RemovedAnswer:
    """Fails as it is told."""
    if how == "crash":
        raise ZeroDivisionError("a secret of the server")
    raise ConflictError("it is taken", hint="take another")


def reports(call: Call) -> RemovedAnswer:
    """Reports from another thread."""

    def work() -> None:
        for number in range(50):
            call.report("copying", number, 50)
        call.report("done", None, None)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return RemovedAnswer(removed="x")


def waits(call: Call) -> RemovedAnswer:
    """Waits until its caller gives up."""
    BEGAN.set()
    assert call.stop.wait(20)
    ENDED.set()
    return RemovedAnswer(removed="x")


def ask(fn: Any, story: Any) -> Any:
    made = tool(fn, Desk(None, Config(), Results()), ToolAnnotations())  # type: ignore[arg-type]

    async def run() -> Any:
        async with Client(MCPServer("test", tools=[made], log_level="CRITICAL")) as client:
            return await story(client)

    return asyncio.run(run())


def text(result: Any) -> str:
    assert result.is_error
    found: str = result.content[0].text
    return found


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"how": "refuse"}, "it is taken\nhint: take another"),
        ({"how": "refuse", "hwo": 1}, "Extra inputs are not permitted"),
        ({}, "Field required"),
    ],
)
def test_errors_that_the_caller_can_act_on(arguments: dict[str, Any], told: str) -> None:
    assert told in text(ask(fails, lambda client: client.call_tool("fails", arguments)))


def test_a_crash_keeps_its_text_to_itself() -> None:
    assert text(ask(fails, lambda client: client.call_tool("fails", {"how": "crash"}))) == (
        "Error executing tool fails"
    )


def test_progress_from_any_thread_in_order() -> None:
    seen: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, message))

    found = ask(reports, lambda client: client.call_tool("reports", {}, progress_callback=note))
    assert found.structured_content == {"removed": "x"}
    assert [number for number, _ in seen] == list(range(1, len(seen) + 1))
    assert (seen[0][1], seen[-1][1]) == ("copying (0 %)", "done")


def test_who_gives_up_ends_the_call() -> None:
    async def story(client: Client) -> None:
        call = asyncio.create_task(client.call_tool("waits", {}))
        while not BEGAN.is_set():
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    ask(waits, story)
    assert ENDED.wait(20)
