"""A plain function as a tool of the SDK.

    def db_reset_branch(call: Call, name: str) -> BranchAnswer: ...

The function runs in a thread of its own, so that one call does not wait for another. What it
reports becomes progress notifications, from whatever thread; when the caller cancels, `call.stop`
is said and the call waits for the function to end what it had begun. Errors of cowdb come out with
their hint; of any other, the SDK tells the caller nothing but that there was one.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import time
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations

from cowdb.config import Config
from cowdb.controller.branching import Connect
from cowdb.controller.lab.steps.command import Stop
from cowdb.controller.transport import Report
from cowdb.errors import CowdbError
from cowdb.mcp.results import Results

_CONTEXT = "ctx"
_OFTEN = 0.2  # seconds between two notifications of one step
_QUEUED = 1000
_LONGEST = 2000  # characters: an error of PostgreSQL may repeat a value


@dataclass(frozen=True)
class Desk:
    """What all calls share."""

    connect: Connect
    config: Config
    results: Results


@dataclass(frozen=True)
class Call:
    """What one call has besides its arguments.

    :param report: tells the caller how far it is.
    :param stop: said when the caller has given up."""

    desk: Desk
    report: Report
    stop: Stop


def tool(fn: Callable[..., Any], desk: Desk, annotations: ToolAnnotations) -> Tool:
    """:param fn: takes a Call and the tool's arguments; its docstring is the tool's description."""
    made = Tool.from_function(
        _called(fn, desk), description=inspect.getdoc(fn), annotations=annotations,
        structured_output=True,
    )  # fmt: skip
    arguments = made.fn_metadata.arg_model
    arguments.model_config["extra"] = "forbid"  # a name that is not known is a mistake
    arguments.model_rebuild(force=True)
    made.parameters = arguments.model_json_schema(by_alias=True)
    return made


def _called(fn: Callable[..., Any], desk: Desk) -> Callable[..., Any]:
    async def called(**given: Any) -> Any:  # noqa: ANN401
        context: Context[Any, Any] = given.pop(_CONTEXT)
        return await _run(fn, desk, context, given)

    hints = typing.get_type_hints(fn, include_extras=True)
    first, *own = inspect.signature(fn).parameters.values()
    assert hints[first.name] is Call, f"{fn.__name__} takes a Call first"
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        *(item.replace(kind=keyword, annotation=hints[item.name]) for item in own),
        inspect.Parameter(_CONTEXT, keyword, annotation=Context),
    ]
    called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        parameters, return_annotation=hints["return"]
    )
    called.__annotations__ = {item.name: item.annotation for item in parameters}
    called.__annotations__["return"] = hints["return"]
    called.__name__ = fn.__name__
    called.__qualname__ = fn.__qualname__
    return called


async def _run(
    fn: Callable[..., Any], desk: Desk, context: Context[Any, Any], given: dict[str, Any]
) -> Any:  # noqa: ANN401
    stop = Stop()
    send, receive = anyio.create_memory_object_stream[str](_QUEUED)
    call = Call(desk, _Reporter(asyncio.get_running_loop(), send.send_nowait), stop)
    async with anyio.create_task_group() as outer:
        outer.start_soon(_tell_when_cancelled, stop)
        async with anyio.create_task_group() as inner, send:
            inner.start_soon(_pass_on, context, receive)
            answer, error = await anyio.to_thread.run_sync(partial(_outcome, fn, call, given))
        outer.cancel_scope.cancel()
    if isinstance(error, CowdbError):
        raise ToolError(told(error)) from error
    if error is not None:
        raise error
    return answer


def told(error: CowdbError) -> str:
    """An error as the caller reads it."""
    message, hint = (
        text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
        for text in (error.message, error.hint)
    )  # fmt: skip
    return f"{message}\nhint: {hint}" if hint else message


def _outcome(
    fn: Callable[..., Any], call: Call, given: dict[str, Any]
) -> tuple[Any, Exception | None]:
    """An exception as a value: a task group would wrap it."""
    try:
        return fn(call, **given), None
    except Exception as error:
        return None, error


async def _tell_when_cancelled(stop: Stop) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        stop.now("the caller has given up")


async def _pass_on(context: Context[Any, Any], steps: Any) -> None:  # noqa: ANN401
    """Each notification has a higher number than the one before, as the protocol wants; how many
    there will be nobody knows."""
    number = 0
    async with steps:
        async for step in steps:
            number += 1
            await context.report_progress(number, None, step)


class _Reporter:
    """A Report that any thread may call."""

    def __init__(self, loop: asyncio.AbstractEventLoop, put: Callable[[str], None]) -> None:
        self._loop, self._put = loop, put
        self._lock = threading.Lock()
        self._last, self._at = "", 0.0

    def __call__(self, what: str, done: int | None = None, total: int | None = None) -> None:
        with self._lock:
            now = time.monotonic()
            if what == self._last and now - self._at < _OFTEN:
                return
            self._last, self._at = what, now
        share = f" ({done * 100 // total} %)" if done is not None and total else ""
        with contextlib.suppress(RuntimeError):  # the server is ending
            self._loop.call_soon_threadsafe(self._try, what + share)

    def _try(self, text: str) -> None:
        """Where the caller does not read, steps are left out."""
        with contextlib.suppress(anyio.WouldBlock, anyio.ClosedResourceError,
                                 anyio.BrokenResourceError):  # fmt: skip
            self._put(text)
